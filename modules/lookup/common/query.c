/* query.c: see query.h.  Owns the settings of one table.  Only lquery_wants may yield. */
#include "query.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

int lquery_open(struct lquery *q, const struct ph_table_spec *spec, struct ph_err *err)
{
	const char *domains;
	int r;

	q->type = spec->type;
	q->name = ph_strdup(spec->name);
	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "%s:%s map requires O_RDONLY access mode", spec->type, spec->name);
	if ((r = lcfg_open(spec, &q->cfg, err)) < 0)
		return r;
	q->result_format = lcfg_str(q->cfg, "result_format", NULL);
	if (q->result_format == NULL)
		q->result_format = lcfg_str(q->cfg, "result_filter", "%s");    /* its name before Postfix 2.2 */
	if (*q->result_format == '\0')
		return ph_err_set(err, -EINVAL, "%s: result_format is empty", q->name);
	domains = lcfg_str(q->cfg, "domain", "");
	if (*domains)
		q->domains = ph_match_open(spec->conf, q->name, domains, PH_MATCH_STRING);
	if ((r = lcfg_int(q->cfg, "expansion_limit", 0, 0, INT_MAX, &q->expansion_limit, err)) < 0)
		return r;
	return lcfg_check_format(q->name, q->result_format, err);
}

void lquery_done(struct lquery *q)
{
	lcfg_free(&q->cfg);
	free(q->name);
	q->name = NULL;
}

static char *make_sql(struct lquery *q)
{
	struct ph_buf b = PH_BUF_INIT(LQUERY_MAX_TEXT);
	char *sql;

	ph_buf_printf(&b, "SELECT %s FROM %s WHERE %s = '%%s' %s", lcfg_str(q->cfg, "select_field", ""), lcfg_str(q->cfg, "table", ""),
		      lcfg_str(q->cfg, "where_field", ""), lcfg_str(q->cfg, "additional_conditions", ""));
	sql = ph_strdup(ph_buf_str(&b));
	ph_buf_done(&b);
	return sql;
}

static char *make_call(const char *function)
{
	struct ph_buf b = PH_BUF_INIT(LQUERY_MAX_TEXT);
	char *sql;

	ph_buf_printf(&b, "SELECT %s('%%s')", function);
	sql = ph_strdup(ph_buf_str(&b));
	ph_buf_done(&b);
	return sql;
}

int lquery_sql(struct lquery *q, bool functions, const char **ret, char **ret_made, struct ph_err *err)
{
	static const char *const old[] = { "select_field", "table", "where_field", "additional_conditions", "select_function" };
	const char *query = lcfg_str(q->cfg, "query", NULL), *function = functions ? lcfg_str(q->cfg, "select_function", NULL) : NULL;

	lcfg_known(q->cfg, old, PH_ARRAY_LEN(old) - !functions);
	*ret_made = NULL;
	if (query && *query) {
		*ret = query;
	} else if (function && *function) {
		*ret = *ret_made = make_call(function);
	} else {
		for (size_t i = 0; i < 3; i++)
			if (lcfg_str(q->cfg, old[i], "")[0] == '\0')
				return ph_err_set(err, -EINVAL, "%s: neither query nor %s is set", q->name, old[i]);
		*ret = *ret_made = make_sql(q);
	}
	return lcfg_check_format(q->name, *ret, err);
}

enum ph_lookup lquery_wants(const struct lquery *q, const char *key, struct ph_err *err)
{
	const char *at = strrchr(key, '@');
	struct ph_buf trial = PH_BUF_INIT(LQUERY_MAX_TEXT);
	enum ph_lookup status = PH_LOOKUP_FOUND;

	/* A client library would have to be told another character set for such a key. */
	if (!ph_utf8_valid(key, strlen(key)))
		return PH_LOOKUP_NOTFOUND;
	if (q->domains) {
		if (at == NULL || at == key || at[1] == '\0')
			return PH_LOOKUP_NOTFOUND;
		status = ph_match_find(q->domains, at + 1, NULL, err);
	}
	/* What the result takes from the key must be there; "x@x.x" has the parts that a value may have. */
	if (status == PH_LOOKUP_FOUND && !lcfg_expand(q->result_format, "x@x", key, &trial))
		status = PH_LOOKUP_NOTFOUND;
	ph_buf_done(&trial);
	return status;
}

/* ---- results ---- */

void lresult_init(struct lresult *r, const struct lquery *q, const char *key)
{
	memset(r, 0, sizeof *r);
	r->q = q;
	r->key = key;
	ph_buf_init(&r->text, LQUERY_MAX_RESULT);
}

int lresult_add(struct lresult *r, const char *value, size_t n, struct ph_err *err)
{
	size_t before = r->text.len;
	char *copy;
	bool ok;

	if (value == NULL)
		return 0;
	if (n == 0) {
		ph_log(PH_LOG_WARNING, "table \"%s:%s\": empty lookup result for: \"%s\" -- ignored", r->q->type, r->q->name, r->key);
		return 0;
	}
	if (memchr(value, '\0', n))
		return ph_err_set(err, -EPROTO, "the value holds a null byte");
	if (n > LQUERY_MAX_RESULT || r->text.len + n > LQUERY_MAX_RESULT)
		return ph_err_set(err, -EMSGSIZE, "the result is longer than %zu bytes", LQUERY_MAX_RESULT);
	copy = ph_strndup(value, n);
	ok = (before == 0 || ph_buf_putc(&r->text, ',') == 0) && lcfg_expand(r->q->result_format, copy, r->key, &r->text);
	free(copy);
	if (!ok) {                      /* this value gives no result */
		r->text.len = before;
		if (r->text.data)
			r->text.data[before] = '\0';
		return 0;
	}
	r->n++;
	if (r->q->expansion_limit > 0 && r->n > r->q->expansion_limit)
		return ph_err_set(err, -E2BIG, "Expansion limit exceeded for key '%.200s'", r->key);
	return 0;
}

enum ph_lookup lresult_take(struct lresult *r, struct ph_arena *arena, const char **ret_value)
{
	if (r->text.len == 0)
		return PH_LOOKUP_NOTFOUND;
	*ret_value = ph_arena_strdup(arena, ph_buf_str(&r->text));
	return PH_LOOKUP_FOUND;
}

void lresult_done(struct lresult *r)
{
	ph_buf_done(&r->text);
	r->n = 0;
}
