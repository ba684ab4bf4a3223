# Delivery agents.
include modules/delivery/local/local.mk
include modules/delivery/pipe/local.mk

pkglib_LTLIBRARIES += delivery_error.la delivery_discard.la delivery_virtual.la
delivery_error_la_SOURCES = modules/delivery/error.c
delivery_error_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_error_la_LIBADD = $(MODULE_LIBS)
delivery_discard_la_SOURCES = modules/delivery/discard.c
delivery_discard_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_discard_la_LIBADD = $(MODULE_LIBS)
delivery_virtual_la_SOURCES = modules/delivery/virtual/virtual.c modules/delivery/common/box.c modules/delivery/common/box.h
delivery_virtual_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_virtual_la_LIBADD = $(MODULE_LIBS)

SMTP_CLIENT = modules/delivery/smtp/smtp.c modules/delivery/smtp/smtp.h modules/delivery/smtp/settings.h modules/delivery/smtp/params.h \
	modules/delivery/smtp/reply.c modules/delivery/smtp/reply.h modules/delivery/smtp/fail.c modules/delivery/smtp/chat.c \
	modules/delivery/smtp/session.c modules/delivery/smtp/hello.c modules/delivery/smtp/dest.c modules/delivery/smtp/addr.c \
	modules/delivery/smtp/cache.c modules/delivery/smtp/connect.c modules/delivery/smtp/content.c modules/delivery/smtp/dsn.c modules/delivery/smtp/xfer.c \
	modules/delivery/smtp/tls.c modules/delivery/smtp/tls_policy.c modules/delivery/smtp/dane.c modules/delivery/smtp/edit.c modules/delivery/smtp/host.c modules/delivery/smtp/probe.c modules/delivery/smtp/auth.c modules/delivery/smtp/auth_cache.c modules/delivery/smtp/requiretls.c modules/delivery/smtp/policy_text.c modules/delivery/smtp/policy_text.h
pkglib_LTLIBRARIES += delivery_smtp.la delivery_lmtp.la
delivery_smtp_la_SOURCES = $(SMTP_CLIENT)
delivery_smtp_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_smtp_la_LIBADD = $(MODULE_LIBS) $(IDN2_LIBS) $(OPENSSL_LIBS)
# The same client under its other name: other parameters, LHLO, a reply for each recipient.
delivery_lmtp_la_SOURCES = $(SMTP_CLIENT)
delivery_lmtp_la_CPPFLAGS = $(AM_CPPFLAGS) -DSMTP_LMTP
delivery_lmtp_la_LDFLAGS = $(MODULE_LDFLAGS)
delivery_lmtp_la_LIBADD = $(MODULE_LIBS) $(IDN2_LIBS) $(OPENSSL_LIBS)
