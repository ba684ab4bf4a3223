/* pcre.c: lookup "pcre:/file": Perl-compatible regular expressions, first match wins.
 *
 * Owns the compiled rules of each table.  A match that runs into PCRE's limits is a temporary failure, never "no match".  Does
 * not yield.  Source: pcre_table(5). */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "common/rules.h"
#include <posthouse/lookup.h>

#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define MATCH_LIMIT 1000000     /* steps of one match: about 10 ms */
#define HEAP_LIMIT 20000        /* KiB */

struct pattern {
	pcre2_code *code;
	pcre2_match_data *data;
};

struct match {
	const char *key;
	pcre2_match_data *data;         /* of the pattern that matched last */
	int rc;
};

static pcre2_match_context *limits;

static int parse_options(const char *options, uint32_t *flags, struct ph_err *err)
{
	for (; *options; options++) {
		switch (*options) {
		case 'i': *flags ^= PCRE2_CASELESS; break;
		case 'm': *flags ^= PCRE2_MULTILINE; break;
		case 's': *flags ^= PCRE2_DOTALL; break;
		case 'x': *flags ^= PCRE2_EXTENDED; break;
		case 'A': *flags ^= PCRE2_ANCHORED; break;
		case 'E': *flags ^= PCRE2_DOLLAR_ENDONLY; break;
		case 'U': *flags ^= PCRE2_UNGREEDY; break;
		case 'X': break;        /* PCRE_EXTRA: what it asked for is always so in PCRE2 */
		default:
			return ph_err_set(err, -EINVAL, "unknown regexp option \"%c\": skipping this rule", *options);
		}
	}
	return 0;
}

static int rule_compile(const char *text, const char *options, bool is_if, void **ret, int *ret_groups, struct ph_err *err)
{
	uint32_t flags = PCRE2_CASELESS | PCRE2_DOTALL, groups = 0;
	PCRE2_UCHAR why[256];
	PCRE2_SIZE offset;
	struct pattern *p;
	pcre2_code *code;
	int code_err;

	if (parse_options(options, &flags, err) < 0)
		return -EINVAL;
	code = pcre2_compile((PCRE2_SPTR)text, strlen(text), flags, &code_err, &offset, NULL);
	if (code == NULL) {
		pcre2_get_error_message(code_err, why, sizeof why);
		return ph_err_set(err, -EINVAL, "error in regex at offset %zu: %s", (size_t)offset, (const char *)why);
	}
	pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);    /* without JIT it works too */
	pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
	p = ph_alloc(sizeof *p);
	p->code = code;
	p->data = pcre2_match_data_create_from_pattern(code, NULL);
	ph_assert(p->data != NULL);
	*ret = p;
	*ret_groups = (int)groups;
	return 0;
}

static int rule_match(void *pattern, const char *key, void *match, struct ph_err *err)
{
	struct pattern *p = pattern;
	struct match *m = match;
	PCRE2_UCHAR why[256];
	int rc = pcre2_match(p->code, (PCRE2_SPTR)key, strlen(key), 0, 0, p->data, limits);

	m->key = key;
	m->data = p->data;
	m->rc = rc;
	if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH)
		return rc >= 0;
	pcre2_get_error_message(rc, why, sizeof why);
	return ph_err_set(err, -ELOOP, "error %d: %s", rc, (const char *)why);
}

static void rule_group(void *match, int group, const char **ret_p, size_t *ret_n)
{
	struct match *m = match;
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);

	*ret_n = 0;
	if (group >= m->rc || at[2 * group] == PCRE2_UNSET || at[2 * group + 1] < at[2 * group])
		return;
	*ret_p = m->key + at[2 * group];
	*ret_n = at[2 * group + 1] - at[2 * group];
}

static void rule_free(void *pattern)
{
	struct pattern *p = pattern;

	pcre2_match_data_free(p->data);
	pcre2_code_free(p->code);
	free(p);
}

static const struct lrules_lang lang = { "pcre map", rule_compile, rule_match, rule_free, rule_group, "out of range", "X" };

static int pcre_init(struct ph_err *err)
{
	limits = pcre2_match_context_create(NULL);
	if (limits == NULL)
		return ph_err_set(err, -ENOMEM, "out of memory");
	pcre2_set_match_limit(limits, MATCH_LIMIT);
	pcre2_set_heap_limit(limits, HEAP_LIMIT);
	return 0;
}

static void pcre_fini(void)
{
	pcre2_match_context_free(limits);
	limits = NULL;
}

static int pcre_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct lrules *r;
	int status;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "pcre:%s map requires O_RDONLY access mode", spec->name);
	status = lrules_open(&lang, spec->name, &r, err);
	if (status < 0)
		return status;
	*ret = r;
	return 0;
}

static enum ph_lookup pcre_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct match m = { 0 };
	int r = lrules_find(table, key, &m, arena, ret_value, err);

	return r < 0 ? PH_LOOKUP_TEMPFAIL : r > 0 ? PH_LOOKUP_FOUND : PH_LOOKUP_NOTFOUND;
}

static void pcre_close(void *table)
{
	struct lrules *r = table;

	lrules_free(&r);
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_PATTERN | PH_LOOKUP_FILE | PH_LOOKUP_TEXT,
	.open = pcre_open, .get = pcre_get, .close = pcre_close,
};

PH_MODULE(PH_KIND_LOOKUP, "pcre", "1.0", "Perl-compatible regular expressions (PCRE2)", .ops.lookup = &ops,
	  .init = pcre_init, .fini = pcre_fini);
