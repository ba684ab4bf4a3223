/* tls.c: TLS contexts and the handshake with a server.
 *
 * State: the service's contexts, one for each set of protocols, ciphers and trust anchors in use.  A certificate that is not what the policy demands does not break
 * the handshake: the caller then says QUIT and gives its results.  Yields. */
#include "smtp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/x509_vfy.h>

struct tls_ctx {
	struct tls_ctx *next;
	char *key;
	struct ph_tls_ctx *ctx;
};

struct smtp_tls {
	struct tls_ctx *contexts;
};

static int default_level(const struct smtp_settings *set, struct ph_err *err)
{
	int level;

	if (*set->tls_level) {
		level = smtp_tls_level_parse(set->tls_level);
		return level >= 0 ? level : ph_err_set(err, -EINVAL, "invalid TLS level \"%s\" in " SMTP_PREFIX "tls_security_level", set->tls_level);
	}
	if (set->tls_enforce)
		return set->tls_enforce_peername ? SMTP_TLS_VERIFY : SMTP_TLS_ENCRYPT;
	return set->tls_use ? SMTP_TLS_MAY : SMTP_TLS_NONE;
}

/* ---- contexts ----------------------------------------------------------------------------- */

static struct ph_tls_ctx *ctx_get(struct smtp_service *svc, const struct smtp_tls_site *want, struct ph_err *err)
{
	const struct smtp_settings *set = svc->set;
	struct ph_tls_settings s = {
		.cert_file = set->tls_cert, .key_file = set->tls_key, .dcert_file = set->tls_dcert, .dkey_file = set->tls_dkey,
		.eccert_file = set->tls_eccert, .eckey_file = set->tls_eckey, .chain_files = set->tls_chain,
		.ca_file = set->tls_ca_file, .ca_path = set->tls_ca_path, .append_default_ca = svc->set->append_ca,
		.protocols = want->protocols, .ciphers = want->ciphers, .exclude_ciphers = want->exclude, .trust_anchor_files = want->trust_anchors,
		.verify_depth = set->tls_verify_depth, .fingerprint_digest = set->tls_fingerprint_digest,
		/* Sessions are kept in memory; the database's name only says that they are. */
		.session_timeout_ms = *set->tls_session_cache ? set->tls_session_ms : -1,
	};
	struct tls_ctx *c;
	char *key;

