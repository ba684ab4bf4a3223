# sources of core/net
libcore_la_SOURCES += \
	core/net/endpoint.c core/net/stream.c core/net/stream.h core/net/stream_write.c core/net/connect.c \
	core/net/listen.c core/net/listen.h

check_PROGRAMS += t/unit/test_stream
t_unit_test_stream_SOURCES = t/unit/test_stream.c
t_unit_test_stream_LDADD = libcore.la
t_unit_test_stream_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_stream
