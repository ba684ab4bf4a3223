/* bdb.c: see bdb.h.
 *
 * Owns an environment of its own per table (private memory; a DB_CONFIG file in the current folder is not read: CVE-2017-10140),
 * the database handle, and a descriptor that carries the lock.  Readers take Postfix's lock (flock, shared) and look whether the file was
 * written to since they opened it, since postmap of Postfix writes in place.  One lock serves all look-ups of a loop turn: a session alone
 * makes a score of them.  Between two turns the lock is free, so a writer gets its chance hundreds of times a second.  Our own writers
 * build a new file and rename it.  get may yield while it waits for a writer's lock; the rest does not.
 *
 * Keys and values may or may not end in a NUL byte, as the tool that made them chose: the first key of the file tells, and while there is
 * none, both are tried.  What was found, or not, is remembered as long as the file stays as it is: a mailing asks for the same domain once for each
 * recipient. */
#include "bdb.h"
#include "newfile.h"

#include <posthouse/co.h>

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_WAIT_MS 3000
#define WRITE_WAIT_MS 30000
#define MAX_VALUE ((uint32_t)16 << 20)

const struct ph_param lbdb_params[2] = {
	PH_P_INT(struct lbdb_settings, read_bytes, "berkeley_db_read_buffer_size", "131072", 16384, INT_MAX,
		 "memory for the pages of a hash or btree table that is read, in bytes"),
	PH_P_INT(struct lbdb_settings, create_bytes, "berkeley_db_create_buffer_size", "16777216", 16384, INT_MAX,
		 "memory for the pages of a hash or btree table that is created, in bytes"),
};

#define REMEMBERED 64           /* answers; the key decides the place */
#define REMEMBER_BYTES 400      /* of key and value together */

struct remembered { bool used, found; char text[REMEMBER_BYTES]; /* key, NUL, value */ };

struct table {
	char *path;             /* "x.db" */
	bool btree;
	int mode;
	uint32_t cache_bytes;
	bool may_with_nul, may_without_nul;     /* as asked for */
	bool with_nul, without_nul;     /* what may be; both until one is known */
	int lock_fd;            /* the file itself; -1 when there was none to lock */
	struct stat seen;       /* when db was opened */
	bool locked;            /* for reading, until the end of this loop turn */
	bool looked;            /* in this turn: the file is as it was when db was opened */
	bool turn_due;          /* turn_end will be called */
	bool closed;            /* before turn_end, which frees it */
	DB_ENV *env;
	DB *db;
	DBC *cursor;
	struct remembered *memory;      /* of the open file; NULL: not yet */
	struct lnewfile out;    /* CREATE, UPDATE */
	char said[160];         /* by the library about the last error */
};

/* A damaged file is a temporary failure, so EINVAL (which stands for a wrong configuration) is not passed on. */
static int db_error(struct ph_err *err, int rc, const char *what, const struct table *t)
{
	return ph_err_set(err, rc > 0 && rc != EINVAL ? -rc : -EIO, "%s %s: %s%s%s", what, t->path, db_strerror(rc),
			  t->said[0] ? ": " : "", t->said);
}

/* The library's own words, for the error that follows. */
static void keep_text(const DB_ENV *env, const char *prefix, const char *text)
{
	struct table *t = env->app_private;

	snprintf(t->said, sizeof t->said, "%s", text);
}

static void db_close(struct table *t)
{
	if (t->cursor)
		t->cursor->close(t->cursor);
	if (t->db)
		t->db->close(t->db, t->mode == PH_TABLE_READ ? DB_NOSYNC : 0);
	if (t->env)
		t->env->close(t->env, 0);
	t->cursor = NULL;
	t->db = NULL;
	t->env = NULL;
	free(t->memory);
	t->memory = NULL;
}

