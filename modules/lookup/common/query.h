/* query.h: what sqlite, pgsql, mysql, ldap, mongodb and memcache tables have in common: the settings "query" (and its older forms), "domain",
 * "result_format", "expansion_limit", and what they make of keys and values.  Source: the common parts of ldap_table(5),
 * mysql_table(5), pgsql_table(5), sqlite_table(5). */
#ifndef LOOKUP_COMMON_QUERY_H
#define LOOKUP_COMMON_QUERY_H

#include "cfg.h"

#define LQUERY_MAX_RESULT ((size_t)1 << 20)
#define LQUERY_MAX_TEXT ((size_t)1 << 20)       /* of an expanded query */

struct lquery {
	const char *type;
	char *name;
	struct lcfg *cfg;
	const char *result_format;
	int expansion_limit;            /* 0: none */
	struct ph_match *domains;       /* NULL: all keys */
};

/* Read the settings of spec.  0, or negative with err; lquery_done is to be called in both cases.  Does not yield. */
int lquery_open(struct lquery *q, const struct ph_table_spec *spec, struct ph_err *err);
void lquery_done(struct lquery *q);
/* The SQL template: "query", else "select_function" (when functions), else select_field, table, where_field, additional_conditions.  In
 * q's configuration or in *ret_made (the caller's to free; NULL: none).  0 or negative with err. */
int lquery_sql(struct lquery *q, bool functions, const char **ret, char **ret_made, struct ph_err *err);

/* Is this key asked for at all?  FOUND: yes; NOTFOUND: by "domain", or result_format needs what the key has not got; TEMPFAIL with err:
 * the domain list cannot be asked.  Yields when that list does. */
enum ph_lookup lquery_wants(const struct lquery *q, const char *key, struct ph_err *err);

/* The values of one look-up, joined with commas. */
struct lresult {
	const struct lquery *q;
	const char *key;
	struct ph_buf text;
	int n;
};
void lresult_init(struct lresult *r, const struct lquery *q, const char *key);
/* One value (NULL and "" count as none).  0, or negative with err: more than expansion_limit, or too long. */
int lresult_add(struct lresult *r, const char *value, size_t n, struct ph_err *err);
/* FOUND and *ret_value, or NOTFOUND.  lresult_done frees; what was added is forgotten. */
enum ph_lookup lresult_take(struct lresult *r, struct ph_arena *arena, const char **ret_value);
void lresult_done(struct lresult *r);
#endif
