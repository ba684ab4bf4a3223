/* lmdb.c: lookup "lmdb:/file": OpenLDAP's memory-mapped database, /file.lmdb.
 *
 * Owns one environment per table, without LMDB's lock file: readers and writers use Postfix's locks (fcntl on the file).  A table is
 * created under a temporary name; updates are one LMDB transaction, so a crash leaves the old state.  get may yield while it waits
 * for a writer's lock.  Source: LMDB_README. */
#include "common/newfile.h"
#include <posthouse/lookup.h>

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_WAIT_MS 3000
#define WRITE_WAIT_MS 30000

struct settings {
	int64_t map_bytes;
};

static const struct ph_param params[] = {
	PH_P_LONG(struct settings, map_bytes, "lmdb_map_size", "16777216", 8192, INT64_MAX / 4,
		  "initial size of a new LMDB table, in bytes; it is doubled when the table is full"),
};

/* What was put since the last commit: done again when the map turns out to be too small. */
struct pending {
	char *key, *value;
	bool replace;
};
#define BATCH 1000

struct table {
	char *path;             /* "x.lmdb" */
	int mode;
	int lock_fd;
	bool with_nul, without_nul;
	size_t map_bytes;
	MDB_env *env;
	MDB_txn *txn;           /* writing, or walking */
	MDB_dbi dbi;
	MDB_cursor *cursor;
	struct lnewfile out;
	struct pending pending[BATCH];
	size_t n_pending;
};

static int db_error(struct ph_err *err, int rc, const char *what, const char *path)
{
	return ph_err_set(err, rc > 0 ? -rc : -EIO, "%s %s: %s", what, path, mdb_strerror(rc));
}

static int env_open(struct table *t, const char *file, unsigned flags, struct ph_err *err)
{
	MDB_txn *txn;
	int rc = mdb_env_create(&t->env);

	if (rc == 0 && t->mode != PH_TABLE_READ)
		rc = mdb_env_set_mapsize(t->env, t->map_bytes);
	if (rc == 0)
		rc = mdb_env_open(t->env, file, MDB_NOSUBDIR | MDB_NOLOCK | flags, 0644);
	if (rc == 0)
		rc = mdb_txn_begin(t->env, NULL, flags & MDB_RDONLY, &txn);
	if (rc == 0) {
		rc = mdb_dbi_open(txn, NULL, 0, &t->dbi);
		if (rc == 0)
			rc = mdb_txn_commit(txn);
		else
			mdb_txn_abort(txn);
	}
	return rc == 0 ? 0 : db_error(err, rc, "open database", t->path);
}

