/* posthouse/tls.h: TLS contexts, and what a client demands of a server.
 *
 * A context holds what connections of one kind share: certificates, protocols, ciphers, trust anchors, sessions.
 * What a single connection demands of its peer is a struct ph_tls_policy. */
#ifndef POSTHOUSE_TLS_H
#define POSTHOUSE_TLS_H

#include <posthouse/io.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ssl_st;

enum ph_tls_verify {
	PH_TLS_VERIFY_NONE,     /* client: look at the chain and record the result; server: ask for no certificate */
	PH_TLS_VERIFY_ASK,      /* server: ask the client for one, record the result */
	PH_TLS_VERIFY_REQUIRE,  /* the handshake fails without a trusted chain */
};

/* Texts are Postfix's parameter values; NULL and "" mean: not set. */
struct ph_tls_settings {
	const char *cert_file, *key_file;       /* RSA by tradition; key_file not set: in cert_file */
	const char *dcert_file, *dkey_file;
	const char *eccert_file, *eckey_file;
	const char *chain_files;                /* list of files: key, its certificate, intermediates, next key ... */
	const char *ca_file, *ca_path;
	bool append_default_ca;
	const char *protocols;                  /* ">=TLSv1", "!SSLv2, !SSLv3", "TLSv1.2 TLSv1.3" */
	const char *ciphers;                    /* grade: high, medium (default), low, export, null */
	const char *cipherlist;                 /* the OpenSSL list of that grade; not set: built in */
	const char *exclude_ciphers;            /* list */
	const char *groups;                     /* key exchange groups, OpenSSL names in a list; not set: OpenSSL's */
	const char *dh_file;                    /* "auto" or PEM; not set: auto */
	bool prefer_server_ciphers;
	enum ph_tls_verify verify;
	int verify_depth;                       /* 0: OpenSSL's default */
	const char *fingerprint_digest;         /* not set: sha256 */
	int64_t session_timeout_ms;             /* 0: an hour; < 0: no session reuse */
	const unsigned char *ticket_keys;       /* 80 bytes shared by all workers; NULL: random, this context only */
	const char *session_id_context;         /* not set: "posthouse" */
	/* Server: pick another context for this name.  Returns true with *ret set; must not yield. */
	bool (*on_sni)(void *arg, const char *name, struct ph_tls_ctx **ret);
	/* After each handshake: 0, or negative with err to refuse the peer.  May change info.  Must not yield. */
	int (*check_peer)(void *arg, struct ssl_st *ssl, const char *server_name, struct ph_tls_info *info,
			  struct ph_err *err);
	void *arg;                              /* of both hooks */
	const char *chain_pem;                  /* the content of chain_files, as text; goes before all files */
	/* Client: these certificates are trusted, whether they are CAs' own roots or not, and nothing else is (list of PEM files). */
	const char *trust_anchor_files;
};

/* 0, or negative with err.  Reads files: before a chroot.  On success *ret is the caller's; connections keep their own
 * reference, so it may be freed while they live. */
PH_API int ph_tls_server_ctx(const struct ph_tls_settings *s, struct ph_tls_ctx **ret, struct ph_err *err);
PH_API int ph_tls_client_ctx(const struct ph_tls_settings *s, struct ph_tls_ctx **ret, struct ph_err *err);
PH_API void ph_tls_ctx_free(struct ph_tls_ctx **ctx);                  /* NULL-safe */

/* What a client demands of a server.  All zero: nothing, but trust and name are recorded in ph_tls_info. */
struct ph_tls_tlsa {                            /* RFC 6698 section 2.1 */
	uint8_t usage, selector, mtype;
	struct ph_slice data;
};
struct ph_tls_policy {
	const char *sni;                        /* NULL: none sent */
	const char *const *names;               /* one must match; ".example.com": any sub-domain */
	size_t names_n;
	bool require_trust;                     /* a chain to a trusted CA */
	bool require_name;                      /* and one of names in it */
	bool single_label_wildcard;             /* "*.a.b" does not match "x.y.a.b" */
	const char *const *fingerprints;        /* if any: certificate or public key must have one of them */
	size_t fingerprints_n;
	const struct ph_tls_tlsa *tlsa;         /* if any: one must match (RFC 7671, 7672); names[0] is the TLSA base */
	size_t tlsa_n;
	const char *session_key;                /* for reuse; NULL: peer address, port and sni */
	/* What does not hold is no error: the handshake succeeds, and ph_tls_info says what does (peer_verified, peer_matched, verify_*).  The caller decides,
	 * and can still say goodbye over TLS. */
	bool report;
};
PH_API int ph_stream_tls_connect_policy(struct ph_stream *s, struct ph_tls_ctx *ctx, const struct ph_tls_policy *policy,
				 int64_t deadline_ms, struct ph_err *err);      /* Yields. */

#ifdef __cplusplus
}
#endif
#endif
