# Sample configuration and the systemd unit.
EXTRA_DIST += etc/posthouse.service.in etc/debian build-aux/mkdeb build-aux/mkunsupported
sampledir = $(docdir)/examples
dist_sample_DATA = etc/main.cf etc/master.cf etc/debian-main.cf etc/debian-master.cf
etc/posthouse.service: $(srcdir)/etc/posthouse.service.in
	$(AM_V_GEN)$(MKDIR_P) etc && $(SED) 's|@sbindir[@]|$(sbindir)|g' $(srcdir)/etc/posthouse.service.in > $@.tmp && mv $@.tmp $@
CLEANFILES += etc/posthouse.service
if HAVE_SYSTEMD
systemdsystemunit_DATA = etc/posthouse.service
endif
