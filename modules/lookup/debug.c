/* debug.c: lookup "debug:type:name": another table, each look-up of which is logged.  Yields where that table does. */
#include <posthouse/lookup.h>

#include <errno.h>
#include <stdlib.h>

struct table {
	char *name;
	struct ph_maps *inner;  /* belongs to the configuration */
};

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "debug:%.200s map requires O_RDONLY access mode", spec->name);
	t = ph_alloc(sizeof *t);
	t->name = ph_strdup(spec->name);
	t->inner = ph_maps_open(spec->conf, "debug", spec->name);
	*ret = t;
	return 0;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	enum ph_lookup status = ph_maps_find(t->inner, key, false, arena, ret_value, err);

	if (status == PH_LOOKUP_FOUND)
		ph_log(PH_LOG_INFO, "%s lookup: \"%s\" = \"%s\"", t->name, key, *ret_value);
	else if (status == PH_LOOKUP_NOTFOUND)
		ph_log(PH_LOG_INFO, "%s lookup: \"%s\" = \"not found\"", t->name, key);
	else
		ph_log(PH_LOG_INFO, "%s lookup: \"%s\" = \"error\"", t->name, key);
	return status;
}

static unsigned table_flags(void *table)
{
	struct table *t = table;

	return ph_maps_flags(t->inner);
}

static void table_close(void *table)
{
	struct table *t = table;

	free(t->name);
	free(t);
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_INLINE, .open = table_open, .get = table_get, .close = table_close,
	.table_flags = table_flags,
};

PH_MODULE(PH_KIND_LOOKUP, "debug", "1.0", "logs the look-ups of another table", .ops.lookup = &ops);
