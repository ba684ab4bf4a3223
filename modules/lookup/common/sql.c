/* sql.c: see sql.h.  Owns nothing beyond the tables.  Source: the common parts of mysql_table(5) and pgsql_table(5). */
#include "sql.h"
#include "hosts.h"

#include <errno.h>
#include <stdlib.h>

#define CONNECTIONS 8
#define TIMEOUT_MS 20000        /* of a look-up */

void lsql_close(void *table)
{
	struct lsql *t = table;

	lpool_free(&t->pool);
	free(t->made);
	lquery_done(&t->q);
	free(t);
}

int lsql_open(struct lsql *t, const struct ph_table_spec *spec, const struct lpool_lang *lang, bool functions,
	      int (*settings)(struct lsql *t, struct ph_err *err), struct ph_err *err)
{
	int r;

	if ((r = lquery_open(&t->q, spec, err)) < 0 || (r = lquery_sql(&t->q, functions, &t->query, &t->made, err)) < 0)
		return r;
	t->user = lcfg_str(t->q.cfg, "user", "");
	t->password = lcfg_str(t->q.cfg, "password", "");
	t->dbname = lcfg_str(t->q.cfg, "dbname", "");
	if (settings && (r = settings(t, err)) < 0)
		return r;
	t->pool = lpool_new(lang, t, CONNECTIONS);
	r = lhosts_add(t->pool, t->q.cfg, t->q.name, "localhost", err);
	if (r == 0)
		lcfg_warn_unused(t->q.cfg);
	return r;
}

bool lsql_text(struct lsql_query *q, lcfg_quote_fn *quote, void *ctx, struct ph_buf *out)
{
	bool failed;

	q->failed = 0;
	lresult_done(&q->res);
	if (lcfg_expand_quoted(q->t->query, q->key, quote, ctx, out, &failed))
		return true;
	q->suppressed = !failed;
	if (failed)
		q->failed = ph_err_set(&q->why, -EIO, "the key cannot be quoted");
	return false;
}

enum ph_lookup lsql_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct lsql *t = table;
	struct lsql_query q = { .t = t, .key = key };
	enum ph_lookup status = lquery_wants(&t->q, key, err);

	if (status != PH_LOOKUP_FOUND)
		return status;
	lresult_init(&q.res, &t->q, key);
	if (lpool_exchange(t->pool, arena, &q, TIMEOUT_MS, err) < 0) {
		status = PH_LOOKUP_TEMPFAIL;
	} else if (q.failed < 0) {
		ph_err_set(err, q.failed, "%s", q.why.text);
		status = PH_LOOKUP_TEMPFAIL;
	} else {
		status = q.suppressed ? PH_LOOKUP_NOTFOUND : lresult_take(&q.res, arena, ret_value);
	}
	lresult_done(&q.res);
	return status;
}
