/* mongodb.c: lookup "mongodb:/etc/postfix/x.cf": documents of MongoDB servers.
 *
 * libmongoc has no interface without blocking: each look-up runs on a helper thread, over a client that the pool keeps; the library itself knows
 * the servers of the URI.  A query that waits for one thread after the other holds at most the pool's few.  get yields.
 * Source: mongodb_table(5) of Postfix 3.9. */
#include "common/pool.h"
#include "common/query.h"

#include <posthouse/co.h>

#include <errno.h>
#include <mongoc/mongoc.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 2           /* each look-up under way holds a helper thread */
#define TIMEOUT_MS 10000

struct table {
	struct lquery q;
	struct lpool *pool;
	const char *dbname, *collection, *filter, *projection;
	char *attrs_copy;
	char *attrs[65];                /* NULL-terminated */
};

struct query {
	struct table *t;
	struct lresult *res;
	const char *filter;
	mongoc_client_t *client;
	int failed;                     /* the answer is an error: of this query, not of the server */
	struct ph_err why;
	int r;                          /* negative: of the server */
	struct ph_err lost;
};

/* ---- on the helper thread ---- */

static int take_value(struct query *q, bson_iter_t *it)
{
	bson_iter_t child;
	char number[32];
	uint32_t n = 0;
	const char *s;
	int r = 0;

	switch (bson_iter_type(it)) {
	case BSON_TYPE_UTF8:
		s = bson_iter_utf8(it, &n);
		return lresult_add(q->res, s, n, &q->why);
	case BSON_TYPE_INT32:
	case BSON_TYPE_INT64:
		snprintf(number, sizeof number, "%lld", (long long)bson_iter_as_int64(it));
		return lresult_add(q->res, number, strlen(number), &q->why);
	case BSON_TYPE_ARRAY:
		if (bson_iter_recurse(it, &child))
			while (r == 0 && bson_iter_next(&child))
				if (!BSON_ITER_HOLDS_ARRAY(&child))
					r = take_value(q, &child);
		return r;
	default:
		return 0;                       /* no text */
	}
}

/* The attributes in the order of result_attribute; with a projection all that the server has left in. */
static int take_document(struct query *q, const bson_t *doc)
{
	bson_iter_t it, found;
	int r = 0;

	for (char **a = q->t->attrs; *a && r == 0; a++)
		if (bson_iter_init(&it, doc) && bson_iter_find_descendant(&it, *a, &found))
			r = take_value(q, &found);
	if (q->t->attrs[0] == NULL && bson_iter_init(&it, doc))
		while (r == 0 && bson_iter_next(&it))
			if (strcmp(bson_iter_key(&it), "_id") != 0)
				r = take_value(q, &it);
	return r;
}

static bson_t *options(const struct table *t, bson_error_t *e)
{
	bson_t *opts = bson_new(), *p;

	if (*t->projection == '\0')
		return opts;
	p = bson_new_from_json((const uint8_t *)t->projection, -1, e);
	if (p) {
		BSON_APPEND_DOCUMENT(opts, "projection", p);
		bson_destroy(p);
		return opts;
	}
	bson_destroy(opts);
	return NULL;
}

static void take_error(struct query *q, const bson_error_t *e)
{
	bool server = e->domain == MONGOC_ERROR_STREAM || e->domain == MONGOC_ERROR_SERVER_SELECTION || e->domain == MONGOC_ERROR_CLIENT;

	if (server)
		q->r = ph_err_set(&q->lost, -ECONNRESET, "%s", e->message);
	else
		q->failed = ph_err_set(&q->why, -EIO, "mongodb query failed: %s", e->message);
}

static void find_thread(void *arg)
{
	struct query *q = arg;
	bson_error_t e = { 0 };
	bson_t *filter = bson_new_from_json((const uint8_t *)q->filter, -1, &e), *opts = filter ? options(q->t, &e) : NULL;
	mongoc_collection_t *coll;
	mongoc_cursor_t *cursor;
	const bson_t *doc;

	if (opts == NULL) {
		q->failed = ph_err_set(&q->why, -EINVAL, "cannot read query_filter or projection: %s", e.message);
		bson_destroy(filter);
		return;
	}
	coll = mongoc_client_get_collection(q->client, q->t->dbname, q->t->collection);
	cursor = mongoc_collection_find_with_opts(coll, filter, opts, NULL);
	while (q->failed == 0 && mongoc_cursor_next(cursor, &doc))
		q->failed = take_document(q, doc);
	if (q->failed == 0 && mongoc_cursor_error(cursor, &e))
		take_error(q, &e);
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(coll);
	bson_destroy(filter);
	bson_destroy(opts);
}

/* ---- connections ---- */

static int mg_open(void *ctx, struct lconn *c, const char *server, int64_t deadline, struct ph_err *err)
{
	bson_error_t e = { 0 };
	mongoc_uri_t *uri = mongoc_uri_new_with_error(server, &e);

	if (uri == NULL)
		return ph_err_set(err, -EINVAL, "bad uri: %s", e.message);
	if (mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 0) == 0)
		mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS, TIMEOUT_MS / 2);
	if (mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 0) == 0)
		mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, TIMEOUT_MS);
	if (mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 0) == 0)
		mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, TIMEOUT_MS / 2);
	c->user = mongoc_client_new_from_uri_with_error(uri, &e);       /* connects at the first query */
	mongoc_uri_destroy(uri);
	return c->user ? 0 : ph_err_set(err, -EINVAL, "bad uri: %s", e.message);
}

