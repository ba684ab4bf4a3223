/* cleanup_conf.c: the settings of a cleanup service.
 *
 * Owns struct ph_cleanup, one per configuration view, attached to it.  Does not yield.  Sources: cleanup(8), postconf(5). */
#include "message/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define S struct ph_cleanup_settings
static const struct ph_param cleanup_params[] = {
	PH_P_STR(S, myhostname, "myhostname", "", "the internet hostname of this mail system"),
	PH_P_STR(S, mail_name, "mail_name", "Posthouse", "the mail system name in Received: headers, the greeting and bounces"),
	PH_P_STR(S, delimiter, "recipient_delimiter", "", "characters between a user name and its extension"),
	PH_P_STR(S, undisclosed, "undisclosed_recipients_header", "", "header for messages without To, Cc and Resent- fields"),
	PH_P_STR(S, drop_headers, "message_drop_headers", "bcc, content-length, resent-bcc, return-path", "headers that are removed after the header checks"),
	PH_P_STR(S, canonical_maps, "canonical_maps", "", "tables that rewrite addresses in headers and envelopes"),
	PH_P_STR(S, sender_canonical_maps, "sender_canonical_maps", "", "tables that rewrite sender addresses"),
	PH_P_STR(S, rcpt_canonical_maps, "recipient_canonical_maps", "", "tables that rewrite recipient addresses"),
	PH_P_STR(S, virtual_alias_maps, "virtual_alias_maps", "$virtual_maps", "tables of aliases for any domain"),
	PH_P_STR(S, sender_bcc_maps, "sender_bcc_maps", "", "tables from sender to an address that gets a blind copy"),
	PH_P_STR(S, rcpt_bcc_maps, "recipient_bcc_maps", "", "tables from recipient to an address that gets a blind copy"),
	PH_P_STR(S, always_bcc, "always_bcc", "", "address that gets a blind copy of every message"),
	PH_P_STR(S, canonical_classes, "canonical_classes", "envelope_sender, envelope_recipient, header_sender, header_recipient", "what canonical_maps rewrites"),
	PH_P_STR(S, sender_canonical_classes, "sender_canonical_classes", "envelope_sender, header_sender", "what sender_canonical_maps rewrites"),
	PH_P_STR(S, rcpt_canonical_classes, "recipient_canonical_classes", "envelope_recipient, header_recipient", "what recipient_canonical_maps rewrites"),
	PH_P_STR(S, masquerade_classes, "masquerade_classes", "envelope_sender, header_sender, header_recipient", "what address masquerading rewrites"),
	PH_P_STR(S, masquerade_domains, "masquerade_domains", "", "domains whose subdomains are stripped off"),
	PH_P_STR(S, masquerade_exceptions, "masquerade_exceptions", "", "user names that are not masqueraded"),
	PH_P_STR(S, propagate, "propagate_unmatched_extensions", "canonical, virtual", "tables whose results keep an address extension"),
	PH_P_STR(S, remote_domain, "remote_header_rewrite_domain", "", "the domain that is appended to incomplete header addresses of remote clients"),
	PH_P_RAW(S, strip_chars, "message_strip_characters", "", "characters that are removed from message content"),
	PH_P_RAW(S, reject_chars, "message_reject_characters", "", "characters for which a message is refused"),
	PH_P_STR(S, header_from_format, "header_from_format", "standard", "form of a generated From: header: standard or obsolete"),
	PH_P_STR(S, name_charset, "full_name_encoding_charset", "utf-8", "character set of full names, for those in generated From: headers that are not ASCII; empty: they stay as they are"),
	PH_P_BOOL(S, always_add, "always_add_missing_headers", "no", "add missing From:, To:, Date: and Message-ID: headers to mail of remote clients, too"),
	PH_P_BOOL(S, original_rcpt, "enable_original_recipient", "yes", "keep the address from before aliasing, for X-Original-To: and duplicate elimination"),
	PH_P_BOOL(S, replace_stray, "cleanup_replace_stray_cr_lf", "yes", "replace stray carriage return and line feed characters by a space"),
	PH_P_BOOL(S, disable_mime, "disable_mime_input_processing", "no", "do not parse MIME structure"),
	PH_P_BOOL(S, strict_7bit_hdr, "strict_7bit_headers", "no", "refuse mail with 8-bit text in headers"),
	PH_P_BOOL(S, strict_8bit_body, "strict_8bitmime_body", "no", "refuse 8-bit text without a MIME declaration"),
	PH_P_BOOL(S, strict_8bitmime, "strict_8bitmime", "no", "both strict_7bit_headers and strict_8bitmime_body"),
	PH_P_BOOL(S, strict_domain, "strict_mime_encoding_domain", "no", "refuse a Content-Transfer-Encoding that multipart and message entities cannot have"),
	PH_P_BOOL(S, detect_8bit, "detect_8bit_encoding_header", "yes", "take the message encoding from Content-Transfer-Encoding:"),
	PH_P_BOOL(S, force_7bit, "force_mime_input_conversion", "no", "turn parts that say that they are 8-bit into quoted-printable, before checks and filters"),
	PH_P_STR(S, end_of_header, "non_empty_end_of_header_action", "fix_quietly",
		 "headers that text ends which is none: fix_quietly, add_header (MIME-Error:) or reject"),
	PH_P_BOOL(S, smtputf8, "smtputf8_enable", "${{$compatibility_level} <level {1} ? {no} : {yes}}", "support internationalised addresses"),
	PH_P_STR(S, utf8_classes, "smtputf8_autodetect_classes", "sendmail, verify",
		 "origins of mail (all, sendmail, smtpd, forward, bounce, notify, verify) that is SMTPUTF8 when a header or an address has 8-bit bytes"),
	PH_P_BOOL(S, tls_required, "tls_required_enable", "yes", "a header \"TLS-Required: no\" switches policies about TLS off for its message (RFC 8689)"),
	PH_P_BOOL(S, requiretls, "requiretls_enable", "${{$compatibility_level} <level {3.11} ? {no} : {yes}}", "REQUIRETLS: TLS with servers that have shown who they are (RFC 8689)"),
	PH_P_BOOL(S, requiretls_header, "requiretls_esmtp_header", "yes", "note REQUIRETLS in a header, and know it from there after a content filter"),
	PH_P_BOOL(S, soft_bounce, "soft_bounce", "no", "what would bounce is tried again"),
	PH_P_STR1(S, queue_service, "queue_service_name", "qmgr", "master.cf line of the queue manager that gets the mail"),
	PH_P_BOOL(S, long_ids, "enable_long_queue_ids", "no", "queue ids that are never used twice"),
	PH_P_INT(S, hop_limit, "hopcount_limit", "50", 1, 0, "Received: headers after which a message is taken to loop"),
	PH_P_INT(S, token_limit, "header_address_token_limit", "10240", 1, 0, "address tokens of a header that are looked at"),
	PH_P_INT(S, nesting_limit, "mime_nesting_limit", "100", 1, 0, "levels of MIME structure"),
	PH_P_INT(S, boundary_limit, "mime_boundary_length_limit", "2048", 1, 0, "bytes of a MIME boundary"),
	PH_P_INT(S, expansion_limit, "virtual_alias_expansion_limit", "1000", 1, 0, "addresses that one recipient may expand to"),
	PH_P_INT(S, recursion_limit, "virtual_alias_recursion_limit", "1000", 1, 0, "nested virtual aliases"),
	PH_P_INT(S, address_limit, "virtual_alias_address_length_limit", "1000", 1, 0, "bytes of an address after virtual alias expansion"),
	PH_P_INT(S, dup_limit, "duplicate_filter_limit", "1000", 1, 0, "addresses that are remembered to eliminate duplicates"),
	PH_P_INT(S, header_limit, "header_size_limit", "102400", 1, 0, "bytes of a message header; the rest is dropped"),
	PH_P_LONG(S, minfree, "queue_minfree", "0", 0, 0, "bytes that must be free in the queue's file system to take mail in"),
};
#undef S
PH_SETTINGS_TABLE("cleanup", cleanup_params)

