/* tls_stream.c: TLS as a layer of a stream.
 *
 * A handshake costs up to a millisecond of computing.  So that a rush of new connections does not
 * starve established sessions, each loop turn has a budget for handshakes; those beyond it wait for the next turn,
 * in order.  State: struct ph_tls in the stream, and the budget.  Handshakes yield. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>

#include "base/co_private.h"
#include "net/tls_private.h"

#define HANDSHAKE_US_PER_TURN 4000

static struct {
	uint64_t turn;
	int64_t used_us;
} budget;

static int64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- life --------------------------------------------------------------------------------- */

static void tls_free(struct ph_stream *s)
{
	struct ph_tls *tls = s->tls;

	s->tls = NULL;
	SSL_free(tls->ssl);
	ph_tls_info_free(tls);
	free(tls->session_key);
	ph_tls_ctx_free(&tls->ctx);
	free(tls);
}

static int tls_new(struct ph_stream *s, struct ph_tls_ctx *ctx, struct ph_err *err)
{
	struct ph_tls *tls = ph_alloc(sizeof(*tls));
	BIO *bio = NULL;

	ERR_clear_error();
	tls->ctx = ph_tls_ctx_ref(ctx);
	tls->stream = s;
	s->tls = tls;
	tls->ssl = SSL_new(ctx->ssl_ctx);
	if (tls->ssl)
		bio = ph_tls_bio_new(tls);
	if (bio == NULL || SSL_set_ex_data(tls->ssl, ph_tls_session_index(), tls) != 1) {
		BIO_free(bio);
		tls_free(s);
		return ph_tls_err(err, -ENOMEM, "cannot make a TLS session");
	}
	SSL_set_bio(tls->ssl, bio, bio);
	if (ctx->server)
		SSL_set_accept_state(tls->ssl);
	else
		SSL_set_connect_state(tls->ssl);
	return 0;
}

/* A close-notify if that needs no waiting; the peer's is not waited for. */
void ph_tls_close(struct ph_stream *s)
{
	if (s->tls->established && !s->tls->failed) {
		ERR_clear_error();
		(void)SSL_shutdown(s->tls->ssl);
		ERR_clear_error();
	}
	tls_free(s);
}

const struct ph_tls_info *ph_stream_tls(const struct ph_stream *s)
{
	return s->tls && s->tls->established ? &s->tls->info : NULL;
}

/* ---- reading and writing ------------------------------------------------------------------ */

