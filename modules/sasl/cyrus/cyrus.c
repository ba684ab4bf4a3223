/* cyrus.c: sasl "cyrus": clients log in through libsasl2 (saslauthd, sasldb, ...).
 *
 * The library blocks (sockets, files), so each of its calls that may do so runs on a helper thread while the session waits.  It is
 * initialised once in a process, under one application name (smtpd_sasl_path): a second name is refused.  Yields. */
#include <posthouse/co.h>
#include <posthouse/sasl.h>

#include <errno.h>
#include <pthread.h>
#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/options.h"

struct use {
	unsigned options, tls_options;
	char *service, *realm, *hostname;       /* realm: NULL when smtpd_sasl_local_domain is empty */
};

struct exchange {
	struct ph_session *s;
	sasl_conn_t *conn;
};

/* ---- the library ---- */

static char *app_name, *config_path;

static void *mutex_new(void)
{
	pthread_mutex_t *m = malloc(sizeof(*m));

	if (m)
		pthread_mutex_init(m, NULL);
	return m;
}

static int mutex_lock(void *m)
{
	return pthread_mutex_lock(m) ? SASL_FAIL : SASL_OK;
}

static int mutex_unlock(void *m)
{
	return pthread_mutex_unlock(m) ? SASL_FAIL : SASL_OK;
}

static void mutex_free(void *m)
{
	pthread_mutex_destroy(m);
	free(m);
}

/* Its own words are warnings at most; its debugging output could hold secrets and is dropped. */
static int on_log(void *context, int level, const char *text)
{
	if (level == SASL_LOG_ERR || level == SASL_LOG_WARN)
		ph_log(PH_LOG_WARNING, "SASL authentication %s: %s", level == SASL_LOG_ERR ? "failure" : "problem", text);
	return SASL_OK;
}

static int on_conf_path(void *context, char **path)
{
	*path = strdup(config_path);
	return *path ? SASL_OK : SASL_NOMEM;
}

static int library_start(const char *name, const char *path, struct ph_err *err)
{
	static const sasl_callback_t callbacks[] = {
		{ SASL_CB_LOG, (int (*)(void))(void (*)(void))on_log, NULL }, { SASL_CB_GETCONFPATH, (int (*)(void))(void (*)(void))on_conf_path, NULL },
		{ SASL_CB_LIST_END, NULL, NULL },
	};
	int r;

	if (app_name)
		return strcmp(app_name, name) == 0 && strcmp(config_path, path) == 0 ? 0 :
			ph_err_set(err, -EINVAL, "smtpd_sasl_path and cyrus_sasl_config_path must be the same in all services "
				   "(\"%s\" and \"%s\")", app_name, name);
	app_name = ph_strdup(name);
	config_path = ph_strdup(path);
	sasl_set_mutex(mutex_new, mutex_lock, mutex_unlock, mutex_free);
	r = sasl_server_init(callbacks, app_name);
	if (r == SASL_OK)
		return 0;
	free(app_name);
	app_name = NULL;
	return ph_err_set(err, -EINVAL, "SASL per-process initialization failed: %s", sasl_errstring(r, NULL, NULL));
}

static const char *conf_get(const struct ph_conf *conf, const char *name, const char *none)
{
	const char *v = ph_conf_get(conf, name);

	return v && *v ? v : none;
}

static void release(void *use)
{
	struct use *u = use;

	if (!u)
		return;
	free(u->service);
	free(u->realm);
	free(u->hostname);
	free(u);
}

static int prepare(const struct ph_conf *conf, const void *settings, const char *path, void **ret, struct ph_err *err)
{
	struct use *u = ph_alloc(sizeof(*u));
	const char *realm = conf_get(conf, "smtpd_sasl_local_domain", NULL);
	int r;

	u->service = ph_strdup(conf_get(conf, "smtpd_sasl_service", "smtp"));
	u->hostname = ph_strdup(conf_get(conf, "myhostname", "localhost"));
	u->realm = realm ? ph_strdup(realm) : NULL;
	r = sasl_options_parse(conf_get(conf, "smtpd_sasl_security_options", ""), &u->options, err);
	if (r == 0)
		r = sasl_options_parse(conf_get(conf, "smtpd_sasl_tls_security_options", ""), &u->tls_options, err);
	if (r == 0)
		r = library_start(path, conf_get(conf, "cyrus_sasl_config_path", "/etc/postfix/sasl:/usr/lib/sasl2"), err);
	if (r < 0)
		release(u);
	else
		*ret = u;
	return r;
}

/* ---- connections ---- */

static unsigned security_flags(unsigned options)
{
	return (options & SASL_NO_PLAINTEXT ? SASL_SEC_NOPLAINTEXT : 0) | (options & SASL_NO_ACTIVE ? SASL_SEC_NOACTIVE : 0) |
	       (options & SASL_NO_DICTIONARY ? SASL_SEC_NODICTIONARY : 0) | (options & SASL_NO_ANONYMOUS ? SASL_SEC_NOANONYMOUS : 0) |
	       (options & SASL_FORWARD_SECRECY ? SASL_SEC_FORWARD_SECRECY : 0) | (options & SASL_MUTUAL_AUTH ? SASL_SEC_MUTUAL_AUTH : 0);
}

struct call {
	const struct use *u;
	char local[80], remote[80];
	unsigned flags;
	const char *mech, *in;
	unsigned in_len;
	sasl_conn_t *conn;
	const char *out;
	unsigned out_len;
	int r;
};

