/* policy_text.h: what a TLS policy table says about a destination: "level name=value ...".  Pure: no I/O, no yield; fuzzed.  Source: postconf(5),
 * smtp_tls_policy_maps; TLSRPT_README for the attributes of MTA-STS. */
#ifndef SMTP_POLICY_TEXT_H
#define SMTP_POLICY_TEXT_H

#include <posthouse/base.h>

enum smtp_tls_level { SMTP_TLS_NONE, SMTP_TLS_MAY, SMTP_TLS_ENCRYPT, SMTP_TLS_DANE, SMTP_TLS_DANE_ONLY, SMTP_TLS_FINGERPRINT, SMTP_TLS_VERIFY, SMTP_TLS_SECURE };
int smtp_tls_level_parse(const char *word);     /* negative: unknown */

struct smtp_policy_text {
	int level;
	const char *match, *protocols, *ciphers, *exclude, *sni, *trust_anchors;        /* NULL: not said */
	bool sts;                       /* policy_type=sts */
	const char *failure;            /* policy_failure; NULL: none */
	const char **patterns;          /* mx_host_pattern: "mx.example.com", "*.example.com" */
	size_t n_patterns;
	const char **ignored;           /* attributes behind level none */
	size_t n_ignored;
};

/* 0; negative with err: it is no policy, and nothing may go there.  All texts in arena. */
int smtp_policy_parse(const char *text, struct ph_arena *arena, struct smtp_policy_text *ret, struct ph_err *err);
/* Is host one that the patterns name?  RFC 8461 section 4.1: "*" stands for one label. */
bool smtp_policy_names(const struct smtp_policy_text *p, const char *host);
#endif
