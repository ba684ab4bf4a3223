# Delivery agents.
include modules/delivery/local/local.mk

pkglib_LTLIBRARIES += delivery_error.la delivery_discard.la delivery_virtual.la
delivery_error_la_SOURCES = modules/delivery/error.c
delivery_error_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_error_la_LIBADD = $(MODULE_LIBS)
delivery_discard_la_SOURCES = modules/delivery/discard.c
delivery_discard_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_discard_la_LIBADD = $(MODULE_LIBS)
delivery_virtual_la_SOURCES = modules/delivery/virtual/virtual.c modules/delivery/common/box.c modules/delivery/common/box.h
delivery_virtual_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_virtual_la_LIBADD = $(MODULE_LIBS)
