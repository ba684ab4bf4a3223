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
endif
