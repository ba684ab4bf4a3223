/* table.c: lookup "ldap:/etc/postfix/x.cf", or "ldap:name" with main.cf parameters: searches of LDAP servers.
 *
 * The pool keeps bound connections, goes through the servers in their order, and leaves a dead one alone for a while.  get yields.
 * Source: ldap_table(5). */
#include "ldap.h"

#include <posthouse/co.h>

#include <stdlib.h>

#define CONNECTIONS 8
#define LOOKUP_MS 60000         /* of a look-up with all that it leads to; more when the table's timeout is longer */

struct opening {
	const struct ldapt *t;
	const char *url;
	LDAP *ld;
	int r;
	struct ph_err why;
};

static void connect_thread(void *arg)
{
	struct opening *o = arg;

	o->r = ldapt_connect(o->t, o->url, &o->ld, &o->why);
}

static int conn_open(void *ctx, struct lconn *c, const char *server, int64_t deadline, struct ph_err *err)
{
	struct opening o = { .t = ctx, .url = server };

	ph_offload(connect_thread, &o);
	c->user = o.ld;
	return o.r < 0 ? ph_err_set(err, o.r, "%s", o.why.text) : 0;
}

static void conn_dropped(void *ctx, struct lconn *c)
{
	if (c->user)
		ldap_unbind_ext(c->user, NULL, NULL);
}

static int conn_ask(void *ctx, struct lconn *c, void *query, int64_t deadline, struct ph_err *err)
{
	return ldapt_ask(c, query, deadline, err);
}

static const struct lpool_lang lang = { .open = conn_open, .dropped = conn_dropped, .ask = conn_ask };

static void table_close(void *table)
{
	struct ldapt *t = table;

	lpool_free(&t->pool);
	ldapt_settings_done(t);
	lquery_done(&t->q);
	free(t);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct ldapt *t = ph_alloc(sizeof *t);
	int r = lquery_open(&t->q, spec, err);

	if (r >= 0) {
		t->pool = lpool_new(&lang, t, CONNECTIONS);
		r = ldapt_settings(t, err);
	}
	if (r < 0)
		table_close(t);
	else
		*ret = t;
	return r;
}

static enum ph_lookup search(struct ldapt *t, struct ldapt_query *q, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	if (lpool_exchange(t->pool, arena, q, t->timeout_ms > LOOKUP_MS ? t->timeout_ms : LOOKUP_MS, err) < 0)
		return PH_LOOKUP_TEMPFAIL;
	if (q->failed < 0) {
		ph_err_set(err, q->failed, "%s", q->why.text);
		return PH_LOOKUP_TEMPFAIL;
	}
	return lresult_take(q->res, arena, ret_value);
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct ldapt *t = table;
	struct ph_buf base = PH_BUF_INIT(LQUERY_MAX_TEXT), filter = PH_BUF_INIT(LQUERY_MAX_TEXT);
	struct lresult res;
	struct ldapt_query q = { .t = t, .key = key, .res = &res };
	enum ph_lookup status = lquery_wants(&t->q, key, err);
	bool failed = false;

	if (status != PH_LOOKUP_FOUND)
		return status;
	status = PH_LOOKUP_NOTFOUND;
	lresult_init(&res, &t->q, key);
	if (lcfg_expand_quoted(t->base, key, ldapt_quote_dn, NULL, &base, &failed) &&
	    lcfg_expand_quoted(t->filter, key, ldapt_quote_filter, NULL, &filter, &failed)) {
		q.base = ph_buf_str(&base);
		q.filter = ph_buf_str(&filter);
		status = search(t, &q, arena, ret_value, err);
	} else if (failed) {
		ph_err_set(err, -1, "the query is longer than %zu bytes", LQUERY_MAX_TEXT);
		status = PH_LOOKUP_TEMPFAIL;
	}
	lresult_done(&res);
	ph_buf_done(&base);
	ph_buf_done(&filter);
	return status;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_TEXT | PH_LOOKUP_NETWORK | PH_LOOKUP_REPEATABLE,
	.open = table_open, .get = table_get, .close = table_close, .path = lcfg_path,
};

PH_MODULE(PH_KIND_LOOKUP, "ldap", "1.0", "searches of LDAP servers", .ops.lookup = &ops);
