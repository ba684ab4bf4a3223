/* dovecot.c: sasl "dovecot": clients log in with what Dovecot's auth server says.
 *
 * Owns one struct dovecot_server per service.  Yields.  A server that cannot be asked is a temporary failure, never a wrong password. */
#include <posthouse/sasl.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include "../common/options.h"
#include "conn.h"

struct use {
	struct dovecot_server *server;
	unsigned options, tls_options;
	char *service;
};

struct exchange {
	struct use *use;
	struct ph_session *s;
	struct dovecot_conn *conn;      /* NULL: over */
};

static const char *conf_get(const struct ph_conf *conf, const char *name)
{
	const char *v = ph_conf_get(conf, name);

	return v ? v : "";
}

static int prepare(const struct ph_conf *conf, const void *settings, const char *path, void **ret, struct ph_err *err)
{
	struct use *u = ph_alloc(sizeof(*u));
	int r;

	r = sasl_options_parse(conf_get(conf, "smtpd_sasl_security_options"), &u->options, err);
	if (r == 0)
		r = sasl_options_parse(conf_get(conf, "smtpd_sasl_tls_security_options"), &u->tls_options, err);
	u->service = ph_strdup(conf_get(conf, "smtpd_sasl_service"));
	if (r == 0 && (!*u->service || strpbrk(u->service, "\t\n")))
		r = ph_err_set(err, -EINVAL, "smtpd_sasl_service: bad value");
	if (r == 0)
		r = dovecot_server_new(path, conf_get(conf, "queue_directory"), &u->server, err);
	if (r < 0) {
		free(u->service);
		free(u);
		return r;
	}
	*ret = u;
	return 0;
}

static void release(void *use)
{
	struct use *u = use;

	if (!u)
		return;
	dovecot_server_free(u->server);
	free(u->service);
	free(u);
}

static unsigned wanted(const struct use *u, const struct ph_session *s)
{
	return ph_session_tls(s) ? u->tls_options : u->options;
}

static int mechanisms(void *use, struct ph_session *s, const char **ret, struct ph_err *err)
{
	struct use *u = use;
	struct dovecot_server *d = u->server;
	struct ph_buf b = PH_BUF_INIT(4096);
	struct dovecot_conn *c;
	int r;

	if (!d->mechs) {
		r = dovecot_get(d, true, &c, err);
		if (r < 0)
			return r;
		dovecot_put(d, c, true);
	}
	for (size_t i = 0; i < d->n_mechs; i++)
		if (sasl_options_allow(wanted(u, s), d->mechs[i].properties))
			ph_buf_printf(&b, "%s%s", b.len ? " " : "", d->mechs[i].name);
	*ret = ph_arena_strdup(ph_session_arena(s), ph_buf_str(&b));
	ph_buf_done(&b);
	return 0;
}

/* ---- exchanges ---- */

static void give_back(struct exchange *x, bool good)
{
	if (x->conn)
		dovecot_put(x->use->server, x->conn, good);
	x->conn = NULL;
}

static enum ph_sasl_status lost(struct exchange *x, const struct ph_err *err)
{
	ph_log(PH_LOG_WARNING, "SASL: server %s: %s", x->use->server->path, err->text);
	give_back(x, false);
	return PH_SASL_TEMPFAIL;
}

static enum ph_sasl_status answer(struct exchange *x, int type, const struct dovecot_reply *reply, struct ph_slice *ret_challenge,
				  const char **ret_user, const char **ret_reason)
{
	struct ph_arena *a = ph_session_arena(x->s);
	struct ph_err err;
	char *data;
	ssize_t n;

	if (type == DOVECOT_CONT) {
		data = ph_arena_alloc(a, strlen(reply->data) / 4 * 3 + 4);
		n = ph_base64_decode((struct ph_slice){ reply->data, strlen(reply->data) }, data);
		if (n < 0) {
			ph_err_set(&err, -EPROTO, "malformed base64 in a challenge");
			return lost(x, &err);
		}
		*ret_challenge = (struct ph_slice){ data, (size_t)n };
		return PH_SASL_CONTINUE;
	}
	give_back(x, true);
	*ret_user = reply->user;
	if (type == DOVECOT_OK)
		return PH_SASL_OK;
	*ret_reason = reply->reason;
	return reply->temporary ? PH_SASL_TEMPFAIL : PH_SASL_FAIL;
}

static char *encoded(struct ph_arena *a, struct ph_slice in)
{
	char *text = ph_arena_alloc(a, (in.n + 2) / 3 * 4 + 1);

	ph_base64_encode(in, text);
	return text;
}

static enum ph_sasl_status start(void *use, struct ph_session *s, const char *mech, struct ph_slice initial, void **ret_exchange,
				 struct ph_slice *ret_challenge, const char **ret_user, const char **ret_reason)
{
	struct ph_arena *a = ph_session_arena(s);
	struct exchange *x = ph_alloc(sizeof(*x));
	struct dovecot_reply reply;
	struct ph_err err = { 0, "" };
	const char *line;
	int r = 0;

	*ret_exchange = x;
	x->use = use;
	x->s = s;
	for (int fresh = 0; fresh < 2; fresh++) {
		r = dovecot_get(x->use->server, fresh, &x->conn, &err);
		if (r < 0) {
			ph_log(PH_LOG_WARNING, "%s", err.text);
			return PH_SASL_TEMPFAIL;
		}
		line = ph_arena_printf(a, "AUTH\t%u\t%s\tservice=%s\tnologin\tlip=%s\trip=%s%s%s%s", ++x->conn->last_id, mech, x->use->service,
				       ph_session_server_addr(s), ph_session_client_addr(s), ph_session_tls(s) ? "\tsecured" : "",
				       initial.p ? "\tresp=" : "", initial.p ? encoded(a, initial) : "");
		r = dovecot_ask(x->conn, a, line, x->conn->last_id, &reply, &err);
		if (r >= 0)
			return answer(x, r, &reply, ret_challenge, ret_user, ret_reason);
		if (!x->conn->used || r == -ETIMEDOUT || r == -ECANCELED)
			break;
		give_back(x, false);            /* the server had closed it: once more, with a new connection */
	}
	return lost(x, &err);
}

static enum ph_sasl_status step(void *exchange, struct ph_slice response, struct ph_slice *ret_challenge, const char **ret_user,
				const char **ret_reason)
{
	struct exchange *x = exchange;
	struct ph_arena *a = ph_session_arena(x->s);
	struct dovecot_reply reply;
	struct ph_err err = { 0, "" };
	int r;

	r = dovecot_ask(x->conn, a, ph_arena_printf(a, "CONT\t%u\t%s", x->conn->last_id, encoded(a, response)), x->conn->last_id, &reply, &err);
	return r < 0 ? lost(x, &err) : answer(x, r, &reply, ret_challenge, ret_user, ret_reason);
}

static void done(void *exchange)
{
	struct exchange *x = exchange;

	give_back(x, false);
	free(x);
}

static const struct ph_sasl_ops ops = {
	.size = sizeof ops, .prepare = prepare, .release = release, .mechanisms = mechanisms, .start = start, .step = step, .done = done,
};

PH_MODULE(PH_KIND_SASL, "dovecot", "1.0", "clients log in through Dovecot's auth server", .ops.sasl = &ops);