static unsigned classes(const char *text, const char *param)
{
	static const char *const names[] = { "envelope_sender", "envelope_recipient", "header_sender", "header_recipient" };
	char *copy = ph_strdup(text), *cursor = copy, *w;
	unsigned cls = 0;

	while ((w = ph_str_token(&cursor, PH_SEP_LIST))) {
		size_t i;

		for (i = 0; i < PH_ARRAY_LEN(names) && !ph_str_ieq(w, names[i]); i++)
			;
		if (i < PH_ARRAY_LEN(names))
			cls |= 1u << i;
		else
			ph_log_as("cleanup", PH_LOG_WARNING, "%s: unknown address class: %s", param, w);
	}
	free(copy);
	return cls;
}

static char **words(const char *text)
{
	char *copy, *cursor, *w, **list;
	size_t n = 0;

	if (!text[strspn(text, PH_SEP_LIST)])
		return NULL;
	/* One block: the pointers, then the text they point into. */
	list = ph_alloc((strlen(text) / 2 + 2) * sizeof(*list) + strlen(text) + 1);
	copy = cursor = (char *)(list + strlen(text) / 2 + 2);
	strcpy(copy, text);
	while ((w = ph_str_token(&cursor, PH_SEP_LIST)))
		list[n++] = ph_str_lower(w);
	return list;
}

