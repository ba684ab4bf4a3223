# The local delivery agent.
pkglib_LTLIBRARIES += delivery_local.la
delivery_local_la_SOURCES = modules/delivery/local/local.h modules/delivery/local/local.c modules/delivery/local/recipient.c \
	modules/delivery/local/result.c modules/delivery/local/account.c modules/delivery/local/scan.c modules/delivery/local/delivered.c \
	modules/delivery/local/delivered.h modules/delivery/local/alias.c modules/delivery/local/list.c modules/delivery/local/leaving.c \
	modules/delivery/local/include.c modules/delivery/local/forward.c modules/delivery/local/mailbox.c modules/delivery/local/file.c \
	modules/delivery/local/unknown.c modules/delivery/local/writer.c modules/delivery/local/writer.h modules/delivery/local/command.c modules/delivery/local/message.c modules/delivery/local/expand.c \
	modules/delivery/common/box.c modules/delivery/common/box.h modules/delivery/common/exit_status.c modules/delivery/common/exit_status.h
delivery_local_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_local_la_LIBADD = $(MODULE_LIBS)

check_PROGRAMS += t/unit/test_delivered
t_unit_test_delivered_SOURCES = t/unit/test_delivered.c modules/delivery/local/delivered.c modules/delivery/local/delivered.h
t_unit_test_delivered_CFLAGS = $(AM_CFLAGS)
TESTS += t/unit/test_delivered
check_PROGRAMS += t/unit/test_local_address t/unit/test_box
t_unit_test_local_address_SOURCES = t/unit/test_local_address.c modules/delivery/local/local.h
t_unit_test_local_address_CFLAGS = $(AM_CFLAGS)
t_unit_test_local_address_LDADD = libposthouse.la
t_unit_test_box_SOURCES = t/unit/test_box.c modules/delivery/common/box.h
t_unit_test_box_CFLAGS = $(AM_CFLAGS)
t_unit_test_box_LDADD = libposthouse.la
TESTS += t/unit/test_local_address t/unit/test_box
if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_delivered
t_fuzz_fuzz_delivered_SOURCES = t/fuzz/fuzz_delivered.c modules/delivery/local/delivered.c modules/delivery/local/delivered.h
t_fuzz_fuzz_delivered_CFLAGS = $(AM_CFLAGS)
t_fuzz_fuzz_delivered_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
