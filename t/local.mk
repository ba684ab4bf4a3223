# What the tests share.  Unit tests are built by the fragments beside the code that they test.
EXTRA_DIST += t/unit/tap.h t/lib.sh t/run t/run-one t/packages t/negative-status t/negative-not-yet quickstart

# Distributed whole, without what was built in them: a new test needs no line here.
EXTRA_DIST += t/client t/cmd t/conformance t/crash t/delivery t/fuzz/corpus t/lib t/load t/milter t/modules t/peers t/queue t/sasl t/smtp t/suites t/tls
EXTRA_DIST += t/bench/run t/bench/readall.c t/bench/floor.c t/bench/probes.c t/bench/slowpolicy.py
dist-hook:
	find $(distdir) \( -name __pycache__ -o -name .libs -o -name .deps \) -prune -exec rm -rf {} +
	find $(distdir)/t \( -name '*.o' -o -name '*.lo' -o -name .dirstamp \) -delete
	rm -f $(check_PROGRAMS:%=$(distdir)/%) $(check_LTLIBRARIES:%=$(distdir)/%)

# Tests load modules from the build tree, and link all of the core, since modules use parts of it that the test does not.
AM_TESTS_ENVIRONMENT = PH_MODULE_PATH=$(abs_builddir)/.libs; export PH_MODULE_PATH; \
	PH_BUILD=$(abs_builddir); export PH_BUILD; PH_SRC=$(abs_srcdir); export PH_SRC;
WHOLE_CORE = -Wl,--whole-archive,.libs/libcore.a,--no-whole-archive -Wl,--unresolved-symbols=ignore-all

# "make fuzzers" builds all fuzz targets (configured with --enable-fuzz); "make fuzzer-list" names them.
fuzzers: $(noinst_PROGRAMS)
fuzzer-list:
	@for p in $(noinst_PROGRAMS); do case $$p in t/fuzz/*) echo $$p ;; esac; done
.PHONY: fuzzers fuzzer-list
