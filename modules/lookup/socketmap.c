/* socketmap.c: lookup "socketmap:inet:host:port:map" and "socketmap:unix:/path:map": Sendmail's protocol of netstrings, over a connection
 * that is kept.
 *
 * Owns the pool of one table.  get yields.  Source: socketmap_table(5). */
#include "common/pool.h"
#include "socketmap_reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 100000
#define CONNECTIONS 8

struct settings {
	int max_query, max_reply;
};

static const struct ph_param params[] = {
	PH_P_INT(struct settings, max_query, "socketmap_max_query_size", "10000", 1, 1 << 20, "longest query of a socketmap table, in bytes"),
	PH_P_INT(struct settings, max_reply, "socketmap_max_reply_size", "100000", 1, 1 << 24, "longest reply to a socketmap table, in bytes"),
};

struct table {
	struct lpool *pool;
	char *map;
	size_t max_query, max_reply;
};

struct query {
	struct table *table;
	const char *key;
	struct ph_arena *arena;
	char *reply;            /* "OK data" */
};

/* A netstring: "5:hello,".  In arena. */
static int read_netstring(struct ph_stream *s, size_t max, struct ph_arena *arena, int64_t deadline, char **ret, struct ph_err *err)
{
	char head[12], *p;
	size_t n, used, have = 0;
	int r = 0;

	while (r == 0) {
		r = ph_stream_read_full(s, &head[have++], 1, deadline);
		if (r < 0)
			return ph_err_errno(err, r == -ENODATA ? -ECONNRESET : r, "no answer");
		r = smap_head(head, have, &n, &used);   /* refuses what is longer than head */
		if (r < 0)
			return ph_err_set(err, -EPROTO, "not a netstring");
	}
	if (n > max)
		return ph_err_set(err, -EPROTO, "a reply of %zu bytes", n);
	p = ph_arena_alloc(arena, n + 2);
	r = ph_stream_read_full(s, p, n + 1, deadline);
	if (r < 0)
		return ph_err_errno(err, r == -ENODATA ? -ECONNRESET : r, "no answer");
	if (p[n] != ',' || memchr(p, '\0', n))
		return ph_err_set(err, -EPROTO, "not a netstring");
	p[n] = '\0';
	*ret = p;
	return 0;
}

static int map_ask(void *ctx, struct lconn *c, void *query, int64_t deadline, struct ph_err *err)
{
	struct query *q = query;
	int r = ph_stream_printf(c->stream, deadline, "%zu:%s %s,", strlen(q->table->map) + 1 + strlen(q->key), q->table->map, q->key);

	if (r < 0 || (r = ph_stream_flush(c->stream, deadline)) < 0)
		return ph_err_errno(err, r, "cannot send");
	return read_netstring(c->stream, q->table->max_reply, q->arena, deadline, &q->reply, err);
}

static const struct lpool_lang lang = { .ask = map_ask };

static void table_close(void *table)
{
	struct table *t = table;

	lpool_free(&t->pool);
	free(t->map);
	free(t);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	const struct settings *set = spec->settings;
	const char *colon = strrchr(spec->name, ':');
	struct table *t;
	char *server;
	int r;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "socketmap:%.200s map requires O_RDONLY access mode", spec->name);
	if (colon == NULL || colon == spec->name || colon[1] == '\0' ||
	    (strncmp(spec->name, "inet:", 5) != 0 && strncmp(spec->name, "unix:", 5) != 0) || colon < spec->name + 5)
		return ph_err_set(err, -EINVAL, "socketmap requires server:socketmap argument");
	t = ph_alloc(sizeof *t);
	t->map = ph_strdup(colon + 1);
	t->max_query = (size_t)set->max_query;
	t->max_reply = (size_t)set->max_reply;
	t->pool = lpool_new(&lang, t, CONNECTIONS);
	server = ph_strndup(spec->name, (size_t)(colon - spec->name));
	r = lpool_add(t->pool, server, 0, err);
	free(server);
	if (r < 0)
		table_close(t);
	else
		*ret = t;
	return r;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	struct query q = { t, key, arena, NULL };

	/* No server has such a key, now or later: whoever could make it up must not be able to hold mail up with it. */
	if (strlen(key) + strlen(t->map) + 1 > t->max_query) {
		ph_log(PH_LOG_WARNING, "socketmap:%s: the query \"%.30s...\" is longer than socketmap_max_query_size", t->map, key);
		return PH_LOOKUP_NOTFOUND;
	}
	if (lpool_exchange(t->pool, arena, &q, TIMEOUT_MS, err) < 0)
		return PH_LOOKUP_TEMPFAIL;
	return smap_reply(q.reply, ret_value, err);
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_PATTERN | PH_LOOKUP_INLINE | PH_LOOKUP_NETWORK,
	.open = table_open, .get = table_get, .close = table_close,
};

PH_MODULE(PH_KIND_LOOKUP, "socketmap", "1.0", "a table server with Sendmail's socketmap protocol", .ops.lookup = &ops,
	  PH_MODULE_PARAMS(params, struct settings));
