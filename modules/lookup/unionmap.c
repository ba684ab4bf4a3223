/* unionmap.c: lookup "unionmap:{t1:n1, t2:n2}": the answers of all tables, joined by commas.  A table that fails makes the whole
 * fail.  Yields where one of its tables does. */
#include "common/compound.h"

#include <errno.h>

#define MAX_RESULT ((size_t)1 << 20)

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
	struct ph_buf b = PH_BUF_INIT(MAX_RESULT);
	enum ph_lookup status = PH_LOOKUP_NOTFOUND;
	const char *value;

	for (size_t i = 0; i < c->n; i++) {
		enum ph_lookup one = ph_maps_find(c->maps[i], key, false, arena, &value, NULL);

		if (one < 0) {
			status = one;
			break;
		}
		if (one == PH_LOOKUP_NOTFOUND)
			continue;
		if (ph_buf_printf(&b, "%s%s", b.len ? "," : "", value) < 0) {
			ph_err_set(err, -EMSGSIZE, "the result is longer than %zu bytes", MAX_RESULT);
			status = PH_LOOKUP_TEMPFAIL;
			break;
		}
		status = PH_LOOKUP_FOUND;
	}
	if (status == PH_LOOKUP_FOUND)
		*ret_value = ph_arena_strdup(arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return status;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_INLINE, .open = table_open, .get = table_get, .close = lcompound_close,
	.table_flags = lcompound_flags,
};

PH_MODULE(PH_KIND_LOOKUP, "unionmap", "1.0", "the answers of several tables together", .ops.lookup = &ops);
