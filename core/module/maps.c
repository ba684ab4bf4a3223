/* maps.c: a list of tables, asked in turn.
 *
 * Owns the list; the tables belong to the configuration, which shares them among all lists.  Yields where a table does. */
#include "module/table.h"
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ph_maps {
	char *title;
	bool utf8;              /* smtputf8_enable: keys and values must be UTF-8 */
	bool lines;             /* results may hold folds */
	bool breaks;            /* and any line break */
	size_t n;
	struct ph_table **tables;
	const struct ph_conf *home_conf;        /* ph_maps_mydestination was asked for; NULL: not yet */
	struct ph_match *home;
};

static ph_maps_trace_fn *trace;

void ph_maps_set_trace(ph_maps_trace_fn *fn)
{
	trace = fn;
}

static void maps_free(void *p)
{
	struct ph_maps *m = p;

	free(m->title);
	free(m->tables);
	free(m);
}

static struct ph_maps *maps_new(const struct ph_conf *conf, const char *title, const char *text)
{
	struct ph_maps *m = ph_alloc(sizeof *m);
	char *copy = ph_strdup(text), *cursor = copy, *word;

	m->title = ph_strdup(title);
	m->utf8 = ph_conf_utf8(conf);
	while ((word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		m->tables = ph_realloc(m->tables, (m->n + 1) * sizeof m->tables[0]);
		m->tables[m->n++] = ph_table_shared(conf, word);
	}
	free(copy);
	return m;
}

void ph_maps_allow_lines(struct ph_maps *m)
{
	m->lines = true;
}

void ph_maps_allow_breaks(struct ph_maps *m)
{
	m->breaks = true;
}

struct ph_maps *ph_maps_open(const struct ph_conf *conf, const char *title, const char *text)
{
	size_t n = strlen(title) + strlen(text) + sizeof "maps:=";
	char *key = ph_alloc(n);
	struct ph_maps *m;

	snprintf(key, n, "maps:%s=%s", title, text);
	m = ph_conf_attach_get(conf, key);
	if (m == NULL) {
		m = maps_new(conf, title, text);
		ph_conf_attach_set(conf, key, m, maps_free);
	}
	free(key);
	return m;
}

bool ph_maps_empty(const struct ph_maps *m)
{
	return m->n == 0;
}

unsigned ph_maps_flags(const struct ph_maps *m)
{
	unsigned flags = 0;

	for (size_t i = 0; i < m->n; i++)
		flags |= ph_table_flags(m->tables[i]) & (PH_LOOKUP_PATTERN | PH_LOOKUP_NETWORK);
	return flags;
}

size_t ph_maps_count(const struct ph_maps *m)
{
	return m->n;
}

struct ph_table *ph_maps_table(const struct ph_maps *m, size_t i)
{
	return m->tables[i];
}

struct ph_match *ph_maps_mydestination(struct ph_maps *m, const struct ph_conf *conf)
{
	const char *list;

	if (m->home_conf != conf) {
		list = ph_conf_get(conf, "mydestination");
		m->home = list ? ph_match_open(conf, "mydestination", list, PH_MATCH_DOMAIN) : NULL;
		m->home_conf = conf;
	}
	return m->home;
}

/* A value that must not reach a queue file or a command line.  NULL: it is good. */
/* A line break in a value, other than the folds that are allowed: LF and a blank.  Anything else could begin a header of its own. */
static bool has_break(const char *value, bool folds)
{
	const char *p = value;

	while ((p = strpbrk(p, "\r\n"))) {
		if (!folds || *p == '\r' || (p[1] != ' ' && p[1] != '\t'))
			return true;
		p++;
	}
	return false;
}

static const char *bad_value(const struct ph_maps *m, const char *value)
{
	if (value[0] == '\0')
		return "returns an empty string result; it should return NO RESULT in case of NOT FOUND";
	if (!m->breaks && has_break(value, m->lines))
		return "returns a result with a line break";
	if (m->utf8 && !ph_utf8_valid(value, strlen(value)))
		return "returns a result that is not UTF-8";
	return NULL;
}

static enum ph_lookup find_in(struct ph_maps *m, struct ph_table *t, const char *key, struct ph_arena *arena,
			      const char **ret_value, struct ph_err *err)
{
	struct ph_err why = { 0 };
	const char *what;
	enum ph_lookup status = ph_table_get(t, ph_table_fold(t, key, arena), arena, ret_value, &why);

	if (status == PH_LOOKUP_FOUND && (what = bad_value(m, *ret_value)) != NULL) {
		ph_err_set(&why, -EINVAL, "%s: %s lookup of \"%.128s\" %s", m->title, ph_table_title(t), key, what);
		ph_log(PH_LOG_WARNING, "%s", why.text);
		status = PH_LOOKUP_PERMERR;
	}
	if (status < 0)
		ph_err_set(err, why.code, "%s", why.text);
	if (trace)
		trace(m->title, ph_table_title(t), key, status, status == PH_LOOKUP_FOUND ? *ret_value : NULL,
		      status == PH_LOOKUP_TEMPFAIL && ph_table_failure(t) ? ph_table_failure(t) : why.text);
	return status;
}

enum ph_lookup ph_maps_find_owned(struct ph_maps *m, const char *key, bool partial, struct ph_arena *arena, const char **ret_value,
				  uid_t *ret_owner, struct ph_err *err)
{
	const char *value = NULL;
	enum ph_lookup status;

	if (key[0] == '\0')
		return PH_LOOKUP_NOTFOUND;
	if (m->utf8 && m->n > 0 && !ph_utf8_valid(key, strlen(key)))
		return PH_LOOKUP_NOTFOUND;
	for (size_t i = 0; i < m->n; i++) {
		if (partial && (ph_table_flags(m->tables[i]) & PH_LOOKUP_PATTERN))
			continue;
		status = find_in(m, m->tables[i], key, arena, &value, err);
		if (status == PH_LOOKUP_NOTFOUND)
			continue;
		if (status == PH_LOOKUP_FOUND) {
			*ret_value = value;
			*ret_owner = ph_table_owner(m->tables[i]);
		}
		return status;
	}
	return PH_LOOKUP_NOTFOUND;
}

enum ph_lookup ph_maps_find(struct ph_maps *m, const char *key, bool partial, struct ph_arena *arena, const char **ret_value,
			    struct ph_err *err)
{
	uid_t owner;

	return ph_maps_find_owned(m, key, partial, arena, ret_value, &owner, err);
}
