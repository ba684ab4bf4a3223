/* posthouse/io.h: connections that park their coroutine.
 *
 * A stream is a connected socket with an input and an output buffer and, after a handshake, TLS; readers and
 * writers cannot tell the difference.  One coroutine uses a stream at a time.  Every call that can wait takes
 * an absolute deadline (ph_now_ms() + n) and returns -ETIMEDOUT when it passes, -ECANCELED when the coroutine
 * is cancelled, -ECONNRESET/-EPIPE/... when the peer is gone.  After an error other than -EMSGSIZE a stream is
 * only good for ph_stream_close; but a read that ended with -ETIMEDOUT or -ECANCELED may be repeated, and answered. */
#ifndef POSTHOUSE_IO_H
#define POSTHOUSE_IO_H

#include <posthouse/base.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_stream;
struct ph_tls_ctx;

/* Where to connect: a numeric address with port, or a unix-domain path. */
struct ph_endpoint {
	union {
		struct sockaddr sa;
		struct sockaddr_storage ss;
	} addr;
	socklen_t len;
};

/* "1.2.3.4" or "::1" (brackets and an "IPv6:" prefix allowed) and a port 1..65535.  0 or -EINVAL. */
PH_API int ph_endpoint_ip(struct ph_endpoint *e, const char *address, int port);
/* Absolute path, shorter than sun_path.  0 or -ENAMETOOLONG. */
PH_API int ph_endpoint_unix(struct ph_endpoint *e, const char *path);
/* Address without port in its shortest text form; unix: the path.  buf of 108 bytes is always enough. */
PH_API const char *ph_endpoint_addr(const struct ph_endpoint *e, char *buf, size_t bytes);
PH_API int ph_endpoint_port(const struct ph_endpoint *e);   /* 0 for unix */

/* Connect.  source: local address to bind to, or NULL.  On success *ret is the caller's, to be closed with
 * ph_stream_close.  Yields. */
PH_API int ph_stream_connect(const struct ph_endpoint *to, const struct ph_endpoint *source,
			     int64_t deadline_ms, struct ph_stream **ret, struct ph_err *err);
/* Take over a connected, non-blocking socket. */
PH_API struct ph_stream *ph_stream_from_fd(int fd);
PH_API int ph_stream_fd(const struct ph_stream *s);
PH_API const struct ph_endpoint *ph_stream_peer(const struct ph_stream *s);
PH_API const struct ph_endpoint *ph_stream_local(const struct ph_stream *s);

/* ---- reading ---- */
/* What has been read and not consumed yet; valid until the next call on s.  No yield. */
PH_API struct ph_slice ph_stream_peek(const struct ph_stream *s);
PH_API void ph_stream_consume(struct ph_stream *s, size_t bytes);
/* Wait for more input behind what peek shows.  Bytes added (> 0), 0 at end of file, or an error;
 * -EMSGSIZE when the input buffer (default 16 KiB) is full.  Yields. */
PH_API ssize_t ph_stream_fill(struct ph_stream *s, int64_t deadline_ms);
/* One line, without its LF and a CR before it, and consumed; ret points into the buffer until the next call.
 * Length of the line (>= 0); -EMSGSIZE when max bytes hold no LF (nothing consumed), -ENODATA at a clean end of file.
 * Yields. */
PH_API ssize_t ph_stream_getline(struct ph_stream *s, size_t max, struct ph_slice *ret, int64_t deadline_ms);
/* Exactly n bytes into dst.  0, -ENODATA when the peer ends before.  Yields. */
PH_API int ph_stream_read_full(struct ph_stream *s, void *dst, size_t n, int64_t deadline_ms);
PH_API int ph_stream_set_input_max(struct ph_stream *s, size_t bytes);
/* Give the input buffer's memory back while it is empty (idle sessions). */
PH_API void ph_stream_trim(struct ph_stream *s);

/* ---- writing: buffered; flushed when 32 KiB wait, or by flush ---- */
PH_API int ph_stream_write(struct ph_stream *s, const void *p, size_t n, int64_t deadline_ms);      /* May yield. */
PH_API int ph_stream_puts(struct ph_stream *s, const char *text, int64_t deadline_ms);              /* May yield. */
PH_API int ph_stream_printf(struct ph_stream *s, int64_t deadline_ms, const char *fmt, ...) PH_PRINTF(3, 4); /* May yield. */
PH_API int ph_stream_flush(struct ph_stream *s, int64_t deadline_ms);                               /* Yields. */

/* ---- TLS ---- */
struct ph_tls_info {            /* text is owned by the stream */
	const char *protocol;   /* "TLSv1.3" */
	const char *cipher;
	int bits, alg_bits;     /* used / algorithm's */
	const char *key_exchange, *server_signature, *server_digest, *client_signature; /* may be NULL */
	const char *peer_cn, *peer_issuer_cn;           /* may be NULL */
	const char *peer_fingerprint;                   /* SHA-256, colon-separated upper case; may be NULL */
	bool peer_verified;                             /* chain is trusted */
	bool reused;
	bool peer_matched;                              /* client: trusted, and one of the expected names is in it */
	const char *peer_pkey_fingerprint;              /* of the public key; may be NULL */
	const char *client_digest;                      /* of client_signature; may be NULL */
	int verify_code;                                /* X509_V_ERR_* of the chain, or of the names that were demanded; 0: all is well */
	const char *verify_text;                        /* OpenSSL's words for it */
	const char *verify_issuer;                      /* who issued the last certificate of the chain; may be NULL */
};
/* Handshakes.  Unread plaintext input is discarded before the server's (RFC 3207 section 6; no command injection).
 * server_name: for SNI and name checks, or NULL.  Yields. */
PH_API int ph_stream_tls_accept(struct ph_stream *s, struct ph_tls_ctx *ctx, int64_t deadline_ms, struct ph_err *err);
PH_API int ph_stream_tls_connect(struct ph_stream *s, struct ph_tls_ctx *ctx, const char *server_name,
				 int64_t deadline_ms, struct ph_err *err);
PH_API const struct ph_tls_info *ph_stream_tls(const struct ph_stream *s);  /* NULL: plaintext */

/* NULL-safe; sets *s to NULL; drops unflushed output; sends a TLS close-notify if that needs no waiting. */
PH_API void ph_stream_close(struct ph_stream **s);

#ifdef __cplusplus
}
#endif
#endif
