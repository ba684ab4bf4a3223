/* environ.c: lookup "environ:name": variables of this process; postmap -i changes its own only.  Does not yield. */
#include <posthouse/lookup.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

struct table {
	size_t pos;             /* of next */
};

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	*ret = ph_alloc(sizeof(struct table));
	return 0;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	const char *v = getenv(key);

	if (v == NULL)
		return PH_LOOKUP_NOTFOUND;
	*ret_value = v;
	return PH_LOOKUP_FOUND;
}

static int table_put(void *table, const char *key, const char *value, bool replace, struct ph_err *err)
{
	if (!replace && getenv(key))
		return ph_err_set(err, -EEXIST, "the variable is set already");
	if (setenv(key, value, 1) < 0)
		return ph_err_errno(err, -errno, "setenv %.100s", key);
	return 0;
}

static int table_next(void *table, bool first, struct ph_arena *arena, const char **ret_key, const char **ret_value,
		      struct ph_err *err)
{
	struct table *t = table;
	const char *eq;

	if (first)
		t->pos = 0;
	while (environ && environ[t->pos]) {
		const char *s = environ[t->pos++];

		eq = strchr(s, '=');
		if (eq == NULL)
			continue;
		*ret_key = ph_arena_strndup(arena, s, (size_t)(eq - s));
		*ret_value = eq + 1;
		return 1;
	}
	return 0;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_INLINE,
	.open = table_open, .get = table_get, .close = free, .put = table_put, .next = table_next,
};

PH_MODULE(PH_KIND_LOOKUP, "environ", "1.0", "the process environment", .ops.lookup = &ops);
