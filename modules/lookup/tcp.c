/* tcp.c: lookup "tcp:host:port": one request, one line of answer, over a connection that is kept.
 *
 * Owns the pool of one table.  get yields.  Source: tcp_table(5). */
#include "common/pool.h"
#include "tcp_reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000
#define MAX_LINE 4096
#define CONNECTIONS 8

struct query {
	const char *key;
	struct ph_arena *arena;
	enum ph_lookup status;
	char *value;            /* FOUND: decoded; else the server's words */
};

static int tcp_ask(void *ctx, struct lconn *c, void *query, int64_t deadline, struct ph_err *err)
{
	struct query *q = query;
	struct ph_buf b = PH_BUF_INIT(MAX_LINE);
	struct ph_slice line;
	ssize_t n;
	int r = tcp_request(q->key, &b);

	if (r < 0) {                    /* a key that cannot be asked for is not there */
		ph_log(PH_LOG_WARNING, "tcp table: a key of %zu bytes is longer than a request may be", strlen(q->key));
		q->status = PH_LOOKUP_NOTFOUND;
		ph_buf_done(&b);
		return 0;
	}
	r = ph_stream_write(c->stream, b.data, b.len, deadline);
	ph_buf_done(&b);
	if (r < 0 || (r = ph_stream_flush(c->stream, deadline)) < 0)
		return ph_err_errno(err, r, "cannot send");
	n = ph_stream_getline(c->stream, MAX_LINE, &line, deadline);
	if (n < 0)
		return n == -ENODATA ? ph_err_set(err, -ECONNRESET, "no answer") : ph_err_errno(err, n == -EMSGSIZE ? -EPROTO : (int)n, "no answer");
	q->value = ph_arena_strndup(q->arena, line.p, line.n);
	if (tcp_reply(q->value, &q->status, &q->value) < 0)
		return ph_err_set(err, -EPROTO, "malformed reply: \"%.100s\"", q->value);
	return 0;
}

static const struct lpool_lang lang = { .ask = tcp_ask };

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct lpool *p;
	int r;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "tcp:%.200s map requires O_RDONLY access mode", spec->name);
	p = lpool_new(&lang, NULL, CONNECTIONS);
	r = lpool_add(p, spec->name, 0, err);
	if (r < 0)
		lpool_free(&p);
	else
		*ret = p;
	return r;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct query q = { key, arena, PH_LOOKUP_TEMPFAIL, NULL };

	if (lpool_exchange(table, arena, &q, TIMEOUT_MS, err) < 0)
		return PH_LOOKUP_TEMPFAIL;
	if (q.status == PH_LOOKUP_FOUND)
		*ret_value = q.value;
	else if (q.status == PH_LOOKUP_TEMPFAIL)
		ph_err_set(err, -EAGAIN, "server %s: %.200s", lpool_server_name(table), q.value);
	return q.status;
}

static void table_close(void *table)
{
	struct lpool *p = table;

	lpool_free(&p);
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_PATTERN | PH_LOOKUP_INLINE | PH_LOOKUP_NETWORK,
	.open = table_open, .get = table_get, .close = table_close,
};

PH_MODULE(PH_KIND_LOOKUP, "tcp", "1.0", "a table server over TCP, see tcp_table(5)", .ops.lookup = &ops);
