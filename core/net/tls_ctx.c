/* tls_ctx.c: making TLS contexts from Postfix's settings.  State: struct ph_tls_ctx, counted references.
 * No yield (reads files). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "net/tls_private.h"

#define SESSION_SECONDS 3600
#define SERVER_CACHE_SESSIONS 1024

static bool is_set(const char *s)
{
	return s && *s;
}

/* ---- parts -------------------------------------------------------------------------------- */

static int set_protocols(SSL_CTX *ctx, const char *list, struct ph_err *err)
{
	struct ph_tls_protocols p;
	int r = ph_tls_protocols_parse(is_set(list) ? list : ">=TLSv1", &p, err);

	if (r < 0)
		return r;
	if (SSL_CTX_set_min_proto_version(ctx, p.min) != 1 || SSL_CTX_set_max_proto_version(ctx, p.max) != 1)
		return ph_err_set(err, -EINVAL, "TLS protocol versions \"%s\" are not supported", list);
	SSL_CTX_set_options(ctx, p.no);
	return 0;
}

static int set_certificates(SSL_CTX *ctx, const struct ph_tls_settings *s, struct ph_err *err)
{
	const char *pairs[][2] = { { s->cert_file, s->key_file }, { s->dcert_file, s->dkey_file },
				   { s->eccert_file, s->eckey_file } };
	size_t i;
	int r = 0;

	if (is_set(s->chain_pem))
		return ph_tls_load_chain_pem(ctx, s->chain_pem, err);
	if (is_set(s->chain_files))     /* overrides the others */
		return ph_tls_load_chain_files(ctx, s->chain_files, err);
	for (i = 0; r == 0 && i < PH_ARRAY_LEN(pairs); i++)
		if (is_set(pairs[i][0]))
			r = ph_tls_load_pair(ctx, pairs[i][0], pairs[i][1], err);
	return r;
}

/* Only these, and each for itself: the chain may end at any of them. */
static int set_trust_anchors(SSL_CTX *ctx, const char *list, struct ph_err *err)
{
	char *copy = ph_strdup(list), *cursor = copy, *path;
	int r = 0;

	while (r == 0 && (path = ph_str_token(&cursor, PH_SEP_LIST)) != NULL)
		if (SSL_CTX_load_verify_file(ctx, path) != 1)
			r = ph_tls_err(err, -EINVAL, "cannot load trust anchors from \"%s\"", path);
	free(copy);
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
	return r;
}

static int set_anchors(struct ph_tls_ctx *c, const struct ph_tls_settings *s, struct ph_err *err)
{
	STACK_OF(X509_NAME) *names;

	ERR_clear_error();
	if (is_set(s->trust_anchor_files))
		return set_trust_anchors(c->ssl_ctx, s->trust_anchor_files, err);
	if (is_set(s->ca_file) && SSL_CTX_load_verify_file(c->ssl_ctx, s->ca_file) != 1)
		return ph_tls_err(err, -EINVAL, "cannot load CA certificates from \"%s\"", s->ca_file);
	if (is_set(s->ca_path) && SSL_CTX_load_verify_dir(c->ssl_ctx, s->ca_path) != 1)
		return ph_tls_err(err, -EINVAL, "cannot use CA directory \"%s\"", s->ca_path);
	if (s->append_default_ca && SSL_CTX_set_default_verify_paths(c->ssl_ctx) != 1)
		return ph_tls_err(err, -EINVAL, "cannot load the system's CA certificates");
	if (c->server && c->verify != PH_TLS_VERIFY_NONE && is_set(s->ca_file)) {
		names = SSL_load_client_CA_file(s->ca_file);
		if (names == NULL)
			return ph_tls_err(err, -EINVAL, "cannot load CA names from \"%s\"", s->ca_file);
		SSL_CTX_set_client_CA_list(c->ssl_ctx, names);
	}
	return 0;
}

