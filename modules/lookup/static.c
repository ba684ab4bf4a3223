/* static.c: lookup "static:text" and "static:{ text }": the same answer for every key.  Does not yield.  Source: DATABASE_README. */
#include <posthouse/lookup.h>

#include <errno.h>
#include <stdlib.h>

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	char *copy, *text;

	copy = ph_strdup(spec->name);
	text = ph_str_unbrace(copy);
	if (copy[0] == '{' && text == copy) {
		free(copy);
		return ph_err_set(err, -EINVAL, "bad static:name syntax: missing '}' in \"%.200s\"", spec->name);
	}
	*ret = ph_strdup(text);
	free(copy);
	return 0;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	*ret_value = table;
	return PH_LOOKUP_FOUND;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_INLINE, .open = table_open, .get = table_get, .close = free,
};

PH_MODULE(PH_KIND_LOOKUP, "static", "1.0", "the same answer for every key", .ops.lookup = &ops);
