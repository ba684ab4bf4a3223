/* proxy.c: "proxy:type:name".  There is no other process to ask here, but what the words mean stays: only tables that proxy_read_maps
 * names may be opened this way.  Owns nothing; does not yield.  Source: proxymap(8). */
#include "module/table.h"
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "proxy:"
#define PREFIX_LEN (sizeof PREFIX - 1)

/* All parameters that take tables. */
#define DEFAULT_READ_MAPS \
	"$local_recipient_maps $mydestination $virtual_alias_maps $virtual_alias_domains $virtual_mailbox_maps $virtual_mailbox_domains " \
	"$relay_recipient_maps $relay_domains $canonical_maps $sender_canonical_maps $recipient_canonical_maps $relocated_maps " \
	"$transport_maps $mynetworks $smtpd_sender_login_maps $sender_bcc_maps $recipient_bcc_maps $smtp_generic_maps $lmtp_generic_maps " \
	"$alias_maps $smtpd_client_restrictions $smtpd_helo_restrictions $smtpd_sender_restrictions $smtpd_relay_restrictions " \
	"$smtpd_recipient_restrictions $address_verify_sender_dependent_default_transport_maps " \
	"$address_verify_sender_dependent_relayhost_maps $address_verify_transport_maps $fallback_transport_maps " \
	"$lmtp_discard_lhlo_keyword_address_maps $lmtp_pix_workaround_maps $lmtp_sasl_password_maps $lmtp_tls_policy_maps " \
	"$mailbox_command_maps $mailbox_transport_maps $postscreen_discard_ehlo_keyword_address_maps $rbl_reply_maps " \
	"$sender_dependent_default_transport_maps $sender_dependent_relayhost_maps $smtp_discard_ehlo_keyword_address_maps " \
	"$smtp_pix_workaround_maps $smtp_sasl_password_maps $smtp_tls_policy_maps $smtpd_discard_ehlo_keyword_address_maps " \
	"$smtpd_milter_maps $virtual_gid_maps $virtual_uid_maps $local_login_sender_maps $postscreen_reject_footer_maps " \
	"$smtpd_reject_footer_maps $tls_server_sni_maps $tlsproxy_client_policy_maps $default_delivery_status_filter " \
	"$lmtp_delivery_status_filter $lmtp_dns_reply_filter $lmtp_reply_filter $local_delivery_status_filter $pipe_delivery_status_filter " \
	"$postscreen_command_filter $smtp_delivery_status_filter $smtp_dns_reply_filter $smtp_reply_filter $smtpd_command_filter " \
	"$smtpd_dns_reply_filter $virtual_delivery_status_filter $body_checks $header_checks $lmtp_body_checks $lmtp_header_checks " \
	"$lmtp_mime_header_checks $lmtp_nested_header_checks $milter_header_checks $mime_header_checks $nested_header_checks " \
	"$smtp_body_checks $smtp_header_checks $smtp_mime_header_checks $smtp_nested_header_checks $smtpd_reject_filter_maps " \
	"$debug_peer_list $smtpd_etrn_restrictions $fast_flush_domains $authorized_flush_users $lmtp_connection_cache_destinations " \
	"$local_header_rewrite_clients $masquerade_exceptions $postscreen_access_list $postscreen_allowlist_interfaces " \
	"$postscreen_forbidden_commands $qmqpd_authorized_clients $authorized_mailq_users $smtp_connection_cache_destinations " \
	"$smtpd_log_access_permit_actions $smtpd_forbidden_commands $smtpd_client_event_limit_exceptions $smtpd_sasl_exceptions_networks " \
	"$smtpd_sasl_mechanism_filter $smtp_requiretls_policy $smtp_sasl_mechanism_filter $authorized_submit_users " \
	"$smtpd_authorized_verp_clients $smtpd_authorized_xclient_hosts $smtpd_authorized_xforward_hosts $lmtp_tls_loglevel_maps " \
	"$postscreen_tls_loglevel_maps $smtp_tls_loglevel_maps $smtpd_tls_loglevel_maps"

struct settings {
	const char *read_maps;
};

static const struct ph_param params[] = {
	PH_P_STR(struct settings, read_maps, "proxy_read_maps", DEFAULT_READ_MAPS, "tables that \"proxy:\" may stand in front of"),
};
PH_SETTINGS_TABLE("proxymap", params)

bool ph_table_proxy_approved(const struct ph_conf *conf, const char *table, bool log)
{
	const char *list = ph_conf_get(conf, "proxy_read_maps");
	char *copy = ph_strdup(list ? list : ""), *cursor = copy, *word;
	bool found = false;

	while (!found && (word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		if (strncmp(word, PREFIX, PREFIX_LEN) != 0)
			continue;
		while (strncmp(word, PREFIX, PREFIX_LEN) == 0)
			word += PREFIX_LEN;
		found = strcmp(word, table) == 0;
	}
	free(copy);
	if (!found && log) {
		ph_log_as("proxymap", PH_LOG_WARNING, "request for unapproved table: \"%s\"", table);
		ph_log_as("proxymap", PH_LOG_WARNING, "to approve this table for read-only access, list " PREFIX "%s in main.cf:proxy_read_maps",
			  table);
	}
	return found;
}