/* On a helper thread. */
static void new_conn(void *arg)
{
	struct call *c = arg;
	sasl_security_properties_t p;

	c->r = sasl_server_new(c->u->service, c->u->hostname, c->u->realm, c->local, c->remote, NULL, 0, &c->conn);
	if (c->r != SASL_OK)
		return;
	memset(&p, 0, sizeof(p));
	p.maxbufsize = 0;               /* no security layer: TLS is ours */
	p.security_flags = c->flags;
	c->r = sasl_setprop(c->conn, SASL_SEC_PROPS, &p);
}

static void list(void *arg)
{
	struct call *c = arg;

	new_conn(c);
	if (c->r == SASL_OK)
		c->r = sasl_listmech(c->conn, NULL, "", " ", "", &c->out, &c->out_len, NULL);
}

static void begin(void *arg)
{
	struct call *c = arg;

	new_conn(c);
	if (c->r == SASL_OK)
		c->r = sasl_server_start(c->conn, c->mech, c->in, c->in_len, &c->out, &c->out_len);
}

static void next(void *arg)
{
	struct call *c = arg;

	c->r = sasl_server_step(c->conn, c->in, c->in_len, &c->out, &c->out_len);
}

static void call_init(struct call *c, const struct use *u, const struct ph_session *s)
{
	memset(c, 0, sizeof(*c));
	c->u = u;
	c->flags = security_flags(ph_session_tls(s) ? u->tls_options : u->options);
	snprintf(c->local, sizeof(c->local), "%s;%d", ph_session_server_addr(s), ph_session_server_port(s));
	snprintf(c->remote, sizeof(c->remote), "%s;%d", ph_session_client_addr(s), ph_session_client_port(s));
}

static int mechanisms(void *use, struct ph_session *s, const char **ret, struct ph_err *err)
{
	struct call c;

	call_init(&c, use, s);
	ph_offload(list, &c);
	if (c.r == SASL_OK)
		*ret = ph_arena_strndup(ph_session_arena(s), c.out, c.out_len);
	else if (c.r == SASL_NOMECH)
		*ret = "";
	else
		ph_err_set(err, -EPROTO, "SASL: cannot list the mechanisms: %s", sasl_errstring(c.r, NULL, NULL));
	if (c.conn)
		sasl_dispose(&c.conn);
	return c.r == SASL_OK || c.r == SASL_NOMECH ? 0 : -EPROTO;
}

/* ---- exchanges ---- */

/* Errors of a back end, as opposed to wrong words of the client. */
static enum ph_sasl_status failure(int r)
{
	switch (r) {
	case SASL_TRYAGAIN: case SASL_UNAVAIL: case SASL_NOMEM: case SASL_FAIL: case SASL_BUFOVER:
		return PH_SASL_TEMPFAIL;
	}
	return PH_SASL_FAIL;
}

static enum ph_sasl_status result(struct exchange *x, struct call *c, struct ph_slice *ret_challenge, const char **ret_user,
				  const char **ret_reason)
{
	struct ph_arena *a = ph_session_arena(x->s);
	const void *user = NULL;

	x->conn = c->conn;
	if (x->conn && sasl_getprop(x->conn, SASL_USERNAME, &user) == SASL_OK && user)
		*ret_user = ph_arena_strdup(a, user);
	if (c->r == SASL_CONTINUE) {
		size_t n = c->out ? c->out_len : 0;
		char *copy = ph_arena_alloc(a, n + 1);          /* of a binary mechanism: with NULs */

		if (n > 0)
			memcpy(copy, c->out, n);
		*ret_challenge = (struct ph_slice){ copy, n };
		return PH_SASL_CONTINUE;
	}
	if (c->r == SASL_OK && user)
		return PH_SASL_OK;
	*ret_reason = ph_arena_strdup(a, sasl_errstring(c->r == SASL_OK ? SASL_NOUSER : c->r, NULL, NULL));
	return failure(c->r);
}

static enum ph_sasl_status start(void *use, struct ph_session *s, const char *mech, struct ph_slice initial, void **ret_exchange,
				 struct ph_slice *ret_challenge, const char **ret_user, const char **ret_reason)
{
	struct exchange *x = ph_alloc(sizeof(*x));
	struct call c;

	*ret_exchange = x;
	x->s = s;
	call_init(&c, use, s);
	c.mech = mech;
	c.in = initial.p;
	c.in_len = (unsigned)initial.n;
	ph_offload(begin, &c);
	return result(x, &c, ret_challenge, ret_user, ret_reason);
}

static enum ph_sasl_status step(void *exchange, struct ph_slice response, struct ph_slice *ret_challenge, const char **ret_user,
				const char **ret_reason)
{
	struct exchange *x = exchange;
	struct call c;

	memset(&c, 0, sizeof(c));
	c.conn = x->conn;
	c.in = response.p;
	c.in_len = (unsigned)response.n;
	ph_offload(next, &c);
	return result(x, &c, ret_challenge, ret_user, ret_reason);
}

static void done(void *exchange)
{
	struct exchange *x = exchange;

	if (x->conn)
		sasl_dispose(&x->conn);
	free(x);
}

static const struct ph_sasl_ops ops = {
	.size = sizeof ops, .prepare = prepare, .release = release, .mechanisms = mechanisms, .start = start, .step = step, .done = done,
};

PH_MODULE(PH_KIND_SASL, "cyrus", "1.0", "clients log in through libsasl2", .ops.sasl = &ops);
