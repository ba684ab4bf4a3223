/* bdb.h: Berkeley DB files "x.db" as Postfix's postmap writes and reads them, for hash and btree. */
#ifndef LOOKUP_COMMON_BDB_H
#define LOOKUP_COMMON_BDB_H

#include <posthouse/lookup.h>

struct lbdb_settings {
	int read_bytes, create_bytes;
};
extern const struct ph_param lbdb_params[2];

int lbdb_open(const struct ph_table_spec *spec, bool btree, void **ret, struct ph_err *err);
enum ph_lookup lbdb_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err);
void lbdb_close(void *table);
int lbdb_put(void *table, const char *key, const char *value, bool replace, struct ph_err *err);
int lbdb_del(void *table, const char *key, struct ph_err *err);
int lbdb_next(void *table, bool first, struct ph_arena *arena, const char **ret_key, const char **ret_value, struct ph_err *err);
const char *lbdb_path(const struct ph_table_spec *spec, struct ph_arena *arena);
int lbdb_commit(void *table, struct ph_err *err);
#endif
