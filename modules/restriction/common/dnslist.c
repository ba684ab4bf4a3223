/* dnslist.c: see dnslist.h.  Owns the uses of lists; the resolver's cache keeps answers as long as their TTL allows.  dnslist_ask, _reject and
 * _permit yield.  Source: postconf(5), RFC 5782. */
#include "common/dnslist.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <posthouse/co.h>
#include <posthouse/dns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hostname.h"

#define QUERY_MS 30000
#define REASON_MAX 500

struct dnslist {
	char *text;             /* as configured: the key in rbl_reply_maps */
	char *domain;
	bool filtered;
	struct ph_dnslist_filter filter;
	struct ph_maps *replies;        /* NULL: none */
};

int dnslist_prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	struct dnslist *d = ph_alloc(sizeof(*d));
	size_t n = strcspn(arg, "=");

	if (arg[n] && ph_dnslist_filter_parse(arg + n + 1, &d->filter, err) < 0) {
		free(d);
		return -EINVAL;
	}
	d->filtered = arg[n] != '\0';
	d->text = ph_strdup(arg);
	d->domain = ph_strndup(arg, n);
	*ret = d;
	return 0;
}

int dnslist_prepare_reject(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const struct dnslist_settings *set = settings;
	struct dnslist *d;
	int r = dnslist_prepare(conf, settings, arg, ret, err);

	d = r < 0 ? NULL : *ret;
	if (d && *set->reply_maps)
		d->replies = ph_maps_open(conf, "rbl_reply_maps", set->reply_maps);
	return r;
}

void dnslist_release(void *use)
{
	struct dnslist *d = use;

	free(d->text);
	free(d->domain);
	free(d);
}

const char *dnslist_key_of_addr(struct ph_session *s, const char *addr)
{
	unsigned char raw[16];
	struct ph_buf b = PH_BUF_INIT(100);
	const char *key;

	if (inet_pton(AF_INET, addr, raw) == 1)
		return ph_arena_printf(ph_session_arena(s), "%d.%d.%d.%d", raw[3], raw[2], raw[1], raw[0]);
	if (inet_pton(AF_INET6, addr, raw) != 1)
		return NULL;
	for (int i = 15; i >= 0; i--)
		ph_buf_printf(&b, "%s%x.%x", i < 15 ? "." : "", raw[i] & 15, raw[i] >> 4);
	key = ph_arena_strdup(ph_session_arena(s), ph_buf_str(&b));
	ph_buf_done(&b);
	return key;
}

const char *dnslist_key_of_domain(struct ph_session *s, const char *text)
{
	const char *at = text ? strrchr(text, '@') : NULL, *domain = at ? at + 1 : text;

	return domain && *domain && !host_addr_valid(domain) && host_name_valid(domain) ? domain : NULL;
}

static const char *query_name(const struct dnslist *d, struct ph_session *s, const char *key)
{
	return ph_arena_printf(ph_session_arena(s), "%.255s.%.255s", key, d->domain);
}

/* ---- asking ahead ---- */

static void prefetch_main(void *arg)
{
	struct ph_arena *a = ph_arena_new();
	struct ph_dns_answer *answer;

	ph_dns_query(a, arg, PH_DNS_A, ph_now_ms() + QUERY_MS, &answer);
	ph_arena_free(&a);
	free(arg);
}

void dnslist_prefetch(const struct dnslist *d, struct ph_session *s, const char *key)
{
	if (key)
		ph_co_spawn("dns list", prefetch_main, ph_strdup(query_name(d, s, key)));
}

/* ---- asking ---- */

static bool listed(const struct dnslist *d, const struct ph_dns_answer *answer)
{
	for (size_t i = 0; i < answer->n; i++)
		if (answer->rr[i].type == PH_DNS_A && answer->rr[i].data.n == 4 &&
		    (!d->filtered || ph_dnslist_filter_match(&d->filter, (const unsigned char *)answer->rr[i].data.p)))
			return true;
	return false;
}

/* The TXT records, one after the other, as text that fits into a reply. */
static const char *reason_of(struct ph_session *s, const char *name)
{
	struct ph_arena *a = ph_session_arena(s);
	struct ph_buf b = PH_BUF_INIT(REASON_MAX + 1);
	struct ph_dns_answer *answer;
	const char *reason;

	switch ((enum ph_dns_status)ph_session_dns_query(s, name, PH_DNS_TXT, ph_now_ms() + QUERY_MS, &answer)) {
	case PH_DNS_OK:
		break;
	case PH_DNS_NXDOMAIN:
	case PH_DNS_NODATA:
	case PH_DNS_BADNAME:
		return "";
	case PH_DNS_TEMPFAIL:
		ph_log(PH_LOG_WARNING, "%s: TXT lookup error: %s", name, answer->text ? answer->text : "Host not found, try again");
		return "";
	}
	for (size_t i = 0; i < answer->n; i++) {
		struct ph_slice text = answer->rr[i].data;

		if (answer->rr[i].type != PH_DNS_TXT)
			continue;
		if (b.len)
			ph_buf_putc(&b, ' ');
		if (text.n > REASON_MAX - b.len)
			text.n = REASON_MAX - b.len;
		ph_buf_append(&b, text.p, text.n);
	}
	reason = ph_str_printable(a, b.data ? b.data : "", b.len, true);
	ph_buf_done(&b);
	return reason;
}

