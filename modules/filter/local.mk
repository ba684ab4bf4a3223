# sources of modules/filter

pkglib_LTLIBRARIES += filter_header_checks.la
filter_header_checks_la_SOURCES = modules/filter/header_checks.c modules/filter/common/check.c modules/filter/common/check.h
filter_header_checks_la_LDFLAGS = $(MODULE_LDFLAGS)
filter_header_checks_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += filter_body_checks.la
filter_body_checks_la_SOURCES = modules/filter/body_checks.c modules/filter/common/check.c modules/filter/common/check.h
filter_body_checks_la_LDFLAGS = $(MODULE_LDFLAGS)
filter_body_checks_la_LIBADD = $(MODULE_LIBS)