static int set_dh(SSL_CTX *ctx, const char *path, struct ph_err *err)
{
	EVP_PKEY *params;
	BIO *bio;

	if (!is_set(path) || strcmp(path, "auto") == 0) {
		SSL_CTX_set_dh_auto(ctx, 1);
		return 0;
	}
	bio = BIO_new_file(path, "r");
	params = bio ? PEM_read_bio_Parameters(bio, NULL) : NULL;
	BIO_free(bio);
	if (params == NULL || SSL_CTX_set0_tmp_dh_pkey(ctx, params) != 1) {
		EVP_PKEY_free(params);
		return ph_tls_err(err, -EINVAL, "cannot load DH parameters from \"%s\"", path);
	}
	return 0;
}

/* OpenSSL wants colons and refuses the whole list for one unknown name: leave those out. */
static int set_groups(SSL_CTX *ctx, const char *list, struct ph_err *err)
{
	struct ph_buf b = PH_BUF_INIT(4096);
	char *copy, *cursor, *name;
	int r = 0;

	if (!is_set(list))
		return 0;
	copy = cursor = ph_strdup(list);
	while ((name = ph_str_token(&cursor, ", \t\r\n:")) != NULL) {
		if (SSL_CTX_set1_groups_list(ctx, name) == 1)
			ph_buf_printf(&b, "%s%s", b.len ? ":" : "", name);
	}
	free(copy);
	ERR_clear_error();
	if (b.len == 0 || SSL_CTX_set1_groups_list(ctx, ph_buf_str(&b)) != 1)
		r = ph_tls_err(err, -EINVAL, "no usable key exchange group in \"%s\"", list);
	ph_buf_done(&b);
	return r;
}

static int set_digest(struct ph_tls_ctx *c, const char *name, struct ph_err *err)
{
	c->digest = EVP_get_digestbyname(is_set(name) ? name : "sha256");
	if (c->digest == NULL)
		return ph_err_set(err, -EINVAL, "digest algorithm \"%s\" not found", name);
	return 0;
}

