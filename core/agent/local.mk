# sources of core/agent
libcore_la_SOURCES += core/agent/run.c core/agent/run_setup.c core/agent/run_socket.h core/agent/expand.c core/agent/forward.c core/agent/forward.h core/agent/forwarder.c
libcore_la_SOURCES += \
	core/agent/agent.c core/agent/agent.h core/agent/agent_private.h core/agent/link.c core/agent/service.c \
	core/agent/delivery.c core/agent/result.c core/agent/content.c core/agent/child.c core/agent/child_main.c core/agent/site.c

check_PROGRAMS += t/unit/test_smtp_client
t_unit_test_smtp_client_SOURCES = t/unit/test_smtp_client.c t/unit/agent_world.h
t_unit_test_smtp_client_LDADD = libcore.la
t_unit_test_smtp_client_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
TESTS += t/unit/test_smtp_client
EXTRA_DIST += t/lib/sink.py
check_PROGRAMS += t/bench/agent_relay
t_bench_agent_relay_SOURCES = t/bench/agent_relay.c
t_bench_agent_relay_LDADD = libcore.la
t_bench_agent_relay_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
check_PROGRAMS += t/unit/test_smtp_mx
t_unit_test_smtp_mx_SOURCES = t/unit/test_smtp_mx.c t/unit/agent_world.h
t_unit_test_smtp_mx_LDADD = libcore.la
t_unit_test_smtp_mx_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
TESTS += t/unit/test_smtp_mx
check_PROGRAMS += t/unit/test_agent
t_unit_test_agent_SOURCES = t/unit/test_agent.c t/unit/agent_world.h
t_unit_test_agent_LDADD = libcore.la
t_unit_test_agent_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
TESTS += t/unit/test_agent
check_PROGRAMS += t/unit/test_smtp_reply
t_unit_test_smtp_reply_SOURCES = t/unit/test_smtp_reply.c 
t_unit_test_smtp_reply_LDADD = libcore.la
t_unit_test_smtp_reply_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_smtp_reply
if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_tls_policy
t_fuzz_fuzz_tls_policy_SOURCES = t/fuzz/fuzz_tls_policy.c
t_fuzz_fuzz_tls_policy_LDADD = libcore.la
t_fuzz_fuzz_tls_policy_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
noinst_PROGRAMS += t/fuzz/fuzz_smtp_reply
t_fuzz_fuzz_smtp_reply_SOURCES = t/fuzz/fuzz_smtp_reply.c
t_fuzz_fuzz_smtp_reply_LDADD = libcore.la
t_fuzz_fuzz_smtp_reply_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
