/* dane.c: TLSA records of SMTP servers: levels dane and dane-only.
 *
 * RFC 7672: the MX records and the server's addresses must be validated by DNSSEC, else there is no DANE for this server; the records stand at
 * _port._tcp.<name>, of the name where the server's CNAMEs lead, then of its own.  A look-up that fails says nothing about there being none: the server is
 * passed over.  RFC 7671: usages 2 and 3 only.  No state.  Yields. */
#include "smtp.h"

#include <string.h>
#include <strings.h>

#define LOOKUP_MS PH_SECONDS(60)

/* Level dane goes on without (opportunistic TLS), dane-only defers. */
static int without(struct smtp_state *st, struct smtp_tls_demand *d, bool warn, const char *why)
{
	if (warn)
		ph_log(PH_LOG_WARNING, "%s: %s", st->dest, why);
	if (d->level == SMTP_TLS_DANE_ONLY) {
		smtp_why_set(st, "4.7.5", "%s", why);
		return -1;
	}
	d->level = SMTP_TLS_MAY;
	return 0;
}

/* RFC 6698 section 2.1; what OpenSSL could not use is out. */
static bool usable(const struct ph_dns_rr *rr, struct ph_tls_tlsa *ret)
{
	const unsigned char *p = (const void *)rr->data.p;

	if (rr->data.n < 4)
		return false;
	ret->usage = p[0];
	ret->selector = p[1];
	ret->mtype = p[2];
	ret->data = (struct ph_slice){ rr->data.p + 3, rr->data.n - 3 };
	if ((ret->usage != 2 && ret->usage != 3) || ret->selector > 1 || ret->mtype > 2)
		return false;
	return ret->mtype == 0 || ret->data.n == (ret->mtype == 1 ? 32 : 64);
}

static void take_records(struct smtp_state *st, const char *base, const struct ph_dns_answer *ans, struct smtp_tls_demand *d)
{
	struct ph_tls_tlsa *list = ph_arena_alloc(st->arena, (ans->n + 1) * sizeof(*list));
	size_t i, n = 0;

	for (i = 0; i < ans->n; i++) {
		if (usable(&ans->rr[i], &list[n]))
			n++;
		else
			ph_log(PH_LOG_WARNING, "unusable TLSA record of %zu bytes for %s", ans->rr[i].data.n, base);
	}
	d->tlsa = list;
	d->n_tlsa = n;
}

/* The names that a certificate under a trust anchor (usage 2) may have; the first is where the records are. */
static void names(struct smtp_state *st, const struct smtp_addr *a, const char *base, struct smtp_tls_demand *d)
{
	const char **list = ph_arena_alloc(st->arena, 3 * sizeof(*list));
	struct smtp_dest dest;
	size_t n = 0;

	list[n++] = base;
	if (a->mx && smtp_dest_parse(st, st->dest, &dest) == 0) {
		list[n++] = dest.host;
		if (strcasecmp(a->mx, dest.host) != 0)
			list[n++] = a->mx;
	}
	d->match = list;
	d->n_match = n;
	d->sni = base;
}

/* 1: there are records (perhaps none of use); 0: there are none; negative: nobody knows. */
static int find_at(struct smtp_state *st, const char *base, int port, struct smtp_tls_demand *d)
{
	const char *name = ph_arena_printf(st->arena, "_%d._tcp.%s", port, base);
	struct ph_dns_answer *ans;

	switch (ph_dns_query_secure(st->arena, name, PH_DNS_TLSA, ph_now_ms() + LOOKUP_MS, &ans)) {
	case PH_DNS_OK:
		if (!ans->secure)
			return 0;
		take_records(st, base, ans, d);
		return 1;
	case PH_DNS_NXDOMAIN:
	case PH_DNS_NODATA:
		return 0;
	case PH_DNS_TEMPFAIL:
	case PH_DNS_BADNAME:
		break;
	}
	ph_log(PH_LOG_WARNING, "TLSA lookup error for %s:%d", base, port);
	smtp_why_set(st, "4.7.5", "TLSA lookup error for %s:%d", base, port);
	return -1;
}

static int find(struct smtp_state *st, const struct smtp_addr *a, int port, struct smtp_tls_demand *d)
{
	const char *base = a->secure ? a->owner : a->host;      /* a CNAME that is not validated leads nowhere */
	int r = find_at(st, base, port, d);

	if (r == 0 && strcasecmp(base, a->host) != 0) {
		base = a->host;
		r = find_at(st, base, port, d);
	}
	if (r > 0)
		names(st, a, base, d);
	return r;
}

/* smtp_tls_dane_insecure_mx_policy; LMTP knows no MX records. */
static const char *smtp_insecure_mx(const struct smtp_state *st)
{
#ifdef SMTP_LMTP
	return "dane";
#else
	return st->service->set->tls_insecure_mx;
#endif
}

/* The MX records are not validated: smtp_tls_dane_insecure_mx_policy. */
static bool insecure_mx(const struct smtp_state *st, const struct smtp_addr *a, const struct smtp_tls_demand *d)
{
	const char *policy = smtp_insecure_mx(st);

	return a->mx && !a->mx_secure && (d->level == SMTP_TLS_DANE_ONLY || strcasecmp(policy, "may") == 0);
}

int smtp_dane_demand(struct smtp_state *st, const struct smtp_addr *a, int port, struct smtp_tls_demand *d)
{
	bool plain_mx = a->mx && !a->mx_secure;
	int r;

	if (!port)
		return without(st, d, true, "the \"dane\" security level is invalid for delivery via a unix-domain socket");
	if (!st->service->dnssec || !ph_dns_validates())
		return without(st, d, true, st->service->dnssec ? "dane configured, but there are no DNSSEC trust anchors (dnssec_trust_anchor_file)" :
			       "dane configured with dnssec lookups disabled");
	if (st->service->set->ignore_mx_error)
		return without(st, d, true, "dane configured with MX lookup errors ignored");
	if ((!a->secure && !st->service->set->tls_force_tlsa) || insecure_mx(st, a, d))
		return without(st, d, false, "non DNSSEC destination");
	r = find(st, a, port, d);
	if (r < 0)
		return -1;
	if (r == 0)
		return without(st, d, false, "no TLSA records found");
	if (d->n_tlsa == 0) {
		ph_log(PH_LOG_WARNING, "%s: TLSA records of %s are unusable", st->dest, a->host);
		if (d->level == SMTP_TLS_DANE_ONLY) {
			smtp_why_set(st, "4.7.5", "TLSA records unusable");
			return -1;
		}
		d->level = SMTP_TLS_ENCRYPT;
		return 0;
	}
	/* RFC 7672 section 2.2.1: whoever can forge the MX records chooses the server; that it has its own certificate proves nothing about the destination. */
	if (plain_mx && strcasecmp(smtp_insecure_mx(st), "encrypt") == 0) {
		d->level = SMTP_TLS_ENCRYPT;
		d->n_tlsa = 0;
	}
	return 0;
}
