# sources of modules/counter
if HAVE_HIREDIS
pkglib_LTLIBRARIES += counter_redis.la
counter_redis_la_SOURCES = modules/counter/redis.c $(REDIS_CLIENT)
counter_redis_la_LDFLAGS = $(MODULE_LDFLAGS)
counter_redis_la_LIBADD = $(MODULE_LIBS) $(HIREDIS_LIBS)
counter_redis_la_CFLAGS = $(AM_CFLAGS) $(HIREDIS_CFLAGS)
endif
EXTRA_DIST += t/peers/counters.t
