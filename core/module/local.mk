# sources of core/module
libcore_la_SOURCES += \
	core/module/elfnote.c core/module/elfnote.h core/module/descriptor.c core/module/descriptor.h \
	core/module/loader.c core/module/loader.h core/module/loader_private.h core/module/scan.c \
	core/module/table.c core/module/table.h core/module/memo.c core/module/memo.h core/module/maps.c core/module/maps_address.c core/module/proxy.c core/module/records.c core/module/dns_filter.c

check_PROGRAMS += t/unit/test_loader t/unit/test_maps t/unit/test_redis
t_unit_test_loader_SOURCES = t/unit/test_loader.c
t_unit_test_loader_LDADD = libcore.la
t_unit_test_loader_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
t_unit_test_loader_DEPENDENCIES = libcore.la
check_PROGRAMS += t/unit/test_memo
TESTS += t/unit/test_memo
t_unit_test_memo_SOURCES = t/unit/test_memo.c
t_unit_test_memo_LDADD = libcore.la
t_unit_test_memo_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
t_unit_test_memo_DEPENDENCIES = libcore.la
t_unit_test_maps_SOURCES = t/unit/test_maps.c t/unit/mapfile.h
t_unit_test_maps_LDADD = libcore.la
t_unit_test_maps_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
t_unit_test_maps_DEPENDENCIES = libcore.la
TESTS += t/unit/test_loader t/unit/test_maps t/unit/test_redis
t_unit_test_redis_SOURCES = t/unit/test_redis.c t/unit/mapfile.h
t_unit_test_redis_LDADD = libcore.la
t_unit_test_redis_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
t_unit_test_redis_DEPENDENCIES = libcore.la
