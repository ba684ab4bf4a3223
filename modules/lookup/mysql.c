/* mysql.c: lookup "mysql:/etc/postfix/x.cf": a query of MariaDB or MySQL servers.
 *
 * Connections are made on a helper thread (names are resolved there, TLS is negotiated); queries go over the library's non-blocking
 * interface, so that a slow server holds nothing but the sessions that ask it.  The pool spreads, keeps, retries.  get yields.
 * Source: mysql_table(5), the manual of MariaDB Connector/C. */
#include "common/hosts.h"
#include "common/sql.h"

#include <posthouse/co.h>

#include <errno.h>
#include <mysql.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_SECONDS 5       /* of one server */

struct table {
	struct lsql sql;
	const char *charset, *option_file, *option_group;
	const char *tls_key, *tls_cert, *tls_cafile, *tls_capath, *tls_ciphers;
	bool tls_verify, require_result;
};

/* ---- connections ---- */

struct opening {
	struct table *t;
	const char *server;
	MYSQL *m;
	int r;
	struct ph_err why;
};

static void set_options(const struct table *t, MYSQL *m)
{
	unsigned seconds = CONNECT_SECONDS, off = 0;
	my_bool on = 1;

	mysql_options(m, MYSQL_OPT_NONBLOCK, NULL);
	mysql_options(m, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
	mysql_options(m, MYSQL_OPT_READ_TIMEOUT, &seconds);
	mysql_options(m, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
	if (t->option_file)
		mysql_options(m, MYSQL_READ_DEFAULT_FILE, t->option_file);
	if (*t->option_group)
		mysql_options(m, MYSQL_READ_DEFAULT_GROUP, t->option_group);
	if (t->tls_key || t->tls_cert || t->tls_cafile || t->tls_capath || t->tls_ciphers)
		mysql_ssl_set(m, t->tls_key, t->tls_cert, t->tls_cafile, t->tls_capath, t->tls_ciphers);
	if (t->tls_verify) {
		mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &on);
		mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
	}
	/* After the option files: a server must never be able to ask for our files. */
	mysql_options(m, MYSQL_OPT_LOCAL_INFILE, &off);
	mysql_options(m, MYSQL_SET_CHARSET_NAME, t->charset);
}

static void connect_thread(void *arg)
{
	struct opening *o = arg;
	const struct table *t = o->t;
	char *host = NULL;
	bool local;
	int port;

	o->r = lhosts_split(o->server, &host, &port, &o->why);
	if (o->r < 0)
		return;
	o->m = mysql_init(NULL);
	if (o->m == NULL) {
		o->r = ph_err_set(&o->why, -ENOMEM, "out of memory");
		goto out;
	}
	set_options(t, o->m);
	local = host[0] == '/';
	if (!mysql_real_connect(o->m, local ? NULL : host, t->sql.user, t->sql.password, t->sql.dbname, (unsigned)port, local ? host : NULL,
				CLIENT_MULTI_RESULTS))
		o->r = ph_err_set(&o->why, -ECONNREFUSED, "connect to mysql server: %s", mysql_error(o->m));
out:
	free(host);
}

static int my_open(void *ctx, struct lconn *c, const char *server, int64_t deadline, struct ph_err *err)
{
	struct opening o = { .t = ctx, .server = server };

	ph_offload(connect_thread, &o);
	c->user = o.m;
	return o.r < 0 ? ph_err_set(err, o.r, "%s", o.why.text) : 0;
}

static void my_dropped(void *ctx, struct lconn *c)
{
	if (c->user)
		mysql_close(c->user);
}

/* ---- queries ---- */

/* Wait for what the library asks for (MYSQL_WAIT_*).  What happened, or negative. */
static int wait_for(MYSQL *m, int status, int64_t deadline, struct ph_err *err)
{
	short events = (short)((status & MYSQL_WAIT_READ ? PH_FD_READ : 0) | (status & MYSQL_WAIT_WRITE ? PH_FD_WRITE : 0));
	int r = ph_fd_wait(mysql_get_socket(m), events ? events : PH_FD_READ, deadline);

	return r < 0 ? ph_err_errno(err, r, "no answer") : status & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE);
}

static bool is_connection_error(unsigned code)
{
	return (code >= 2000 && code < 3000) || code == 1053 || code == 1927 || code == 4031 || (code >= 1158 && code <= 1161);
}

/* What the library or the server complains about: 0 when it concerns this query alone. */
static int complaint(struct lsql_query *q, MYSQL *m, struct ph_err *err)
{
	if (is_connection_error(mysql_errno(m)))
		return ph_err_set(err, -ECONNRESET, "%s", mysql_error(m));
	q->failed = ph_err_set(&q->why, -EIO, "mysql query failed: %s", mysql_error(m));
	return 0;
}

static int send_query(struct lsql_query *q, MYSQL *m, const struct ph_buf *sql, int64_t deadline, struct ph_err *err)
{
	int rc = 0, r = 0, status = mysql_real_query_start(&rc, m, ph_buf_str(sql), (unsigned long)sql->len);

	while (status && (r = wait_for(m, status, deadline, err)) >= 0)
		status = mysql_real_query_cont(&rc, m, r);
	if (r < 0)
		return r;
	return rc ? complaint(q, m, err) : 0;
}

/* 1 and *ret, 0 at the end, negative. */
static int next_row(MYSQL *m, MYSQL_RES *res, MYSQL_ROW *ret, int64_t deadline, struct ph_err *err)
{
	int r = 0, status = mysql_fetch_row_start(ret, res);

	while (status && (r = wait_for(m, status, deadline, err)) >= 0)
		status = mysql_fetch_row_cont(ret, res, r);
	if (r < 0)
		return r;
	return *ret != NULL;
}

