/* tls_session.c: sessions that a client may resume, kept by server.  State: in struct ph_tls_ctx, bounded.
 * No yield. */
#include <stdlib.h>
#include <string.h>

#include "net/tls_private.h"

#define SESSIONS_MAX 1024

struct session {
	struct ph_list age;
	SSL_SESSION *session;
	char key[];
};

int ph_tls_session_index(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return index;
}

static void session_free(struct ph_tls_ctx *c, struct session *e)
{
	ph_htab_del(&c->sessions, e->key);
	ph_list_del(&e->age);
	SSL_SESSION_free(e->session);
	free(e);
}

/* OpenSSL's callback; 1: the reference is ours now. */
int ph_tls_session_new(SSL *ssl, SSL_SESSION *session)
{
	struct ph_tls *tls = SSL_get_ex_data(ssl, ph_tls_session_index());
	struct ph_tls_ctx *c;
	struct session *e;
	size_t n;

	if (tls == NULL || tls->session_key == NULL || tls->failed)
		return 0;
	c = tls->ctx;
	e = ph_htab_get(&c->sessions, tls->session_key);
	if (e)
		session_free(c, e);
	else if (c->sessions.n >= SESSIONS_MAX)
		session_free(c, ph_list_first(&c->sessions_age, struct session, age));
	n = strlen(tls->session_key) + 1;
	e = ph_alloc(sizeof(*e) + n);
	memcpy(e->key, tls->session_key, n);
	e->session = session;
	ph_list_append(&c->sessions_age, &e->age);
	ph_htab_put(&c->sessions, e->key, e);
	return 1;
}

void ph_tls_session_use(struct ph_tls *tls)
{
	struct session *e;

	if (!tls->ctx->sessions_on || tls->session_key == NULL)
		return;
	e = ph_htab_get(&tls->ctx->sessions, tls->session_key);
	if (e == NULL)
		return;
	if (SSL_SESSION_is_resumable(e->session))
		SSL_set_session(tls->ssl, e->session);
	else
		session_free(tls->ctx, e);
}

/* After a handshake that failed or a peer that was refused: start from scratch next time. */
void ph_tls_session_drop(struct ph_tls *tls)
{
	struct session *e;

	if (tls->session_key == NULL)
		return;
	e = ph_htab_get(&tls->ctx->sessions, tls->session_key);
	if (e)
		session_free(tls->ctx, e);
}

void ph_tls_sessions_free(struct ph_tls_ctx *c)
{
	struct session *e;

	while ((e = ph_list_first(&c->sessions_age, struct session, age)) != NULL)
		session_free(c, e);
	ph_htab_done(&c->sessions);
}