static int db_open(struct table *t, const char *file, uint32_t flags, struct ph_err *err)
{
	char full[PATH_MAX], cwd[PATH_MAX];
	int rc;

	/* Relative names would be taken relative to the environment's home. */
	if (file[0] == '/')
		snprintf(full, sizeof full, "%s", file);
	else if (getcwd(cwd, sizeof cwd) == NULL ||
		 snprintf(full, sizeof full, "%s/%s", cwd, file) >= (int)sizeof full)
		return ph_err_set(err, -ENAMETOOLONG, "open database %s: the path is too long", file);
	rc = db_env_create(&t->env, 0);
	if (rc != 0) {
		t->env = NULL;
		return db_error(err, rc, "open database", t);
	}
	t->env->set_errcall(t->env, keep_text);
	t->env->app_private = t;
	t->said[0] = '\0';
	t->env->set_cachesize(t->env, 0, t->cache_bytes, 1);
	rc = t->env->open(t->env, "/dev/null", DB_INIT_MPOOL | DB_PRIVATE | DB_CREATE, 0);
	if (rc == 0)
		rc = db_create(&t->db, t->env, 0);
	if (rc == 0)
		rc = t->db->open(t->db, NULL, full, NULL, t->btree ? DB_BTREE : DB_HASH, flags, 0644);
	if (rc != 0) {
		int r = db_error(err, rc, "open database", t);

		db_close(t);
		return r;
	}
	return 0;
}

/* All keys of a file are of one kind. */
static void look_at_first_key(struct table *t)
{
	DBC *c;
	DBT k, v;

	if (!t->with_nul || !t->without_nul || t->db->cursor(t->db, NULL, &c, 0) != 0)
		return;
	memset(&k, 0, sizeof k);
	memset(&v, 0, sizeof v);
	if (c->get(c, &k, &v, DB_FIRST) == 0 && k.size > 0) {
		t->with_nul = ((const char *)k.data)[k.size - 1] == '\0';
		t->without_nul = !t->with_nul;
	}
	c->close(c);
}

/* (Re)open for reading, with the shared lock held. */
static int open_locked(struct table *t, struct ph_err *err)
{
	int r;

	db_close(t);
	t->with_nul = t->may_with_nul;
	t->without_nul = t->may_without_nul;
	if (fstat(t->lock_fd, &t->seen) < 0)
		return ph_err_errno(err, -errno, "open database %s", t->path);
	r = db_open(t, t->path, DB_RDONLY, err);
	if (r == 0)
		look_at_first_key(t);
	return r;
}

static int open_read(struct table *t, struct ph_err *err)
{
	int r;

	t->lock_fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (t->lock_fd < 0)
		return ph_err_errno(err, -errno, "open database %s", t->path);
	r = llock(t->lock_fd, LLOCK_FLOCK, false, 0);
	if (r == -ETIMEDOUT) {
		/* Being written: get opens it when the writer is done. */
		memset(&t->seen, 0, sizeof t->seen);
		return 0;
	}
	if (r < 0)
		return ph_err_errno(err, r, "lock %s", t->path);
	r = open_locked(t, err);
	lunlock(t->lock_fd, LLOCK_FLOCK);
	return r;
}