	ph_assert(asprintf(&key, "%s\n%s\n%s\n%s", want->protocols, want->ciphers, want->exclude, want->trust_anchors) >= 0);
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

int smtp_tls_start(struct smtp_service *svc, struct ph_err *err)
{
	const struct smtp_settings *set = svc->set;
	int level = default_level(set, err);
	bool mandatory = level > SMTP_TLS_MAY;
	struct smtp_tls_site site = {
		.protocols = mandatory ? set->tls_mand_protocols : set->tls_protocols, .ciphers = mandatory ? set->tls_mand_ciphers : set->tls_ciphers,
		.exclude = set->tls_exclude, .trust_anchors = set->tls_trust_anchors,
	};

	if (level < 0)
		return level;
	svc->tls = ph_alloc(sizeof(*svc->tls));
	svc->tls_level = level;
	svc->tls_loglevel = atoi(set->tls_loglevel);
	if (*set->tls_policy_maps)
		svc->tls_policy = ph_maps_open(svc->conf, SMTP_PREFIX "tls_policy_maps", set->tls_policy_maps);
	if (*set->tls_per_site && svc->tls_policy)
		ph_log(PH_LOG_WARNING, SMTP_PREFIX "tls_per_site ignored when " SMTP_PREFIX "tls_policy_maps is not empty.");
	else if (*set->tls_per_site)
		svc->tls_per_site = ph_maps_open(svc->conf, SMTP_PREFIX "tls_per_site", set->tls_per_site);
	if (level == SMTP_TLS_NONE || ctx_get(svc, &site, err))         /* read certificates now, not at the first delivery */
		return 0;
	smtp_tls_stop(svc);
	return -EINVAL;
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

/* ---- the handshake ------------------------------------------------------------------------ */

static void log_established(struct smtp_state *st, const struct ph_tls_info *i)
{
	const char *word = i->peer_fingerprint == NULL ? "Anonymous" : i->peer_matched && st->tls->level >= SMTP_TLS_DANE ? "Verified" :
			   i->verify_code == X509_V_OK ? "Trusted" : "Untrusted";
	struct ph_buf b = PH_BUF_INIT(1024);

	if (i->key_exchange)
		ph_buf_printf(&b, " key-exchange %s", i->key_exchange);
	if (i->server_signature)
		ph_buf_printf(&b, " server-signature %s", i->server_signature);
	if (i->server_digest)
		ph_buf_printf(&b, " server-digest %s", i->server_digest);
	if (i->client_signature)
		ph_buf_printf(&b, " client-signature %s", i->client_signature);
	if (i->client_digest)
		ph_buf_printf(&b, " client-digest %s", i->client_digest);
	ph_log(PH_LOG_INFO, "%s TLS connection %s to %s: %s with cipher %s (%d/%d bits)%s", word, i->reused ? "reused" : "established",
	       st->session->namaddrport, i->protocol, i->cipher, i->bits, i->alg_bits, ph_buf_str(&b));
	ph_buf_done(&b);
}

/* What is wrong with the server's certificate. */
static void log_unverified(struct smtp_state *st, const struct ph_tls_info *i)
{
	const char *whom = st->session->namaddrport;

	switch (i->verify_code) {
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		ph_log(PH_LOG_INFO, "certificate verification failed for %s: self-signed certificate", whom);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		ph_log(PH_LOG_INFO, "certificate verification failed for %s: untrusted issuer %s", whom, i->verify_issuer ? i->verify_issuer : "(unknown)");
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		ph_log(PH_LOG_INFO, "certificate verification failed for %s: certificate not yet valid", whom);
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		ph_log(PH_LOG_INFO, "certificate verification failed for %s: certificate has expired", whom);
		break;
	case X509_V_ERR_INVALID_PURPOSE:
		ph_log(PH_LOG_INFO, "certificate verification failed for %s: not designated for use as a server certificate", whom);
		break;
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
		ph_log(PH_LOG_INFO, "certificate verification failed for %s: certificate chain longer than limit(%d)", whom, st->service->set->tls_verify_depth);
		break;
	default:
		ph_log(PH_LOG_INFO, "server certificate verification failed for %s: num=%d:%s", whom, i->verify_code ? i->verify_code : X509_V_ERR_UNSPECIFIED,
		       i->verify_code ? i->verify_text : X509_verify_cert_error_string(X509_V_ERR_UNSPECIFIED));
	}
}

bool smtp_tls_verified(struct smtp_state *st)
{
	return st->tls->level < SMTP_TLS_DANE || ph_stream_tls(st->session->stream)->peer_matched;
}

static void fill_policy(const struct smtp_tls_demand *d, struct ph_tls_policy *p)
{
	p->sni = d->sni;
	p->report = true;
	if (d->level == SMTP_TLS_FINGERPRINT) {
		p->fingerprints = d->match;
		p->fingerprints_n = d->n_match;
	} else if (d->level >= SMTP_TLS_DANE) {
		p->names = d->match;
		p->names_n = d->n_match;
		p->tlsa = d->tlsa;
		p->tlsa_n = d->n_tlsa;
		p->require_trust = p->require_name = d->n_tlsa == 0;
	}
}

static int no_context(struct smtp_state *st, const struct ph_err *err)
{
	ph_log(PH_LOG_WARNING, "%s: %s: aborting TLS session", st->session->namaddrport, err->text);
	return -EINVAL;
}

/* What OpenSSL has to say is a warning of its own. */
static void log_failed(struct smtp_state *st, const char *text)
{
	bool library = strncmp(text, "TLS library problem", 19) == 0;

	ph_log(PH_LOG_INFO, "SSL_connect error to %s: %s", st->session->namaddrport, library ? "-1" : text);
	if (library)
		ph_log(PH_LOG_WARNING, "%s", text);
}

int smtp_tls_handshake(struct smtp_state *st)
{
	struct ph_tls_policy policy = { 0 };
	const struct ph_tls_info *info;
	struct ph_tls_ctx *ctx;
	struct ph_err err;
	int r;

	ctx = ctx_get(st->service, &st->site, &err);
	if (ctx == NULL)
		return no_context(st, &err);
	fill_policy(st->tls, &policy);
	if (st->service->tls_loglevel >= 2)
		ph_log(PH_LOG_INFO, "setting up TLS connection to %s", st->session->namaddrport);
	r = ph_stream_tls_connect_policy(st->session->stream, ctx, &policy, ph_now_ms() + st->service->set->starttls_ms, &err);
	if (r < 0) {
		log_failed(st, err.text);
		return r;
	}
	info = ph_stream_tls(st->session->stream);
	if (!smtp_tls_verified(st))
		log_unverified(st, info);
	if (st->service->tls_loglevel >= 1)
		log_established(st, info);
	return 0;
}
