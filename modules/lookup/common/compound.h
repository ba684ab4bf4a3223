/* compound.h: tables made of tables, "type:{t1:n1, t2:n2}": the list of their names. */
#ifndef LOOKUP_COMMON_COMPOUND_H
#define LOOKUP_COMMON_COMPOUND_H

#include <posthouse/lookup.h>

#define LCOMPOUND_MAX 1000      /* tables in one */

struct lcompound {
	size_t n;
	struct ph_maps **maps;  /* each a list of one table; they belong to the configuration */
};

/* 0 and *ret, or -EINVAL with err. */
int lcompound_open(const struct ph_table_spec *spec, struct lcompound **ret, struct ph_err *err);
void lcompound_close(void *c);
unsigned lcompound_flags(void *c);
#endif
