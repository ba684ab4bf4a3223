# The commands: all in the library, one program, and a link for each name.
libposthouse_la_SOURCES += cmd/cmd.h cmd/main.c cmd/common.c
sbin_PROGRAMS += posthouse
posthouse_SOURCES = cmd/posthouse_main.c
posthouse_LDADD = libposthouse.la
# Set-gid programs hold one command each (cmd/main.c says why); "make install" as root gives them to the group when it is there.
SETGID_COMMANDS = postdrop postqueue postlog
sbin_PROGRAMS += $(SETGID_COMMANDS)
postdrop_SOURCES = cmd/postdrop_main.c
postdrop_LDADD = libposthouse.la
postqueue_SOURCES = cmd/postqueue_main.c
postqueue_LDADD = libposthouse.la
postlog_SOURCES = cmd/postlog_main.c
postlog_LDADD = libposthouse.la
# Started for each message that a script sends: only what a submission needs is linked (cmd/sendmail_main.c).
sbin_PROGRAMS += sendmail
sendmail_SOURCES = cmd/sendmail_main.c cmd/sendmail.c cmd/sendmail.h cmd/sendmail_input.c cmd/common.c cmd/setgid.c cmd/params.c cmd/params.h
sendmail_CFLAGS = $(AM_CFLAGS)
sendmail_LDFLAGS = $(AM_LDFLAGS) -Wl,--as-needed -Wl,--gc-sections
sendmail_LDADD = libcore.la

# Names under which the program is installed.
SBIN_LINKS = postfix postconf postmap postalias postsuper postcat postkick postlock postmulti mailq newaliases
BIN_LINKS = mailq newaliases
install-exec-hook:
	cd $(DESTDIR)$(sbindir) && for n in $(SBIN_LINKS); do rm -f $$n && $(LN_S) posthouse $$n; done
	$(MKDIR_P) $(DESTDIR)$(bindir) && cd $(DESTDIR)$(bindir) && for n in $(BIN_LINKS); do rm -f $$n && $(LN_S) $(sbindir)/posthouse $$n; done
	if test -z "$(DESTDIR)" && test `id -u` = 0 && getent group postdrop > /dev/null; then \
		cd $(sbindir) && chgrp postdrop $(SETGID_COMMANDS) && chmod 2755 $(SETGID_COMMANDS); fi
uninstall-hook:
	cd $(DESTDIR)$(sbindir) && rm -f $(SBIN_LINKS)
	cd $(DESTDIR)$(bindir) && rm -f $(BIN_LINKS)
libposthouse_la_SOURCES += cmd/posthouse.c cmd/postfix.c cmd/postfix_files.h cmd/postfix_files.c cmd/postfix_install.c cmd/postfix_install.h cmd/postfix_log.h cmd/postfix_log.c cmd/manual.c cmd/parameters.c cmd/setgid.c cmd/user_acl.c cmd/params.h cmd/params.c
# Submission.
libposthouse_la_SOURCES += cmd/sendmail.c cmd/sendmail.h cmd/sendmail_input.c cmd/postdrop.c cmd/sender_acl.h cmd/sender_acl.c
# The log, locks, triggers, instances.
libposthouse_la_SOURCES += cmd/postlog.c cmd/postkick.c cmd/postlock.c cmd/postmulti.c cmd/instances.h cmd/instances.c
# Tables and modules.
libposthouse_la_SOURCES += cmd/maptool.c cmd/maptool.h cmd/postmap.c cmd/postmap_message.c cmd/postalias.c cmd/modules.c modules/lookup/common/text.c \
	modules/lookup/common/text.h
# The configuration.
libposthouse_la_SOURCES += cmd/postconf.c cmd/postconf.h cmd/postconf_param.c cmd/postconf_master.c cmd/postconf_edit.c cmd/postconf_file.c \
	cmd/postconf_file.h cmd/postconf_list.c
# The queue.
libposthouse_la_SOURCES += cmd/postqueue.c cmd/postsuper.c cmd/ctl.c cmd/explain.c cmd/postcat.c cmd/postcat.h cmd/postcat_print.c
