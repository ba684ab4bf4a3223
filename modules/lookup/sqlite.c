/* sqlite.c: lookup "sqlite:/etc/postfix/x.cf": a query of an SQLite database.
 *
 * A look-up runs on the worker's own thread, as most take microseconds.  One that the database is locked for waits in its coroutine; one that needs
 * more than a few milliseconds of work is stopped and started anew on a helper thread, over a connection of its own.  A database file that
 * was replaced is opened anew.  Owns both connections.  get yields.  Source: sqlite_table(5). */
#include "common/query.h"

#include <posthouse/co.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define STEPS 100000            /* instructions of SQLite's machine on the worker's thread: a few milliseconds */
#define TIMEOUT_MS 10000        /* of a locked database, and of a slow query */
#define LOOK_MS 1000            /* has the file been replaced? */

struct table {
	struct lquery q;
	const char *query, *path;
	char *made;
	sqlite3 *db, *slow;             /* slow: used by one helper thread at a time */
	struct ph_sem slow_free;
	dev_t dev;
	ino_t ino;
	int64_t next_look_ms;
	unsigned users;                 /* look-ups under way */
};

static int open_db(const char *path, sqlite3 **ret, struct ph_err *err)
{
	if (sqlite3_open_v2(path, ret, SQLITE_OPEN_READONLY | SQLITE_OPEN_FULLMUTEX, NULL) == SQLITE_OK)
		return 0;
	ph_err_set(err, -EIO, "Can't open database: %s", *ret ? sqlite3_errmsg(*ret) : "out of memory");
	sqlite3_close(*ret);
	*ret = NULL;
	return -EIO;
}

static void remember_file(struct table *t)
{
	struct stat st;

	t->next_look_ms = ph_now_ms() + LOOK_MS;
	if (stat(t->path, &st) == 0) {
		t->dev = st.st_dev;
		t->ino = st.st_ino;
	}
}

/* A new file under the old name: only when no look-up is using the old one. */
static void look_at_file(struct table *t)
{
	struct stat st;
	sqlite3 *fresh;

	if (ph_now_ms() < t->next_look_ms || t->users > 0)
		return;
	t->next_look_ms = ph_now_ms() + LOOK_MS;
	if (stat(t->path, &st) < 0 || (st.st_dev == t->dev && st.st_ino == t->ino) || open_db(t->path, &fresh, NULL) < 0)
		return;
	sqlite3_close_v2(t->db);
	sqlite3_close_v2(t->slow);
	t->db = fresh;
	t->slow = NULL;
	remember_file(t);
}

/* Postfix's users write '%s'; between double quotes an SQLite string is a column's name, and the quoting would not hold. */
static void warn_double_quotes(const struct table *t)
{
	static const char *const words[] = { "\"%s\"", "\"%u\"", "\"%d\"" };

	for (size_t i = 0; i < PH_ARRAY_LEN(words); i++)
		if (strstr(t->query, words[i]))
			ph_log(PH_LOG_WARNING, "sqlite:%s: the query holds %s with double quotes; only text between single quotes is quoted safely",
			       t->q.name, words[i]);
}

static void table_close(void *table)
{
	struct table *t = table;

	sqlite3_close_v2(t->db);
	sqlite3_close_v2(t->slow);
	free(t->made);
	lquery_done(&t->q);
	free(t);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t = ph_alloc(sizeof *t);
	int r = lquery_open(&t->q, spec, err);

	t->slow_free.free = 1;
	if (r >= 0)
		r = lquery_sql(&t->q, false, &t->query, &t->made, err);
	if (r >= 0) {
		t->path = lcfg_str(t->q.cfg, "dbpath", "");
		if (*t->path == '\0')
			r = ph_err_set(err, -EINVAL, "%s: dbpath is not set", t->q.name);
	}
	if (r >= 0) {
		lcfg_warn_unused(t->q.cfg);
		warn_double_quotes(t);
		r = open_db(t->path, &t->db, err);
	}
	if (r < 0) {
		table_close(t);
		return r;
	}
	remember_file(t);
	*ret = t;
	return 0;
}

/* ---- look-ups ---- */

static int quote(void *ctx, const char *part, size_t n, struct ph_buf *out)
{
	for (size_t i = 0; i < n; i++)
		if ((part[i] == '\'' && ph_buf_putc(out, '\'') < 0) || ph_buf_putc(out, part[i]) < 0)
			return -ENOBUFS;
	return 0;
}

static int stop(void *arg)
{
	return 1;
}

static int64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int stop_late(void *arg)
{
	return clock_ms() > *(const int64_t *)arg;
}

