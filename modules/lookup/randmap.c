/* randmap.c: lookup "randmap:{a, b, b}": one of the values at random for every key.  Owns a copy of the list.  Does not yield. */
#include <posthouse/lookup.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct table {
	char *copy;             /* the values live in it */
	char **values;
	size_t n;
};

static void table_close(void *table)
{
	struct table *t = table;

	free(t->copy);
	free(t->values);
	free(t);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t;
	char *cursor, *word;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "randmap:%.200s map requires O_RDONLY access mode", spec->name);
	t = ph_alloc(sizeof *t);
	t->copy = ph_strdup(spec->name);
	cursor = ph_str_unbrace(t->copy);
	while (cursor != t->copy && (word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		t->values = ph_realloc(t->values, (t->n + 1) * sizeof t->values[0]);
		t->values[t->n++] = ph_str_unbrace(word);
	}
	if (t->n == 0) {
		table_close(t);
		return ph_err_set(err, -EINVAL, "bad syntax: \"randmap:%.200s\"; need \"randmap:{value...}\"", spec->name);
	}
	*ret = t;
	return 0;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	uint32_t r = 0;

	if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r)
		r = (uint32_t)ph_wall_us();
	*ret_value = t->values[r % t->n];
	return PH_LOOKUP_FOUND;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_INLINE, .open = table_open, .get = table_get, .close = table_close,
};

PH_MODULE(PH_KIND_LOOKUP, "randmap", "1.0", "one of a list of values at random", .ops.lookup = &ops);
