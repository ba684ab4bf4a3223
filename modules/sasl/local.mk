# sources of modules/sasl
sasl_common = modules/sasl/common/options.c modules/sasl/common/options.h

pkglib_LTLIBRARIES += sasl_dovecot.la
sasl_dovecot_la_SOURCES = modules/sasl/dovecot/dovecot.c modules/sasl/dovecot/conn.c modules/sasl/dovecot/conn.h \
	modules/sasl/dovecot/proto.c modules/sasl/dovecot/proto.h $(sasl_common)
sasl_dovecot_la_LDFLAGS = $(MODULE_LDFLAGS)
sasl_dovecot_la_LIBADD = $(MODULE_LIBS)

if HAVE_SASL
pkglib_LTLIBRARIES += sasl_cyrus.la
sasl_cyrus_la_SOURCES = modules/sasl/cyrus/cyrus.c $(sasl_common)
sasl_cyrus_la_LDFLAGS = $(MODULE_LDFLAGS)
sasl_cyrus_la_LIBADD = $(MODULE_LIBS) $(SASL_LIBS)
endif

check_PROGRAMS += t/unit/test_sasl
t_unit_test_sasl_SOURCES = t/unit/test_sasl.c modules/sasl/dovecot/proto.c $(sasl_common)
t_unit_test_sasl_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/t
t_unit_test_sasl_LDADD = libcore.la
t_unit_test_sasl_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_sasl

if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_dovecot
t_fuzz_fuzz_dovecot_SOURCES = t/fuzz/fuzz_dovecot.c modules/sasl/dovecot/proto.c $(sasl_common)
t_fuzz_fuzz_dovecot_LDADD = libcore.la
t_fuzz_fuzz_dovecot_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_fuzz_dovecot_CFLAGS = $(AM_CFLAGS)
endif
EXTRA_DIST += t/fuzz/corpus/fuzz_dovecot t/sasl/dovecot.t t/lib/dovecot_auth.py t/peers/sasl.t t/client/auth.t
