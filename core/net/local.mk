# sources of core/net
libcore_la_SOURCES += \
	core/net/endpoint.c core/net/stream.c core/net/stream.h core/net/stream_write.c core/net/connect.c \
	core/net/listen.c core/net/listen.h \
	core/net/tls.h core/net/tls_private.h core/net/tls_bio.c core/net/tls_cert.c core/net/tls_ctx.c \
	core/net/tls_error.c core/net/tls_mem.c core/net/tls_info.c core/net/tls_policy.c core/net/tls_proto.c core/net/tls_session.c \
	core/net/tls_stream.c

check_PROGRAMS += t/unit/test_stream
t_unit_test_stream_SOURCES = t/unit/test_stream.c
t_unit_test_stream_LDADD = libcore.la
t_unit_test_stream_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_stream

check_PROGRAMS += t/unit/test_tls
t_unit_test_tls_SOURCES = t/unit/test_tls.c
t_unit_test_tls_LDADD = libcore.la
t_unit_test_tls_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_tls

# DNS
libcore_la_SOURCES += \
	core/net/dns.c core/net/dns_private.h core/net/dns_host.c core/net/dnslist_filter.c core/net/dns_conf.c core/net/dns_conf.h core/net/dns_wire.c core/net/dns_wire.h
check_PROGRAMS += t/unit/test_dns
t_unit_test_dns_SOURCES = t/unit/test_dns.c
t_unit_test_dns_LDADD = libcore.la
t_unit_test_dns_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_dns
EXTRA_DIST += t/lib/dnsd.py

if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_dns
t_fuzz_fuzz_dns_SOURCES = t/fuzz/fuzz_dns.c
t_fuzz_fuzz_dns_LDADD = libcore.la
t_fuzz_fuzz_dns_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
