# sources of core/agent
libcore_la_SOURCES += core/agent/run.c
libcore_la_SOURCES += \
	core/agent/agent.c core/agent/agent.h core/agent/agent_private.h core/agent/link.c core/agent/service.c \
	core/agent/delivery.c core/agent/result.c core/agent/content.c core/agent/child.c core/agent/child_main.c core/agent/site.c