/* What an OpenSSL call that did not succeed means.  err may be NULL. */
static int tls_result(struct ph_tls *tls, int ret, short *ret_want, struct ph_err *err)
{
	switch (SSL_get_error(tls->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		*ret_want = EV_READ;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*ret_want = EV_WRITE;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		tls->failed = true;
		ERR_clear_error();
		if (tls->io_err)
			return ph_err_set(err, tls->io_err, "%s", strerrordesc_np(-tls->io_err));
		return ph_err_set(err, -ECONNRESET, "lost connection");
	}
	tls->failed = true;
	return ph_tls_err(err, -EPROTO, "TLS library problem");
}

ssize_t ph_tls_read(struct ph_stream *s, void *p, size_t n, short *ret_want)
{
	size_t got;
	int r;

	ERR_clear_error();
	r = SSL_read_ex(s->tls->ssl, p, n, &got);
	if (r == 1)
		return (ssize_t)got;
	return tls_result(s->tls, r, ret_want, NULL);
}

ssize_t ph_tls_write(struct ph_stream *s, const void *p, size_t n, short *ret_want)
{
	size_t done;
	int r;

	ERR_clear_error();
	r = SSL_write_ex(s->tls->ssl, p, n, &done);
	if (r == 1)
		return (ssize_t)done;
	r = tls_result(s->tls, r, ret_want, NULL);
	return r == 0 ? -EPIPE : r;
}

/* ---- handshakes --------------------------------------------------------------------------- */

static int wait_for_budget(void)
{
	int r;

	while (budget.turn == ph_loop_turn() && budget.used_us >= HANDSHAKE_US_PER_TURN) {
		r = ph_co_sleep(0);
		if (r < 0)
			return r;
	}
	if (budget.turn != ph_loop_turn()) {
		budget.turn = ph_loop_turn();
		budget.used_us = 0;
	}
	return 0;
}

/* 0 done, -EAGAIN, or an error. */
static int handshake_step(struct ph_tls *tls, short *ret_want, struct ph_err *err)
{
	int64_t start = clock_us();
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(tls->ssl);
	budget.used_us += clock_us() - start;
	if (r == 1)
		return 0;
	r = tls_result(tls, r, ret_want, err);
	return r == 0 ? ph_err_set(err, -ECONNRESET, "lost connection") : r;
}

static int handshake(struct ph_stream *s, int64_t deadline_ms, struct ph_err *err)
{
	short want = EV_READ;
	int r;

	for (;;) {
		r = wait_for_budget();
		if (r == 0) {
			r = handshake_step(s->tls, &want, err);
			if (r != -EAGAIN)
				return r;
			r = ph_fdw_wait(&s->w, want, deadline_ms);
		}
		if (r == -ETIMEDOUT)
			return ph_err_set(err, r, "Connection timed out");
		if (r < 0)
			return ph_err_set(err, r, "Operation canceled");
	}
}

/* What was read in plaintext behind STARTTLS was not protected and must not be taken for protected input
 * (RFC 3207 section 6). */
static void discard_plaintext(struct ph_stream *s)
{
	s->in_start = s->in_end = s->in_seen = 0;
	s->in_filled = false;
}

static int tls_start(struct ph_stream *s, struct ph_tls_ctx *ctx, int64_t deadline_ms, struct ph_err *err)
{
	int r;

	ph_assert(s->magic == PH_STREAM_MAGIC && s->tls == NULL);
	r = ph_stream_flush(s, deadline_ms);
	if (r < 0)
		return ph_err_errno(err, r, "before the handshake");
	discard_plaintext(s);
	r = tls_new(s, ctx, err);
	return r < 0 ? ph_stream_broken(s, r) : 0;
}

static int tls_finish(struct ph_stream *s, const char *server_name, const struct ph_tls_policy *policy, int r,
		      struct ph_err *err)
{
	struct ph_tls *tls = s->tls;

	if (r == 0) {
		tls->established = true;
		ph_tls_info_fill(tls);
		if (policy)
			r = ph_tls_policy_check(tls, policy, err);
	}
	if (r == 0 && tls->ctx->check_peer)
		r = tls->ctx->check_peer(tls->ctx->arg, tls->ssl, server_name, &tls->info, err);
	ERR_clear_error();
	ph_co_trim_stack();             /* a handshake goes deep, what follows does not */
	if (r == 0)
		return 0;
	ph_tls_session_drop(tls);
	return ph_stream_broken(s, r);
}

int ph_stream_tls_accept(struct ph_stream *s, struct ph_tls_ctx *ctx, int64_t deadline_ms, struct ph_err *err)
{
	int r;

	ph_assert(ctx->magic == PH_TLS_CTX_MAGIC && ctx->server);
	r = tls_start(s, ctx, deadline_ms, err);
	if (r < 0)
		return r;
	r = handshake(s, deadline_ms, err);
	return tls_finish(s, SSL_get_servername(s->tls->ssl, TLSEXT_NAMETYPE_host_name), NULL, r, err);
}

/* A resumed session is not verified again, so only one that passed the very same demands may be resumed. */
static char *session_key(struct ph_stream *s, const struct ph_tls_policy *p)
{
	const struct ph_endpoint *peer = ph_stream_peer(s);
	char addr[128], *key;
	struct ph_buf b = PH_BUF_INIT(65536);

	if (p->session_key)
		ph_buf_puts(&b, p->session_key);
	else
		ph_buf_printf(&b, "%s/%d", ph_endpoint_addr(peer, addr, sizeof(addr)), ph_endpoint_port(peer));
	ph_tls_policy_digest(p, &b);
	key = ph_strdup(ph_buf_str(&b));
	ph_buf_done(&b);
	return key;
}

int ph_stream_tls_connect_policy(struct ph_stream *s, struct ph_tls_ctx *ctx, const struct ph_tls_policy *policy,
				 int64_t deadline_ms, struct ph_err *err)
{
	int r;

	ph_assert(ctx->magic == PH_TLS_CTX_MAGIC && !ctx->server);
	r = tls_start(s, ctx, deadline_ms, err);
	if (r < 0)
		return r;
	r = ph_tls_policy_prepare(s->tls, policy, err);
	if (r < 0)
		return ph_stream_broken(s, r);
	if (ctx->sessions_on) {
		s->tls->session_key = session_key(s, policy);
		ph_tls_session_use(s->tls);
	}
	r = handshake(s, deadline_ms, err);
	return tls_finish(s, policy->sni, policy, r, err);
}

int ph_stream_tls_connect(struct ph_stream *s, struct ph_tls_ctx *ctx, const char *server_name,
			  int64_t deadline_ms, struct ph_err *err)
{
	struct ph_tls_policy policy = { .sni = server_name, .names = &server_name, .names_n = server_name != NULL };
	struct ph_endpoint e;

	if (server_name && ph_endpoint_ip(&e, server_name, 1) == 0)
		policy.sni = NULL;      /* RFC 6066 section 3: no addresses */
	return ph_stream_tls_connect_policy(s, ctx, &policy, deadline_ms, err);
}
