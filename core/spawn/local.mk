# sources of core/spawn
libcore_la_SOURCES += core/spawn/spawn.c core/spawn/spawn.h
EXTRA_DIST += t/delivery/spawn.t
