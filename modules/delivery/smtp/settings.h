/* settings.h: main.cf parameters of the client.  The same table serves smtp and lmtp: only the prefix and a few defaults differ. */
#ifndef SMTP_SETTINGS_H
#define SMTP_SETTINGS_H

#include <posthouse/module.h>

#ifdef SMTP_LMTP
#define SMTP_PREFIX "lmtp_"
#else
#define SMTP_PREFIX "smtp_"
#endif

struct smtp_settings {
	/* where to */
	const char *address_preference, *bind_address, *bind_address6, *host_lookup, *dns_support_level, *dns_filter, *fallback_relay, *status_filter, *tcp_port;
	const char *srv_services;
	const char *best_mx_transport, *dnssec_probe;
	bool send_authzid, idna2003;
	bool disable_dns, ignore_mx_error, srv_fallback, ignore_srv_error, disable_mime_output, append_ca;
	bool cname_overrides, tls_force_tlsa;
	bool balance_protocols, bind_enforce, randomize, defer_no_mx_address;
	int mx_address_limit, mx_session_limit;
	/* dialogue */
	const char *generic_maps, *header_checks, *mime_checks, *nested_checks, *body_checks, *helo_name, *discard_keywords, *discard_keyword_maps, *reply_filter;
	bool always_ehlo, never_ehlo, quote_envelope, skip_5xx_greeting, skip_quit, send_xforward, dummy_auth, per_request_deadline;
	int line_limit, min_data_rate;
	int64_t connect_ms, helo_ms, mail_ms, rcpt_ms, data_init_ms, data_xfer_ms, data_done_ms, rset_ms, quit_ms, xforward_ms, starttls_ms;
	const char *pix_workarounds, *pix_workaround_maps;
	int64_t pix_threshold_ms, pix_delay_ms;
	/* cache */
	bool cache_on_demand;
	const char *cache_destinations;
	int64_t cache_ms, reuse_ms;
	int reuse_count;
	/* TLS, see tls.c */
	const char *tls_level, *tls_cert, *tls_key, *tls_dcert, *tls_dkey, *tls_eccert, *tls_eckey, *tls_chain, *tls_ca_file, *tls_ca_path;
	const char *tls_protocols, *tls_mand_protocols, *tls_ciphers, *tls_mand_ciphers, *tls_exclude, *tls_mand_exclude, *tls_loglevel;
	const char *tls_fingerprint_digest, *tls_fingerprint_match, *tls_verify_match, *tls_secure_match, *tls_servername, *tls_policy_maps, *tls_per_site,
		*tls_trust_anchors, *tls_insecure_mx, *tls_session_cache;
	int64_t tls_session_ms;
	bool tls_use, tls_enforce, tls_note_offer, tls_reuse, tls_wrapper, tls_enforce_peername;
	int tls_verify_depth;
	/* AUTH */
	bool sasl_enable, sasl_by_sender, sasl_soft_bounce;
	const char *sasl_maps, *sasl_delimiter, *sasl_filter, *sasl_options, *sasl_tls_options, *sasl_tls_verified_options, *sasl_type, *sasl_cache, *requiretls_policy, *verify_target;
	bool requiretls, tls_sts_patterns;
	int64_t sasl_cache_ms;
};

/* Declared by the core or by other modules; read with ph_conf_get. */
struct smtp_shared {
	const char *inet_protocols, *inet_interfaces, *myhostname, *relayhost, *myorigin, *propagate;
	int64_t body_limit;             /* body_checks_size_limit */
	int64_t min_backoff_ms;
	bool disable_dns;               /* disable_dns_lookups, or dns_support_level says so */
};

#endif
