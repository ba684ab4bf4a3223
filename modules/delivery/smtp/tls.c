/* tls.c: what TLS to demand of a server, and the handshake.
 *
 * State: the service's contexts, one for each set of protocols and ciphers in use.  Levels: none, may (opportunistic: anything, or plaintext), encrypt, fingerprint, verify,
 * secure.  Source: postconf(5), smtp_tls_policy_maps.  Yields. */
#include "smtp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct tls_ctx {
	struct tls_ctx *next;
	char *key;
	struct ph_tls_ctx *ctx;
};

struct smtp_tls {
	enum smtp_tls_level level;
	struct ph_maps *policy;         /* NULL: not set */
	int loglevel;
	struct tls_ctx *contexts;
};

static int level_parse(const char *word)
{
	static const char *const names[] = { "none", "may", "encrypt", "fingerprint", "verify", "secure" };
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(names); i++) {
		if (strcasecmp(word, names[i]) == 0)
			return (int)i;
	}
	return -EINVAL;
}

static int default_level(const struct smtp_settings *set, struct ph_err *err)
{
	int level;

	if (*set->tls_level) {
		level = level_parse(set->tls_level);
		return level >= 0 ? level : ph_err_set(err, level, SMTP_PREFIX "tls_security_level: unknown or unsupported level \"%s\"", set->tls_level);
	}
	if (set->tls_enforce)
		return set->tls_enforce_peername ? SMTP_TLS_VERIFY : SMTP_TLS_ENCRYPT;
	return set->tls_use ? SMTP_TLS_MAY : SMTP_TLS_NONE;
}

/* ---- contexts ----------------------------------------------------------------------------- */

static struct ph_tls_ctx *ctx_get(struct smtp_service *svc, const struct smtp_tls_demand *want, struct ph_err *err)
{
	const struct smtp_settings *set = svc->set;
	struct ph_tls_settings s = {
		.cert_file = set->tls_cert, .key_file = set->tls_key, .dcert_file = set->tls_dcert, .dkey_file = set->tls_dkey,
		.eccert_file = set->tls_eccert, .eckey_file = set->tls_eckey, .chain_files = set->tls_chain,
		.ca_file = set->tls_ca_file, .ca_path = set->tls_ca_path, .append_default_ca = svc->shared.append_ca,
		.protocols = want->protocols, .ciphers = want->ciphers, .exclude_ciphers = want->exclude,
		.verify_depth = set->tls_verify_depth, .fingerprint_digest = set->tls_fingerprint_digest,
	};
	struct tls_ctx *c;
	char *key;

	ph_assert(asprintf(&key, "%s\n%s\n%s", want->protocols, want->ciphers, want->exclude) >= 0);
	for (c = svc->tls->contexts; c; c = c->next) {
		if (strcmp(c->key, key) == 0)
			break;
	}
	if (c) {
		free(key);
		return c->ctx;
	}
	c = ph_alloc(sizeof(*c));
	c->key = key;
	if (ph_tls_client_ctx(&s, &c->ctx, err) < 0) {
		free(key);
		free(c);
		return NULL;
	}
	c->next = svc->tls->contexts;
	svc->tls->contexts = c;
	return c->ctx;
}

/* Protocols and ciphers as main.cf has them for this level. */
static void demand_defaults(struct smtp_state *st, struct ph_arena *arena, const struct smtp_settings *set, struct smtp_tls_demand *d)
{
	bool mandatory = d->level > SMTP_TLS_MAY;

	d->protocols = mandatory ? set->tls_mand_protocols : set->tls_protocols;
	d->ciphers = mandatory ? set->tls_mand_ciphers : set->tls_ciphers;
	d->exclude = mandatory && *set->tls_mand_exclude && arena ? ph_arena_printf(arena, "%s %s", set->tls_exclude, set->tls_mand_exclude) : set->tls_exclude;
}

int smtp_tls_start(struct smtp_service *svc, struct ph_err *err)
{
	const struct smtp_settings *set = svc->set;
	struct smtp_tls_demand d = { 0 };
	int level = default_level(set, err);

	if (level < 0)
		return level;
	svc->tls = ph_alloc(sizeof(*svc->tls));
	svc->tls->level = (enum smtp_tls_level)level;
	svc->tls->loglevel = atoi(set->tls_loglevel);
	if (*set->tls_policy_maps)
		svc->tls->policy = ph_maps_open(svc->conf, SMTP_PREFIX "tls_policy_maps", set->tls_policy_maps);
	if (level == SMTP_TLS_NONE)
		return 0;
	d.level = svc->tls->level;      /* read certificates now, not at the first delivery */
	demand_defaults(NULL, NULL, set, &d);
	if (ctx_get(svc, &d, err) == NULL) {
		smtp_tls_stop(svc);
		return -EINVAL;
	}
	return 0;
}

