# sources of core/route
libcore_la_SOURCES += core/route/route.h core/route/internal.h core/route/route.c core/route/resolve.c core/route/recipient.c core/route/probe.c \
	core/route/own_addr.c core/route/address.c core/route/token.c core/route/token.h core/route/addrlist.c \
	core/route/hostname.c core/route/hostname.h

check_PROGRAMS += t/unit/test_address
t_unit_test_address_SOURCES = t/unit/test_address.c
t_unit_test_address_LDADD = libcore.la
t_unit_test_address_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_address

check_PROGRAMS += t/unit/test_route
t_unit_test_route_SOURCES = t/unit/test_route.c
t_unit_test_route_LDADD = libcore.la
t_unit_test_route_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
t_unit_test_route_DEPENDENCIES = libcore.la
TESTS += t/unit/test_route

if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_address
t_fuzz_fuzz_address_SOURCES = t/fuzz/fuzz_address.c
t_fuzz_fuzz_address_LDADD = libcore.la
t_fuzz_fuzz_address_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
