/* tls_policy.c: what a client demands of a server: names, fingerprints, TLSA records (RFC 6698, 7671, 7672).
 * No state of its own; no yield. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/pack.h"
#include "net/tls_private.h"

/* Append "/" and a text that differs whenever the policies do. */
void ph_tls_policy_digest(const struct ph_tls_policy *p, struct ph_buf *to)
{
	struct ph_buf b = PH_BUF_INIT(1024 * 1024);
	unsigned char sum[32];
	size_t i;

	ph_pack_str(&b, p->sni);
	ph_pack_u8(&b, (uint8_t)(p->require_trust | p->require_name << 1 | p->single_label_wildcard << 2));
	ph_pack_u32(&b, (uint32_t)p->names_n);
	for (i = 0; i < p->names_n; i++)
		ph_pack_str(&b, p->names[i]);
	ph_pack_u32(&b, (uint32_t)p->fingerprints_n);
	for (i = 0; i < p->fingerprints_n; i++)
		ph_pack_str(&b, p->fingerprints[i]);
	for (i = 0; i < p->tlsa_n; i++) {
		ph_pack_u8(&b, p->tlsa[i].usage);
		ph_pack_u8(&b, p->tlsa[i].selector);
		ph_pack_u8(&b, p->tlsa[i].mtype);
		ph_pack_bytes(&b, p->tlsa[i].data.p, p->tlsa[i].data.n);
	}
	ph_assert(EVP_Digest(b.data, b.len, sum, NULL, EVP_sha256(), NULL) == 1);
	ph_buf_putc(to, '/');
	for (i = 0; i < sizeof(sum); i++)
		ph_buf_printf(to, "%02x", sum[i]);
	ph_buf_done(&b);
}

static unsigned host_flags(const struct ph_tls_policy *p)
{
	return X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
	       (p->single_label_wildcard ? 0 : X509_CHECK_FLAG_MULTI_LABEL_WILDCARDS);
}

/* Records that OpenSSL does not know or that are broken are left out; none left means that the server cannot be
 * authenticated, which is not the same as "does not have to be". */
static int prepare_dane(struct ph_tls *tls, const struct ph_tls_policy *p, struct ph_err *err)
{
	const char *base = p->names_n ? p->names[0] : p->sni;
	size_t i, usable = 0;
	int r;

	if (base == NULL || SSL_dane_enable(tls->ssl, base) <= 0)
		return ph_tls_err(err, -EINVAL, "cannot enable DANE");
	SSL_dane_set_flags(tls->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);  /* RFC 7672 section 3.1.1 */
	for (i = 0; i < p->tlsa_n; i++) {
		r = SSL_dane_tlsa_add(tls->ssl, p->tlsa[i].usage, p->tlsa[i].selector, p->tlsa[i].mtype,
				      (const unsigned char *)p->tlsa[i].data.p, p->tlsa[i].data.n);
		if (r < 0)
			return ph_tls_err(err, -ENOMEM, "TLSA record");
		usable += r > 0;
	}
	ERR_clear_error();
	if (usable == 0)
		return ph_err_set(err, -EKEYREJECTED, "no usable TLSA record");
	for (i = 1; i < p->names_n; i++)
		if (SSL_add1_host(tls->ssl, p->names[i]) != 1)
			return ph_tls_err(err, -ENOMEM, "cannot add a name");
	SSL_set_hostflags(tls->ssl, host_flags(p));
	return 0;
}

int ph_tls_policy_prepare(struct ph_tls *tls, const struct ph_tls_policy *p, struct ph_err *err)
{
	if (p->sni && *p->sni && SSL_set_tlsext_host_name(tls->ssl, p->sni) != 1)
		return ph_tls_err(err, -EINVAL, "cannot send the server name \"%s\"", p->sni);
	if ((p->require_trust || p->require_name || p->fingerprints_n || p->tlsa_n) &&
	    SSL_set_cipher_list(tls->ssl, tls->ctx->authenticated_ciphers) != 1)
		return ph_tls_err(err, -EINVAL, "no cipher with server certificates");
	return p->tlsa_n ? prepare_dane(tls, p, err) : 0;
}

