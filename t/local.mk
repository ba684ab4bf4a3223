# sources of t
EXTRA_DIST += t/unit/tap.h

# Tests load modules from the build tree, and link all of the core, since modules use parts of it that the test does not.
AM_TESTS_ENVIRONMENT = PH_MODULE_PATH=$(abs_builddir)/.libs; export PH_MODULE_PATH; \
	PH_BUILD=$(abs_builddir); export PH_BUILD; PH_SRC=$(abs_srcdir); export PH_SRC;
WHOLE_CORE = -Wl,--whole-archive,.libs/libcore.a,--no-whole-archive -Wl,--unresolved-symbols=ignore-all
