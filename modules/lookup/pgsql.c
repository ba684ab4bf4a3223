/* pgsql.c: lookup "pgsql:/etc/postfix/x.cf": a query of PostgreSQL servers.
 *
 * Connections are made on a helper thread (libpq resolves names and negotiates there as it likes); queries go over libpq's non-blocking
 * interface, so that a slow server holds nothing but the sessions that ask it.  The pool spreads, keeps, retries.  get yields.
 * Source: pgsql_table(5), libpq's manual. */
#include "common/hosts.h"
#include "common/sql.h"

#include <posthouse/co.h>

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_SECONDS 5       /* of one server */

struct table {
	struct lsql sql;
	const char *encoding;
};

/* ---- connections ---- */

struct opening {
	struct table *t;
	const char *server;
	PGconn *conn;
};

static void connect_thread(void *arg)
{
	struct opening *o = arg;
	const char *keys[10], *values[10];
	char port[12] = "", *host = NULL;
	char limit[12];
	int n = 0, number = 0;

#define OPTION(k, v) (keys[n] = (k), values[n++] = (v))
	snprintf(limit, sizeof limit, "%d", CONNECT_SECONDS);
	if (strstr(o->server, "://")) {
		OPTION("dbname", o->server);            /* a URI says it all */
	} else {
		if (lhosts_split(o->server, &host, &number, NULL) < 0)
			return;
		if (number > 0)
			snprintf(port, sizeof port, "%d", number);
		OPTION("host", host);
		OPTION("port", port);
		OPTION("dbname", o->t->sql.dbname);
		OPTION("user", o->t->sql.user);
		OPTION("password", o->t->sql.password);
	}
	OPTION("connect_timeout", limit);
	OPTION("client_encoding", o->t->encoding);
	OPTION("fallback_application_name", "posthouse");
	keys[n] = values[n] = NULL;
#undef OPTION
	/* A name of a database may itself be a connection string only where it is meant to. */
	o->conn = PQconnectdbParams(keys, values, host == NULL);
	free(host);
}

static void no_notice(void *arg, const char *message)
{
}

/* The library's messages end in a line break, and some hold one. */
static const char *one_line(char *buf, size_t n, const char *text)
{
	size_t len;

	snprintf(buf, n, "%s", text);
	for (len = strlen(buf); len > 0 && (buf[len - 1] == '\n' || buf[len - 1] == ' '); len--)
		buf[len - 1] = '\0';
	for (char *p = buf; *p; p++)
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	return buf;
}

static int pg_open(void *ctx, struct lconn *c, const char *server, int64_t deadline, struct ph_err *err)
{
	struct opening o = { ctx, server, NULL };
	char text[400];
	int r = 0;

	ph_offload(connect_thread, &o);
	c->user = o.conn;
	if (o.conn == NULL)
		return ph_err_set(err, -ENOMEM, "connect to pgsql server failed");
	if (PQstatus(o.conn) != CONNECTION_OK)
		r = ph_err_set(err, -ECONNREFUSED, "connect to pgsql server failed: %s", one_line(text, sizeof text, PQerrorMessage(o.conn)));
	else if (PQsetnonblocking(o.conn, 1) != 0)
		r = ph_err_set(err, -EIO, "connect to pgsql server failed: %s", one_line(text, sizeof text, PQerrorMessage(o.conn)));
	else
		PQsetNoticeProcessor(o.conn, no_notice, NULL);
	return r;
}

static void pg_dropped(void *ctx, struct lconn *c)
{
	PQfinish(c->user);
}

/* ---- queries ---- */

static int lost(PGconn *conn, struct ph_err *err)
{
	char text[400];

	return ph_err_set(err, -ECONNRESET, "%s", one_line(text, sizeof text, PQerrorMessage(conn)));
}

static int wait_for(PGconn *conn, short events, int64_t deadline, struct ph_err *err)
{
	int r = ph_fd_wait(PQsocket(conn), events, deadline);

	return r < 0 ? ph_err_errno(err, r, "no answer") : 0;
}