static int open_read(struct table *t, struct ph_err *err)
{
	MDB_envinfo info;
	MDB_stat pages;
	struct stat st;
	int r;

	t->lock_fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (t->lock_fd < 0)
		return ph_err_errno(err, -errno, "open database %s", t->path);
	if (fstat(t->lock_fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 8192)
		return ph_err_set(err, -EPROTO, "open database %s: not an LMDB file", t->path);
	r = env_open(t, t->path, MDB_RDONLY, err);
	if (r < 0)
		return r;
	/* LMDB reads its pages through a map: a page behind the end of a file that was cut short would be a SIGBUS. */
	mdb_env_info(t->env, &info);
	mdb_env_stat(t->env, &pages);
	if ((uint64_t)st.st_size / pages.ms_psize <= info.me_last_pgno)
		return ph_err_set(err, -EPROTO, "open database %s: the file is cut short", t->path);
	return 0;
}

static int open_write(struct table *t, const struct ph_table_spec *spec, struct ph_err *err)
{
	const char *file = t->path;
	struct stat st;
	int r;

	if (t->mode == PH_TABLE_CREATE) {
		r = lnewfile_open(&t->out, t->path, spec->perm, err);
		if (r < 0)
			return r;
		file = t->out.temp;
	} else {
		t->lock_fd = open(t->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (t->lock_fd < 0)
			return ph_err_errno(err, -errno, "open database %s", t->path);
		r = llock(t->lock_fd, LLOCK_FCNTL, true, WRITE_WAIT_MS);
		if (r < 0)
			return ph_err_errno(err, r, "lock %s", t->path);
		if (fstat(t->lock_fd, &st) == 0 && (size_t)st.st_size * 2 > t->map_bytes)
			t->map_bytes = (size_t)st.st_size * 2;
	}
	r = env_open(t, file, t->mode == PH_TABLE_CREATE ? MDB_NOSYNC : 0, err);
	if (r == 0 && (r = mdb_txn_begin(t->env, NULL, 0, &t->txn)) != 0)
		r = db_error(err, r, "write", t->path);
	return r;
}

static void drop_pending(struct table *t)
{
	for (size_t i = 0; i < t->n_pending; i++) {
		free(t->pending[i].key);
		free(t->pending[i].value);
	}
	t->n_pending = 0;
}

static void table_close(void *table)
{
	struct table *t = table;

	drop_pending(t);
	if (t->cursor)
		mdb_cursor_close(t->cursor);
	if (t->txn)
		mdb_txn_abort(t->txn);
	if (t->env)
		mdb_env_close(t->env);
	if (t->lock_fd >= 0)
		close(t->lock_fd);
	lnewfile_done(&t->out);
	free(t->path);
	free(t);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	const struct settings *set = spec->settings;
	struct table *t = ph_alloc(sizeof *t);
	size_t n = strlen(spec->name) + sizeof ".lmdb";
	int r;

	t->path = ph_alloc(n);
	snprintf(t->path, n, "%s.lmdb", spec->name);
	t->mode = spec->mode;
	t->lock_fd = -1;
	t->with_nul = !(spec->flags & PH_TABLE_NO_NUL);
	t->without_nul = !(spec->flags & PH_TABLE_WITH_NUL);
	t->map_bytes = (size_t)set->map_bytes & ~(size_t)4095;
	r = t->mode == PH_TABLE_READ ? open_read(t, err) : open_write(t, spec, err);
	if (r < 0)
		table_close(t);
	else
		*ret = t;
	return r;
}

static MDB_val val(const char *s, bool nul)
{
	return (MDB_val){ strlen(s) + (nul ? 1 : 0), (void *)(uintptr_t)s };
}

static const char *text_of(struct ph_arena *arena, const MDB_val *v)
{
	const char *p = v->mv_data;
	size_t n = v->mv_size;

	if (n > 0 && p[n - 1] == '\0')
		n--;
	return ph_arena_strndup(arena, p, n);
}

static int get_in(struct table *t, MDB_txn *txn, const char *key, struct ph_arena *arena, const char **ret_value)
{
	int rc = MDB_NOTFOUND;
	MDB_val k, v;

	if (key[0] == '\0' || strlen(key) + 1 > (size_t)mdb_env_get_maxkeysize(t->env))
		return MDB_NOTFOUND;
	for (int nul = 1; nul >= 0 && rc == MDB_NOTFOUND; nul--) {
		if (!(nul ? t->with_nul : t->without_nul))
			continue;
		k = val(key, nul);
		rc = mdb_get(txn, t->dbi, &k, &v);
		if (rc == 0) {
			*ret_value = text_of(arena, &v);
			t->with_nul = nul;
			t->without_nul = !nul;
		}
	}
	return rc;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	MDB_txn *txn;
	int rc = llock(t->lock_fd, LLOCK_FCNTL, false, LOCK_WAIT_MS);

	if (rc < 0) {
		ph_err_errno(err, rc, "lock %s", t->path);
		return PH_LOOKUP_TEMPFAIL;
	}
	rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);
	if (rc == MDB_MAP_RESIZED) {            /* a writer has made it larger */
		rc = mdb_env_set_mapsize(t->env, 0);
		if (rc == 0)
			rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);
	}
	if (rc == 0) {
		rc = get_in(t, txn, key, arena, ret_value);
		mdb_txn_abort(txn);
	}
	lunlock(t->lock_fd, LLOCK_FCNTL);
	if (rc == 0)
		return PH_LOOKUP_FOUND;
	if (rc == MDB_NOTFOUND)
		return PH_LOOKUP_NOTFOUND;
	db_error(err, rc, "read", t->path);
	return PH_LOOKUP_TEMPFAIL;
}

static int put_one(struct table *t, const struct pending *p)
{
	bool nul = t->with_nul;         /* undecided: with, as is the custom */
	MDB_val k = val(p->key, nul), v = val(p->value, nul);

	t->without_nul = !nul;
	return mdb_put(t->txn, t->dbi, &k, &v, p->replace ? 0 : MDB_NOOVERWRITE);
}

