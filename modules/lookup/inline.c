/* inline.c: lookup "inline:{ key = value, { key = text with, commas } }".
 *
 * Owns its entries in memory.  Does not yield.  Source: DATABASE_README. */
#include "common/strtab.h"
#include "common/text.h"
#include <posthouse/lookup.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int bad(const struct ph_table_spec *spec, const char *what, struct ph_err *err)
{
	return ph_err_set(err, -EINVAL, "%s: \"inline:%.200s\"; need \"inline:{name=value...}\"", what, spec->name);
}

static int parse(const struct ph_table_spec *spec, char *copy, struct lstrtab *tab, struct ph_err *err)
{
	char *cursor = ph_str_unbrace(copy), *word, *eq, *key, *value;
	size_t n = 0;

	if (cursor == copy)
		return bad(spec, "bad syntax", err);
	while ((word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		char *whole = word;

		word = ph_str_unbrace(word);
		if (word == whole && *word == '{') {
			char what[200];

			snprintf(what, sizeof what, "syntax error after '}' in \"%.100s\"", word);
			return bad(spec, what, err);
		}
		eq = strchr(word, '=');
		if (eq == NULL)
			return bad(spec, "missing '=' after attribute name", err);
		*eq = '\0';
		key = ltext_trim(word);
		value = ltext_trim(eq + 1);
		if (*key == '\0')
			return bad(spec, "missing attribute name", err);
		lstrtab_put_folded(tab, key, value, true, spec->conf);
		n++;
	}
	return n > 0 ? 0 : bad(spec, "bad syntax", err);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct lstrtable *t;
	char *copy;
	int r;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "inline:%.200s map requires O_RDONLY access mode", spec->name);
	t = lstrtable_new();
	copy = ph_strdup(spec->name);
	r = parse(spec, copy, t->tab, err);
	free(copy);
	if (r < 0) {
		lstrtable_close(t);
		return r;
	}
	*ret = t;
	return 0;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_INLINE,
	.open = table_open, .get = lstrtable_get, .close = lstrtable_close, .next = lstrtable_next,
};

PH_MODULE(PH_KIND_LOOKUP, "inline", "1.0", "a table written into main.cf", .ops.lookup = &ops);
