# sources of core/agent
libcore_la_SOURCES += core/agent/run.c
