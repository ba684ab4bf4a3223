# sources of core/message
libcore_la_SOURCES += core/message/envelope.h core/message/intake.h core/message/bounce.h core/message/header.h core/message/header.c core/message/header_map.c \
	core/message/mime.h core/message/mime.c core/message/cleanup.h core/message/cleanup_map.h core/message/cleanup_conf.c \
	core/message/cleanup_header.c core/message/cleanup_addr.c core/message/cleanup_env.c core/message/intake.c core/message/intake_drop.c core/message/content.c \
	core/message/filter_host.h core/message/filter_mail.h core/message/filter_mail.c core/message/filter_chain.c core/message/checks.c \
	core/message/rewrite.c core/message/encoded_word.c core/message/encoded_word.h core/message/qp.c core/message/qp.h core/message/edit_header.c core/message/edit_header.h core/message/filter_env.c core/message/received.h core/message/received.c core/message/bounce_template.h core/message/bounce_template.c \
	core/message/bounce_template_file.c \
	core/message/bounce.c core/message/notice.c core/message/notice.h

INTAKE_WRAP = -Wl,--wrap=ph_store_self \
	-Wl,--wrap=ph_store_free_bytes \
	-Wl,--wrap=ph_store_begin \
	-Wl,--wrap=ph_store_write \
	-Wl,--wrap=ph_store_bytes \
	-Wl,--wrap=ph_store_read \
	-Wl,--wrap=ph_store_rewrite \
	-Wl,--wrap=ph_store_commit \
	-Wl,--wrap=ph_store_abort \
	-Wl,--wrap=ph_qmgr_announce \
	-Wl,--wrap=ph_log_as \
	-Wl,--wrap=ph_log
check_PROGRAMS += t/unit/test_intake
t_unit_test_intake_SOURCES = t/unit/test_intake.c t/unit/intake_stub.h t/unit/intake_cases.h
t_unit_test_intake_LDADD = libcore.la
t_unit_test_intake_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE) $(INTAKE_WRAP)
t_unit_test_intake_DEPENDENCIES = libcore.la
TESTS += t/unit/test_intake

libcore_la_SOURCES += core/message/downgrade.c
check_PROGRAMS += t/bench/bench_intake
t_bench_bench_intake_SOURCES = t/bench/bench_intake.c t/unit/intake_stub.h
t_bench_bench_intake_LDADD = libcore.la
t_bench_bench_intake_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE) $(INTAKE_WRAP)
t_bench_bench_intake_DEPENDENCIES = libcore.la

check_PROGRAMS += t/unit/test_mime
t_unit_test_mime_SOURCES = t/unit/test_mime.c
t_unit_test_mime_LDADD = libcore.la
t_unit_test_mime_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
t_unit_test_mime_DEPENDENCIES = libcore.la
TESTS += t/unit/test_mime

if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_content
t_fuzz_fuzz_content_SOURCES = t/fuzz/fuzz_content.c t/unit/intake_stub.h
t_fuzz_fuzz_content_LDADD = libcore.la
t_fuzz_fuzz_content_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer $(WHOLE_CORE) $(INTAKE_WRAP)
t_fuzz_fuzz_content_DEPENDENCIES = libcore.la
endif
EXTRA_DIST += t/fuzz/corpus/fuzz_content t/fuzz/corpus/fuzz_address

check_PROGRAMS += t/unit/test_bounce
t_unit_test_bounce_SOURCES = t/unit/test_bounce.c t/unit/intake_stub.h
t_unit_test_bounce_LDADD = libcore.la
t_unit_test_bounce_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE) $(INTAKE_WRAP) -Wl,--wrap=ph_stored_open -Wl,--wrap=ph_stored_read
t_unit_test_bounce_DEPENDENCIES = libcore.la
TESTS += t/unit/test_bounce
