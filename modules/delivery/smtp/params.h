/* params.h: the parameter table, for smtp and (compiled with SMTP_LMTP) for lmtp; smtp.c alone includes it.  Defaults are Postfix's. */
#ifndef SMTP_PARAMS_H
#define SMTP_PARAMS_H

#ifdef SMTP_LMTP
#define BY_NAME(smtp, lmtp) lmtp
#else
#define BY_NAME(smtp, lmtp) smtp
#endif
#define S struct smtp_settings
#define STR(f, n, d, h) PH_P_STR(S, f, SMTP_PREFIX n, d, h)
#define BOOL(f, n, d, h) PH_P_BOOL(S, f, SMTP_PREFIX n, d, h)
#define INT(f, n, d, lo, h) PH_P_INT(S, f, SMTP_PREFIX n, d, lo, 0, h)
#define TIME(f, n, d, lo, h) PH_P_TIME(S, f, SMTP_PREFIX n, d, 's', lo, 0, h)

static const struct ph_param smtp_params[] = {
	/* the same for both clients */
	PH_P_BOOL(S, disable_dns, "disable_dns_lookups", "no", "No DNS: hosts are looked up through the system's name service"),
	PH_P_BOOL(S, ignore_mx_error, "ignore_mx_lookup_error", "no", "When MX records cannot be looked up for now, take the name's own address"),
	PH_P_STR(S, srv_services, "use_srv_lookup", "", "Names of services (submission) whose destinations are looked up as SRV records"),
	PH_P_BOOL(S, srv_fallback, "allow_srv_lookup_fallback", "no", "Without SRV records, take the MX records or addresses"),
	PH_P_BOOL(S, ignore_srv_error, "ignore_srv_lookup_error", "no", "When SRV records cannot be looked up for now, take the MX records or addresses"),
	PH_P_BOOL(S, disable_mime_output, "disable_mime_output_conversion", "no", "Send 8-bit mail as it is to servers without 8BITMIME"),
	PH_P_BOOL(S, append_ca, "tls_append_default_CA", "no", "Trust the system's CAs, too"),
	PH_P_STR(S, best_mx_transport, "best_mx_transport", "", "Transport of mail whose best mail exchanger is this system, instead of \"loops back to myself\""),
	PH_P_STR(S, dnssec_probe, "dnssec_probe", "ns:.", "Type and name of records that tell whether answers can be validated at all; empty: no probe"),
	PH_P_BOOL(S, send_authzid, "send_cyrus_sasl_authzid", "no", "Send the login name as authorization id, too"),
	PH_P_BOOL(S, idna2003, "enable_idna2003_compatibility", "no", "convert names such as fa\xc3\x9f.example as IDNA2003 did"),
	/* where to */
	STR(address_preference, "address_preference", "any", "Which addresses to try first: ipv6, ipv4, any"),
	BOOL(balance_protocols, "balance_inet_protocols", "yes", "Try both IPv4 and IPv6 within " SMTP_PREFIX "mx_address_limit"),
	STR(bind_address, "bind_address", "", "Local IPv4 address of connections"),
	STR(bind_address6, "bind_address6", "", "Local IPv6 address of connections"),
	BOOL(bind_enforce, "bind_address_enforce", "no", "Defer mail when the local address cannot be used"),
	BOOL(cname_overrides, "cname_overrides_servername", "no", "A server is called (log, TLS, logins) what its CNAME leads to"),
	STR(host_lookup, "host_lookup", "dns", "How host names are looked up: dns, native"),
	STR(dns_support_level, "dns_support_level", "", "disabled, enabled or dnssec"),
	STR(dns_filter, "dns_reply_filter", "", "Table that drops DNS records (result: ignore)"),
	STR(status_filter, "delivery_status_filter", "$default_delivery_status_filter", "Table that changes the status code or text of deliveries"),
	STR(fallback_relay, "fallback_relay", BY_NAME("$fallback_relay", ""), "Hosts to hand mail to when a destination is not found or down"),
	STR(tcp_port, "tcp_port", BY_NAME("smtp", "24"), "Port where a destination does not name one"),
	BOOL(randomize, "randomize_addresses", "yes", "Try equally preferred addresses in random order"),
	BOOL(defer_no_mx_address, "defer_if_no_mx_address_found", "no", "Defer mail when no MX host has an address"),
	INT(mx_address_limit, "mx_address_limit", "5", 0, "Addresses tried for one destination; 0: all"),
	INT(mx_session_limit, "mx_session_limit", "2", 0, "Sessions tried for one destination; 0: any number"),
	/* dialogue */
#ifdef SMTP_LMTP
	STR(helo_name, "lhlo_name", "$myhostname", "Name that we say in LHLO"),
	STR(discard_keywords, "discard_lhlo_keywords", "", "LHLO keywords that are ignored"),
	STR(discard_keyword_maps, "discard_lhlo_keyword_address_maps", "", "The same by server address"),
	TIME(helo_ms, "lhlo_timeout", "300s", 1000, "Time limit for greeting and LHLO"),
#else
	STR(helo_name, "helo_name", "$myhostname", "Name that we say in EHLO and HELO"),
	STR(discard_keywords, "discard_ehlo_keywords", "", "EHLO keywords that are ignored"),
	STR(discard_keyword_maps, "discard_ehlo_keyword_address_maps", "", "The same by server address"),
	TIME(helo_ms, "helo_timeout", "300s", 1000, "Time limit for greeting, EHLO and HELO"),
	BOOL(always_ehlo, "always_send_ehlo", "yes", "Say EHLO whatever the greeting is"),
	BOOL(never_ehlo, "never_send_ehlo", "no", "Never say EHLO"),
#endif
	STR(generic_maps, "generic_maps", "", "Addresses that are changed on the way out, in envelope and headers"),
	STR(header_checks, "header_checks", "", "Table of actions for headers of mail on the way out"),
	STR(mime_checks, "mime_header_checks", "", "The same for MIME headers"),
	STR(nested_checks, "nested_header_checks", "", "The same for headers of attached messages"),
	STR(body_checks, "body_checks", "", "The same for body lines"),
	STR(reply_filter, "reply_filter", "", "Table that changes the server's replies, line by line"),
	BOOL(quote_envelope, "quote_rfc821_envelope", "yes", "Quote addresses in MAIL and RCPT as SMTP wants"),
	BOOL(skip_5xx_greeting, "skip_5xx_greeting", "yes", "A greeting with 5xx is a temporary failure"),
	BOOL(skip_quit, "skip_quit_response", BY_NAME("yes", "no"), "Do not wait for the answer to QUIT"),
	BOOL(send_xforward, "send_xforward_command", "no", "Pass on information about the client with XFORWARD"),
	STR(verify_target, "address_verify_target", "rcpt", "How far a probe of an address goes: rcpt, data"),
	BOOL(dummy_auth, "send_dummy_mail_auth", "no", "Say AUTH=<> in MAIL"),
	BOOL(per_request_deadline, "per_request_deadline", "${" SMTP_PREFIX "per_record_deadline?{$" SMTP_PREFIX "per_record_deadline}:{no}}", "Time limits are for whole requests, not for single reads and writes"),
	INT(line_limit, "line_length_limit", "998", 0, "Longest line of a message that is sent; 0: no limit"),
	INT(min_data_rate, "min_data_rate", "500", 1, "Bytes in a second that " SMTP_PREFIX "per_request_deadline grants for content"),
	TIME(connect_ms, "connect_timeout", BY_NAME("30s", "0s"), 0, "Time limit for connecting; 0: the system's"),
	TIME(mail_ms, "mail_timeout", "300s", 1000, "Time limit for MAIL"),
	TIME(rcpt_ms, "rcpt_timeout", "300s", 1000, "Time limit for RCPT"),
	TIME(data_init_ms, "data_init_timeout", "120s", 1000, "Time limit for DATA"),
	TIME(data_xfer_ms, "data_xfer_timeout", "180s", 1000, "Time limit for each piece of content"),
	TIME(data_done_ms, "data_done_timeout", "600s", 1000, "Time limit for the answer to the final dot"),
	TIME(rset_ms, "rset_timeout", "20s", 1000, "Time limit for RSET"),
	TIME(quit_ms, "quit_timeout", "300s", 1000, "Time limit for QUIT"),
	TIME(xforward_ms, "xforward_timeout", "300s", 1000, "Time limit for XFORWARD"),
	STR(pix_workarounds, "pix_workarounds", "disable_esmtp,delay_dotcrlf", "What to do about Cisco PIX firewalls"),
	STR(pix_workaround_maps, "pix_workaround_maps", "", "The same by server address"),
	TIME(pix_threshold_ms, "pix_workaround_threshold_time", "500s", 0, "Age of mail from which on the workarounds are used"),
	TIME(pix_delay_ms, "pix_workaround_delay_time", "10s", 1000, "How long to wait before the final dot then"),
	/* cache */
	BOOL(cache_on_demand, "connection_cache_on_demand", "yes", "Keep connections open for a moment for more mail"),
	STR(cache_destinations, "connection_cache_destinations", "", "Destinations whose connections are always kept"),
	TIME(cache_ms, "connection_cache_time_limit", "2s", 1000, "How long an idle connection is kept"),
	TIME(reuse_ms, "connection_reuse_time_limit", "300s", 1000, "Age from which on a connection is not used again"),
	INT(reuse_count, "connection_reuse_count_limit", "0", 0, "How often a connection is used again; 0: any number of times"),
	/* TLS */
	STR(tls_level, "tls_security_level", BY_NAME("${{$compatibility_level} <level {3.11} ? {} : {may}}", ""), "none, may, encrypt, dane, dane-only, fingerprint, verify, secure"),
	STR(tls_policy_maps, "tls_policy_maps", "", "TLS level and attributes by destination"),
	STR(tls_per_site, "tls_per_site", "", "Old form of " SMTP_PREFIX "tls_policy_maps: NONE, MAY, MUST_NOPEERMATCH, MUST by destination and by server"),
	BOOL(tls_sts_patterns, "tls_enforce_sts_mx_patterns", "yes", "MTA-STS policies that name MX hosts: only these are used, each under its own name"),
	BOOL(tls_use, "use_tls", "no", "Old form of level may"),
	BOOL(tls_enforce, "enforce_tls", "no", "Old form of level encrypt or verify"),
	BOOL(tls_enforce_peername, "tls_enforce_peername", "yes", "With " SMTP_PREFIX "enforce_tls: the server's name must match"),
	BOOL(tls_note_offer, "tls_note_starttls_offer", "no", "Log servers that offer STARTTLS when TLS is off"),
	BOOL(tls_reuse, "tls_connection_reuse", "no", "Keep TLS connections open for more mail"),
	BOOL(tls_wrapper, "tls_wrappermode", "no", "TLS from the first byte instead of STARTTLS"),
	STR(tls_cert, "tls_cert_file", "", "Client certificate"),
	STR(tls_key, "tls_key_file", "$" SMTP_PREFIX "tls_cert_file", "Its key"),
	STR(tls_dcert, "tls_dcert_file", "", "DSA certificate"),
	STR(tls_dkey, "tls_dkey_file", "$" SMTP_PREFIX "tls_dcert_file", "Its key"),
	STR(tls_eccert, "tls_eccert_file", "", "ECDSA certificate"),
	STR(tls_eckey, "tls_eckey_file", "$" SMTP_PREFIX "tls_eccert_file", "Its key"),
	STR(tls_chain, "tls_chain_files", "", "Files with keys and certificate chains"),
	STR(tls_ca_file, "tls_CAfile", "", "CA certificates to trust"),
	STR(tls_ca_path, "tls_CApath", "", "Folder with CA certificates to trust"),
	INT(tls_verify_depth, "tls_scert_verifydepth", "9", 0, "Longest certificate chain"),
	STR(tls_protocols, "tls_protocols", ">=TLSv1", "TLS versions at level may"),
	STR(tls_mand_protocols, "tls_mandatory_protocols", ">=TLSv1", "TLS versions at higher levels"),
	STR(tls_ciphers, "tls_ciphers", "medium", "Lowest cipher grade at level may"),
	STR(tls_mand_ciphers, "tls_mandatory_ciphers", "medium", "Lowest cipher grade at higher levels"),
	STR(tls_exclude, "tls_exclude_ciphers", "", "Ciphers that are never used"),
	STR(tls_mand_exclude, "tls_mandatory_exclude_ciphers", "", "Further ones at higher levels than may"),
	STR(tls_loglevel, "tls_loglevel", "0", "0: nothing, 1: a line for each connection, 2 and more: details"),
	STR(tls_fingerprint_digest, "tls_fingerprint_digest", "${{$compatibility_level} <level {3.6} ? {md5} : {sha256}}", "Digest of fingerprints"),
	STR(tls_fingerprint_match, "tls_fingerprint_cert_match", "", "Fingerprints at level fingerprint"),
	STR(tls_verify_match, "tls_verify_cert_match", "hostname", "Names that count at level verify"),
	STR(tls_secure_match, "tls_secure_cert_match", BY_NAME("nexthop, dot-nexthop", "nexthop"), "Names that count at level secure"),
	STR(tls_trust_anchors, "tls_trust_anchor_file", "", "Files with certificates that alone are trusted at levels verify and secure"),
#ifndef SMTP_LMTP
	STR(tls_insecure_mx, "tls_dane_insecure_mx_policy", "${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}", "Level dane, and the MX records are not validated: may, encrypt, dane"),
#endif
	BOOL(tls_force_tlsa, "tls_force_insecure_host_tlsa_lookup", "no", "Look for TLSA records of servers whose addresses are not validated, too"),
	STR(tls_session_cache, "tls_session_cache_database", "", "Not empty: TLS sessions are resumed (they are kept in memory)"),
	TIME(tls_session_ms, "tls_session_cache_timeout", "3600s", 0, "How long a TLS session may be resumed"),
	STR(tls_servername, "tls_servername", "", "Name for SNI: a name, nexthop or hostname"),
	PH_P_BOOL(S, requiretls, "requiretls_enable", "${{$compatibility_level} <level {3.11} ? {no} : {yes}}", "REQUIRETLS: TLS with servers that have shown who they are (RFC 8689)"),
	STR(requiretls_policy, "requiretls_policy", BY_NAME("inline:{{${domain_to_ascii{$mydomain}}=opportunistic}, {.${domain_to_ascii{$mydomain}}=opportunistic}, {localhost=opportunistic}}, cidr:{{0.0.0.0/0 opportunistic}, {::/0 opportunistic}}, enforce", "opportunistic"),
	    "What REQUIRETLS means at a destination: disable, opportunistic, opportunistic+starttls, enforce, or tables with these"),
	/* AUTH */
	BOOL(sasl_enable, "sasl_auth_enable", "no", "Log in to servers"),
	STR(sasl_maps, "sasl_password_maps", "", "User and password by server or destination"),
	STR(sasl_delimiter, "sasl_password_result_delimiter", ":", "What separates user and password there"),
	STR(sasl_filter, "sasl_mechanism_filter", "", "Mechanisms that may be used"),
	STR(sasl_options, "sasl_security_options", "noplaintext, noanonymous", "What mechanisms must not be over plaintext"),
	STR(sasl_tls_options, "sasl_tls_security_options", "$" SMTP_PREFIX "sasl_security_options", "The same over TLS"),
	STR(sasl_tls_verified_options, "sasl_tls_verified_security_options", "$" SMTP_PREFIX "sasl_tls_security_options", "The same over TLS to a verified server"),
	STR(sasl_type, "sasl_type", "cyrus", "Mechanisms are built in; the name is kept for configurations that say it"),
	BOOL(sasl_by_sender, "sender_dependent_authentication", "no", "Look up the password by sender first"),
	BOOL(sasl_soft_bounce, "sasl_auth_soft_bounce", "yes", "A refused password defers mail instead of bouncing it"),
	STR(sasl_cache, "sasl_auth_cache_name", "", "Table of passwords that servers have refused: they are not tried again"),
	PH_P_TIME(S, sasl_cache_ms, SMTP_PREFIX "sasl_auth_cache_time", "90d", 'd', 0, 0, "How long a refused password is remembered"),
	TIME(starttls_ms, "starttls_timeout", "300s", 1000, "Time limit for STARTTLS and the handshake"),
};
#undef S
#undef STR
#undef BOOL
#undef INT
#undef TIME
#endif
