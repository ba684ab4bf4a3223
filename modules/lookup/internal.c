/* internal.c: lookup "internal:name": a table in this process's memory that dies with it.
 *
 * Owns the tables by name, for the life of the process: two uses of one name are one table.  Does not yield. */
#include "common/strtab.h"
#include <posthouse/lookup.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct named {
	struct named *next;
	char *name;
	struct lstrtab *tab;
};

struct table {
	struct lstrtab *tab;
	size_t pos;             /* of next */
};

static struct named *all;

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct named *n;
	struct table *t;

	for (n = all; n && strcmp(n->name, spec->name) != 0; n = n->next)
		;
	if (n == NULL) {
		n = ph_alloc(sizeof *n);
		n->name = ph_strdup(spec->name);
		n->tab = lstrtab_new();
		n->next = all;
		all = n;
	}
	t = ph_alloc(sizeof *t);
	t->tab = n->tab;
	*ret = t;
	return 0;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;

	*ret_value = lstrtab_get(t->tab, key);
	return *ret_value ? PH_LOOKUP_FOUND : PH_LOOKUP_NOTFOUND;
}

static int table_put(void *table, const char *key, const char *value, bool replace, struct ph_err *err)
{
	struct table *t = table;

	return lstrtab_put(t->tab, key, value, replace) ? 0 : ph_err_set(err, -EEXIST, "the key is there already");
}

static int table_del(void *table, const char *key, struct ph_err *err)
{
	struct table *t = table;

	return lstrtab_del(t->tab, key) ? 0 : -ENOENT;
}

static int table_next(void *table, bool first, struct ph_arena *arena, const char **ret_key, const char **ret_value,
		      struct ph_err *err)
{
	struct table *t = table;

	if (first)
		t->pos = 0;
	return lstrtab_next(t->tab, &t->pos, ret_key, ret_value);
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_INLINE,
	.open = table_open, .get = table_get, .close = free, .put = table_put, .del = table_del, .next = table_next,
};

static void internal_fini(void)
{
	struct named *n;

	while ((n = all) != NULL) {
		all = n->next;
		lstrtab_free(&n->tab);
		free(n->name);
		free(n);
	}
}

PH_MODULE(PH_KIND_LOOKUP, "internal", "1.0", "a table in the process's memory", .ops.lookup = &ops, .fini = internal_fini);
