# sources of core/smtpd
libcore_la_SOURCES += \
	core/smtpd/smtpd.h core/smtpd/session.h core/smtpd/settings.c core/smtpd/settings.h \
	core/smtpd/access.c core/smtpd/address.c core/smtpd/check.c \
	core/smtpd/cmd_auth.c core/smtpd/cmd_bdat.c core/smtpd/cmd_data.c core/smtpd/cmd_etrn.c core/smtpd/cmd_helo.c \
	core/smtpd/cmd_mail.c core/smtpd/cmd_misc.c core/smtpd/cmd_rcpt.c core/smtpd/cmd_starttls.c core/smtpd/cmd_vrfy.c \
	core/smtpd/cmd_xclient.c core/smtpd/cmdline.c core/smtpd/cmdline.h core/smtpd/content.c core/smtpd/envelope.c \
	core/smtpd/expand.c core/smtpd/expand.h core/smtpd/explain.c core/smtpd/explain.h core/smtpd/filters.c core/smtpd/filters.h core/smtpd/flush.c core/smtpd/flush.h \
	core/smtpd/history.c core/smtpd/history.h core/smtpd/haproxy.c core/smtpd/haproxy.h core/smtpd/limits.c core/smtpd/limits.h core/smtpd/limits_shm.c core/smtpd/log.c core/smtpd/peer.c \
	core/smtpd/pickup.c core/smtpd/proto.c core/smtpd/proxy.c core/smtpd/proxy.h core/smtpd/proxy_client.c core/smtpd/reject_filter.c core/smtpd/reply.c core/smtpd/restrict.c core/smtpd/restrict.h core/smtpd/restrict_private.h \
	core/smtpd/restrict_run.c core/smtpd/sasl.c core/smtpd/screen.c core/smtpd/screen.h core/smtpd/screen_cache.c core/smtpd/screen_conf.c \
	core/smtpd/screen_dnsbl.c core/smtpd/screen_engine.c core/smtpd/screen_engine.h core/smtpd/screen_command.c core/smtpd/screen_text.c core/smtpd/screen_text.h core/smtpd/server.c core/smtpd/service.c core/smtpd/session.c \
	core/smtpd/session_api.c core/smtpd/sni.c core/smtpd/sni.h core/smtpd/stdio.c core/smtpd/verdict.c

# The scripted dialogues of t/smtp run against this.
check_PROGRAMS += t/smtp/server
t_smtp_server_SOURCES = t/smtp/server.c
t_smtp_server_LDADD = libcore.la
t_smtp_server_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(WHOLE_CORE)
t_smtp_server_DEPENDENCIES = libcore.la

check_PROGRAMS += t/unit/smtpd_parse
t_unit_smtpd_parse_SOURCES = t/unit/smtpd_parse.c
t_unit_smtpd_parse_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/t
t_unit_smtpd_parse_LDADD = libcore.la
t_unit_smtpd_parse_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
TESTS += t/unit/smtpd_parse

EXTRA_DIST += t/load/abuse.t t/tls/server.t t/smtp/runner.py t/smtp/address.t t/smtp/auth.t t/smtp/bdat.t t/smtp/commands.t t/smtp/explain.t t/smtp/framing.t t/smtp/limits.t \
	t/smtp/params.t t/smtp/relay.t t/smtp/tls.t t/smtp/xclient.t

if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_smtp
t_fuzz_fuzz_smtp_SOURCES = t/fuzz/fuzz_smtp.c
t_fuzz_fuzz_smtp_LDADD = libcore.la
t_fuzz_fuzz_smtp_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer $(WHOLE_CORE)
t_fuzz_fuzz_smtp_DEPENDENCIES = libcore.la
noinst_PROGRAMS += t/fuzz/fuzz_access
t_fuzz_fuzz_access_SOURCES = t/fuzz/fuzz_access.c
t_fuzz_fuzz_access_LDADD = libcore.la
t_fuzz_fuzz_access_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer $(WHOLE_CORE)
t_fuzz_fuzz_access_DEPENDENCIES = libcore.la
noinst_PROGRAMS += t/fuzz/fuzz_screen
t_fuzz_fuzz_screen_SOURCES = t/fuzz/fuzz_screen.c
t_fuzz_fuzz_screen_LDADD = libcore.la
t_fuzz_fuzz_screen_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer $(WHOLE_CORE)
t_fuzz_fuzz_screen_DEPENDENCIES = libcore.la
endif
EXTRA_DIST += t/fuzz/corpus/fuzz_screen t/postscreen/list.t
EXTRA_DIST += t/delivery/proxy.t

libcore_la_SOURCES += core/smtpd/postlogd.h core/smtpd/postlogd.c