void smtp_tls_stop(struct smtp_service *svc)
{
	struct tls_ctx *c;

	if (svc->tls == NULL)
		return;
	while ((c = svc->tls->contexts)) {
		svc->tls->contexts = c->next;
		ph_tls_ctx_free(&c->ctx);
		free(c->key);
		free(c);
	}
	free(svc->tls);
	svc->tls = NULL;
}

bool smtp_tls_same_for_all(const struct smtp_service *svc)
{
	return svc->tls->policy == NULL && svc->tls->level <= SMTP_TLS_ENCRYPT;
}

/* ---- what holds for this server ----------------------------------------------------------- */

/* The destination's domain: no brackets, no port. */
static const char *nexthop_domain(struct smtp_state *st)
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
static void demand_match(struct smtp_state *st, struct smtp_tls_demand *d, const char *words)
{
	char *cursor = ph_arena_strdup(st->arena, words), *word;
	size_t n = 0;
	const char **list = ph_arena_alloc(st->arena, (strlen(words) / 2 + 1) * sizeof(*list));
	const char *sep = d->level == SMTP_TLS_FINGERPRINT ? ", \t\r\n|" : ", \t\r\n:";

	while ((word = ph_str_token(&cursor, sep))) {
		if (d->level == SMTP_TLS_FINGERPRINT)
			list[n++] = word;
		else if (strcasecmp(word, "hostname") == 0)
			list[n++] = st->session->host;
		else if (strcasecmp(word, "nexthop") == 0)
			list[n++] = nexthop_domain(st);
		else if (strcasecmp(word, "dot-nexthop") == 0)
			list[n++] = ph_arena_printf(st->arena, ".%s", nexthop_domain(st));
		else
			list[n++] = word;
	}
	d->match = list;
	d->n_match = n;
}

static int policy_bad(struct smtp_state *st, const char *text, const char *why)
{
	ph_log(PH_LOG_WARNING, "%stls_policy_maps: %s: %s in \"%s\"", SMTP_PREFIX, st->dest, why, text);
	smtp_why_set(st, "4.7.5", "client TLS configuration problem");
	return -EINVAL;
}

/* The right-hand side of a policy table. */
static int policy_parse(struct smtp_state *st, const char *text, struct smtp_tls_demand *d, const char **match)
{
	char *cursor = ph_arena_strdup(st->arena, text), *word, *value;
	int level;

	word = ph_str_token(&cursor, PH_SEP_LIST);
	level = word ? level_parse(word) : -EINVAL;
	if (level < 0)
		return policy_bad(st, text, "unknown level");
	d->level = (enum smtp_tls_level)level;
	demand_defaults(st, st->arena, st->service->set, d);
	while ((word = ph_str_token(&cursor, PH_SEP_LIST))) {
		value = strchr(word, '=');
		if (value == NULL)
			return policy_bad(st, text, "no value");
		*value++ = '\0';
		if (strcasecmp(word, "match") == 0)
			*match = *match ? ph_arena_printf(st->arena, "%s,%s", *match, value) : value;
		else if (strcasecmp(word, "protocols") == 0)
			d->protocols = ph_arena_strdup(st->arena, value);
		else if (strcasecmp(word, "ciphers") == 0)
			d->ciphers = value;
		else if (strcasecmp(word, "exclude") == 0)
			d->exclude = value;
		else if (strcasecmp(word, "servername") == 0)
			d->sni = value;
		else
			return policy_bad(st, text, "unknown attribute");
	}
	for (value = (char *)d->protocols; (value = strchr(value, ':'));)       /* "TLSv1.2:TLSv1.3" */
		*value = ' ';
	return 0;
}

/* The destination as it is written, then its parent domains with a dot in front.  1: found. */
static int policy_find(struct smtp_state *st, struct smtp_tls_demand *d, const char **match)
{
	const char *key = st->dest, *value;
	struct ph_err err;

	while (key) {
		switch (ph_maps_find(st->service->tls->policy, key, key != st->dest, st->arena, &value, &err)) {
		case PH_LOOKUP_FOUND:
			return policy_parse(st, value, d, match) < 0 ? -EINVAL : 1;
		case PH_LOOKUP_NOTFOUND:
			break;
		case PH_LOOKUP_TEMPFAIL:
		case PH_LOOKUP_PERMERR:
			ph_log(PH_LOG_WARNING, "%stls_policy_maps: %s", SMTP_PREFIX, err.text);
			smtp_why_set(st, "4.7.5", "client TLS configuration problem");
			return -EAGAIN;
		}
		if (strchr(st->dest, '[') || strchr(st->dest, ':'))
			break;
		key = strchr(key + 1, '.');
	}
	return 0;
}