/* The character set of message_strip_characters: C escapes. */
static bool char_set(const char *text, unsigned char set[256])
{
	static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
	bool any = false;

	for (const char *p = text; *p; any = true) {
		unsigned c = (unsigned char)*p++;

		if (c == '\\' && *p) {
			const char *e = strchr(from, *p);

			if (e) {
				c = (unsigned char)to[e - from];
				p++;
			} else if (*p >= '0' && *p <= '7') {
				c = 0;
				for (int i = 0; i < 3 && *p >= '0' && *p <= '7'; i++)
					c = c * 8 + (unsigned)(*p++ - '0');
			} else {
				c = (unsigned char)*p++;
			}
		}
		set[c & 255] = 1;
	}
	return any;
}

/* 0 or a negative code: the value is none of these. */
static int end_of_header(const char *value, struct ph_err *err)
{
	static const char *const names[] = { [PH_EOH_FIX] = "fix_quietly", [PH_EOH_ADD_HEADER] = "add_header", [PH_EOH_REJECT] = "reject" };

	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++)
		if (ph_str_ieq(value, names[i]))
			return (int)i;
	return ph_err_set(err, -EINVAL, "bad value of non_empty_end_of_header_action: \"%.100s\" is not fix_quietly, add_header or reject", value);
}

static int load(const struct ph_conf *conf, struct ph_cleanup_settings *s, struct ph_err *err)
{
	int r = ph_conf_settings(conf, cleanup_params, PH_ARRAY_LEN(cleanup_params), s, err);

	return r < 0 ? r : end_of_header(s->end_of_header, err);
}

int ph_cleanup_check(const struct ph_conf *conf, struct ph_err *err)
{
	struct ph_cleanup_settings s;
	int r = load(conf, &s, err);

	return r < 0 ? r : 0;
}

static void cleanup_free(void *obj)
{
	struct ph_cleanup *c = obj;

	free(c->masquerade);
	free(c->masquerade_except);
	free(c);
}

static struct ph_maps *maps_of(const struct ph_cleanup *c, const char *title, const char *text)
{
	return text[strspn(text, PH_SEP_LIST)] ? ph_maps_open(c->conf, title, text) : NULL;
}

static void prepare(struct ph_cleanup *c, int eoh)
{
	const struct ph_cleanup_settings *s = &c->s;

	c->route = ph_route_of(c->conf);
	c->end_of_header = eoh;
	c->canonical = maps_of(c, "canonical_maps", s->canonical_maps);
	c->sender_canonical = maps_of(c, "sender_canonical_maps", s->sender_canonical_maps);
	c->rcpt_canonical = maps_of(c, "recipient_canonical_maps", s->rcpt_canonical_maps);
	c->virtual_alias = maps_of(c, "virtual_alias_maps", s->virtual_alias_maps);
	c->sender_bcc = maps_of(c, "sender_bcc_maps", s->sender_bcc_maps);
	c->rcpt_bcc = maps_of(c, "recipient_bcc_maps", s->rcpt_bcc_maps);
	c->canonical_cls = classes(s->canonical_classes, "canonical_classes");
	c->sender_canonical_cls = classes(s->sender_canonical_classes, "sender_canonical_classes");
	c->rcpt_canonical_cls = classes(s->rcpt_canonical_classes, "recipient_canonical_classes");
	c->masquerade_cls = classes(s->masquerade_classes, "masquerade_classes");
	c->masquerade = words(s->masquerade_domains);
	c->masquerade_except = words(s->masquerade_exceptions);
	c->propagate_canonical = ph_header_in_list(s->propagate, "canonical", 9);
	c->propagate_virtual = ph_header_in_list(s->propagate, "virtual", 7);
	c->has_strip = char_set(s->strip_chars, c->strip);
	c->has_reject = char_set(s->reject_chars, c->reject);
	for (const char *p = s->drop_headers; *p; p++)
		c->drop_initials |= 1u << (*p & 31);
	c->checks = ph_checks_open(c->conf);
}

struct ph_cleanup *ph_cleanup_of(const struct ph_conf *conf)
{
	struct ph_cleanup *c = ph_conf_attach_get(conf, "cleanup");
	int eoh;

	if (c)
		return c;
	c = ph_alloc(sizeof(*c));
	c->conf = conf;
	eoh = load(conf, &c->s, &c->why);
	c->ok = eoh >= 0;
	if (c->ok)
		prepare(c, eoh);
	else
		ph_log_as("cleanup", PH_LOG_ERROR, "%s", c->why.text);
	ph_conf_attach_set(conf, "cleanup", c, cleanup_free);
	return c;
}

const struct ph_conf *ph_intake_conf_of(const struct ph_conf *conf)
{
	const char *name = ph_conf_get(conf, "cleanup_service_name");
	const struct ph_service *svc = ph_config_service(ph_conf_config(conf), name && *name ? name : "cleanup", PH_SVC_UNIX);

	return svc ? svc->conf : conf;
}
