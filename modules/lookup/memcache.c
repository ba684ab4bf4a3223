/* memcache.c: lookup "memcache:/etc/postfix/x.cf": values of a memcached server, perhaps in front of a slower table ("backup").
 *
 * What memcached has not got is looked up in the backup and stored; when memcached is down, the backup answers alone.  Keys that the protocol
 * cannot carry are never sent.  get, put and del yield.  Source: memcache_table(5). */
#include "common/pool.h"
#include "common/query.h"
#include "memcache_reply.h"

#include <posthouse/co.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 8
#define MAX_KEY 250             /* of memcached */

struct table {
	struct lquery q;
	struct lpool *pool;
	struct ph_maps *backup;         /* NULL: none */
	const char *key_format;
	int flags, ttl, data_max, line_max, max_try;
	int64_t pause_ms, timeout_ms;
};

struct query {
	struct table *t;
	const char *key;
	const char *value;              /* set; NULL: get or delete */
	bool del;
	enum mreply r;
	struct ph_arena *arena;
	char *text;                     /* what came back */
};

/* ---- talking ---- */

static int send_command(struct ph_stream *s, const struct query *q, int64_t deadline)
{
	size_t n = q->value ? strlen(q->value) : 0;
	int r;

	if (q->del)
		r = ph_stream_printf(s, deadline, "delete %s\r\n", q->key);
	else if (q->value == NULL)
		r = ph_stream_printf(s, deadline, "get %s\r\n", q->key);
	else if ((r = ph_stream_printf(s, deadline, "set %s %d %d %zu\r\n", q->key, q->t->flags, q->t->ttl, n)) >= 0 &&
		 (r = ph_stream_write(s, q->value, n, deadline)) >= 0)
		r = ph_stream_puts(s, "\r\n", deadline);
	return r < 0 ? r : ph_stream_flush(s, deadline);
}

static int mc_ask(void *ctx, struct lconn *c, void *query, int64_t deadline, struct ph_err *err)
{
	struct query *q = query;
	const struct table *t = q->t;
	struct ph_slice text = { NULL, 0 };
	const char *why = NULL;
	size_t used = 0;
	int r = send_command(c->stream, q, deadline);

	if (r < 0)
		return ph_err_errno(err, r, "cannot send");
	for (;;) {
		struct ph_slice in = ph_stream_peek(c->stream);
		ssize_t n;

		if (q->del || q->value)
			q->r = mreply_line(in.p, in.n, (size_t)t->line_max, &text, &used, &why);
		else
			q->r = mreply_get(in.p, in.n, q->key, (size_t)t->line_max, (size_t)t->data_max, &text, &used, &why);
		if (q->r == MREPLY_BAD)
			return ph_err_set(err, -EPROTO, "%s", why);
		if (q->r != MREPLY_MORE)
			break;
		n = ph_stream_fill(c->stream, deadline);
		if (n <= 0)
			return ph_err_errno(err, n < 0 ? (int)n : -ECONNRESET, "no answer");
	}
	q->text = ph_arena_strndup(q->arena, text.p ? text.p : "", text.n);
	if (q->r == MREPLY_VALUE && memchr(text.p, '\0', text.n))
		return ph_err_set(err, -EPROTO, "the value holds a null byte");
	ph_stream_consume(c->stream, used);
	/* Behind an error the two may disagree about what comes next. */
	return q->r == MREPLY_ERROR;
}

static int mc_connected(void *ctx, struct lconn *c, int64_t deadline, struct ph_err *err)
{
	const struct table *t = ctx;

	return ph_stream_set_input_max(c->stream, (size_t)t->data_max + (size_t)t->line_max + 16);
}

static const struct lpool_lang lang = { .connected = mc_connected, .ask = mc_ask };

/* Ask, as often as max_try says.  0, or negative with err. */
static int exchange(struct table *t, struct query *q, struct ph_err *err)
{
	int r = -1;

	for (int i = 0; i < t->max_try && r < 0; i++) {
		if (i > 0 && (r == -ECONNREFUSED || ph_co_sleep(t->pause_ms) < 0))
			break;                  /* a server that takes no connection is not asked twice */
		r = lpool_exchange(t->pool, q->arena, q, t->timeout_ms, err);
	}
	if (r == 0 && q->r == MREPLY_ERROR)
		r = ph_err_set(err, -EIO, "server %s: %.200s", lpool_server_name(t->pool), q->text);
	return r;
}

/* ---- the table ---- */

static void table_close(void *table)
{
	struct table *t = table;

	lpool_free(&t->pool);
	lquery_done(&t->q);
	free(t);
}

