/* rclient.c: see rclient.h.  Owns the pool; rclient_ask yields.
 *
 * All servers of the list are tried in turn; one that fails is left alone for a while that doubles up to a minute. */
#include "rclient.h"
#include "pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rclient {
	const char *name;
	struct lpool *pool;
	const char *user, *password;
	int database;
	int64_t timeout_ms;
};

struct query {
	const char *const *words;
	size_t n;
	struct rreply *reply;
};

static int send_words(struct lconn *c, const char *const *words, size_t n, int64_t deadline)
{
	struct ph_buf b = PH_BUF_INIT((size_t)1 << 18);
	int r;

	ph_buf_printf(&b, "*%zu\r\n", n);
	for (size_t i = 0; i < n; i++)
		ph_buf_printf(&b, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
	r = ph_stream_write(c->stream, b.data, b.len, deadline);
	if (r >= 0)
		r = ph_stream_flush(c->stream, deadline);
	ph_buf_done(&b);
	return r < 0 ? r : 0;
}

static int read_reply(struct lconn *c, int64_t deadline, struct rreply **ret, struct ph_err *err)
{
	int r = 0;

	while (r == 0) {
		struct ph_slice in = ph_stream_peek(c->stream);

		if (in.n == 0) {
			ssize_t n = ph_stream_fill(c->stream, deadline);

			if (n <= 0)
				return ph_err_errno(err, n < 0 ? (int)n : -ECONNRESET, "no answer");
			continue;
		}
		r = rparser_feed(c->user, in.p, in.n, ret, err);
		ph_stream_consume(c->stream, in.n);
	}
	return r < 0 ? r : 0;
}

/* Send, and wait for the answer. */
static int talk(struct lconn *c, const char *const *words, size_t n, int64_t deadline, struct rreply **ret, struct ph_err *err)
{
	int r = send_words(c, words, n, deadline);

	if (r < 0)
		return ph_err_errno(err, r, "cannot send");
	return read_reply(c, deadline, ret, err);
}

static int redis_ask(void *ctx, struct lconn *c, void *query, int64_t deadline, struct ph_err *err)
{
	struct query *q = query;
	int r = talk(c, q->words, q->n, deadline, &q->reply, err);

	return r < 0 ? r : rparser_has_rest(c->user);
}

/* A command of the greeting that must succeed. */
static int must(struct lconn *c, const char *const *words, size_t n, int64_t deadline, struct ph_err *err)
{
	struct rreply *reply;
	int r = talk(c, words, n, deadline, &reply, err);

	if (r < 0)
		return r;
	if (reply->type == RREPLY_ERROR)
		r = ph_err_set(err, -EACCES, "%s: %.200s", words[0], reply->text);
	rreply_free(reply);
	return r;
}

static int redis_connected(void *ctx, struct lconn *c, int64_t deadline, struct ph_err *err)
{
	const char *words[3] = { "AUTH" };
	struct rclient *t = ctx;
	char number[16];
	size_t n = 1;
	int r;

	c->user = rparser_new();
	if (t->password) {
		if (t->user)
			words[n++] = t->user;
		words[n++] = t->password;
		r = must(c, words, n, deadline, err);
		if (r < 0)
			return r;
	}
	if (t->database == 0)
		return 0;
	snprintf(number, sizeof number, "%d", t->database);
	words[0] = "SELECT";
	words[1] = number;
	return must(c, words, 2, deadline, err);
}

static void redis_dropped(void *ctx, struct lconn *c)
{
	struct rparser *p = c->user;

	rparser_free(&p);
}

static const struct lpool_lang lang = { .connected = redis_connected, .dropped = redis_dropped, .ask = redis_ask };

static int read_servers(struct rclient *t, struct lcfg *cfg, struct ph_err *err)
{
	const char *socket = lcfg_str(cfg, "socket", NULL), *hosts = lcfg_str(cfg, "host", NULL);
	struct ph_buf unix_name = PH_BUF_INIT(512);
	char *copy, *cursor, *word;
	int port, n, r;

	if ((r = lcfg_int(cfg, "port", 6379, 1, 65535, &port, err)) < 0 ||
	    (r = lcfg_int(cfg, "connections", 8, 1, 1000, &n, err)) < 0)
		return r;
	t->pool = lpool_new(&lang, t, n);
	if (socket && (ph_buf_printf(&unix_name, "unix:%s", socket) < 0 ||
		       (r = lpool_add(t->pool, ph_buf_str(&unix_name), port, err)) < 0))
		r = ph_err_set(err, -EINVAL, "%s: bad value for socket: \"%.100s\"", t->name, socket);
	copy = cursor = ph_strdup(hosts ? hosts : socket ? "" : "127.0.0.1");
	while (r == 0 && (word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL)
		r = lpool_add(t->pool, word, port, err);
	if (r == 0 && lpool_servers(t->pool) == 0)
		r = ph_err_set(err, -EINVAL, "%s: no host is given", t->name);
	ph_buf_done(&unix_name);
	free(copy);
	return r;
}

int rclient_open(struct lcfg *cfg, const char *name, int64_t timeout_ms, struct rclient **ret, struct ph_err *err)
{
	struct rclient *c = ph_alloc(sizeof *c);
	int r;

	c->name = name;
	c->user = lcfg_str(cfg, "user", NULL);
	c->password = lcfg_str(cfg, "password", NULL);
	if ((r = read_servers(c, cfg, err)) < 0 ||
	    (r = lcfg_int(cfg, "database", 0, 0, 65535, &c->database, err)) < 0 ||
	    (r = lcfg_ms(cfg, "timeout", timeout_ms, &c->timeout_ms, err)) < 0)
		rclient_close(&c);
	else
		*ret = c;
	return r;
}

void rclient_close(struct rclient **cp)
{
	struct rclient *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	lpool_free(&c->pool);
	free(c);
}

int rclient_ask(struct rclient *c, struct ph_arena *arena, const char *const *words, size_t n, struct rreply **ret, struct ph_err *err)
{
	struct query q = { words, n, NULL };
	int r = lpool_exchange(c->pool, arena, &q, c->timeout_ms, err);

	if (r < 0)
		rreply_free(q.reply);
	else
		*ret = q.reply;
	return r;
}

const char *rclient_server_name(const struct rclient *c)
{
	return lpool_server_name(c->pool);
}
