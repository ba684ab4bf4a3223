# sources of core/agent
libcore_la_SOURCES += core/agent/run.c core/agent/expand.c core/agent/forward.c core/agent/forward.h core/agent/forwarder.c
libcore_la_SOURCES += \
	core/agent/agent.c core/agent/agent.h core/agent/agent_private.h core/agent/link.c core/agent/service.c \
	core/agent/delivery.c core/agent/result.c core/agent/content.c core/agent/child.c core/agent/child_main.c core/agent/site.c

check_PROGRAMS += t/unit/test_smtp_client
t_unit_test_smtp_client_SOURCES = t/unit/test_smtp_client.c t/unit/agent_world.h
t_unit_test_smtp_client_LDADD = libcore.la
t_unit_test_smtp_client_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
TESTS += t/unit/test_smtp_client
EXTRA_DIST += t/lib/sink.py
