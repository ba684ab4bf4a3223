/* compound.c: see compound.h.  Owns the array only.  Opening does not yield. */
#include "compound.h"

#include <errno.h>
#include <stdlib.h>

int lcompound_open(const struct ph_table_spec *spec, struct lcompound **ret, struct ph_err *err)
{
	char *copy = ph_strdup(spec->name), *cursor = ph_str_unbrace(copy), *word;
	struct lcompound *c = ph_alloc(sizeof *c);
	int r = 0;

	if (spec->mode != PH_TABLE_READ) {
		r = ph_err_set(err, -EROFS, "%s:%.200s map requires O_RDONLY access mode", spec->type, spec->name);
		goto out;
	}
	while (cursor != copy && (word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL && c->n < LCOMPOUND_MAX) {
		c->maps = ph_realloc(c->maps, (c->n + 1) * sizeof c->maps[0]);
		c->maps[c->n++] = ph_maps_open(spec->conf, spec->type, word);
	}
	if (c->n == 0)
		r = ph_err_set(err, -EINVAL, "bad syntax: \"%s:%.200s\"; need \"%s:{type:name...}\"", spec->type, spec->name,
			       spec->type);
	else if (c->n >= LCOMPOUND_MAX)
		r = ph_err_set(err, -EINVAL, "%s holds more than %d tables", spec->type, LCOMPOUND_MAX);
out:
	free(copy);
	if (r < 0)
		lcompound_close(c);
	else
		*ret = c;
	return r;
}

void lcompound_close(void *p)
{
	struct lcompound *c = p;

	free(c->maps);
	free(c);
}

unsigned lcompound_flags(void *p)
{
	struct lcompound *c = p;
	unsigned flags = 0;

	for (size_t i = 0; i < c->n; i++)
		flags |= ph_maps_flags(c->maps[i]);
	return flags;
}
