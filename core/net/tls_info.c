/* tls_info.c: what a handshake has agreed on.  No state of its own; no yield. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "net/tls_private.h"

/* "AA:BB:..." */
static char *hex_colons(const unsigned char *p, unsigned n)
{
	static const char digits[] = "0123456789ABCDEF";
	char *s = ph_alloc(n * 3 + 1);
	unsigned i;

	for (i = 0; i < n; i++) {
		s[i * 3] = digits[p[i] >> 4];
		s[i * 3 + 1] = digits[p[i] & 15];
		s[i * 3 + 2] = i + 1 < n ? ':' : '\0';
	}
	return s;
}

static char *cert_fingerprint(X509 *cert, const EVP_MD *md)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n;

	return X509_digest(cert, md, sum, &n) == 1 ? hex_colons(sum, n) : NULL;
}

/* Of the public key with its algorithm (SubjectPublicKeyInfo), as TLSA selector 1 has it. */
char *ph_tls_pkey_fingerprint(X509 *cert, const EVP_MD *md)
{
	unsigned char *der = NULL, sum[EVP_MAX_MD_SIZE];
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	char *text = NULL;
	unsigned n;

	if (len > 0 && EVP_Digest(der, (size_t)len, sum, &n, md, NULL) == 1)
		text = hex_colons(sum, n);
	OPENSSL_free(der);
	return text;
}

/* A copy in UTF-8; what is not printable becomes '?'; names with a NUL inside are a trick and count as none. */
static char *common_name(const X509_NAME *name, int nid)
{
	int at = X509_NAME_get_index_by_NID(name, nid, -1), len;
	unsigned char *utf8 = NULL;
	char *text = NULL, *p;

	if (at < 0)
		return NULL;
	len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (len > 0 && len <= 256 && memchr(utf8, '\0', (size_t)len) == NULL &&
	    ph_utf8_valid((char *)utf8, (size_t)len)) {
		text = ph_strndup((char *)utf8, (size_t)len);
		for (p = text; *p; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				*p = '?';
	}
	OPENSSL_free(utf8);
	return text;
}

/* "/CN=some CA" of the certificate at which the chain ends. */
static char *last_issuer(SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
	char text[256];

	if (chain == NULL || sk_X509_num(chain) < 1)
		return NULL;
	if (X509_NAME_oneline(X509_get_issuer_name(sk_X509_value(chain, sk_X509_num(chain) - 1)), text, sizeof(text)) == NULL)
		return NULL;
	return ph_strdup(text);
}

static void fill_peer(struct ph_tls *tls, X509 *cert)
{
	struct ph_tls_info *info = &tls->info;

	info->peer_cn = tls->texts[0] = common_name(X509_get_subject_name(cert), NID_commonName);
	tls->texts[1] = common_name(X509_get_issuer_name(cert), NID_commonName);
	if (tls->texts[1] == NULL)
		tls->texts[1] = common_name(X509_get_issuer_name(cert), NID_organizationName);
	info->peer_issuer_cn = tls->texts[1];
	info->peer_fingerprint = tls->texts[2] = cert_fingerprint(cert, tls->ctx->digest);
	info->peer_pkey_fingerprint = tls->texts[3] = ph_tls_pkey_fingerprint(cert, tls->ctx->digest);
	info->verify_code = (int)SSL_get_verify_result(tls->ssl);
	info->peer_verified = info->verify_code == X509_V_OK;
	if (!info->peer_verified) {
		info->verify_text = X509_verify_cert_error_string(info->verify_code);
		info->verify_issuer = tls->texts[7] = last_issuer(tls->ssl);
	}
}

/* RFC 8446 section 4.2.3: from TLS 1.3 on the signature is not told by the cipher's name. */
static const char *signature_name(int nid)
{
	switch (nid) {
	case EVP_PKEY_RSA:
		return "RSA";
	case EVP_PKEY_RSA_PSS:
		return "RSA-PSS";
	case EVP_PKEY_EC:
		return "ECDSA";
	case EVP_PKEY_ED25519:
		return "ED25519";
	case EVP_PKEY_ED448:
		return "ED448";
	}
	return NULL;
}

/* "prime256v1", "2048 bits": what makes a key of that type strong or weak; "" where the type says all. */
static void key_size(EVP_PKEY *key, char *out, size_t bytes)
{
	out[0] = '\0';
	switch (key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE) {
	case EVP_PKEY_EC:
		if (EVP_PKEY_get_group_name(key, out, bytes, NULL) != 1)
			out[0] = '\0';
		break;
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
	case EVP_PKEY_DH:
	case EVP_PKEY_DSA:
		snprintf(out, bytes, "%d bits", EVP_PKEY_get_bits(key));
		break;
	}
}

/* "NAME (size)"; the caller frees.  NULL without a name. */
static char *named(const char *name, EVP_PKEY *key)
{
	char size[80], text[160];

	if (name == NULL)
		return NULL;
	key_size(key, size, sizeof(size));
	if (size[0])
		snprintf(text, sizeof(text), "%s (%s)", name, size);
	else
		snprintf(text, sizeof(text), "%s", name);
	return ph_strdup(text);
}

static const char *exchange_name(EVP_PKEY *key)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_EC:
		return "ECDHE";
	case EVP_PKEY_DH:
		return "DHE";
	}
	return OBJ_nid2sn(EVP_PKEY_get_base_id(key));
}

