/* regexp.c: lookup "regexp:/file": POSIX regular expressions, first match wins.
 *
 * Owns the compiled rules of each table.  Does not yield.  Source: regexp_table(5). */
#include "common/rules.h"
#include <posthouse/lookup.h>

#include <errno.h>
#include <regex.h>
#include <stdlib.h>

#define MAX_GROUPS 100

struct pattern {
	regex_t re;
	size_t groups;                  /* that are worth asking for */
};

struct match {
	const char *key;
	regmatch_t at[MAX_GROUPS];
};

static int rule_compile(const char *text, const char *options, bool is_if, void **ret, int *ret_groups, struct ph_err *err)
{
	int flags = REG_EXTENDED | REG_ICASE, r;
	struct pattern *p;
	char why[256];

	for (; *options; options++) {
		switch (*options) {
		case 'i':
			flags ^= REG_ICASE;
			break;
		case 'm':
			flags ^= REG_NEWLINE;
			break;
		case 'x':
			flags ^= REG_EXTENDED;
			break;
		default:
			return ph_err_set(err, -EINVAL, "unknown regexp option \"%c\": skipping this rule", *options);
		}
	}
	p = ph_alloc(sizeof *p);
	r = regcomp(&p->re, text, flags | (is_if ? REG_NOSUB : 0));
	if (r != 0) {
		regerror(r, &p->re, why, sizeof why);
		free(p);
		return ph_err_set(err, -EINVAL, "%s", why);
	}
	p->groups = p->re.re_nsub < MAX_GROUPS - 1 ? p->re.re_nsub : MAX_GROUPS - 1;
	*ret = p;
	*ret_groups = (int)p->groups;
	return 0;
}

static int rule_match(void *pattern, const char *key, void *match, struct ph_err *err)
{
	struct pattern *p = pattern;
	struct match *m = match;
	char why[256];
	int r;

	m->key = key;
	r = regexec(&p->re, key, p->groups + 1, m->at, 0);
	if (r == 0 || r == REG_NOMATCH)
		return r == 0;
	regerror(r, &p->re, why, sizeof why);
	return ph_err_set(err, -ENOMEM, "%s", why);
}

static void rule_group(void *match, int group, const char **ret_p, size_t *ret_n)
{
	struct match *m = match;
	regmatch_t *g = &m->at[group];

	*ret_n = 0;
	if (g->rm_so < 0)
		return;
	*ret_p = m->key + g->rm_so;
	*ret_n = (size_t)(g->rm_eo - g->rm_so);
}

static void rule_free(void *pattern)
{
	struct pattern *p = pattern;

	regfree(&p->re);
	free(p);
}

static const struct lrules_lang lang = { "regexp map", rule_compile, rule_match, rule_free, rule_group, "out-of-range", NULL };

static int regexp_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct lrules *r;
	int status;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "regexp:%s map requires O_RDONLY access mode", spec->name);
	status = lrules_open(&lang, spec->name, &r, err);
	if (status < 0)
		return status;
	*ret = r;
	return 0;
}

static enum ph_lookup regexp_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct match m;
	int r = lrules_find(table, key, &m, arena, ret_value, err);

	return r < 0 ? PH_LOOKUP_TEMPFAIL : r > 0 ? PH_LOOKUP_FOUND : PH_LOOKUP_NOTFOUND;
}

static void regexp_close(void *table)
{
	struct lrules *r = table;

	lrules_free(&r);
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_PATTERN | PH_LOOKUP_FILE | PH_LOOKUP_TEXT,
	.open = regexp_open, .get = regexp_get, .close = regexp_close,
};

PH_MODULE(PH_KIND_LOOKUP, "regexp", "1.0", "POSIX regular expressions", .ops.lookup = &ops);
