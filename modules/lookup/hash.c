/* hash.c: lookup "hash:/file": Berkeley DB, /file.db; the work is done in common/bdb.c.  get may yield while a writer holds the
 * table's lock.  Source: DATABASE_README. */
#include "common/bdb.h"

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	return lbdb_open(spec, false, ret, err);
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_NETWORK,
	.open = table_open, .get = lbdb_get, .close = lbdb_close, .put = lbdb_put, .del = lbdb_del, .next = lbdb_next,
	.path = lbdb_path, .commit = lbdb_commit,
};

PH_MODULE(PH_KIND_LOOKUP, "hash", "1.0", "Berkeley DB, hash table", .ops.lookup = &ops,
	  PH_MODULE_PARAMS(lbdb_params, struct lbdb_settings));
