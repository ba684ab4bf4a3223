/* strtab.h: a hash table from strings to strings in memory, in order of insertion; for texthash, inline and internal. */
#ifndef LOOKUP_COMMON_STRTAB_H
#define LOOKUP_COMMON_STRTAB_H

#include <posthouse/lookup.h>

struct lstrtab;

struct lstrtab *lstrtab_new(void);
void lstrtab_free(struct lstrtab **t);          /* NULL-safe */
const char *lstrtab_get(const struct lstrtab *t, const char *key);     /* NULL: not there */
/* Copies both.  false: the key was there already and replace is false. */
bool lstrtab_put(struct lstrtab *t, const char *key, const char *value, bool replace);
/* The same, with the key folded in the way in which conf's tables are asked for it. */
bool lstrtab_put_folded(struct lstrtab *t, char *key, const char *value, bool replace, const struct ph_conf *conf);
bool lstrtab_del(struct lstrtab *t, const char *key);
/* The entry behind *pos (start with 0); false at the end. */
bool lstrtab_next(const struct lstrtab *t, size_t *pos, const char **ret_key, const char **ret_value);

/* A table that is nothing else: texthash, inline.  get, next and close of struct ph_lookup_ops. */
struct lstrtable {
	struct lstrtab *tab;
	size_t pos;                     /* of next */
};
struct lstrtable *lstrtable_new(void);
enum ph_lookup lstrtable_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err);
int lstrtable_next(void *table, bool first, struct ph_arena *arena, const char **ret_key, const char **ret_value, struct ph_err *err);
void lstrtable_close(void *table);
#endif
