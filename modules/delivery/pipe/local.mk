# Delivery to commands.
pkglib_LTLIBRARIES += delivery_pipe.la
delivery_pipe_la_SOURCES = modules/delivery/pipe/pipe.h modules/delivery/pipe/pipe.c modules/delivery/pipe/attr.c \
	modules/delivery/pipe/argv.c modules/delivery/pipe/copy.c \
	modules/delivery/common/exit_status.c modules/delivery/common/exit_status.h
delivery_pipe_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_pipe_la_LIBADD = $(MODULE_LIBS)

if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_pipe
t_fuzz_fuzz_pipe_SOURCES = t/fuzz/fuzz_pipe.c modules/delivery/pipe/attr.c modules/delivery/pipe/argv.c modules/delivery/pipe/copy.c
t_fuzz_fuzz_pipe_LDADD = libcore.la
t_fuzz_fuzz_pipe_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
t_fuzz_fuzz_pipe_CFLAGS = $(AM_CFLAGS)
endif
EXTRA_DIST += t/delivery/pipe.t t/delivery/outbound.t t/delivery/local-command.t t/fuzz/corpus/fuzz_pipe
