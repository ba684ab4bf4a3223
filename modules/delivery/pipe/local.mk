# Delivery to commands.
pkglib_LTLIBRARIES += delivery_pipe.la
delivery_pipe_la_SOURCES = modules/delivery/pipe/pipe.h modules/delivery/pipe/pipe.c modules/delivery/pipe/attr.c \
	modules/delivery/pipe/argv.c modules/delivery/pipe/copy.c \
	modules/delivery/common/exit_status.c modules/delivery/common/exit_status.h
delivery_pipe_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_pipe_la_LIBADD = $(MODULE_LIBS)
