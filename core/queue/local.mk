# sources of core/queue
libcore_la_SOURCES += core/queue/maildrop.c core/queue/maildrop.h
