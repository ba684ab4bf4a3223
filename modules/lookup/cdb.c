/* cdb.c: lookup "cdb:/file": constant database, /file.cdb.
 *
 * Owns the mapped file, or the file being made (under a temporary name).  Does not yield.  Source: CDB_README. */
#include "common/newfile.h"
#include <posthouse/lookup.h>

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
	char *path;             /* "x.cdb" */
	int mode;
	int fd;
	bool with_nul, without_nul;
	bool open;              /* db or maker is initialised */
	struct cdb db;
	struct cdb_make maker;
	unsigned pos;           /* of next */
	struct lnewfile out;
};

static int open_read(struct table *t, struct ph_err *err)
{
	t->fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0)
		return ph_err_errno(err, -errno, "open database %s", t->path);
	if (cdb_init(&t->db, t->fd) < 0)
		return ph_err_errno(err, errno ? -errno : -EPROTO, "open database %s", t->path);
	t->open = true;
	return 0;
}

static int open_create(struct table *t, const struct ph_table_spec *spec, struct ph_err *err)
{
	int r = lnewfile_open(&t->out, t->path, spec->perm, err);

	if (r < 0)
		return r;
	t->fd = open(t->out.temp, O_RDWR | O_CLOEXEC);
	if (t->fd < 0 || cdb_make_start(&t->maker, t->fd) < 0)
		return ph_err_errno(err, -errno, "open database %s", t->path);
	t->open = true;
	return 0;
}

static void table_close(void *table)
{
	struct table *t = table;

	if (t->open && t->mode == PH_TABLE_READ)
		cdb_free(&t->db);
	if (t->open && t->mode == PH_TABLE_CREATE)
		cdb_make_finish(&t->maker);     /* frees; the file is dropped */
	if (t->fd >= 0)
		close(t->fd);
	lnewfile_done(&t->out);
	free(t->path);
	free(t);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t;
	size_t n = strlen(spec->name) + sizeof ".cdb";
	int r;

	if (spec->mode == PH_TABLE_UPDATE)
		return ph_err_set(err, -EROFS, "cdb:%s: a constant database cannot be changed, only made anew", spec->name);
	t = ph_alloc(sizeof *t);
	t->path = ph_alloc(n);
	snprintf(t->path, n, "%s.cdb", spec->name);
	t->mode = spec->mode;
	t->fd = -1;
	t->with_nul = !(spec->flags & PH_TABLE_NO_NUL);
	t->without_nul = !(spec->flags & PH_TABLE_WITH_NUL);
	r = t->mode == PH_TABLE_READ ? open_read(t, err) : open_create(t, spec, err);
	if (r < 0)
		table_close(t);
	else
		*ret = t;
	return r;
}

static int bad(struct table *t, struct ph_err *err)
{
	return ph_err_errno(err, errno ? -errno : -EPROTO, "read %s", t->path);
}

/* Copy len bytes at pos, without the NUL at their end. */
static int text_at(struct table *t, unsigned len, unsigned pos, struct ph_arena *arena, const char **ret, struct ph_err *err)
{
	const char *p = cdb_get(&t->db, len, pos);

	if (p == NULL)
		return bad(t, err);
	if (len > 0 && p[len - 1] == '\0')
		len--;
	*ret = ph_arena_strndup(arena, p, len);
	return 0;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	int r = 0;

	for (int nul = 1; nul >= 0 && r == 0; nul--) {
		if (!(nul ? t->with_nul : t->without_nul))
			continue;
		errno = 0;
		r = cdb_find(&t->db, key, (unsigned)strlen(key) + (nul ? 1 : 0));
		if (r > 0) {
			t->with_nul = nul;
			t->without_nul = !nul;
		}
	}
	if (r == 0)
		return PH_LOOKUP_NOTFOUND;
	if (r < 0 || text_at(t, cdb_datalen(&t->db), cdb_datapos(&t->db), arena, ret_value, err) < 0) {
		bad(t, err);
		return PH_LOOKUP_TEMPFAIL;
	}
	return PH_LOOKUP_FOUND;
}

static int table_put(void *table, const char *key, const char *value, bool replace, struct ph_err *err)
{
	struct table *t = table;
	unsigned nul = !t->without_nul;         /* the custom is without */
	int r = cdb_make_put(&t->maker, key, (unsigned)strlen(key) + nul, value, (unsigned)strlen(value) + nul,
			     replace ? CDB_PUT_REPLACE : CDB_PUT_INSERT);

	if (r > 0 && !replace)
		return ph_err_set(err, -EEXIST, "the key is there already");
	return r < 0 ? ph_err_errno(err, -errno, "write %s", t->path) : 0;
}

static int table_next(void *table, bool first, struct ph_arena *arena, const char **ret_key, const char **ret_value,
		      struct ph_err *err)
{
	struct table *t = table;
	int r;

	if (first)
		cdb_seqinit(&t->pos, &t->db);
	errno = 0;
	r = cdb_seqnext(&t->pos, &t->db);
	if (r < 0)
		return bad(t, err);
	if (r == 0)
		return 0;
	if (text_at(t, cdb_keylen(&t->db), cdb_keypos(&t->db), arena, ret_key, err) < 0 ||
	    text_at(t, cdb_datalen(&t->db), cdb_datapos(&t->db), arena, ret_value, err) < 0)
		return -EPROTO;
	return 1;
}

static const char *table_path(const struct ph_table_spec *spec, struct ph_arena *arena)
{
	return ph_arena_printf(arena, "%s.cdb", spec->name);
}

static int table_commit(void *table, struct ph_err *err)
{
	struct table *t = table;

	t->open = false;
	if (cdb_make_finish(&t->maker) < 0)
		return ph_err_errno(err, -errno, "write %s", t->path);
	return lnewfile_commit(&t->out, err);
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE,
	.open = table_open, .get = table_get, .close = table_close, .put = table_put, .next = table_next, .path = table_path,
	.commit = table_commit,
};

PH_MODULE(PH_KIND_LOOKUP, "cdb", "1.0", "constant database", .ops.lookup = &ops);
