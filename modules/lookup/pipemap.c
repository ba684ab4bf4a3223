/* pipemap.c: lookup "pipemap:{t1:n1, t2:n2}": the answer of each table is the key of the next; one that has none ends it with "not
 * found".  Yields where one of its tables does. */
#include "common/compound.h"

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct lcompound *c;
	int r = lcompound_open(spec, &c, err);

	if (r == 0)
		*ret = c;
	return r;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct lcompound *c = table;
	enum ph_lookup status = PH_LOOKUP_NOTFOUND;

	for (size_t i = 0; i < c->n; i++) {
		status = ph_maps_find(c->maps[i], key, false, arena, &key, NULL);
		if (status != PH_LOOKUP_FOUND)
			return status;
	}
	*ret_value = key;
	return status;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_INLINE, .open = table_open, .get = table_get, .close = lcompound_close,
	.table_flags = lcompound_flags,
};

PH_MODULE(PH_KIND_LOOKUP, "pipemap", "1.0", "tables in a row, each asked for the answer of the one before", .ops.lookup = &ops);
