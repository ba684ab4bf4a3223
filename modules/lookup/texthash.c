/* texthash.c: lookup "texthash:/file": postmap(1) source text, read as it is.
 *
 * Owns a copy of the file in memory.  Does not yield.  Source: DATABASE_README, postmap(1). */
#include "common/strtab.h"
#include "common/text.h"
#include <posthouse/lookup.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void load(struct lstrtab *tab, struct ltext *text, const struct ph_conf *conf)
{
	const char *name = ltext_name(text);
	char *line, *key, *value;
	int n, r;

	while ((line = ltext_next(text, &n)) != NULL) {
		char *shown = ph_strndup(line, 100);

		r = ltext_split(line, &key, &value);
		if (r == -EINVAL)
			ph_log(PH_LOG_WARNING, "%s, line %d: unbalanced '\"' in '%s' -- ignoring this line", name, n, shown);
		else if (r < 0)
			ph_log(PH_LOG_WARNING, "%s, line %d: expected format: key whitespace value -- ignoring this line", name, n);
		free(shown);
		if (r < 0)
			continue;
		if (key[strlen(key) - 1] == ':')
			ph_log(PH_LOG_WARNING, "%s, line %d: record is in \"key: value\" format; is this an alias file?", name, n);
		shown = ph_strdup(key);
		if (!lstrtab_put_folded(tab, key, value, false, conf))
			ph_log(PH_LOG_WARNING, "%s, line %d: duplicate entry: \"%s\"", name, n, shown);
		free(shown);
	}
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct lstrtable *t;
	struct ltext *text;
	int r;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "texthash:%s map requires O_RDONLY access mode", spec->name);
	r = ltext_open("texthash map", spec->name, true, &text, err);
	if (r < 0) {
		struct ph_err why = *err;

		return ph_err_set(err, r, "open database %s", strncmp(why.text, "open ", 5) == 0 ? why.text + 5 : why.text);
	}
	t = lstrtable_new();
	load(t->tab, text, spec->conf);
	ltext_free(&text);
	*ret = t;
	return 0;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_TEXT,
	.open = table_open, .get = lstrtable_get, .close = lstrtable_close, .next = lstrtable_next,
};

PH_MODULE(PH_KIND_LOOKUP, "texthash", "1.0", "postmap source text, read as it is", .ops.lookup = &ops);
