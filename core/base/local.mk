# sources of core/base
libcore_la_SOURCES += core/base/co.c
