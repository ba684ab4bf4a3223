/* sql.h: what mysql and pgsql tables have in common: a query as text, sent to one of several servers, whose rows become one result. */
#ifndef LOOKUP_COMMON_SQL_H
#define LOOKUP_COMMON_SQL_H

#include "pool.h"
#include "query.h"

/* The first member of a module's table. */
struct lsql {
	struct lquery q;
	struct lpool *pool;
	const char *query, *user, *password, *dbname;
	char *made;                     /* what query points to, when older settings made it */
};

/* One look-up: what ask() of the pool's language gets. */
struct lsql_query {
	const struct lsql *t;
	const char *key;
	struct lresult res;
	bool suppressed;                /* the key has not got what the query needs */
	int failed;                     /* the server's answer is an error: of this query, not of the server */
	struct ph_err why;
};

/* Settings that both have, and the pool with its hosts; ctx (what the language's functions get) is the table.  functions: of lquery_sql.
 * settings: the module's own, called before the pool is made (NULL: none).  0, or negative with err; lsql_close is to be called in both cases.
 * Does not yield. */
int lsql_open(struct lsql *t, const struct ph_table_spec *spec, const struct lpool_lang *lang, bool functions,
	      int (*settings)(struct lsql *t, struct ph_err *err), struct ph_err *err);
/* Frees the table itself, too. */
void lsql_close(void *table);
/* For an ask(): begin anew (it may be called again for the same look-up) and write the query's text.  false: there is nothing to send; q says why. */
bool lsql_text(struct lsql_query *q, lcfg_quote_fn *quote, void *ctx, struct ph_buf *out);
/* get of struct ph_lookup_ops.  Yields. */
enum ph_lookup lsql_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err);
#endif