/* Run sql.  An SQLite code; SQLITE_TOOBIG with err: lresult_add refused.  Any thread. */
static int run(sqlite3 *db, const char *sql, struct lresult *res, struct ph_err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc != SQLITE_OK || st == NULL) {
		ph_err_set(err, -EIO, "SQL prepare failed: %s", st || rc != SQLITE_OK ? sqlite3_errmsg(db) : "the query is empty");
		return rc == SQLITE_OK ? SQLITE_ERROR : rc;
	}
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		/* The first column alone, unlike mysql and pgsql tables: so does Postfix. */
		const char *v = (const char *)sqlite3_column_text(st, 0);

		if (lresult_add(res, v, v ? (size_t)sqlite3_column_bytes(st, 0) : 0, err) < 0) {
			sqlite3_finalize(st);
			return SQLITE_TOOBIG;
		}
	}
	if (rc != SQLITE_DONE)
		ph_err_set(err, -EIO, "SQL step failed: %s", sqlite3_errmsg(db));
	sqlite3_finalize(st);
	return rc;
}

struct job {
	struct table *t;
	const char *sql;
	struct lresult *res;
	struct ph_err *err;
	int64_t until_ms;
	int rc;
};

static void run_slow(void *arg)
{
	struct job *j = arg;

	if (j->t->slow == NULL && open_db(j->t->path, &j->t->slow, j->err) < 0) {
		j->rc = SQLITE_CANTOPEN;
		return;
	}
	sqlite3_busy_timeout(j->t->slow, TIMEOUT_MS / 2);
	j->until_ms = clock_ms() + TIMEOUT_MS;
	sqlite3_progress_handler(j->t->slow, STEPS, stop_late, &j->until_ms);
	j->rc = run(j->t->slow, j->sql, j->res, j->err);
	sqlite3_progress_handler(j->t->slow, 0, NULL, NULL);
}

static int run_aside(struct table *t, const char *sql, struct lresult *res, struct ph_err *err)
{
	struct job j = { t, sql, res, err, 0, SQLITE_ERROR };

	if (ph_sem_get(&t->slow_free, ph_now_ms() + TIMEOUT_MS) < 0) {
		ph_err_set(err, -EAGAIN, "the database is busy with slow queries");
		return SQLITE_BUSY;
	}
	ph_offload(run_slow, &j);
	ph_sem_put(&t->slow_free);
	if (j.rc == SQLITE_INTERRUPT)
		ph_err_set(err, -ETIMEDOUT, "the query takes more than %d s", TIMEOUT_MS / 1000);
	return j.rc;
}

static void again(struct lresult *res, const struct lquery *q, const char *key)
{
	lresult_done(res);
	lresult_init(res, q, key);
}

static int ask(struct table *t, const char *sql, const char *key, struct lresult *res, struct ph_err *err)
{
	int64_t deadline = ph_now_ms() + TIMEOUT_MS;
	int rc;

	for (int pause = 5;; pause = pause < 100 ? pause * 2 : 100) {
		sqlite3_progress_handler(t->db, STEPS, stop, NULL);
		rc = run(t->db, sql, res, err);
		if ((rc & 0xff) != SQLITE_BUSY || ph_now_ms() >= deadline || ph_co_sleep(pause) < 0)
			break;
		again(res, &t->q, key);
	}
	if (rc == SQLITE_INTERRUPT) {
		again(res, &t->q, key);
		rc = run_aside(t, sql, res, err);
	}
	return rc;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	struct ph_buf sql = PH_BUF_INIT(LQUERY_MAX_TEXT);
	struct lresult res;
	enum ph_lookup status = lquery_wants(&t->q, key, err);
	bool failed;

	if (status != PH_LOOKUP_FOUND)
		return status;
	status = PH_LOOKUP_NOTFOUND;
	look_at_file(t);
	t->users++;
	lresult_init(&res, &t->q, key);
	if (lcfg_expand_quoted(t->query, key, quote, NULL, &sql, &failed))
		status = ask(t, ph_buf_str(&sql), key, &res, err) == SQLITE_DONE ? lresult_take(&res, arena, ret_value) : PH_LOOKUP_TEMPFAIL;
	else if (failed) {
		ph_err_set(err, -EMSGSIZE, "the query is longer than %zu bytes", LQUERY_MAX_TEXT);
		status = PH_LOOKUP_TEMPFAIL;
	}
	lresult_done(&res);
	ph_buf_done(&sql);
	t->users--;
	return status;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_TEXT | PH_LOOKUP_NETWORK | PH_LOOKUP_REPEATABLE,
	.open = table_open, .get = table_get, .close = table_close, .path = lcfg_path,
};

PH_MODULE(PH_KIND_LOOKUP, "sqlite", "1.0", "a query of an SQLite database", .ops.lookup = &ops);
