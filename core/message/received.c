/* received.c: trace headers.
 *
 * Pure but for the clock; does not yield.  RFC 5321 section 4.4, RFC 3848, RFC 6531 section 4.3. */
#include "message/received.h"

#include "config/config.h"
#include "message/header.h"
#include "route/route.h"

#include <string.h>

struct received_settings { const char *myhostname, *mail_name; bool tls, sasl, hide, ask_ccert, req_ccert; };

#define S struct received_settings
static const struct ph_param received_params[] = {
	PH_P_STR(S, myhostname, "myhostname", "", "the internet hostname of this mail system"),
	PH_P_STR(S, mail_name, "mail_name", "Posthouse", "the mail system name in Received: headers, the greeting and bounces"),
	PH_P_BOOL(S, tls, "smtpd_tls_received_header", "no", "put TLS protocol and cipher into Received: headers"),
	PH_P_BOOL(S, sasl, "smtpd_sasl_authenticated_header", "no", "put the SASL login name into Received: headers"),
	PH_P_BOOL(S, hide, "smtpd_hide_client_session", "no", "leave all of the client's session out of Received: headers"),
	PH_P_BOOL(S, ask_ccert, "smtpd_tls_ask_ccert", "no", "ask clients for a certificate"),
	PH_P_BOOL(S, req_ccert, "smtpd_tls_req_ccert", "no", "require a certificate of clients"),
};
#undef S
PH_SETTINGS_TABLE("received", received_params)

static const char *clean(struct ph_arena *a, const char *s)
{
	return ph_str_printable(a, s ? s : "", s ? strlen(s) : 0, true);
}

/* Text inside "...": quotes and backslashes would end it early. */
static const char *quoted(struct ph_arena *a, const char *s)
{
	char *copy = ph_arena_strdup(a, clean(a, s));

	for (char *p = copy; *p; p++)
		if (*p == '"' || *p == '\\')
			*p = '?';
	return copy;
}

static void put_tls(struct ph_buf *b, const struct received_settings *set, const struct ph_tls_info *t, struct ph_arena *a)
{
	ph_buf_printf(b, "\n\t(using %s with cipher %s (%d/%d bits)", t->protocol, t->cipher, t->bits, t->alg_bits);
	if (t->key_exchange)
		ph_buf_printf(b, "\n\t key-exchange %s", t->key_exchange);
	if (t->server_signature)
		ph_buf_printf(b, " server-signature %s", t->server_signature);
	if (t->server_digest)
		ph_buf_printf(b, " server-digest %s", t->server_digest);
	if (t->client_signature)
		ph_buf_printf(b, "\n\t client-signature %s", t->client_signature);
	ph_buf_puts(b, ")");
	if (t->peer_cn || t->peer_fingerprint)
		ph_buf_printf(b, "\n\t(Client CN \"%s\", Issuer \"%s\" (%s))", quoted(a, t->peer_cn), quoted(a, t->peer_issuer_cn),
			      t->peer_verified ? "verified OK" : "not verified");
	else if (set->ask_ccert || set->req_ccert)
		ph_buf_puts(b, "\n\t(Client did not present a certificate)");
	else
		ph_buf_puts(b, "\n\t(No client certificate requested)");
}

static void put_client(struct ph_buf *b, const struct received_settings *set, struct ph_session *s, struct ph_arena *a)
{
	const char *addr = ph_session_client_addr(s), *name = ph_session_client_name(s), *helo = ph_session_helo(s);

	ph_buf_printf(b, "from %s (%s [%s%s])", clean(a, helo ? helo : name), clean(a, name), strchr(addr, ':') ? "IPv6:" : "", addr);
	if (set->tls && ph_session_tls(s))
		put_tls(b, set, ph_session_tls(s), a);
	if (set->sasl && ph_session_sasl_user(s))
		ph_buf_printf(b, "\n\t(Authenticated sender: %s)", clean(a, ph_session_sasl_user(s)));
	ph_buf_puts(b, "\n\t");
}

const char *ph_received_smtp(struct ph_session *s, const char *queue_id, bool utf8, const char *only_rcpt, struct ph_arena *arena)
{
	bool esmtp = strcmp(ph_session_protocol(s), "SMTP") != 0;
	struct ph_buf b = PH_BUF_INIT(16384);
	struct received_settings set;
	char date[64];
	const char *out;

	if (ph_conf_settings(ph_session_conf(s), received_params, PH_ARRAY_LEN(received_params), &set, NULL) < 0)
		memset(&set, 0, sizeof(set)), set.myhostname = set.mail_name = "unknown";
	ph_buf_puts(&b, "Received: ");
	if (!set.hide)
		put_client(&b, &set, s, arena);
	ph_buf_printf(&b, "by %s (%s) with %s%s%s id %s", set.myhostname, set.mail_name, utf8 ? "UTF8SMTP" : ph_session_protocol(s),
		      esmtp && ph_session_tls(s) ? "S" : "", esmtp && ph_session_sasl_user(s) ? "A" : "", queue_id);
	ph_header_date(ph_wall_us(), date, sizeof(date));
	if (only_rcpt)
		ph_buf_printf(&b, "\n\tfor <%s>; %s", clean(arena, ph_address_quote(arena, only_rcpt)), date);
	else
		ph_buf_printf(&b, "; %s", date);
	out = ph_arena_strndup(arena, ph_buf_str(&b), b.len);
	ph_buf_done(&b);
	return out;
}

const char *ph_received_local(const struct ph_conf *conf, const char *queue_id, int64_t uid, struct ph_arena *arena)
{
	const char *host = ph_conf_get(conf, "myhostname"), *name = ph_conf_get(conf, "mail_name");
	char date[64];

	ph_header_date(ph_wall_us(), date, sizeof(date));
	host = host ? host : "localhost";
	name = name ? name : "Postfix";
	if (uid < 0)
		return ph_arena_printf(arena, "Received: by %s (%s)\n\tid %s; %s", host, name, queue_id, date);
	return ph_arena_printf(arena, "Received: by %s (%s, from userid %lld)\n\tid %s; %s", host, name, (long long)uid, queue_id, date);
}
