# sources of modules/filter

pkglib_LTLIBRARIES += filter_header_checks.la
filter_header_checks_la_SOURCES = modules/filter/header_checks.c modules/filter/common/check.c modules/filter/common/check.h
filter_header_checks_la_LDFLAGS = $(MODULE_LDFLAGS)
filter_header_checks_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += filter_body_checks.la
filter_body_checks_la_SOURCES = modules/filter/body_checks.c modules/filter/common/check.c modules/filter/common/check.h
filter_body_checks_la_LDFLAGS = $(MODULE_LDFLAGS)
filter_body_checks_la_LIBADD = $(MODULE_LIBS)

if HAVE_MILTER
pkglib_LTLIBRARIES += filter_milter.la
milter_wire_sources = modules/filter/milter/wire.c modules/filter/milter/wire.h modules/filter/milter/smtp_reply.c
filter_milter_la_SOURCES = modules/filter/milter/milter.c modules/filter/milter/milter.h modules/filter/milter/service.c modules/filter/milter/conn.c \
	modules/filter/milter/outcome.c modules/filter/milter/macros.c modules/filter/milter/event.c modules/filter/milter/content.c $(milter_wire_sources)
filter_milter_la_LDFLAGS = $(MODULE_LDFLAGS)
filter_milter_la_LIBADD = $(MODULE_LIBS)

# A filter on libmilter, for t/peers/libmilter.t.
check_PROGRAMS += t/peers/libmilter_all
t_peers_libmilter_all_SOURCES = t/peers/libmilter_all.c
t_peers_libmilter_all_LDADD = -lmilter -lpthread
t_peers_libmilter_all_CFLAGS = $(AM_CFLAGS)

check_PROGRAMS += t/unit/test_milter
t_unit_test_milter_SOURCES = t/unit/test_milter.c $(milter_wire_sources)
t_unit_test_milter_LDADD = libcore.la
t_unit_test_milter_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
t_unit_test_milter_CFLAGS = $(AM_CFLAGS)
TESTS += t/unit/test_milter
if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_milter
t_fuzz_fuzz_milter_SOURCES = t/fuzz/fuzz_milter.c $(milter_wire_sources)
t_fuzz_fuzz_milter_LDADD = libcore.la
t_fuzz_fuzz_milter_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_fuzz_milter_CFLAGS = $(AM_CFLAGS)
endif
endif
EXTRA_DIST += t/peers/libmilter.t t/peers/opendkim.t t/peers/dovecot-deliver.t t/peers/spam.t t/peers/rspamd.t t/peers/amavis.t t/milter/hostile.t t/milter/session.t t/lib/milter.py t/fuzz/corpus/fuzz_milter
