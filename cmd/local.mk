# The commands: all in the library, one program, and a link for each name.
libposthouse_la_SOURCES += cmd/cmd.h cmd/main.c
sbin_PROGRAMS += posthouse
posthouse_SOURCES = cmd/posthouse_main.c
posthouse_LDADD = libposthouse.la

# Names under which the program is installed.
SBIN_LINKS = postfix postconf postmap postalias postqueue postsuper postcat postdrop sendmail mailq newaliases
BIN_LINKS = mailq newaliases
install-exec-hook:
	cd $(DESTDIR)$(sbindir) && for n in $(SBIN_LINKS); do rm -f $$n && $(LN_S) posthouse $$n; done
	$(MKDIR_P) $(DESTDIR)$(bindir) && cd $(DESTDIR)$(bindir) && for n in $(BIN_LINKS); do rm -f $$n && $(LN_S) $(sbindir)/posthouse $$n; done
uninstall-hook:
	cd $(DESTDIR)$(sbindir) && rm -f $(SBIN_LINKS)
	cd $(DESTDIR)$(bindir) && rm -f $(BIN_LINKS)
libposthouse_la_SOURCES += cmd/posthouse.c cmd/postfix.c cmd/manual.c cmd/sendmail.c cmd/postdrop.c cmd/submit.c cmd/submit.h
# Tables and modules.
libposthouse_la_SOURCES += cmd/maptool.c cmd/maptool.h cmd/postmap.c cmd/postmap_message.c cmd/postalias.c cmd/modules.c modules/lookup/common/text.c \
	modules/lookup/common/text.h
# The configuration.
libposthouse_la_SOURCES += cmd/postconf.c cmd/postconf.h cmd/postconf_param.c cmd/postconf_master.c cmd/postconf_edit.c cmd/postconf_file.c \
	cmd/postconf_file.h cmd/postconf_list.c
# The queue.
libposthouse_la_SOURCES += cmd/postqueue.c cmd/postsuper.c cmd/ctl.c cmd/explain.c cmd/postcat.c cmd/postcat.h cmd/postcat_print.c