/* The map is full: make it twice as large and do again what was not committed. */
static int grow(struct table *t)
{
	int rc;

	do {
		if (t->txn)
			mdb_txn_abort(t->txn);
		t->txn = NULL;
		if (t->map_bytes > SIZE_MAX / 4)
			return MDB_MAP_FULL;
		t->map_bytes *= 2;
		rc = mdb_env_set_mapsize(t->env, t->map_bytes);
		if (rc == 0)
			rc = mdb_txn_begin(t->env, NULL, 0, &t->txn);
		for (size_t i = 0; rc == 0 && i < t->n_pending; i++)
			rc = put_one(t, &t->pending[i]);
	} while (rc == MDB_MAP_FULL);
	return rc;
}

static int flush(struct table *t, struct ph_err *err)
{
	int rc = mdb_txn_commit(t->txn);

	t->txn = NULL;
	if (rc == MDB_MAP_FULL) {
		rc = grow(t);
		if (rc == 0) {
			rc = mdb_txn_commit(t->txn);
			t->txn = NULL;
		}
	}
	drop_pending(t);
	if (rc == 0)
		rc = mdb_txn_begin(t->env, NULL, 0, &t->txn);
	return rc == 0 ? 0 : db_error(err, rc, "write", t->path);
}

static int table_put(void *table, const char *key, const char *value, bool replace, struct ph_err *err)
{
	struct table *t = table;
	struct pending p = { (char *)(uintptr_t)key, (char *)(uintptr_t)value, replace };
	int rc;

	if (t->n_pending == BATCH) {
		rc = flush(t, err);
		if (rc < 0)
			return rc;
	}
	rc = put_one(t, &p);
	if (rc == MDB_MAP_FULL) {
		rc = grow(t);
		if (rc == 0)
			rc = put_one(t, &p);
	}
	if (rc == MDB_KEYEXIST)
		return ph_err_set(err, -EEXIST, "the key is there already");
	if (rc != 0)
		return db_error(err, rc, "write", t->path);
	t->pending[t->n_pending++] = (struct pending){ ph_strdup(key), ph_strdup(value), replace };
	return 0;
}

static int table_del(void *table, const char *key, struct ph_err *err)
{
	struct table *t = table;
	int rc = MDB_NOTFOUND, one;

	if (t->n_pending > 0 && (rc = flush(t, err)) < 0)
		return rc;
	rc = MDB_NOTFOUND;
	for (int nul = 1; nul >= 0; nul--) {
		MDB_val k = val(key, nul);

		one = mdb_del(t->txn, t->dbi, &k, NULL);
		if (one != MDB_NOTFOUND)
			rc = one;
	}
	if (rc == MDB_NOTFOUND)
		return -ENOENT;
	return rc == 0 ? 0 : db_error(err, rc, "delete from", t->path);
}

static int table_next(void *table, bool first, struct ph_arena *arena, const char **ret_key, const char **ret_value,
		      struct ph_err *err)
{
	struct table *t = table;
	MDB_val k, v;
	int rc = 0;

	if (t->txn == NULL)
		rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &t->txn);
	if (rc == 0 && t->cursor == NULL)
		rc = mdb_cursor_open(t->txn, t->dbi, &t->cursor);
	if (rc == 0)
		rc = mdb_cursor_get(t->cursor, &k, &v, first ? MDB_FIRST : MDB_NEXT);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return db_error(err, rc, "read", t->path);
	*ret_key = text_of(arena, &k);
	*ret_value = text_of(arena, &v);
	return 1;
}

static const char *table_path(const struct ph_table_spec *spec, struct ph_arena *arena)
{
	return ph_arena_printf(arena, "%s.lmdb", spec->name);
}

static int table_commit(void *table, struct ph_err *err)
{
	struct table *t = table;
	int rc;

	if (t->cursor) {
		mdb_cursor_close(t->cursor);
		t->cursor = NULL;
	}
	rc = flush(t, err);
	if (rc < 0)
		return rc;
	if (t->mode != PH_TABLE_CREATE)
		return 0;
	mdb_txn_abort(t->txn);
	t->txn = NULL;
	mdb_env_close(t->env);
	t->env = NULL;
	return lnewfile_commit(&t->out, err);
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_NETWORK,
	.open = table_open, .get = table_get, .close = table_close, .put = table_put, .del = table_del, .next = table_next,
	.path = table_path, .commit = table_commit,
};

PH_MODULE(PH_KIND_LOOKUP, "lmdb", "1.0", "OpenLDAP's memory-mapped database", .ops.lookup = &ops,
	  PH_MODULE_PARAMS(params, struct settings));