enum ph_lookup dnslist_ask(const struct dnslist *d, struct ph_session *s, const char *key, const char **ret_reason)
{
	struct ph_dns_answer *answer;
	const char *name = query_name(d, s, key), *why;

	switch ((enum ph_dns_status)ph_session_dns_query(s, name, PH_DNS_A, ph_now_ms() + QUERY_MS, &answer)) {
	case PH_DNS_OK:
		if (!listed(d, answer))
			return PH_LOOKUP_NOTFOUND;
		if (ret_reason)
			*ret_reason = reason_of(s, name);
		return PH_LOOKUP_FOUND;
	case PH_DNS_NXDOMAIN:
	case PH_DNS_NODATA:
	case PH_DNS_BADNAME:
		return PH_LOOKUP_NOTFOUND;
	case PH_DNS_TEMPFAIL:
		break;
	}
	why = answer->text ? answer->text : "Host not found, try again";
	ph_log(PH_LOG_WARNING, "%s: RBL lookup error: %s name=%s type=A: %s", name, strcmp(why, PH_DNS_FILTER_DROPPED) == 0 || strcmp(why, PH_DNS_FILTER_BAD) == 0
	       ? "Error looking up" : "Host or domain name not found. Name service error for", name, why);
	return PH_LOOKUP_TEMPFAIL;
}

/* ---- verdicts ---- */

/* "554 5.7.1 text": takes code and enhanced code off the front. */
static struct ph_verdict reply_verdict(struct ph_session *s, const char *text)
{
	char dsn[12] = "4.7.1";
	size_t n;
	int code;

	if ((text[0] != '4' && text[0] != '5') || !isdigit((unsigned char)text[1]) || !isdigit((unsigned char)text[2]) || text[3] != ' ' || !text[4]) {
		ph_log(PH_LOG_WARNING, "rbl response code configuration error: %s", text);
		return ph_verdict_text(s, PH_DEFER, 450, "4.7.1", "Service unavailable");
	}
	code = atoi(text);
	text += 3 + strspn(text + 3, " ");
	n = strcspn(text, " ");
	if (n < sizeof(dsn) && (text[0] == '4' || text[0] == '5') && text[1] == '.' && strspn(text, "0123456789.") == n && strchr(text + 2, '.')) {
		memcpy(dsn, text, n);
		dsn[n] = '\0';
		text += n + strspn(text + n, " ");
	}
	dsn[0] = (char)('0' + code / 100);
	return ph_verdict_text(s, code < 500 ? PH_DEFER : PH_REJECT, code, dsn, "%s", *text ? text : "Service unavailable");
}

struct ph_verdict dnslist_reject(const struct dnslist *d, const struct dnslist_settings *set, struct ph_session *s, const char *key,
				 const char *what, const char *cls)
{
	const char *reason = "", *template = set->reply, *found;
	struct ph_err err = { 0, "" };
	enum ph_lookup r = key ? dnslist_ask(d, s, key, &reason) : PH_LOOKUP_NOTFOUND;

	if (r != PH_LOOKUP_FOUND)
		return ph_verdict_dunno();
	if (d->replies) {
		r = ph_maps_find(d->replies, d->text, false, ph_session_arena(s), &found, &err);
		if (r == PH_LOOKUP_FOUND)
			template = found;
		else if (r != PH_LOOKUP_NOTFOUND)
			return ph_verdict_lookup_failed(s, PH_LOOKUP_PERMERR, d->text, &err);
	}
	{
		const char *code = ph_arena_printf(ph_session_arena(s), "%d", set->code);
		const struct ph_session_var vars[] = {
			{ "rbl_code", code }, { "rbl_class", cls }, { "rbl_domain", d->domain }, { "rbl_reason", reason }, { "rbl_txt", reason },
			{ "rbl_what", what },
		};

		return reply_verdict(s, ph_session_expand(s, template, vars, PH_ARRAY_LEN(vars)));
	}
}

struct ph_verdict dnslist_permit(const struct dnslist *d, struct ph_session *s, const char *key, const char *what, const char *cls)
{
	const char *rcpt = ph_session_recipient(s);
	struct ph_err err = { 0, "" };

	/* A list somewhere in the DNS must not be able to make us an open relay. */
	if (!key)
		return ph_verdict_dunno();
	switch (rcpt ? (enum ph_lookup)ph_session_is_authorized_destination(s, rcpt, &err) : PH_LOOKUP_FOUND) {
	case PH_LOOKUP_FOUND:
		break;
	case PH_LOOKUP_NOTFOUND:
		return ph_verdict_dunno();
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, rcpt, &err);
	}
	switch (dnslist_ask(d, s, key, NULL)) {
	case PH_LOOKUP_FOUND:
		return ph_verdict_permit();
	case PH_LOOKUP_NOTFOUND:
		return ph_verdict_dunno();
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	return ph_verdict_text(s, PH_DEFER_IF_REJECT, 450, "4.7.1", "<%s>: %s rejected: Service unavailable", what, cls);
}
