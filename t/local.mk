# What the tests share.  Unit tests are built by the fragments beside the code that they test.
EXTRA_DIST += t/unit/tap.h t/lib.sh t/run t/run-one t/packages quickstart t/cmd t/conformance

# Tests load modules from the build tree, and link all of the core, since modules use parts of it that the test does not.
AM_TESTS_ENVIRONMENT = PH_MODULE_PATH=$(abs_builddir)/.libs; export PH_MODULE_PATH; \
	PH_BUILD=$(abs_builddir); export PH_BUILD; PH_SRC=$(abs_srcdir); export PH_SRC;
WHOLE_CORE = -Wl,--whole-archive,.libs/libcore.a,--no-whole-archive -Wl,--unresolved-symbols=ignore-all

# "make fuzzers" builds all fuzz targets (configured with --enable-fuzz); "make fuzzer-list" names them.
fuzzers: $(noinst_PROGRAMS)
fuzzer-list:
	@for p in $(noinst_PROGRAMS); do case $$p in t/fuzz/*) echo $$p ;; esac; done
.PHONY: fuzzers fuzzer-list
