/* tls_policy.c: what TLS to demand of a server: main.cf, smtp_tls_policy_maps or smtp_tls_per_site, and what follows from them for each server.
 *
 * No state.  Whatever cannot be read or looked up defers the mail: a policy never becomes weaker by an error.  Source: postconf(5), smtp_tls_policy_maps; TLS_README.
 * Yields where the table does, and for DANE. */
#include "smtp.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the policy of a destination ---------------------------------------------------------- */

static void site_defaults(struct smtp_state *st)
{
	const struct smtp_settings *set = st->service->set;
	struct smtp_tls_site *p = &st->site;
	bool mandatory = p->level > SMTP_TLS_MAY;

	p->protocols = mandatory ? set->tls_mand_protocols : set->tls_protocols;
	p->ciphers = mandatory ? set->tls_mand_ciphers : set->tls_ciphers;
	p->exclude = mandatory && *set->tls_mand_exclude ? ph_arena_printf(st->arena, "%s %s", set->tls_exclude, set->tls_mand_exclude) : set->tls_exclude;
	p->sni = set->tls_servername;
	p->trust_anchors = set->tls_trust_anchors;
}

static void site_bad(struct smtp_state *st, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void site_bad(struct smtp_state *st, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(4096);
	va_list ap;

	va_start(ap, fmt);
	ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	ph_log(PH_LOG_WARNING, "%stls_policy_maps, next-hop destination \"%s\": %s", SMTP_PREFIX, st->dest, ph_buf_str(&b));
	ph_buf_done(&b);
	st->site.invalid = true;
}

/* RFC 8461 section 5: at a level that verifies, the policy's patterns say which MX hosts may be used, and each has to show its own name. */
static void site_sts(struct smtp_state *st, const struct smtp_policy_text *p)
{
	if (!p->sts || p->level < SMTP_TLS_VERIFY)
		return;
	st->site.sts_failure = p->failure;
	if (!st->service->set->tls_sts_patterns || p->n_patterns == 0)
		return;
	st->site.sts = p;
	st->site.match = "hostname";
}

/* The right-hand side of a policy table. */
static void site_parse(struct smtp_state *st, const char *text)
{
	struct smtp_policy_text *p = ph_arena_alloc(st->arena, sizeof(*p));
	struct smtp_tls_site *site = &st->site;
	struct ph_err err;
	size_t i;

	if (smtp_policy_parse(text, st->arena, p, &err) < 0) {
		site_bad(st, "%s", err.text);
		return;
	}
	for (i = 0; i < p->n_ignored; i++)
		ph_log(PH_LOG_WARNING, "%stls_policy_maps, next-hop destination \"%s\": ignoring attribute \"%s\" with TLS disabled", SMTP_PREFIX, st->dest, p->ignored[i]);
	site->level = p->level;
	site_defaults(st);
	site->match = p->match;
	site->protocols = p->protocols ? p->protocols : site->protocols;
	site->ciphers = p->ciphers ? p->ciphers : site->ciphers;
	site->exclude = p->exclude ? p->exclude : site->exclude;
	site->sni = p->sni ? p->sni : site->sni;
	if (p->trust_anchors && *site->trust_anchors)
		site->trust_anchors = ph_arena_printf(st->arena, "%s %s", site->trust_anchors, p->trust_anchors);
	else if (p->trust_anchors)
		site->trust_anchors = p->trust_anchors;
	site_sts(st, p);
}

/* The destination as it is written, then its parent domains with a dot in front. */
static void site_find(struct smtp_state *st)
{
	const char *key = st->dest, *value;
	struct ph_err err;

	while (key) {
		switch (ph_maps_find(st->service->tls_policy, key, key != st->dest, st->arena, &value, &err)) {
		case PH_LOOKUP_FOUND:
			site_parse(st, value);
			return;
		case PH_LOOKUP_NOTFOUND:
			break;
		case PH_LOOKUP_TEMPFAIL:
		case PH_LOOKUP_PERMERR:
			ph_log(PH_LOG_WARNING, "%s", err.text);
			site_bad(st, "policy table lookup error");
			return;
		}
		if (strchr(st->dest, '[') || strchr(st->dest, ':'))
			return;
		key = strchr(key + 1, '.');
	}
}

/* The words of smtp_tls_fingerprint_cert_match that are fingerprints. */
static const char *fingerprints(struct smtp_state *st, const char *text)
{
	char *cursor = ph_arena_strdup(st->arena, text), *good = ph_arena_alloc(st->arena, strlen(text) + 1), *word;

	while ((word = ph_str_token(&cursor, PH_SEP_LIST))) {
		if (word[strspn(word, "0123456789abcdefABCDEF:")] != '\0')
			ph_log(PH_LOG_WARNING, "malformed fingerprint value: %s", word);
		else
			strcat(strcat(good, *good ? " " : ""), word);
	}
	return good;
}

/* What MTA-STS adds to the key: a session under another policy may be with a host that this one does not name. */
static const char *sts_key(struct smtp_state *st)
{
	const struct smtp_tls_site *p = &st->site;
	struct ph_buf b = PH_BUF_INIT(256 * 1024);
	const char *text;
	size_t i;

	if (p->sts_failure)
		ph_buf_printf(&b, "\nfailure %s", p->sts_failure);
	for (i = 0; p->sts && i < p->sts->n_patterns; i++)
		ph_buf_printf(&b, "\nmx %s", p->sts->patterns[i]);
	text = ph_arena_strdup(st->arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return text;
}

/* All that follows from the level. */
static void site_finish(struct smtp_state *st)
{
	const struct smtp_settings *set = st->service->set;
	struct smtp_tls_site *p = &st->site;

	if (p->match == NULL)
		p->match = p->level == SMTP_TLS_FINGERPRINT ? set->tls_fingerprint_match : p->level == SMTP_TLS_SECURE ? set->tls_secure_match : set->tls_verify_match;
	if (!p->invalid && p->level == SMTP_TLS_FINGERPRINT && p->match == set->tls_fingerprint_match)
		p->match = fingerprints(st, p->match);
	if (!p->invalid && p->level == SMTP_TLS_FINGERPRINT && p->match[strspn(p->match, ", \t\r\n|")] == '\0') {
		ph_log(PH_LOG_WARNING, "nexthop domain %s: configured at fingerprint security level, but with no fingerprints to match.", st->dest);
		p->invalid = true;
	}
	if (p->level == SMTP_TLS_NONE && !p->invalid)
		return;
	p->key = ph_arena_printf(st->arena, "%d/%d\n%s\n%s\n%s\n%s\n%s\n%s%s", p->level, p->invalid, p->level >= SMTP_TLS_FINGERPRINT ? p->match : "", p->protocols, p->ciphers,
				 p->exclude, p->sni, p->trust_anchors, sts_key(st));
}

/* "TLS-Required: no": no table counts, and nothing more than TLS where there is some (RFC 8689 section 5). */
static void optional(struct smtp_state *st)
{
	int most = st->service->set->tls_wrapper ? SMTP_TLS_ENCRYPT : SMTP_TLS_MAY;

	if (st->site.level > most)
		st->site.level = most;
	site_defaults(st);
	site_finish(st);
}

void smtp_tls_site(struct smtp_state *st)
{
	struct smtp_tls_site *p = &st->site;

	memset(p, 0, sizeof(*p));
	p->key = "";
	p->level = st->service->tls_level;
	/* Where there are logins, no author decides to whom a password goes. */
	if (ph_delivery_tls_request(st->d) == PH_TLS_REQUEST_OPTIONAL && st->service->sasl_maps == NULL) {
		optional(st);
		return;
	}
	p->by_host = st->service->tls_per_site != NULL;
	if (p->by_host || (st->service->tls_policy == NULL && p->level == SMTP_TLS_NONE))
		return;
	site_defaults(st);
	if (st->service->tls_policy)
		site_find(st);
	site_finish(st);
}

/* ---- smtp_tls_per_site -------------------------------------------------------------------- */

/* What the table says about a name: a level; -1: nothing; st->site.invalid is set when nobody can tell. */
static int per_site_find(struct smtp_state *st, const char *what, const char *name)
{
	static const struct { const char *word; int level; } words[] = {
		{ "NONE", SMTP_TLS_NONE }, { "MAY", SMTP_TLS_MAY }, { "MUST_NOPEERMATCH", SMTP_TLS_ENCRYPT }, { "MUST", SMTP_TLS_VERIFY },
	};
	const char *value;
	struct ph_err err;
	size_t i;

	switch (ph_maps_find(st->service->tls_per_site, name, false, st->arena, &value, &err)) {
	case PH_LOOKUP_NOTFOUND:
		return -1;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		ph_log(PH_LOG_WARNING, "%s", err.text);
		ph_log(PH_LOG_WARNING, "%stls_per_site: %s \"%s\": per-site table lookup error", SMTP_PREFIX, what, name);
		st->site.invalid = st->site.failed = true;
		return -1;
	case PH_LOOKUP_FOUND:
		break;
	}
	for (i = 0; i < PH_ARRAY_LEN(words); i++) {
		if (strcasecmp(value, words[i].word) == 0)
			return words[i].level;
	}
	ph_log(PH_LOG_WARNING, "%stls_per_site: unknown TLS policy '%s' for %s %s", SMTP_PREFIX, value, what, name);
	st->site.invalid = true;
	return -1;
}

/* Of two levels the one that says more: MAY is no more than a permission, NONE is a decision, a demand goes before that. */
static int stricter(int a, int b)
{
	static const int rank[] = { [SMTP_TLS_NONE] = 2, [SMTP_TLS_MAY] = 1, [SMTP_TLS_ENCRYPT] = 3, [SMTP_TLS_VERIFY] = 4 };

	return b < 0 || (a >= 0 && rank[a] >= rank[b]) ? a : b;
}

/* The policy of this server, from the names of the destination and its own. */
static void per_site(struct smtp_state *st, const char *host)
{
	int found, general = st->service->tls_level;

	memset(&st->site, 0, sizeof(st->site));
	st->site.by_host = true;
	st->site.key = "";
	found = per_site_find(st, "next-hop destination", st->dest);
	if (!st->site.invalid && strcasecmp(host, st->dest) != 0)
		found = stricter(found, per_site_find(st, "server hostname", host));
	if (found < 0 || (found == SMTP_TLS_MAY && general != SMTP_TLS_NONE))
		found = general;
	st->site.level = found;
	site_defaults(st);
	site_finish(st);
}

/* ---- what follows for a server ------------------------------------------------------------ */

const char *smtp_nexthop_domain(struct smtp_state *st)
{
	struct smtp_why why = st->why;
	struct smtp_dest dest;

	if (smtp_dest_parse(st, st->dest, &dest) < 0) {
		st->why = why;
		return "";
	}
	return dest.is_unix ? st->service->shared.myhostname : dest.host;
}

/* "hostname, nexthop, dot-nexthop, name:name" -> names; digests for level fingerprint. */
static void demand_match(struct smtp_state *st, const char *host, struct smtp_tls_demand *d)
{
	const char *words = st->site.match, **list = ph_arena_alloc(st->arena, (strlen(words) / 2 + 1) * sizeof(*list));
	const char *sep = d->level == SMTP_TLS_FINGERPRINT ? ", \t\r\n|" : ", \t\r\n:";
	char *cursor = ph_arena_strdup(st->arena, words), *word;
	size_t n = 0;

	while ((word = ph_str_token(&cursor, sep))) {
		if (d->level == SMTP_TLS_FINGERPRINT)
			list[n++] = word;
		else if (strcasecmp(word, "hostname") == 0)
			list[n++] = host;
		else if (strcasecmp(word, "nexthop") == 0)
			list[n++] = smtp_nexthop_domain(st);
		else if (strcasecmp(word, "dot-nexthop") == 0)
			list[n++] = ph_arena_printf(st->arena, ".%s", smtp_nexthop_domain(st));
		else
			list[n++] = word;
	}
	d->match = list;
	d->n_match = n;
}

static const char *server_name(struct smtp_state *st, const char *host)
{
	const char *sni = st->site.sni;

	if (strcasecmp(sni, "nexthop") == 0)
		sni = smtp_nexthop_domain(st);
	else if (strcasecmp(sni, "hostname") == 0)
		sni = host;
	return *sni ? sni : NULL;
}

static void demand_key(struct smtp_state *st, struct smtp_tls_demand *d)
{
	struct ph_buf b = PH_BUF_INIT(256 * 1024);
	size_t i, k;

	ph_buf_printf(&b, "%s\n%d\n%s", st->site.key, d->level, d->sni ? d->sni : "");
	for (i = 0; i < d->n_match; i++)
		ph_buf_printf(&b, "\n%s", d->match[i]);
	for (i = 0; i < d->n_tlsa; i++) {
		ph_buf_printf(&b, "\n%u %u %u ", d->tlsa[i].usage, d->tlsa[i].selector, d->tlsa[i].mtype);
		for (k = 0; k < d->tlsa[i].data.n; k++)
			ph_buf_printf(&b, "%02x", (unsigned char)d->tlsa[i].data.p[k]);
	}
	d->key = ph_arena_strdup(st->arena, ph_buf_str(&b));
	ph_buf_done(&b);
}

/* MTA-STS forbids this host.  st->why is set. */
static bool sts_refuses(struct smtp_state *st, const char *host)
{
	if (st->site.sts_failure)
		smtp_why_set(st, "4.7.5", "MTA-STS policy failure: %s", st->site.sts_failure);
	else if (st->site.sts && !smtp_policy_names(st->site.sts, host))
		smtp_why_set(st, "4.7.5", "MTA-STS policy does not name host %s", host);
	else
		return false;
	return true;
}

int smtp_tls_demand(struct smtp_state *st, const struct smtp_addr *a, int port, struct smtp_tls_demand *d)
{
	memset(d, 0, sizeof(*d));
	if (st->site.by_host)
		per_site(st, a->host);
	d->level = (enum smtp_tls_level)st->site.level;
	d->key = "";
	if (st->site.failed) {
		smtp_why_set(st, "4.3.0", "Temporary lookup error");
		return -1;
	}
	if (st->site.invalid) {
		smtp_why_set(st, "4.7.5", "client TLS configuration problem");
		return -1;
	}
	if (d->level == SMTP_TLS_NONE)
		return 0;
	if (sts_refuses(st, a->host))
		return -1;
	if ((d->level == SMTP_TLS_DANE || d->level == SMTP_TLS_DANE_ONLY) && smtp_dane_demand(st, a, port, d) < 0)
		return -1;
	if (d->level >= SMTP_TLS_FINGERPRINT)
		demand_match(st, a->host, d);
	if (d->sni == NULL)
		d->sni = server_name(st, a->host);
	demand_key(st, d);
	return 0;
}
