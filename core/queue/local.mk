# sources of core/queue
# the store
libcore_la_SOURCES += core/queue/store.h core/queue/journal.h core/queue/proto.h core/queue/qmgr.h \
	core/queue/record.h core/queue/record.c core/message/envelope.c core/queue/store_private.h core/queue/store.c \
	core/queue/store_commit.c core/queue/segment.c core/queue/msgfile.c core/queue/stored.c core/queue/window.h core/queue/window.c \
	core/queue/scan.c core/queue/dirs.c core/queue/journal_private.h core/queue/journal.c core/queue/journal_sync.c \
	core/queue/journal_file.c core/queue/journal_rec.c core/queue/qmgr_pass.c core/queue/proto.c core/queue/submit.h core/queue/submit.c core/queue/parts.c core/queue/parts.h

if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_journal
t_fuzz_fuzz_journal_SOURCES = t/fuzz/fuzz_journal.c
t_fuzz_fuzz_journal_LDADD = libcore.la
t_fuzz_fuzz_journal_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
noinst_PROGRAMS += t/fuzz/fuzz_envelope
t_fuzz_fuzz_envelope_SOURCES = t/fuzz/fuzz_envelope.c
t_fuzz_fuzz_envelope_LDADD = libcore.la
t_fuzz_fuzz_envelope_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
noinst_PROGRAMS += t/fuzz/fuzz_segment
t_fuzz_fuzz_segment_SOURCES = t/fuzz/fuzz_segment.c
t_fuzz_fuzz_segment_LDADD = libcore.la
t_fuzz_fuzz_segment_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

check_PROGRAMS += t/crash/store_crash
t_crash_store_crash_SOURCES = t/crash/store_crash.c
t_crash_store_crash_LDADD = libcore.la
t_crash_store_crash_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
check_LTLIBRARIES += t/crash/syncshim.la
t_crash_syncshim_la_SOURCES = t/crash/syncshim.c
t_crash_syncshim_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere
EXTRA_DIST += t/crash/store.t t/fuzz/corpus/fuzz_journal t/fuzz/corpus/fuzz_envelope t/fuzz/corpus/fuzz_segment

noinst_PROGRAMS += t/bench/durable_append t/bench/store_commit
t_bench_durable_append_SOURCES = t/bench/durable_append.c
t_bench_store_commit_SOURCES = t/bench/store_commit.c
t_bench_store_commit_LDADD = libcore.la
t_bench_store_commit_LDFLAGS = $(AM_LDFLAGS) -export-dynamic

check_PROGRAMS += t/unit/test_store
t_unit_test_store_SOURCES = t/unit/test_store.c
t_unit_test_store_LDADD = libcore.la
t_unit_test_store_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_store

check_PROGRAMS += t/unit/test_journal
t_unit_test_journal_SOURCES = t/unit/test_journal.c
t_unit_test_journal_LDADD = libcore.la
t_unit_test_journal_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_journal

check_PROGRAMS += t/unit/test_envelope
t_unit_test_envelope_SOURCES = t/unit/test_envelope.c
t_unit_test_envelope_LDADD = libcore.la
t_unit_test_envelope_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_envelope

libcore_la_SOURCES += core/queue/maildrop.c core/queue/maildrop.h
# the queue manager
libcore_la_SOURCES += core/queue/sched.h core/queue/sched_private.h core/queue/sched.c core/queue/transport.c core/queue/peer.c core/queue/job.c \
	core/queue/index.h core/queue/index.c core/queue/index_segment.c \
	core/queue/qmgr.h core/queue/qmgr_private.h core/queue/qmgr.c core/queue/qmgr_settings.c core/queue/qmgr_line.c core/queue/qmgr_active.c \
	core/queue/qmgr_resolve.c core/queue/qmgr_agent.c core/queue/qmgr_intake.c core/queue/retry.c \
	core/queue/recover_private.h core/queue/recover.c core/queue/recover_told.c core/queue/recover_journal.c core/queue/recover_file.c \
	core/queue/recover_lost.c \
	core/queue/checkpoint.c core/queue/compact.c core/queue/control.h core/queue/control.c core/queue/control_flush.c core/queue/control_list.c \
	core/queue/control_maildrop.c core/queue/control_show.c core/queue/control_super.c \
	core/queue/control_client.h core/queue/control_client.c core/queue/listing.h core/queue/listing.c core/queue/link.c \
	core/queue/notify.c core/queue/requeue.c core/queue/claim.c core/queue/stray.c core/queue/recover_offline.h core/queue/recover_offline.c
libcore_la_SOURCES += core/queue/verify.c core/queue/verify.h core/queue/verify_entry.c core/queue/verify_cache.c core/queue/verify_cache.h

check_PROGRAMS += t/unit/test_sched
t_unit_test_sched_SOURCES = t/unit/test_sched.c
t_unit_test_sched_LDADD = libcore.la
t_unit_test_sched_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_sched

check_PROGRAMS += t/unit/test_index
t_unit_test_index_SOURCES = t/unit/test_index.c
t_unit_test_index_LDADD = libcore.la
t_unit_test_index_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/test_index

check_PROGRAMS += t/unit/test_qmgr
t_unit_test_qmgr_SOURCES = t/unit/test_qmgr.c
t_unit_test_qmgr_LDADD = libcore.la
t_unit_test_qmgr_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
TESTS += t/unit/test_qmgr
