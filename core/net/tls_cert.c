/* tls_cert.c: certificates and keys from files.  State: the files that root has read for later (ph_tls_keep_file).  No yield (reads files). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "net/tls_private.h"

/* ---- files that the process may not read any more ---- */

#define KEPT_MAX_BYTES ((long)1024 * 1024)

static struct kept {
	struct kept *next;
	char *path, *data;
	int n;
} *kept;

void ph_tls_keep_file(const char *path)
{
	struct kept *k = ph_alloc(sizeof(*k));
	FILE *f = fopen(path, "re");
	size_t n;

	k->data = ph_alloc(KEPT_MAX_BYTES);
	n = f ? fread(k->data, 1, KEPT_MAX_BYTES, f) : 0;
	if (f)
		fclose(f);
	if (n == 0 || n == KEPT_MAX_BYTES) {    /* whoever needs it says that it cannot be read */
		free(k->data);
		free(k);
		return;
	}
	k->data = ph_realloc(k->data, n);
	k->n = (int)n;
	k->path = ph_strdup(path);
	k->next = kept;
	kept = k;
}

static BIO *file_open(const char *path)
{
	const struct kept *k;

	for (k = kept; k; k = k->next)
		if (strcmp(k->path, path) == 0)
			return BIO_new_mem_buf(k->data, k->n);
	return BIO_new_file(path, "r");
}

/* ---- a certificate and its key ---- */

/* The certificate, then those above it. */
static bool use_certificates(SSL_CTX *ctx, BIO *bio)
{
	X509 *x = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;
	bool ok = x && SSL_CTX_use_certificate(ctx, x) == 1 && SSL_CTX_clear_chain_certs(ctx) == 1;

	X509_free(x);
	while (ok && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		ok = SSL_CTX_add0_chain_cert(ctx, x) == 1;
		if (!ok)
			X509_free(x);
	}
	if (ok && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		ok = false;
	if (ok)
		ERR_clear_error();
	BIO_free(bio);
	return ok;
}

static bool use_key(SSL_CTX *ctx, BIO *bio)
{
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	bool ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1;

	EVP_PKEY_free(key);
	BIO_free(bio);
	return ok;
}

int ph_tls_load_pair(SSL_CTX *ctx, const char *cert, const char *key, struct ph_err *err)
{
	if (key == NULL || *key == '\0')
		key = cert;
	ERR_clear_error();
	if (!use_certificates(ctx, file_open(cert)))
		return ph_tls_err(err, -EINVAL, "cannot get certificate from file \"%s\"", cert);
	if (!use_key(ctx, file_open(key)))
		return ph_tls_err(err, -EINVAL, "cannot get private key from file \"%s\"", key);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return ph_tls_err(err, -EINVAL, "private key \"%s\" does not match certificate \"%s\"", key, cert);
	return 0;
}

/* A key, its certificate and the certificates above that, while chain files are read: a key may stand at the end of one file and its
 * certificate at the beginning of the next. */
struct chain {
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) *above;
	const char *path;               /* where the key stands */
};

static void chain_clear(struct chain *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->cert);
	sk_X509_pop_free(c->above, X509_free);
	memset(c, 0, sizeof(*c));
}

static int chain_use(SSL_CTX *ctx, struct chain *c, struct ph_err *err)
{
	int r = 0;

	if (c->key == NULL)
		return 0;
	if (c->cert == NULL)
		r = ph_err_set(err, -EINVAL, "key without a certificate behind it in \"%s\"", c->path);
	else if (SSL_CTX_use_cert_and_key(ctx, c->cert, c->key, c->above, 1) != 1)
		r = ph_tls_err(err, -EINVAL, "cannot use the key in \"%s\" with its certificate", c->path);
	chain_clear(c);
	return r;
}

static int chain_item(SSL_CTX *ctx, struct chain *c, const char *name, const unsigned char *data, long n,
		      const char *path, struct ph_err *err)
{
	size_t len = strlen(name);
	X509 *x;
	int r;

	if (len >= 11 && strcmp(name + len - 11, "PRIVATE KEY") == 0) {
		r = chain_use(ctx, c, err);             /* the one before is complete */
		if (r < 0)
			return r;
		c->path = path;
		c->key = d2i_AutoPrivateKey(NULL, &data, n);
		return c->key ? 0 : ph_tls_err(err, -EINVAL, "bad private key in \"%s\"", path);
	}
	if (strcmp(name, "CERTIFICATE") != 0 && strcmp(name, "X509 CERTIFICATE") != 0)
		return 0;                               /* EC PARAMETERS, DH PARAMETERS */
	if (c->key == NULL)
		return ph_err_set(err, -EINVAL, "certificate without a key before it in \"%s\"", path);
	x = d2i_X509(NULL, &data, n);
	if (x == NULL)
		return ph_tls_err(err, -EINVAL, "bad certificate in \"%s\"", path);
	if (c->cert == NULL) {
		c->cert = x;
		return 0;
	}
	if (c->above == NULL)
		c->above = sk_X509_new_null();
	if (c->above == NULL || sk_X509_push(c->above, x) == 0) {
		X509_free(x);
		return ph_tls_err(err, -ENOMEM, "\"%s\"", path);
	}
	return 0;
}

/* Takes bio. */
static int load_chain(SSL_CTX *ctx, struct chain *c, BIO *bio, const char *path, struct ph_err *err)
{
	char *name, *header;
	unsigned char *data;
	int items = 0, r = 0;
	long n;

	if (bio == NULL)
		return ph_tls_err(err, -ENOENT, "cannot open \"%s\"", path);
	while (r == 0 && PEM_read_bio(bio, &name, &header, &data, &n)) {
		items++;
		if (*header)
			r = ph_err_set(err, -EINVAL, "encrypted key in \"%s\"", path);
		else
			r = chain_item(ctx, c, name, data, n, path, err);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)n);
	}
	if (r == 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		r = ph_tls_err(err, -EINVAL, "\"%s\"", path);
	ERR_clear_error();
	if (r == 0 && items == 0)
		r = ph_err_set(err, -EINVAL, "no key and certificate in \"%s\"", path);
	BIO_free(bio);
	return r;
}

int ph_tls_load_chain_files(SSL_CTX *ctx, const char *list, struct ph_err *err)
{
	char *copy = ph_strdup(list), *cursor = copy, *path;
	struct chain c = { NULL, NULL, NULL, NULL };
	int r = 0;

	ERR_clear_error();
	while (r == 0 && (path = ph_str_token(&cursor, PH_SEP_LIST)) != NULL)
		r = load_chain(ctx, &c, file_open(path), path, err);
	if (r == 0)
		r = chain_use(ctx, &c, err);
	chain_clear(&c);
	free(copy);
	return r;
}

int ph_tls_load_chain_pem(SSL_CTX *ctx, const char *pem, struct ph_err *err)
{
	struct chain c = { NULL, NULL, NULL, NULL };
	int r;

	ERR_clear_error();
	r = load_chain(ctx, &c, BIO_new_mem_buf(pem, -1), "the table's value", err);
	if (r == 0)
		r = chain_use(ctx, &c, err);
	chain_clear(&c);
	return r;
}