/* 0: it is all read; 1: the rest is not wanted; negative. */
static int take_rows(struct lsql_query *q, MYSQL *m, MYSQL_RES *res, int64_t deadline, struct ph_err *err)
{
	unsigned n = mysql_num_fields(res);
	MYSQL_ROW row = NULL;
	int r;

	while ((r = next_row(m, res, &row, deadline, err)) > 0) {
		unsigned long *lengths = mysql_fetch_lengths(res);

		for (unsigned i = 0; i < n && q->failed == 0; i++)
			if (row[i] && lengths)
				q->failed = lresult_add(&q->res, row[i], lengths[i], &q->why);
		if (q->failed)
			return 1;
	}
	if (r == 0 && mysql_errno(m))
		r = complaint(q, m, err);
	return r;
}

static int next_result(MYSQL *m, int64_t deadline, int *ret, struct ph_err *err)
{
	int r = 0, status = mysql_next_result_start(ret, m);

	while (status && (r = wait_for(m, status, deadline, err)) >= 0)
		status = mysql_next_result_cont(ret, m, r);
	return r < 0 ? r : 0;
}

/* All that the server answers: one result set, behind a stored procedure an empty answer more. */
static int take_answer(struct lsql_query *q, MYSQL *m, int64_t deadline, struct ph_err *err)
{
	bool have = false;
	int r, more;

	for (;;) {
		MYSQL_RES *res = mysql_use_result(m);

		if (res && have) {
			res->handle = NULL;
			mysql_free_result(res);
			q->failed = ph_err_set(&q->why, -EIO, "mysql query failed: multiple result sets returning data are not supported");
			return 1;       /* the pool closes what is left unread */
		}
		if (res) {
			have = true;
			r = take_rows(q, m, res, deadline, err);
			if (r != 0)
				res->handle = NULL;     /* freeing must not read the rest of the answer; the connection is closed */
			mysql_free_result(res);
			if (r != 0)
				return r;
		} else if (mysql_errno(m)) {
			return complaint(q, m, err);
		}
		if ((r = next_result(m, deadline, &more, err)) < 0)
			return r;
		if (more > 0)
			return complaint(q, m, err);
		if (more < 0)
			break;
	}
	if (!have && ((const struct table *)q->t)->require_result && q->failed == 0)
		q->failed = ph_err_set(&q->why, -EIO, "mysql query failed: query returned no result set (require_result_set = yes)");
	return 0;
}

static int quote(void *ctx, const char *part, size_t n, struct ph_buf *out)
{
	unsigned long len;

	if (ph_buf_reserve(out, 2 * n + 1) < 0)
		return -ENOBUFS;
	len = mysql_real_escape_string(ctx, out->data + out->len, part, (unsigned long)n);
	if (len == (unsigned long)-1)
		return -EILSEQ;
	out->len += len;
	return 0;
}

static int my_ask(void *ctx, struct lconn *c, void *query, int64_t deadline, struct ph_err *err)
{
	struct lsql_query *q = query;
	struct ph_buf sql = PH_BUF_INIT(LQUERY_MAX_TEXT);
	int r = 0;

	if (lsql_text(q, quote, c->user, &sql)) {
		r = send_query(q, c->user, &sql, deadline, err);
		if (r == 0 && q->failed == 0)
			r = take_answer(q, c->user, deadline, err);
	}
	ph_buf_done(&sql);
	return r;
}

static const struct lpool_lang lang = { .open = my_open, .dropped = my_dropped, .ask = my_ask };

/* ---- the table ---- */

static int read_settings(struct lsql *sql, struct ph_err *err)
{
	struct table *t = (struct table *)sql;
	struct lcfg *cfg = sql->q.cfg;
	int r;

	t->charset = lcfg_str(cfg, "charset", "utf8mb4");
	t->option_file = lcfg_str(cfg, "option_file", NULL);
	t->option_group = lcfg_str(cfg, "option_group", "client");
	t->tls_key = lcfg_str(cfg, "tls_key_file", NULL);
	t->tls_cert = lcfg_str(cfg, "tls_cert_file", NULL);
	t->tls_cafile = lcfg_str(cfg, "tls_CAfile", NULL);
	t->tls_capath = lcfg_str(cfg, "tls_CApath", NULL);
	t->tls_ciphers = lcfg_str(cfg, "tls_ciphers", NULL);
	r = lcfg_bool(cfg, "tls_verify_cert", false, &t->tls_verify, err);
	return r < 0 ? r : lcfg_bool(cfg, "require_result_set", true, &t->require_result, err);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t = ph_alloc(sizeof *t);
	int r = lsql_open(&t->sql, spec, &lang, false, read_settings, err);

	if (r < 0)
		lsql_close(t);
	else
		*ret = t;
	return r;
}

static int init(struct ph_err *err)
{
	return mysql_library_init(0, NULL, NULL) ? ph_err_set(err, -ENOMEM, "the MariaDB client library cannot be initialised") : 0;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_TEXT | PH_LOOKUP_NETWORK | PH_LOOKUP_REPEATABLE,
	.open = table_open, .get = lsql_get, .close = lsql_close, .path = lcfg_path,
};

PH_MODULE(PH_KIND_LOOKUP, "mysql", "1.0", "a query of MariaDB or MySQL servers", .ops.lookup = &ops, .init = init);