static bool name_matches(X509 *cert, const struct ph_tls_policy *p)
{
	struct ph_endpoint e;
	size_t i;

	for (i = 0; i < p->names_n; i++) {
		if (ph_endpoint_ip(&e, p->names[i], 1) == 0) {
			if (X509_check_ip_asc(cert, p->names[i], 0) == 1)
				return true;
		} else if (X509_check_host(cert, p->names[i], 0, host_flags(p), NULL) == 1) {
			return true;
		}
	}
	return false;
}

static bool fingerprint_matches(const struct ph_tls *tls, const struct ph_tls_policy *p)
{
	const struct ph_tls_info *info = &tls->info;
	size_t i;

	for (i = 0; i < p->fingerprints_n; i++)
		if ((info->peer_fingerprint && ph_str_ieq(p->fingerprints[i], info->peer_fingerprint)) ||
		    (info->peer_pkey_fingerprint && ph_str_ieq(p->fingerprints[i], info->peer_pkey_fingerprint)))
			return true;
	return false;
}

/* The chain is all right, or nobody asked: the names are not. */
static void note_mismatch(struct ph_tls *tls, const struct ph_tls_policy *p)
{
	struct ph_endpoint e;
	bool numeric = p->names_n && ph_endpoint_ip(&e, p->names[0], 1) == 0;

	if (tls->info.verify_code != X509_V_OK)
		return;
	tls->info.verify_code = numeric ? X509_V_ERR_IP_ADDRESS_MISMATCH : X509_V_ERR_HOSTNAME_MISMATCH;
	tls->info.verify_text = X509_verify_cert_error_string(tls->info.verify_code);
}

static int check_tlsa(struct ph_tls *tls, const struct ph_tls_policy *p, struct ph_err *err)
{
	tls->info.peer_matched = tls->info.peer_verified && (tls->info.reused || SSL_get0_dane_authority(tls->ssl, NULL, NULL) >= 0);
	if (tls->info.peer_matched || p->report)
		return 0;
	return ph_err_set(err, -EKEYREJECTED, "Server certificate not verified: %s", X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl)));
}

static int check_fingerprints(struct ph_tls *tls, const struct ph_tls_policy *p, struct ph_err *err)
{
	tls->info.peer_matched = fingerprint_matches(tls, p);
	if (!tls->info.peer_matched) {          /* a fingerprint is a TLSA record of our own (usage 3) */
		tls->info.verify_code = X509_V_ERR_DANE_NO_MATCH;
		tls->info.verify_text = X509_verify_cert_error_string(X509_V_ERR_DANE_NO_MATCH);
	}
	if (tls->info.peer_matched || p->report)
		return 0;
	return ph_err_set(err, -EKEYREJECTED, "Server certificate fingerprint mismatch");
}

/* After the handshake, with tls->info filled.  0, or -EKEYREJECTED. */
int ph_tls_policy_check(struct ph_tls *tls, const struct ph_tls_policy *p, struct ph_err *err)
{
	X509 *cert = SSL_get0_peer_certificate(tls->ssl);
	bool names;

	if (p->tlsa_n)
		return check_tlsa(tls, p, err);
	if (p->fingerprints_n)
		return check_fingerprints(tls, p, err);
	names = cert && name_matches(cert, p);
	tls->info.peer_matched = tls->info.peer_verified && names;
	if (cert && p->require_name && !names)
		note_mismatch(tls, p);
	if (p->report)
		return 0;
	if ((p->require_trust || p->require_name) && !tls->info.peer_verified)
		return ph_err_set(err, -EKEYREJECTED, "Server certificate not trusted: %s",
				  cert ? X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl)) :
				  "no certificate");
	if (p->require_name && !tls->info.peer_matched)
		return ph_err_set(err, -EKEYREJECTED, "Server certificate not verified: name mismatch");
	return 0;
}