static void fill_exchange(struct ph_tls *tls)
{
	SSL *ssl = tls->ssl;
	struct ph_tls_info *info = &tls->info;
	X509 *peer = SSL_get0_peer_certificate(ssl), *own = SSL_get_certificate(ssl);
	EVP_PKEY *temp = NULL, *own_key, *peer_key;
	char *mine = NULL, *theirs = NULL;
	int nid;

	if (SSL_version(ssl) < TLS1_3_VERSION)
		return;
	if (SSL_get_peer_tmp_key(ssl, &temp) == 1 && temp)
		info->key_exchange = tls->texts[4] = named(exchange_name(temp), temp);
	EVP_PKEY_free(temp);
	own_key = own ? X509_get0_pubkey(own) : NULL;
	peer_key = peer ? X509_get0_pubkey(peer) : NULL;
	if (SSL_get_signature_type_nid(ssl, &nid) == 1)
		mine = tls->texts[5] = named(signature_name(nid), own_key);
	if (peer_key && SSL_get_peer_signature_type_nid(ssl, &nid) == 1)
		theirs = tls->texts[6] = named(signature_name(nid), peer_key);
	info->server_signature = tls->ctx->server ? mine : theirs;
	info->client_signature = tls->ctx->server ? theirs : mine;
	if ((tls->ctx->server ? SSL_get_signature_nid(ssl, &nid) : SSL_get_peer_signature_nid(ssl, &nid)) == 1)
		info->server_digest = OBJ_nid2sn(nid);
	if (info->client_signature && (tls->ctx->server ? SSL_get_peer_signature_nid(ssl, &nid) : SSL_get_signature_nid(ssl, &nid)) == 1)
		info->client_digest = OBJ_nid2sn(nid);
}

void ph_tls_info_fill(struct ph_tls *tls)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
	X509 *cert = SSL_get0_peer_certificate(tls->ssl);
	struct ph_tls_info *info = &tls->info;

	info->protocol = SSL_get_version(tls->ssl);
	info->cipher = SSL_CIPHER_get_name(cipher);
	info->bits = SSL_CIPHER_get_bits(cipher, &info->alg_bits);
	info->reused = SSL_session_reused(tls->ssl);
	if (cert)
		fill_peer(tls, cert);
	fill_exchange(tls);
	ERR_clear_error();
}

void ph_tls_info_free(struct ph_tls *tls)
{
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(tls->texts); i++)
		free(tls->texts[i]);
}
