/* tls_private.h: what the files of TLS share. */
#ifndef PH_NET_TLS_PRIVATE_H
#define PH_NET_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "base/htab.h"
#include "base/list.h"
#include "net/stream.h"
#include "net/tls.h"

#define PH_TLS_CTX_MAGIC 0x71c7a001u

struct ph_tls_ctx {
	uint32_t magic;
	unsigned refs;
	bool server;
	SSL_CTX *ssl_ctx;
	enum ph_tls_verify verify;
	const EVP_MD *digest;
	char *authenticated_ciphers;    /* the cipher list without those that need no certificate */
	bool (*on_sni)(void *arg, const char *name, struct ph_tls_ctx **ret);
	int (*check_peer)(void *arg, struct ssl_st *ssl, const char *server_name, struct ph_tls_info *info,
			  struct ph_err *err);
	void *arg;
	bool sessions_on;               /* client: sessions to reuse, by key, oldest first */
	struct ph_htab sessions;
	struct ph_list sessions_age;
};

/* The TLS state of a stream. */
struct ph_tls {
	SSL *ssl;
	struct ph_tls_ctx *ctx;
	struct ph_stream *stream;
	int io_err;                     /* last error of the socket below */
	bool established, failed;
	char *session_key;              /* client */
	struct ph_tls_info info;
	char *texts[8];                 /* what info's pointers own */
};

/* tls_mem.c */
extern const bool ph_tls_mem_linked;
/* tls_ctx.c */
struct ph_tls_ctx *ph_tls_ctx_ref(struct ph_tls_ctx *ctx);
/* tls_error.c: the newest text of OpenSSL's error queue, which is emptied. */
int ph_tls_err(struct ph_err *err, int code, const char *fmt, ...) PH_PRINTF(3, 4);
/* tls_cert.c */
int ph_tls_load_chain_pem(SSL_CTX *ctx, const char *pem, struct ph_err *err);
int ph_tls_load_chain_files(SSL_CTX *ctx, const char *list, struct ph_err *err);
int ph_tls_load_pair(SSL_CTX *ctx, const char *cert, const char *key, struct ph_err *err);
/* tls_proto.c */
int ph_tls_set_ciphers(struct ph_tls_ctx *c, const struct ph_tls_settings *s, struct ph_err *err);
/* tls_session.c */
int ph_tls_session_index(void);         /* ex_data index of struct ph_tls */
int ph_tls_session_new(SSL *ssl, SSL_SESSION *session);
void ph_tls_session_use(struct ph_tls *tls);
void ph_tls_session_drop(struct ph_tls *tls);
void ph_tls_sessions_free(struct ph_tls_ctx *ctx);
/* tls_bio.c */
BIO *ph_tls_bio_new(struct ph_tls *tls);
/* tls_info.c */
void ph_tls_info_fill(struct ph_tls *tls);
void ph_tls_info_free(struct ph_tls *tls);
char *ph_tls_pkey_fingerprint(X509 *cert, const EVP_MD *md);
/* tls_policy.c */
void ph_tls_policy_digest(const struct ph_tls_policy *policy, struct ph_buf *to);
int ph_tls_policy_prepare(struct ph_tls *tls, const struct ph_tls_policy *policy, struct ph_err *err);
int ph_tls_policy_check(struct ph_tls *tls, const struct ph_tls_policy *policy, struct ph_err *err);

#endif