static int read_settings(struct table *t, const struct ph_table_spec *spec, struct ph_err *err)
{
	const char *backup;
	int r;

	t->key_format = lcfg_str(t->q.cfg, "key_format", "%s");
	if ((r = lcfg_check_format(t->q.name, t->key_format, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "flags", 0, 0, INT_MAX, &t->flags, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "ttl", 3600, 0, INT_MAX, &t->ttl, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "data_size_limit", 10240, 1, 1 << 26, &t->data_max, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "line_size_limit", 1024, 64, 1 << 20, &t->line_max, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "max_try", 2, 1, 100, &t->max_try, err)) < 0 ||
	    (r = lcfg_ms(t->q.cfg, "retry_pause", 1000, &t->pause_ms, err)) < 0 ||
	    (r = lcfg_ms(t->q.cfg, "timeout", 2000, &t->timeout_ms, err)) < 0)
		return r;
	t->pool = lpool_new(&lang, t, CONNECTIONS);
	if ((r = lpool_add(t->pool, lcfg_str(t->q.cfg, "memcache", "inet:localhost:11211"), 11211, err)) < 0)
		return r;
	backup = lcfg_str(t->q.cfg, "backup", "");
	if (*backup)
		t->backup = ph_maps_open(spec->conf, t->q.name, backup);
	lcfg_warn_unused(t->q.cfg);
	return 0;
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t = ph_alloc(sizeof *t);
	struct ph_table_spec read = *spec;
	int r;

	read.mode = PH_TABLE_READ;      /* the settings are read; what is written is on the server */
	r = lquery_open(&t->q, &read, err);
	if (r >= 0)
		r = read_settings(t, spec, err);
	if (r < 0)
		table_close(t);
	else
		*ret = t;
	return r;
}

/* The key as memcached gets it, in arena.  1; 0: not one that is stored there. */
static int make_key(struct table *t, const char *key, struct ph_arena *arena, const char **ret)
{
	struct ph_buf b = PH_BUF_INIT(MAX_KEY);
	int ok = lcfg_expand(t->key_format, key, key, &b) && b.len > 0;

	for (size_t i = 0; ok && i < b.len; i++)
		ok = (unsigned char)b.data[i] > 32 && (unsigned char)b.data[i] != 127;
	if (ok)
		*ret = ph_arena_strdup(arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return ok;
}

static enum ph_lookup ask_server(struct table *t, const char *mkey, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct query q = { .t = t, .key = mkey, .arena = arena };

	if (exchange(t, &q, err) < 0)
		return PH_LOOKUP_TEMPFAIL;
	if (q.r != MREPLY_VALUE)
		return PH_LOOKUP_NOTFOUND;
	*ret_value = q.text;
	return PH_LOOKUP_FOUND;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	enum ph_lookup status = lquery_wants(&t->q, key, err), server = PH_LOOKUP_NOTFOUND;
	const char *mkey = NULL;

	if (status != PH_LOOKUP_FOUND)
		return status;
	if (make_key(t, key, arena, &mkey))
		server = ask_server(t, mkey, arena, ret_value, err);
	if (server == PH_LOOKUP_FOUND || t->backup == NULL)
		return server;
	status = ph_maps_find(t->backup, key, false, arena, ret_value, err);
	if (status == PH_LOOKUP_FOUND && mkey && server == PH_LOOKUP_NOTFOUND) {
		struct query q = { .t = t, .key = mkey, .value = *ret_value, .arena = arena };
		struct ph_err why = { 0 };

		if (exchange(t, &q, &why) < 0)
			ph_log(PH_LOG_WARNING, "memcache:%s: cannot store what %s found: %s", t->q.name, "the backup table", why.text);
	}
	return status;
}

static int change(struct table *t, const char *key, const char *value, enum mreply *ret, struct ph_err *err)
{
	struct ph_arena *arena = ph_arena_new();
	struct query q = { .t = t, .value = value, .del = value == NULL, .arena = arena };
	int r = -EINVAL;

	if (t->backup)
		ph_err_set(err, r, "memcache:%s: change the backup table instead", t->q.name);
	else if (lquery_wants(&t->q, key, NULL) != PH_LOOKUP_FOUND || !make_key(t, key, arena, &q.key))
		ph_err_set(err, r, "memcache:%s: the key \"%.100s\" cannot be stored", t->q.name, key);
	else
		r = exchange(t, &q, err);
	*ret = q.r;
	ph_arena_free(&arena);
	return r;
}

static int table_put(void *table, const char *key, const char *value, bool replace, struct ph_err *err)
{
	enum mreply r;

	return change(table, key, value, &r, err);
}

static int table_del(void *table, const char *key, struct ph_err *err)
{
	enum mreply answer = MREPLY_NONE;
	int r = change(table, key, NULL, &answer, err);

	return r < 0 ? r : answer == MREPLY_DELETED ? 0 : -ENOENT;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_TEXT | PH_LOOKUP_NETWORK | PH_LOOKUP_REPEATABLE,
	.open = table_open, .get = table_get, .close = table_close, .put = table_put, .del = table_del, .path = lcfg_path,
};

PH_MODULE(PH_KIND_LOOKUP, "memcache", "1.0", "values of a memcached server, perhaps in front of a slower table", .ops.lookup = &ops);