static int send_query(PGconn *conn, const char *sql, int64_t deadline, struct ph_err *err)
{
	int r;

	if (!PQsendQuery(conn, sql))
		return lost(conn, err);
	PQsetSingleRowMode(conn);       /* rows are taken as they come: what is too much is never held */
	while ((r = PQflush(conn)) > 0) {
		if ((r = wait_for(conn, PH_FD_READ | PH_FD_WRITE, deadline, err)) < 0)
			return r;
		if (!PQconsumeInput(conn))
			return lost(conn, err);
	}
	return r < 0 ? lost(conn, err) : 0;
}

/* 0 and *ret, NULL at the end of the answer. */
static int next_result(PGconn *conn, int64_t deadline, PGresult **ret, struct ph_err *err)
{
	int r;

	while (PQisBusy(conn)) {
		if ((r = wait_for(conn, PH_FD_READ, deadline, err)) < 0)
			return r;
		if (!PQconsumeInput(conn))
			return lost(conn, err);
	}
	*ret = PQgetResult(conn);
	return 0;
}

static void take_rows(struct lsql_query *q, const PGresult *res)
{
	for (int row = 0; row < PQntuples(res); row++)
		for (int col = 0; col < PQnfields(res); col++)
			if (q->failed == 0)     /* NULL reads as an empty text */
				q->failed = lresult_add(&q->res, PQgetvalue(res, row, col), (size_t)PQgetlength(res, row, col), &q->why);
}

/* 0 or negative: the connection is not good any more. */
static int take_result(struct lsql_query *q, PGconn *conn, const PGresult *res, struct ph_err *err)
{
	char text[400];

	switch (PQresultStatus(res)) {
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE:
		take_rows(q, res);
		return 0;
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
		return 0;
	default:
		if (PQstatus(conn) != CONNECTION_OK)
			return lost(conn, err);
		if (q->failed == 0)
			q->failed = ph_err_set(&q->why, -EIO, "pgsql query failed: %s",
					       one_line(text, sizeof text, PQresultErrorMessage(res)));
		return 0;
	}
}

static int quote(void *ctx, const char *part, size_t n, struct ph_buf *out)
{
	int bad = 0;

	if (ph_buf_reserve(out, 2 * n + 1) < 0)
		return -ENOBUFS;
	out->len += PQescapeStringConn(ctx, out->data + out->len, part, n, &bad);
	return bad ? -EILSEQ : 0;
}

static int pg_ask(void *ctx, struct lconn *c, void *query, int64_t deadline, struct ph_err *err)
{
	struct lsql_query *q = query;
	struct ph_buf sql = PH_BUF_INIT(LQUERY_MAX_TEXT);
	PGresult *res = NULL;
	int r = 0;

	if (lsql_text(q, quote, c->user, &sql) && (r = send_query(c->user, ph_buf_str(&sql), deadline, err)) == 0)
		while ((r = next_result(c->user, deadline, &res, err)) == 0 && res) {
			r = take_result(q, c->user, res, err);
			PQclear(res);
			if (r < 0 || q->failed == -EMSGSIZE || q->failed == -E2BIG) {
				r = r < 0 ? r : 1;      /* the rest is not worth reading */
				break;
			}
		}
	ph_buf_done(&sql);
	return r;
}

static const struct lpool_lang lang = { .open = pg_open, .dropped = pg_dropped, .ask = pg_ask };

/* ---- the table ---- */

static int read_settings(struct lsql *sql, struct ph_err *err)
{
	((struct table *)sql)->encoding = lcfg_str(sql->q.cfg, "encoding", "UTF8");
	return 0;
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t = ph_alloc(sizeof *t);
	int r = lsql_open(&t->sql, spec, &lang, true, read_settings, err);

	if (r < 0)
		lsql_close(t);
	else
		*ret = t;
	return r;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_TEXT | PH_LOOKUP_NETWORK | PH_LOOKUP_REPEATABLE,
	.open = table_open, .get = lsql_get, .close = lsql_close, .path = lcfg_path,
};

PH_MODULE(PH_KIND_LOOKUP, "pgsql", "1.0", "a query of PostgreSQL servers", .ops.lookup = &ops);
