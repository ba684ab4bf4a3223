# Manual pages: those of the commands by hand, those of modules and parameters from the declarations ("posthouse manual").
dist_man_MANS += doc/man/mailq.1 doc/man/newaliases.1 doc/man/postalias.1 doc/man/postcat.1 doc/man/postconf.1 doc/man/postdrop.1 doc/man/postfix.1 doc/man/posthouse.1 doc/man/posthouse-explain.1 doc/man/postmap.1 doc/man/postqueue.1 doc/man/postsuper.1 doc/man/sendmail.1
dist_man_MANS += doc/man/postkick.1 doc/man/postlock.1 doc/man/postlog.1 doc/man/postmulti.1
dist_man_MANS += doc/man/spawn.8

doc/man/generated: $(pkglib_LTLIBRARIES) posthouse$(EXEEXT)
	$(AM_V_GEN)rm -rf $@ && $(MKDIR_P) $@ && PH_MODULE_PATH=.libs ./posthouse$(EXEEXT) manual $@ $(srcdir)/doc/man/modules
install-data-hook: doc/man/generated
	for s in 5 8; do $(MKDIR_P) $(DESTDIR)$(mandir)/man$$s && $(INSTALL_DATA) doc/man/generated/*.$$s $(DESTDIR)$(mandir)/man$$s/ || exit 1; done
uninstall-local:
	for s in 5 8; do for f in doc/man/generated/*.$$s; do rm -f "$(DESTDIR)$(mandir)/man$$s/$${f##*/}"; done; done
clean-local:
	rm -rf doc/man/generated
EXTRA_DIST += doc/architecture.md doc/migrating-from-postfix.md doc/differences.md
EXTRA_DIST += doc/modules.md doc/examples t/modules/examples.t t/modules/tableservers.t doc/configuration.md t/modules/examples-run.t
EXTRA_DIST += doc/man/modules
EXTRA_DIST += doc/filters.md doc/benchmarks.md doc/restrictions.md doc/tables.md build-aux/mkmoduledocs
