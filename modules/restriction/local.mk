# sources of modules/restriction
RESTRICTION_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/modules/restriction
EXTRA_DIST += \
	modules/restriction/common/access.h \
	modules/restriction/common/ccert.h \
	modules/restriction/common/login.h \
	modules/restriction/common/code.h \
	modules/restriction/common/hostname.h \
	modules/restriction/common/mailhost.h \
	modules/restriction/common/relay.h \
	modules/restriction/common/unknown_domain.h \
	modules/restriction/common/unlisted.h \
	modules/restriction/common/unverified.h

# What several restrictions share and is too large for a header: linked into each of them.
noinst_LTLIBRARIES += librestriction_dnslist.la
librestriction_dnslist_la_SOURCES = modules/restriction/common/dnslist.c modules/restriction/common/dnslist.h
librestriction_dnslist_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
noinst_LTLIBRARIES += librestriction_servers.la
librestriction_servers_la_SOURCES = modules/restriction/common/server_access.c modules/restriction/common/server_access.h
librestriction_servers_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
noinst_LTLIBRARIES += librestriction_policy.la
librestriction_policy_la_SOURCES = modules/restriction/common/policy_proto.c modules/restriction/common/policy_proto.h \
	modules/restriction/common/policy_server.c modules/restriction/common/policy_server.h
librestriction_policy_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)

