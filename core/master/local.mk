libcore_la_SOURCES += core/master/master.h core/master/internal.h core/master/master.c core/master/bound.c \
	core/master/child.c core/master/generation.c core/master/pidfile.c core/master/rootfiles.c core/master/check.c core/master/params.c core/master/sandbox.h core/master/sandbox.c