static int set_sessions(struct ph_tls_ctx *c, const struct ph_tls_settings *s, struct ph_err *err)
{
	const char *id = is_set(s->session_id_context) ? s->session_id_context : "posthouse";
	unsigned char keys[80];
	size_t n = strlen(id);
	long mode = c->server ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL;

	if (s->session_timeout_ms < 0) {
		SSL_CTX_set_session_cache_mode(c->ssl_ctx, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_options(c->ssl_ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(c->ssl_ctx, 0);
		return 0;
	}
	c->sessions_on = !c->server;
	SSL_CTX_set_session_cache_mode(c->ssl_ctx, mode);
	SSL_CTX_set_timeout(c->ssl_ctx, s->session_timeout_ms ? s->session_timeout_ms / 1000 : SESSION_SECONDS);
	if (n > SSL_MAX_SID_CTX_LENGTH)
		n = SSL_MAX_SID_CTX_LENGTH;
	SSL_CTX_set_session_id_context(c->ssl_ctx, (const unsigned char *)id, (unsigned)n);
	if (!c->server) {
		SSL_CTX_sess_set_new_cb(c->ssl_ctx, ph_tls_session_new);
		return 0;
	}
	SSL_CTX_sess_set_cache_size(c->ssl_ctx, SERVER_CACHE_SESSIONS);
	SSL_CTX_set_num_tickets(c->ssl_ctx, 1);
	if (s->ticket_keys) {
		memcpy(keys, s->ticket_keys, sizeof(keys));
		if (SSL_CTX_set_tlsext_ticket_keys(c->ssl_ctx, keys, sizeof(keys)) != 1)
			return ph_tls_err(err, -EINVAL, "cannot set the session ticket keys");
	}
	return 0;
}

static int on_servername(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct ph_tls *tls = SSL_get_ex_data(ssl, ph_tls_session_index());
	struct ph_tls_ctx *c = arg, *other = NULL;

	if (name == NULL || tls == NULL || c->on_sni == NULL || !c->on_sni(c->arg, name, &other))
		return SSL_TLSEXT_ERR_NOACK;
	ph_assert(other->magic == PH_TLS_CTX_MAGIC);
	SSL_set_SSL_CTX(ssl, other->ssl_ctx);
	return SSL_TLSEXT_ERR_OK;
}

/* The handshake goes on whatever the chain looks like; who requires trust looks at the result. */
static int verify_later(int ok, X509_STORE_CTX *x)
{
	return 1;
}

static void set_modes(struct ph_tls_ctx *c, const struct ph_tls_settings *s)
{
	SSL_CTX *ctx = c->ssl_ctx;
	int mode = SSL_VERIFY_NONE;

	if (c->server && c->verify != PH_TLS_VERIFY_NONE)
		mode = SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
	if (c->verify == PH_TLS_VERIFY_REQUIRE)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	else
		SSL_CTX_set_verify(ctx, mode, verify_later);
	if (s->verify_depth > 0)
		SSL_CTX_set_verify_depth(ctx, s->verify_depth);
	/* Postfix's base for opportunistic TLS: weak is better than plaintext; protocols and ciphers set the bounds. */
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (s->prefer_server_ciphers)
		SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
			 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);         /* header and body of a record with one read */
	if (c->server) {
		SSL_CTX_set_tlsext_servername_callback(ctx, on_servername);
		SSL_CTX_set_tlsext_servername_arg(ctx, c);
	} else {
		SSL_CTX_dane_enable(ctx);
	}
}

/* ---- life --------------------------------------------------------------------------------- */

static int ctx_make(bool server, const struct ph_tls_settings *s, struct ph_tls_ctx **ret, struct ph_err *err)
{
	struct ph_tls_ctx *c = ph_alloc(sizeof(*c));
	int r;

	ph_assert(*(const volatile bool *)&ph_tls_mem_linked);
	c->magic = PH_TLS_CTX_MAGIC;
	c->refs = 1;
	c->server = server;
	c->verify = s->verify;
	c->on_sni = s->on_sni;
	c->check_peer = s->check_peer;
	c->arg = s->arg;
	ph_list_init(&c->sessions_age);
	ERR_clear_error();
	c->ssl_ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	r = c->ssl_ctx ? 0 : ph_tls_err(err, -ENOMEM, "cannot make a TLS context");
	if (r == 0) {
		set_modes(c, s);
		r = set_protocols(c->ssl_ctx, s->protocols, err);
	}
	if (r == 0)
		r = ph_tls_set_ciphers(c, s, err);
	if (r == 0)
		r = set_certificates(c->ssl_ctx, s, err);
	if (r == 0)
		r = set_anchors(c, s, err);
	if (r == 0)
		r = set_dh(c->ssl_ctx, s->dh_file, err);
	if (r == 0)
		r = set_groups(c->ssl_ctx, s->groups, err);
	if (r == 0)
		r = set_digest(c, s->fingerprint_digest, err);
	if (r == 0)
		r = set_sessions(c, s, err);
	if (r == 0)
		*ret = c;
	else
		ph_tls_ctx_free(&c);
	return r;
}

int ph_tls_server_ctx(const struct ph_tls_settings *s, struct ph_tls_ctx **ret, struct ph_err *err)
{
	return ctx_make(true, s, ret, err);
}

int ph_tls_client_ctx(const struct ph_tls_settings *s, struct ph_tls_ctx **ret, struct ph_err *err)
{
	return ctx_make(false, s, ret, err);
}

struct ph_tls_ctx *ph_tls_ctx_ref(struct ph_tls_ctx *ctx)
{
	ph_assert(ctx->magic == PH_TLS_CTX_MAGIC);
	ctx->refs++;
	return ctx;
}

void ph_tls_ctx_free(struct ph_tls_ctx **cp)
{
	struct ph_tls_ctx *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	ph_assert(c->magic == PH_TLS_CTX_MAGIC && c->refs > 0);
	if (--c->refs > 0)
		return;
	ph_tls_sessions_free(c);
	SSL_CTX_free(c->ssl_ctx);
	free(c->authenticated_ciphers);
	c->magic = 0;
	free(c);
}
