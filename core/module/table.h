/* table.h: one open lookup table: its module, surrogate, and watch.  For maps.c and postmap. */
#ifndef CORE_MODULE_TABLE_H
#define CORE_MODULE_TABLE_H

#include <posthouse/lookup.h>

struct ph_table;

/* The table "type:name" for look-ups, shared within conf.  Never fails: what cannot be opened answers TEMPFAIL, what does not exist
 * PERMERR.  Lives as long as conf. */
struct ph_table *ph_table_shared(const struct ph_conf *conf, const char *text);
/* Before the process gives up root: open a table that root alone can read, for conf and all views derived from it.  It is not opened anew when its
 * file changes, which this process could not: the master replaces the process then. */
void ph_table_keep(const struct ph_conf *conf, const char *text);
/* For postmap: not shared, no surrogate: NULL with err.  flags, perm: as in struct ph_table_spec.  To be closed with
 * ph_table_close. */
struct ph_table *ph_table_open(const struct ph_conf *conf, const char *type, const char *name, int mode, unsigned flags,
			       unsigned perm, struct ph_err *err);
void ph_table_close(struct ph_table **t);       /* NULL-safe */

/* May "proxy:" stand in front of table ("type:name")?  log: what is not in proxy_read_maps is logged. */
bool ph_table_proxy_approved(const struct ph_conf *conf, const char *table, bool log);

const char *ph_table_title(const struct ph_table *t);           /* "hash:/x" as the configuration wrote it */
const struct ph_lookup_ops *ph_table_ops(const struct ph_table *t);     /* NULL: no such type */
void *ph_table_handle(struct ph_table *t);                      /* for the ops' other functions; NULL: surrogate */
unsigned ph_table_flags(const struct ph_table *t);
uid_t ph_table_owner(const struct ph_table *t);         /* of the file that is open; 0: root, or no file */
/* One key as it is.  *ret_value is in arena.  err names the table.  Yields when the table does. */
enum ph_lookup ph_table_get(struct ph_table *t, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err);
/* Why the last look-up that failed did; NULL: its table gave no reason. */
const char *ph_table_failure(const struct ph_table *t);
/* key in lower case in arena if the table wants that, else key. */
const char *ph_table_fold(const struct ph_table *t, const char *key, struct ph_arena *arena);
/* What ph_table_get answers when no file could be opened: 0, or the reason (in t). */
const char *ph_table_broken(const struct ph_table *t);

/* Each look-up step of ph_maps_find, for traces.  title: the parameter; value: on FOUND; text: of an error.  NULL: off. */
typedef void ph_maps_trace_fn(const char *title, const char *table, const char *key, enum ph_lookup status, const char *value,
			      const char *text);
void ph_maps_set_trace(ph_maps_trace_fn *fn);
/* Results may hold line breaks of any kind: whoever asks parses them. */
void ph_maps_allow_breaks(struct ph_maps *m);
/* mydestination in conf's view, for whether an address is local; NULL: it is not set.  Kept with the maps, as each look-up asks. */
struct ph_match *ph_maps_mydestination(struct ph_maps *m, const struct ph_conf *conf);
/* The tables of a list, for "posthouse check". */
size_t ph_maps_count(const struct ph_maps *m);
struct ph_table *ph_maps_table(const struct ph_maps *m, size_t i);
#endif
