/* fail.c: lookup "fail:name": every look-up fails; for tests and to switch a service off.  Does not yield. */
#include <posthouse/lookup.h>

#include <errno.h>
#include <stdlib.h>

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	*ret = ph_strdup(spec->name);
	return 0;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	return PH_LOOKUP_TEMPFAIL;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_INLINE, .open = table_open, .get = table_get, .close = free,
};

PH_MODULE(PH_KIND_LOOKUP, "fail", "1.0", "a table that always fails", .ops.lookup = &ops);
