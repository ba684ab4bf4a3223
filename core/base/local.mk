# sources of core/base
libcore_la_SOURCES += \
	core/base/arena.c core/base/base64.c core/base/buf.c core/base/casefold.c core/base/err.c core/base/format.c core/base/format.h core/base/mem.c core/base/str.c core/base/str.h \
	core/base/list.h core/base/heap.c core/base/heap.h core/base/time.c core/base/time.h \
	core/base/log.c core/base/log_rotate.c core/base/log_rotate.h core/base/log.h core/base/log_sink.c core/base/log_sink.h \
	core/base/co.c core/base/co_private.h core/base/co_stack.c core/base/co_switch.h \
	core/base/co_jmp.c core/base/co_ucontext.c \
	core/base/loop.c core/base/loop.h core/base/loop_private.h core/base/timer.c core/base/defer.c \
	core/base/offload.c core/base/offload.h core/base/crc32c.c core/base/crc32c.h \
	core/base/fault.c core/base/fault.h core/base/queue_id.c core/base/queue_id.h \
	core/base/htab.c core/base/htab.h core/base/pack.c core/base/pack.h core/base/ipc.c core/base/ipc.h \
	core/base/crash.c core/base/crash.h core/base/fdw.c core/base/fdw.h core/base/watchdog.c core/base/watchdog.h

check_PROGRAMS += t/unit/test_co
t_unit_test_co_SOURCES = t/unit/test_co.c
t_unit_test_co_LDADD = libcore.la
t_unit_test_co_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_co

check_PROGRAMS += t/unit/test_base
t_unit_test_base_SOURCES = t/unit/test_base.c
t_unit_test_base_LDADD = libcore.la
t_unit_test_base_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_base

check_PROGRAMS += t/unit/test_proc
t_unit_test_proc_SOURCES = t/unit/test_proc.c
t_unit_test_proc_LDADD = libcore.la
t_unit_test_proc_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_proc

noinst_PROGRAMS += t/bench/co_switch t/bench/echo
t_bench_co_switch_SOURCES = t/bench/co_switch.c
t_bench_co_switch_LDADD = libcore.la
t_bench_co_switch_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
t_bench_echo_SOURCES = t/bench/echo.c
t_bench_echo_LDADD = libcore.la
t_bench_echo_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
EXTRA_DIST += build-aux/gdb-coroutines.py