static void demand_sni(struct smtp_state *st, struct smtp_tls_demand *d)
{
	if (d->sni == NULL)
		d->sni = st->service->set->tls_servername;
	if (strcasecmp(d->sni, "nexthop") == 0)
		d->sni = nexthop_domain(st);
	else if (strcasecmp(d->sni, "hostname") == 0)
		d->sni = st->session->host;
	if (*d->sni == '\0')
		d->sni = NULL;
}

int smtp_tls_demand(struct smtp_state *st, struct smtp_tls_demand *d)
{
	const struct smtp_settings *set = st->service->set;
	struct smtp_tls *tls = st->service->tls;
	const char *match = NULL;
	struct ph_err err;
	int r;

	memset(d, 0, sizeof(*d));
	d->level = tls->level;
	d->loglevel = tls->loglevel;
	demand_defaults(st, st->arena, set, d);
	if (tls->policy) {
		r = policy_find(st, d, &match);
		if (r < 0)
			return r;
	}
	if (d->level == SMTP_TLS_NONE)
		return 0;
	if (match == NULL)
		match = d->level == SMTP_TLS_FINGERPRINT ? set->tls_fingerprint_match : d->level == SMTP_TLS_SECURE ? set->tls_secure_match : set->tls_verify_match;
	if (d->level >= SMTP_TLS_FINGERPRINT)
		demand_match(st, d, match);
	demand_sni(st, d);
	d->ctx = ctx_get(st->service, d, &err);
	if (d->ctx)
		return 0;
	ph_log(PH_LOG_WARNING, "TLS library problem: %s", err.text);
	if (d->level == SMTP_TLS_MAY) {
		d->level = SMTP_TLS_NONE;       /* opportunistic: go on without */
		return 0;
	}
	smtp_why_set(st, "4.7.5", "client TLS configuration problem");
	return -EINVAL;
}

/* ---- the handshake ------------------------------------------------------------------------ */

static void log_established(struct smtp_state *st, const struct smtp_tls_demand *d)
{
	const struct ph_tls_info *i = ph_stream_tls(st->session->stream);
	const char *word = i->peer_fingerprint == NULL ? "Anonymous" : d->level >= SMTP_TLS_FINGERPRINT ? "Verified" : i->peer_verified ? "Trusted" : "Untrusted";
	struct ph_buf b = PH_BUF_INIT(1024);

	if (i->key_exchange)
		ph_buf_printf(&b, " key-exchange %s", i->key_exchange);
	if (i->server_signature)
		ph_buf_printf(&b, " server-signature %s", i->server_signature);
	if (i->server_digest)
		ph_buf_printf(&b, " server-digest %s", i->server_digest);
	if (i->client_signature)
		ph_buf_printf(&b, " client-signature %s", i->client_signature);
	ph_log(PH_LOG_INFO, "%s TLS connection %s to %s: %s with cipher %s (%d/%d bits)%s", word, i->reused ? "reused" : "established",
	       st->session->namaddrport, i->protocol, i->cipher, i->bits, i->alg_bits, ph_buf_str(&b));
	ph_buf_done(&b);
}

int smtp_tls_handshake(struct smtp_state *st, const struct smtp_tls_demand *d, struct ph_err *err)
{
	struct ph_tls_policy policy = { .sni = d->sni };
	int r;

	if (d->level == SMTP_TLS_FINGERPRINT) {
		if (d->n_match == 0)
			return ph_err_set(err, -EKEYREJECTED, "no fingerprint to match");
		policy.fingerprints = d->match;
		policy.fingerprints_n = d->n_match;
	} else if (d->level >= SMTP_TLS_VERIFY) {
		policy.names = d->match;
		policy.names_n = d->n_match;
		policy.require_trust = policy.require_name = true;
	}
	if (d->loglevel >= 2)
		ph_log(PH_LOG_INFO, "setting up TLS connection to %s", st->session->namaddrport);
	r = ph_stream_tls_connect_policy(st->session->stream, d->ctx, &policy, ph_now_ms() + st->service->set->starttls_ms, err);
	if (r == 0 && d->loglevel >= 1)
		log_established(st, d);
	return r;
}
