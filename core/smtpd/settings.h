/* settings.h: the main.cf parameters of the SMTP server, as one struct.  Declared once, in settings.c. */
#ifndef CORE_SMTPD_SETTINGS_H
#define CORE_SMTPD_SETTINGS_H

#include <posthouse/param.h>

struct ph_smtpd_settings {
	/* identity and protocol */
	const char *myhostname, *mail_name, *banner, *syslog_name;
	int64_t timeout_ms, starttls_timeout_ms;
	bool per_request_deadline;
	int min_data_rate;              /* bytes a second */
	int line_length_limit;
	int64_t message_size_limit, queue_minfree;
	bool requiretls, requiretls_header;
	bool helo_required, strict_envelopes, disable_vrfy, delay_open, smtputf8_enable, strict_smtputf8;
	bool resolve_numeric_domain, allow_min_user;
	const char *milter_maps;
	const char *discard_ehlo_keywords, *discard_ehlo_maps;
	const char *noop_commands, *forbidden_commands, *command_filter;
	const char *reject_footer, *reject_footer_maps, *reject_filter_maps, *expansion_filter;
	bool soft_bounce, log_reject_user;
	bool peername_lookup, client_port_logging, hide_client_session;
	const char *info_log_format;
	const char *fast_flush_domains;
	const char *cleanup_service;
	const char *receive_override;
	const char *content_filter;
	const char *proxy_filter, *proxy_ehlo, *proxy_options;
	int64_t proxy_timeout_ms;
	const char *local_header_rewrite_clients;
	const char *verp_clients, *default_verp_delimiters, *verp_delimiter_filter;
	bool disable_verp_bounces;
	/* what is tolerated */
	const char *notify_classes;
	int history_threshold;
	int soft_error_limit, hard_error_limit, junk_command_limit;
	int64_t error_sleep_ms;
	int recipient_limit, recipient_overshoot;
	const char *forbid_bare_newline, *bare_newline_exclusions;
	int bare_newline_code;
	bool forbid_unauth_pipelining;
	/* counters */
	int client_count, client_conn_rate, client_message_rate, client_recipient_rate, client_tls_rate, client_auth_rate;
	const char *limit_exceptions;
	int ipv4_prefix, ipv6_prefix;
	int64_t rate_unit_ms, anvil_status_ms;
	const char *counter_store, *counter_failure, *counter_scope;
	/* other people's words about the client */
	const char *debug_peers, *xclient_hosts, *xforward_hosts;
	const char *upstream_proxy;
	int64_t upstream_proxy_timeout_ms;
	/* restrictions */
	const char *client_restrictions, *helo_restrictions, *sender_restrictions, *relay_restrictions, *recipient_restrictions,
		*data_restrictions, *eod_restrictions, *etrn_restrictions, *restriction_classes;
	bool delay_reject, relay_first, reject_unlisted_recipient, reject_unlisted_sender;
	int reject_code, defer_code, access_reject_code, access_defer_code;
	const char *log_permit_actions, *dns_reply_filter;
	/* TLS */
	const char *tls_level;
	bool use_tls, enforce_tls, tls_wrappermode, tls_auth_only, tls_received_header, tls_ask_ccert, tls_req_ccert;
	const char *tls_cert_file, *tls_key_file, *tls_eccert_file, *tls_eckey_file, *tls_chain_files, *tls_ca_file, *tls_ca_path;
	const char *tls_dcert_file, *tls_dkey_file;
	const char *tls_protocols, *tls_mandatory_protocols, *tls_ciphers, *tls_mandatory_ciphers, *tls_exclude_ciphers,
		*tls_mandatory_exclude_ciphers, *tls_eecdh_grade, *tls_sni_maps, *tls_fingerprint_digest;
	const char *tls_dh_file, *tls_high, *tls_medium, *tls_low, *tls_export, *tls_null, *tls_auto_curves, *tls_strong_curve, *tls_ultra_curve;
	bool tls_preempt;
	int64_t tls_session_ms;
	int tls_verifydepth;
	const char *tls_loglevel;
	/* SASL */
	bool sasl_enable, sasl_authenticated_header, sasl_broken_clients;
	const char *sasl_type, *sasl_path, *sasl_exceptions_networks, *sasl_mechanism_filter;
	const char *sasl_options, *sasl_tls_options, *sasl_local_domain, *sasl_service, *sasl_cyrus_path;       /* for the modules, by ph_conf_get */
	int sasl_response_limit;
	const char *null_access_key, *tempfail_action, *rbl_domains;            /* for restrictions, by ph_conf_get */
};

/* Fill st from conf.  0, or negative with err. */
int ph_smtpd_settings_load(const struct ph_conf *conf, struct ph_smtpd_settings *st, struct ph_err *err);
#endif