/* Lock the file that is there now against other writers: after waiting, it may be another one. */
static int lock_for_update(struct table *t, struct ph_err *err)
{
	struct stat mine, there;
	int r;

	for (;;) {
		t->lock_fd = open(t->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (t->lock_fd < 0)
			return ph_err_errno(err, -errno, "open database %s", t->path);
		r = llock(t->lock_fd, LLOCK_FLOCK, true, WRITE_WAIT_MS);
		if (r < 0)
			return ph_err_errno(err, r, "lock %s", t->path);
		if (fstat(t->lock_fd, &mine) == 0 && stat(t->path, &there) == 0 && mine.st_dev == there.st_dev &&
		    mine.st_ino == there.st_ino)
			return 0;
		close(t->lock_fd);
		t->lock_fd = -1;
	}
}

static int open_write(struct table *t, const struct ph_table_spec *spec, struct ph_err *err)
{
	struct stat st;
	unsigned perm = spec->perm;
	int r;

	if (t->mode == PH_TABLE_UPDATE) {
		r = lock_for_update(t, err);
		if (r < 0)
			return r;
		if (fstat(t->lock_fd, &st) == 0)
			perm = st.st_mode & 0777;
	}
	r = lnewfile_open(&t->out, t->path, perm, err);
	if (r == 0 && t->mode == PH_TABLE_UPDATE)
		r = lnewfile_copy(&t->out, t->lock_fd, err);
	if (r == 0)
		r = db_open(t, t->out.temp, t->mode == PH_TABLE_UPDATE ? 0 : DB_CREATE | DB_TRUNCATE, err);
	return r;
}

int lbdb_open(const struct ph_table_spec *spec, bool btree, void **ret, struct ph_err *err)
{
	const struct lbdb_settings *set = spec->settings;
	struct table *t = ph_alloc(sizeof *t);
	size_t n = strlen(spec->name) + sizeof ".db";
	int r;

	t->path = ph_alloc(n);
	snprintf(t->path, n, "%s.db", spec->name);
	t->btree = btree;
	t->mode = spec->mode;
	t->lock_fd = -1;
	t->with_nul = t->may_with_nul = !(spec->flags & PH_TABLE_NO_NUL);
	t->without_nul = t->may_without_nul = !(spec->flags & PH_TABLE_WITH_NUL);
	if (spec->mode == PH_TABLE_CREATE && t->with_nul)
		t->without_nul = false;         /* the custom of this type */
	t->cache_bytes = (uint32_t)(spec->mode == PH_TABLE_READ ? set->read_bytes : set->create_bytes);
	r = spec->mode == PH_TABLE_READ ? open_read(t, err) : open_write(t, spec, err);
	if (r < 0)
		lbdb_close(t);
	else
		*ret = t;
	return r;
}

static void table_free(struct table *t)
{
	free(t->path);
	free(t);
}

void lbdb_close(void *table)
{
	struct table *t = table;

	db_close(t);
	lnewfile_done(&t->out);
	if (t->lock_fd >= 0)
		close(t->lock_fd);
	t->lock_fd = -1;
	t->closed = true;
	if (!t->turn_due)
		table_free(t);
}

static void turn_end(void *table)
{
	struct table *t = table;

	if (t->locked && !t->closed)
		lunlock(t->lock_fd, LLOCK_FLOCK);
	t->locked = t->looked = t->turn_due = false;
	if (t->closed)
		table_free(t);
}

static void until_turn_end(struct table *t)
{
	if (!t->turn_due)
		ph_loop_defer(turn_end, t);
	t->turn_due = true;
}

static DBT dbt(const char *s, bool nul)
{
	DBT d;

	memset(&d, 0, sizeof d);
	d.data = (void *)(uintptr_t)s;
	d.size = (uint32_t)(strlen(s) + (nul ? 1 : 0));
	return d;
}

/* Bytes as text: without the NUL at their end. */
static char *text_of(struct ph_arena *arena, const DBT *d)
{
	const char *p = d->data;
	size_t n = d->size;

	if (n > 0 && p[n - 1] == '\0')
		n--;
	return ph_arena_strndup(arena, p, n);
}

static enum ph_lookup get_locked(struct table *t, const char *key, struct ph_arena *arena, const char **ret_value,
				 struct ph_err *err)
{
	int rc = DB_NOTFOUND;
	DBT k, v;

	for (int nul = 1; nul >= 0 && rc == DB_NOTFOUND; nul--) {
		if (!(nul ? t->with_nul : t->without_nul))
			continue;
		k = dbt(key, nul);
		memset(&v, 0, sizeof v);
		rc = t->db->get(t->db, NULL, &k, &v, 0);
		if (rc == 0) {
			t->with_nul = nul;
			t->without_nul = !nul;
		}
	}
	if (rc == DB_NOTFOUND)
		return PH_LOOKUP_NOTFOUND;
	if (rc != 0 || v.size > MAX_VALUE) {
		if (rc == 0)
			ph_err_set(err, -EIO, "read %s: a value of %u bytes", t->path, v.size);
		else
			db_error(err, rc, "read", t);
		return PH_LOOKUP_TEMPFAIL;
	}
	*ret_value = text_of(arena, &v);
	return PH_LOOKUP_FOUND;
}

/* ---- answers of the file as it is ---- */

static struct remembered *place_of(struct table *t, const char *key, size_t n)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)key[i]) * 16777619u;
	if (!t->memory)
		t->memory = ph_alloc(REMEMBERED * sizeof *t->memory);
	return &t->memory[(h ^ (h >> 16)) % REMEMBERED];
}

static void remember(struct remembered *m, const char *key, size_t n, const char *value)
{
	size_t bytes = value ? strlen(value) : 0;

	m->used = n + bytes + 2 <= sizeof m->text;
	m->found = value != NULL;
	if (m->used) {
		memcpy(m->text, key, n + 1);
		memcpy(m->text + n + 1, value ? value : "", bytes + 1);
	}
}

/* The lock until the end of this turn, and the file as it is now. */
static int read_begin(struct table *t, struct ph_err *err)
{
	struct stat now;
	int r = llock(t->lock_fd, LLOCK_FLOCK, false, LOCK_WAIT_MS);

	if (r < 0)
		return ph_err_errno(err, r, "lock %s", t->path);
	if (t->locked)                  /* another coroutine got it while we waited */
		return 0;
	t->locked = true;
	until_turn_end(t);
	if (fstat(t->lock_fd, &now) < 0)
		memset(&now, 0, sizeof now);
	if (t->db && lfile_same(&now, &t->seen))
		return 0;
	r = open_locked(t, err);
	if (r < 0)
		memset(&t->seen, 0, sizeof t->seen);
	return r;
}