pkglib_LTLIBRARIES += restriction_check_client_access.la
restriction_check_client_access_la_SOURCES = modules/restriction/check_client_access.c
restriction_check_client_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_client_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_client_access_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_etrn_access.la
restriction_check_etrn_access_la_SOURCES = modules/restriction/check_etrn_access.c
restriction_check_etrn_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_etrn_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_etrn_access_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_helo_access.la
restriction_check_helo_access_la_SOURCES = modules/restriction/check_helo_access.c
restriction_check_helo_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_helo_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_helo_access_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_recipient_access.la
restriction_check_recipient_access_la_SOURCES = modules/restriction/check_recipient_access.c
restriction_check_recipient_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_recipient_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_recipient_access_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_reverse_client_hostname_access.la
restriction_check_reverse_client_hostname_access_la_SOURCES = modules/restriction/check_reverse_client_hostname_access.c
restriction_check_reverse_client_hostname_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_reverse_client_hostname_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_reverse_client_hostname_access_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_sender_access.la
restriction_check_sender_access_la_SOURCES = modules/restriction/check_sender_access.c
restriction_check_sender_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_sender_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_sender_access_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_defer.la
restriction_defer_la_SOURCES = modules/restriction/defer.c
restriction_defer_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_defer_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_defer_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_defer_if_permit.la
restriction_defer_if_permit_la_SOURCES = modules/restriction/defer_if_permit.c
restriction_defer_if_permit_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_defer_if_permit_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_defer_if_permit_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_defer_if_reject.la
restriction_defer_if_reject_la_SOURCES = modules/restriction/defer_if_reject.c
restriction_defer_if_reject_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_defer_if_reject_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_defer_if_reject_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_defer_unauth_destination.la
restriction_defer_unauth_destination_la_SOURCES = modules/restriction/defer_unauth_destination.c
restriction_defer_unauth_destination_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_defer_unauth_destination_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_defer_unauth_destination_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_permit.la
restriction_permit_la_SOURCES = modules/restriction/permit.c
restriction_permit_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_permit_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_permit_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_permit_auth_destination.la
restriction_permit_auth_destination_la_SOURCES = modules/restriction/permit_auth_destination.c
restriction_permit_auth_destination_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_permit_auth_destination_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_permit_auth_destination_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_permit_inet_interfaces.la
restriction_permit_inet_interfaces_la_SOURCES = modules/restriction/permit_inet_interfaces.c
restriction_permit_inet_interfaces_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_permit_inet_interfaces_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_permit_inet_interfaces_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_permit_mynetworks.la
restriction_permit_mynetworks_la_SOURCES = modules/restriction/permit_mynetworks.c
restriction_permit_mynetworks_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_permit_mynetworks_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_permit_mynetworks_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_permit_sasl_authenticated.la
restriction_permit_sasl_authenticated_la_SOURCES = modules/restriction/permit_sasl_authenticated.c
restriction_permit_sasl_authenticated_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_permit_sasl_authenticated_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_permit_sasl_authenticated_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject.la
restriction_reject_la_SOURCES = modules/restriction/reject.c
restriction_reject_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_invalid_helo_hostname.la
restriction_reject_invalid_helo_hostname_la_SOURCES = modules/restriction/reject_invalid_helo_hostname.c
restriction_reject_invalid_helo_hostname_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_invalid_helo_hostname_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_invalid_helo_hostname_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_multi_recipient_bounce.la
restriction_reject_multi_recipient_bounce_la_SOURCES = modules/restriction/reject_multi_recipient_bounce.c
restriction_reject_multi_recipient_bounce_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_multi_recipient_bounce_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_multi_recipient_bounce_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_non_fqdn_helo_hostname.la
restriction_reject_non_fqdn_helo_hostname_la_SOURCES = modules/restriction/reject_non_fqdn_helo_hostname.c
restriction_reject_non_fqdn_helo_hostname_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_non_fqdn_helo_hostname_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_non_fqdn_helo_hostname_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_non_fqdn_recipient.la
restriction_reject_non_fqdn_recipient_la_SOURCES = modules/restriction/reject_non_fqdn_recipient.c
restriction_reject_non_fqdn_recipient_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_non_fqdn_recipient_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_non_fqdn_recipient_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_non_fqdn_sender.la
restriction_reject_non_fqdn_sender_la_SOURCES = modules/restriction/reject_non_fqdn_sender.c
restriction_reject_non_fqdn_sender_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_non_fqdn_sender_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_non_fqdn_sender_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_plaintext_session.la
restriction_reject_plaintext_session_la_SOURCES = modules/restriction/reject_plaintext_session.c
restriction_reject_plaintext_session_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_plaintext_session_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_plaintext_session_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unauth_destination.la
restriction_reject_unauth_destination_la_SOURCES = modules/restriction/reject_unauth_destination.c
restriction_reject_unauth_destination_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unauth_destination_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unauth_destination_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unauth_pipelining.la
restriction_reject_unauth_pipelining_la_SOURCES = modules/restriction/reject_unauth_pipelining.c
restriction_reject_unauth_pipelining_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unauth_pipelining_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unauth_pipelining_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unknown_client_hostname.la
restriction_reject_unknown_client_hostname_la_SOURCES = modules/restriction/reject_unknown_client_hostname.c
restriction_reject_unknown_client_hostname_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unknown_client_hostname_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unknown_client_hostname_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unknown_helo_hostname.la
restriction_reject_unknown_helo_hostname_la_SOURCES = modules/restriction/reject_unknown_helo_hostname.c
restriction_reject_unknown_helo_hostname_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unknown_helo_hostname_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unknown_helo_hostname_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unknown_recipient_domain.la
restriction_reject_unknown_recipient_domain_la_SOURCES = modules/restriction/reject_unknown_recipient_domain.c
restriction_reject_unknown_recipient_domain_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unknown_recipient_domain_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unknown_recipient_domain_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unknown_reverse_client_hostname.la
restriction_reject_unknown_reverse_client_hostname_la_SOURCES = modules/restriction/reject_unknown_reverse_client_hostname.c
restriction_reject_unknown_reverse_client_hostname_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unknown_reverse_client_hostname_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unknown_reverse_client_hostname_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unknown_sender_domain.la
restriction_reject_unknown_sender_domain_la_SOURCES = modules/restriction/reject_unknown_sender_domain.c
restriction_reject_unknown_sender_domain_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unknown_sender_domain_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unknown_sender_domain_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unlisted_recipient.la
restriction_reject_unlisted_recipient_la_SOURCES = modules/restriction/reject_unlisted_recipient.c
restriction_reject_unlisted_recipient_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unlisted_recipient_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unlisted_recipient_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unlisted_sender.la
restriction_reject_unlisted_sender_la_SOURCES = modules/restriction/reject_unlisted_sender.c
restriction_reject_unlisted_sender_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unlisted_sender_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unlisted_sender_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_sleep.la
restriction_sleep_la_SOURCES = modules/restriction/sleep.c
restriction_sleep_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_sleep_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_sleep_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_rbl_client.la
restriction_reject_rbl_client_la_SOURCES = modules/restriction/reject_rbl_client.c
restriction_reject_rbl_client_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_rbl_client_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_rbl_client_la_LIBADD = librestriction_dnslist.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_rhsbl_client.la
restriction_reject_rhsbl_client_la_SOURCES = modules/restriction/reject_rhsbl_client.c
restriction_reject_rhsbl_client_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_rhsbl_client_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_rhsbl_client_la_LIBADD = librestriction_dnslist.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_rhsbl_reverse_client.la
restriction_reject_rhsbl_reverse_client_la_SOURCES = modules/restriction/reject_rhsbl_reverse_client.c
restriction_reject_rhsbl_reverse_client_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_rhsbl_reverse_client_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_rhsbl_reverse_client_la_LIBADD = librestriction_dnslist.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_rhsbl_helo.la
restriction_reject_rhsbl_helo_la_SOURCES = modules/restriction/reject_rhsbl_helo.c
restriction_reject_rhsbl_helo_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_rhsbl_helo_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_rhsbl_helo_la_LIBADD = librestriction_dnslist.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_rhsbl_sender.la
restriction_reject_rhsbl_sender_la_SOURCES = modules/restriction/reject_rhsbl_sender.c
restriction_reject_rhsbl_sender_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_rhsbl_sender_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_rhsbl_sender_la_LIBADD = librestriction_dnslist.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_rhsbl_recipient.la
restriction_reject_rhsbl_recipient_la_SOURCES = modules/restriction/reject_rhsbl_recipient.c
restriction_reject_rhsbl_recipient_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_rhsbl_recipient_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_rhsbl_recipient_la_LIBADD = librestriction_dnslist.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_permit_dnswl_client.la
restriction_permit_dnswl_client_la_SOURCES = modules/restriction/permit_dnswl_client.c
restriction_permit_dnswl_client_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_permit_dnswl_client_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_permit_dnswl_client_la_LIBADD = librestriction_dnslist.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_permit_rhswl_client.la
restriction_permit_rhswl_client_la_SOURCES = modules/restriction/permit_rhswl_client.c
restriction_permit_rhswl_client_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_permit_rhswl_client_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_permit_rhswl_client_la_LIBADD = librestriction_dnslist.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_policy_service.la
restriction_check_policy_service_la_SOURCES = modules/restriction/check_policy_service.c
restriction_check_policy_service_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_policy_service_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_policy_service_la_LIBADD = librestriction_policy.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_client_a_access.la
restriction_check_client_a_access_la_SOURCES = modules/restriction/check_client_a_access.c
restriction_check_client_a_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_client_a_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_client_a_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_client_mx_access.la
restriction_check_client_mx_access_la_SOURCES = modules/restriction/check_client_mx_access.c
restriction_check_client_mx_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_client_mx_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_client_mx_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_client_ns_access.la
restriction_check_client_ns_access_la_SOURCES = modules/restriction/check_client_ns_access.c
restriction_check_client_ns_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_client_ns_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_client_ns_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_reverse_client_hostname_a_access.la
restriction_check_reverse_client_hostname_a_access_la_SOURCES = modules/restriction/check_reverse_client_hostname_a_access.c
restriction_check_reverse_client_hostname_a_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_reverse_client_hostname_a_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_reverse_client_hostname_a_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_reverse_client_hostname_mx_access.la
restriction_check_reverse_client_hostname_mx_access_la_SOURCES = modules/restriction/check_reverse_client_hostname_mx_access.c
restriction_check_reverse_client_hostname_mx_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_reverse_client_hostname_mx_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_reverse_client_hostname_mx_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_reverse_client_hostname_ns_access.la
restriction_check_reverse_client_hostname_ns_access_la_SOURCES = modules/restriction/check_reverse_client_hostname_ns_access.c
restriction_check_reverse_client_hostname_ns_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_reverse_client_hostname_ns_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_reverse_client_hostname_ns_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_helo_a_access.la
restriction_check_helo_a_access_la_SOURCES = modules/restriction/check_helo_a_access.c
restriction_check_helo_a_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_helo_a_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_helo_a_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_helo_mx_access.la
restriction_check_helo_mx_access_la_SOURCES = modules/restriction/check_helo_mx_access.c
restriction_check_helo_mx_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_helo_mx_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_helo_mx_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_helo_ns_access.la
restriction_check_helo_ns_access_la_SOURCES = modules/restriction/check_helo_ns_access.c
restriction_check_helo_ns_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_helo_ns_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_helo_ns_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_sender_a_access.la
restriction_check_sender_a_access_la_SOURCES = modules/restriction/check_sender_a_access.c
restriction_check_sender_a_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_sender_a_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_sender_a_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_sender_mx_access.la
restriction_check_sender_mx_access_la_SOURCES = modules/restriction/check_sender_mx_access.c
restriction_check_sender_mx_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_sender_mx_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_sender_mx_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_sender_ns_access.la
restriction_check_sender_ns_access_la_SOURCES = modules/restriction/check_sender_ns_access.c
restriction_check_sender_ns_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_sender_ns_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_sender_ns_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_recipient_a_access.la
restriction_check_recipient_a_access_la_SOURCES = modules/restriction/check_recipient_a_access.c
restriction_check_recipient_a_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_recipient_a_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_recipient_a_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_recipient_mx_access.la
restriction_check_recipient_mx_access_la_SOURCES = modules/restriction/check_recipient_mx_access.c
restriction_check_recipient_mx_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_recipient_mx_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_recipient_mx_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_recipient_ns_access.la
restriction_check_recipient_ns_access_la_SOURCES = modules/restriction/check_recipient_ns_access.c
restriction_check_recipient_ns_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_recipient_ns_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_recipient_ns_access_la_LIBADD = librestriction_servers.la $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_sasl_access.la
restriction_check_sasl_access_la_SOURCES = modules/restriction/check_sasl_access.c
restriction_check_sasl_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_sasl_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_sasl_access_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_check_ccert_access.la
restriction_check_ccert_access_la_SOURCES = modules/restriction/check_ccert_access.c
restriction_check_ccert_access_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_check_ccert_access_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_check_ccert_access_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_permit_tls_all_clientcerts.la
restriction_permit_tls_all_clientcerts_la_SOURCES = modules/restriction/permit_tls_all_clientcerts.c
restriction_permit_tls_all_clientcerts_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_permit_tls_all_clientcerts_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_permit_tls_all_clientcerts_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_permit_tls_clientcerts.la
restriction_permit_tls_clientcerts_la_SOURCES = modules/restriction/permit_tls_clientcerts.c
restriction_permit_tls_clientcerts_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_permit_tls_clientcerts_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_permit_tls_clientcerts_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_permit_mx_backup.la
restriction_permit_mx_backup_la_SOURCES = modules/restriction/permit_mx_backup.c
restriction_permit_mx_backup_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_permit_mx_backup_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_permit_mx_backup_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_authenticated_sender_login_mismatch.la
restriction_reject_authenticated_sender_login_mismatch_la_SOURCES = modules/restriction/reject_authenticated_sender_login_mismatch.c
restriction_reject_authenticated_sender_login_mismatch_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_authenticated_sender_login_mismatch_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_authenticated_sender_login_mismatch_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_known_sender_login_mismatch.la
restriction_reject_known_sender_login_mismatch_la_SOURCES = modules/restriction/reject_known_sender_login_mismatch.c
restriction_reject_known_sender_login_mismatch_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_known_sender_login_mismatch_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_known_sender_login_mismatch_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unauthenticated_sender_login_mismatch.la
restriction_reject_unauthenticated_sender_login_mismatch_la_SOURCES = modules/restriction/reject_unauthenticated_sender_login_mismatch.c
restriction_reject_unauthenticated_sender_login_mismatch_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unauthenticated_sender_login_mismatch_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unauthenticated_sender_login_mismatch_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_sender_login_mismatch.la
restriction_reject_sender_login_mismatch_la_SOURCES = modules/restriction/reject_sender_login_mismatch.c
restriction_reject_sender_login_mismatch_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_sender_login_mismatch_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_sender_login_mismatch_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unverified_sender.la
restriction_reject_unverified_sender_la_SOURCES = modules/restriction/reject_unverified_sender.c
restriction_reject_unverified_sender_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unverified_sender_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unverified_sender_la_LIBADD = $(MODULE_LIBS)

pkglib_LTLIBRARIES += restriction_reject_unverified_recipient.la
restriction_reject_unverified_recipient_la_SOURCES = modules/restriction/reject_unverified_recipient.c
restriction_reject_unverified_recipient_la_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
restriction_reject_unverified_recipient_la_LDFLAGS = $(MODULE_LDFLAGS)
restriction_reject_unverified_recipient_la_LIBADD = $(MODULE_LIBS)

if FUZZ
noinst_PROGRAMS += t/fuzz/fuzz_policy
t_fuzz_fuzz_policy_SOURCES = t/fuzz/fuzz_policy.c modules/restriction/common/policy_proto.c
t_fuzz_fuzz_policy_CPPFLAGS = $(RESTRICTION_CPPFLAGS)
t_fuzz_fuzz_policy_LDADD = libcore.la
t_fuzz_fuzz_policy_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
EXTRA_DIST += t/fuzz/corpus/fuzz_policy t/smtp/policy.t t/smtp/deadtables.t