static void mg_dropped(void *ctx, struct lconn *c)
{
	if (c->user)
		mongoc_client_destroy(c->user);
}

static int mg_ask(void *ctx, struct lconn *c, void *query, int64_t deadline, struct ph_err *err)
{
	struct query *q = query;

	q->client = c->user;
	q->failed = q->r = 0;
	lresult_done(q->res);
	ph_offload(find_thread, q);
	return q->r < 0 ? ph_err_set(err, q->r, "%s", q->lost.text) : 0;
}

static const struct lpool_lang lang = { .open = mg_open, .dropped = mg_dropped, .ask = mg_ask };

/* ---- the table ---- */

static void table_close(void *table)
{
	struct table *t = table;

	lpool_free(&t->pool);
	free(t->attrs_copy);
	lquery_done(&t->q);
	free(t);
}

static int read_settings(struct table *t, struct ph_err *err)
{
	struct lcfg *cfg = t->q.cfg;
	const char *uri = lcfg_str(cfg, "uri", "");
	char *cursor, *word;
	size_t n = 0;
	int r;

	t->dbname = lcfg_str(cfg, "dbname", "");
	t->collection = lcfg_str(cfg, "collection", "");
	t->filter = lcfg_str(cfg, "query_filter", "");
	t->projection = lcfg_str(cfg, "projection", "");
	if (!*uri || !*t->dbname || !*t->collection || !*t->filter)
		return ph_err_set(err, -EINVAL, "%s: uri, dbname, collection and query_filter must be set", t->q.name);
	t->attrs_copy = cursor = ph_strdup(lcfg_str(cfg, "result_attribute", ""));
	while ((word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL && n + 1 < PH_ARRAY_LEN(t->attrs))
		t->attrs[n++] = word;
	if (n == 0 && *t->projection == '\0')
		return ph_err_set(err, -EINVAL, "%s: result_attribute or projection must be set", t->q.name);
	if ((r = lcfg_check_format(t->q.name, t->filter, err)) < 0)
		return r;
	lcfg_warn_unused(cfg);
	t->pool = lpool_new(&lang, t, CONNECTIONS);
	return lpool_add_name(t->pool, uri, err);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t = ph_alloc(sizeof *t);
	int r = lquery_open(&t->q, spec, err);

	if (r >= 0)
		r = read_settings(t, err);
	if (r < 0)
		table_close(t);
	else
		*ret = t;
	return r;
}

/* Inside a JSON string: RFC 8259 section 7. */
static int quote(void *ctx, const char *part, size_t n, struct ph_buf *out)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		unsigned char c = (unsigned char)part[i];

		if (c < 32 || c == 127)
			r = ph_buf_printf(out, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			r = ph_buf_printf(out, "\\%c", c);
		else
			r = ph_buf_putc(out, c);
	}
	return r;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	struct ph_buf filter = PH_BUF_INIT(LQUERY_MAX_TEXT);
	struct lresult res;
	struct query q = { .t = t, .res = &res };
	enum ph_lookup status = lquery_wants(&t->q, key, err);
	bool failed = false;

	if (status != PH_LOOKUP_FOUND)
		return status;
	lresult_init(&res, &t->q, key);
	if (!lcfg_expand_quoted(t->filter, key, quote, NULL, &filter, &failed)) {
		status = PH_LOOKUP_NOTFOUND;
		if (failed) {
			ph_err_set(err, -EMSGSIZE, "the query is longer than %zu bytes", LQUERY_MAX_TEXT);
			status = PH_LOOKUP_TEMPFAIL;
		}
	} else {
		q.filter = ph_buf_str(&filter);
		if (lpool_exchange(t->pool, arena, &q, 2 * TIMEOUT_MS, err) < 0) {
			status = PH_LOOKUP_TEMPFAIL;
		} else if (q.failed < 0) {
			ph_err_set(err, q.failed, "%s", q.why.text);
			status = PH_LOOKUP_TEMPFAIL;
		} else {
			status = lresult_take(&res, arena, ret_value);
		}
	}
	lresult_done(&res);
	ph_buf_done(&filter);
	return status;
}

static void no_log(mongoc_log_level_t level, const char *domain, const char *message, void *ctx)
{
}

static int init(struct ph_err *err)
{
	mongoc_init();
	mongoc_log_set_handler(no_log, NULL);   /* it writes to the standard streams; errors come back with each call */
	return 0;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_TEXT | PH_LOOKUP_NETWORK | PH_LOOKUP_REPEATABLE,
	.open = table_open, .get = table_get, .close = table_close, .path = lcfg_path,
};

PH_MODULE(PH_KIND_LOOKUP, "mongodb", "1.0", "documents of MongoDB servers", .ops.lookup = &ops, .init = init, .fini = mongoc_cleanup);