/* Does what is remembered still hold?  For that no lock is needed: a writer that has changed nothing yet takes nothing away. */
static bool as_seen(struct table *t)
{
	struct stat now;

	if (t->mode != PH_TABLE_READ || !t->db)
		return false;
	if (t->locked || t->looked)
		return true;
	t->looked = fstat(t->lock_fd, &now) == 0 && lfile_same(&now, &t->seen);
	if (t->looked)
		until_turn_end(t);
	return t->looked;
}

enum ph_lookup lbdb_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	size_t n = strlen(key);
	struct remembered *m;
	enum ph_lookup status;

	if (as_seen(t)) {
		m = place_of(t, key, n);
		if (m->used && strcmp(m->text, key) == 0) {
			if (m->found)
				*ret_value = ph_arena_strdup(arena, m->text + n + 1);
			return m->found ? PH_LOOKUP_FOUND : PH_LOOKUP_NOTFOUND;
		}
	}
	if (t->mode == PH_TABLE_READ && (!t->locked || t->db == NULL) && read_begin(t, err) < 0)
		return PH_LOOKUP_TEMPFAIL;
	if (t->db == NULL) {
		ph_err_set(err, -EAGAIN, "open database %s: it could not be opened a moment ago", t->path);
		return PH_LOOKUP_TEMPFAIL;
	}
	status = get_locked(t, key, arena, ret_value, err);
	if (t->mode == PH_TABLE_READ && status >= 0)
		remember(place_of(t, key, n), key, n, status == PH_LOOKUP_FOUND ? *ret_value : NULL);
	return status;
}

int lbdb_put(void *table, const char *key, const char *value, bool replace, struct ph_err *err)
{
	struct table *t = table;
	bool nul = t->with_nul;         /* undecided: with, as is the custom */
	DBT k = dbt(key, nul), v = dbt(value, nul);
	int rc = t->db->put(t->db, NULL, &k, &v, replace ? 0 : DB_NOOVERWRITE);

	t->without_nul = !nul;
	if (rc == DB_KEYEXIST)
		return ph_err_set(err, -EEXIST, "the key is there already");
	return rc == 0 ? 0 : db_error(err, rc, "write", t);
}

int lbdb_del(void *table, const char *key, struct ph_err *err)
{
	struct table *t = table;
	int rc = DB_NOTFOUND, one;
	DBT k;

	for (int nul = 1; nul >= 0; nul--) {
		if (!(nul ? t->with_nul : t->without_nul))
			continue;
		k = dbt(key, nul);
		one = t->db->del(t->db, NULL, &k, 0);
		if (one != DB_NOTFOUND)
			rc = one;
	}
	if (rc == DB_NOTFOUND)
		return -ENOENT;
	return rc == 0 ? 0 : db_error(err, rc, "delete from", t);
}

int lbdb_next(void *table, bool first, struct ph_arena *arena, const char **ret_key, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	DBT k, v;
	int rc = 0;

	if (t->db == NULL)
		return ph_err_set(err, -EAGAIN, "%s is being written", t->path);
	if (t->cursor == NULL)
		rc = t->db->cursor(t->db, NULL, &t->cursor, 0);
	if (rc != 0) {
		t->cursor = NULL;
		return db_error(err, rc, "read", t);
	}
	memset(&k, 0, sizeof k);
	memset(&v, 0, sizeof v);
	rc = t->cursor->get(t->cursor, &k, &v, first ? DB_FIRST : DB_NEXT);
	if (rc == DB_NOTFOUND)
		return 0;
	if (rc != 0)
		return db_error(err, rc, "read", t);
	*ret_key = text_of(arena, &k);
	*ret_value = text_of(arena, &v);
	return 1;
}

const char *lbdb_path(const struct ph_table_spec *spec, struct ph_arena *arena)
{
	return ph_arena_printf(arena, "%s.db", spec->name);
}

int lbdb_commit(void *table, struct ph_err *err)
{
	struct table *t = table;
	int rc = t->db->sync(t->db, 0);

	if (rc != 0)
		return db_error(err, rc, "write", t);
	db_close(t);
	return lnewfile_commit(&t->out, err);
}
