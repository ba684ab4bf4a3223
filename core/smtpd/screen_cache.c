/* screen_cache.c: who has passed which tests of postscreen, and until when.
 *
 * New entries go to a table in shared memory at once, so that all workers know them, and within seconds, many at a time, to
 * postscreen_cache_map, so that they survive a restart.  An entry is Postfix's: the client's address; five times, separated by ";".
 * Owns struct ph_screen_cache: what has not been written yet.  The shared table forgets: an entry may be overwritten by another's. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "module/table.h"
#include "smtpd/limits.h"
#include "smtpd/screen_text.h"
#include "smtpd/screen.h"

#define FLUSH_MS 5000
#define REOPEN_MS 60000
#define PROBES 4
#define BUSY 1
/* Postfix's own entry: when the last clean-up ended. */
#define CLEANUP_KEY "_LAST_CACHE_CLEANUP_COMPLETED_"

struct pending {
	struct pending *next;
	char addr[48];
	int64_t stamps[PH_SCREEN_TESTS];
};

struct ph_screen_cache {
	const struct ph_conf *conf;
	char *table;                    /* "btree:/path"; NULL: memory only */
	struct ph_table *read;          /* opened anew once a minute; what is newer is in shared memory.  NULL: not open */
	int64_t reopen_ms;
	struct ph_shared_stamps *shared;
	struct pending *pending;
	struct ph_timer *timer;
	int64_t retention_ms, cleanup_ms;
	bool cleaned;
};

static int64_t now_s(void)
{
	return ph_wall_us() / 1000000;
}

/* ---- shared memory ---- */

static uint64_t key_of(const struct ph_screen_cache *c, const char *addr)
{
	const char *const parts[] = { c->table ? c->table : "", addr };
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < PH_ARRAY_LEN(parts); i++)
		for (const char *p = parts[i]; *p; p++)
			h = (h ^ (unsigned char)*p) * 1099511628211u;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15u;
	h ^= h >> 29;
	return h > BUSY ? h : h + 2;
}

static bool shared_get(struct ph_screen_cache *c, const char *addr, int64_t stamps[PH_SCREEN_TESTS])
{
	uint64_t key = key_of(c, addr);

	for (unsigned i = 0; i < PROBES; i++) {
		struct ph_shared_stamp *e = &c->shared->e[(key + i) % PH_SHARED_STAMPS];

		if (atomic_load(&e->key) != key)
			continue;
		for (int k = 0; k < PH_SCREEN_TESTS; k++)
			stamps[k] = atomic_load(&e->t[k]);
		if (atomic_load(&e->key) == key)        /* nobody has written meanwhile */
			return true;
	}
	return false;
}

static int64_t latest(const struct ph_shared_stamp *e)
{
	int64_t max = 0;

	for (int k = 0; k < PH_SCREEN_TESTS; k++)
		if (atomic_load(&e->t[k]) > max)
			max = atomic_load(&e->t[k]);
	return max;
}

static void shared_put(struct ph_screen_cache *c, const char *addr, const int64_t stamps[PH_SCREEN_TESTS])
{
	uint64_t key = key_of(c, addr), was;
	struct ph_shared_stamp *best = NULL, *e;

	for (unsigned i = 0; i < PROBES; i++) {
		e = &c->shared->e[(key + i) % PH_SHARED_STAMPS];
		if (atomic_load(&e->key) == key || atomic_load(&e->key) == 0) {
			best = e;
			break;
		}
		if (!best || latest(e) < latest(best))
			best = e;
	}
	was = atomic_load(&best->key);
	if (was == BUSY || !atomic_compare_exchange_strong(&best->key, &was, BUSY))
		return;                 /* another worker writes there; the file will tell */
	for (int k = 0; k < PH_SCREEN_TESTS; k++)
		atomic_store(&best->t[k], stamps[k]);
	atomic_store(&best->key, key);
}

/* ---- the file ---- */

static struct ph_table *open_table(struct ph_screen_cache *c, int mode, struct ph_err *err)
{
	const char *colon = strchr(c->table, ':');
	char *type = ph_strndup(c->table, (size_t)(colon - c->table));
	struct ph_table *t = ph_table_open(c->conf, type, colon + 1, mode, 0, 0600, err);

	free(type);
	return t;
}

static struct ph_table *open_for_writing(struct ph_screen_cache *c, struct ph_err *err)
{
	return open_table(c, PH_TABLE_UPDATE, err);
}

static int close_written(struct ph_table *t, int r, struct ph_err *err)
{
	const struct ph_lookup_ops *ops = ph_table_ops(t);

	if (r == 0 && ops->commit)
		r = ops->commit(ph_table_handle(t), err);
	ph_table_close(&t);
	return r;
}

/* A table that is not there yet is made: an empty one. */
static void make_table(struct ph_screen_cache *c)
{
	struct ph_err err = { 0, "" };
	struct ph_table *t = open_table(c, PH_TABLE_READ, &err);

	if (t) {
		ph_table_close(&t);
		return;
	}
	if (err.code != -ENOENT)
		return;
	t = open_table(c, PH_TABLE_CREATE, &err);
	if (!t || close_written(t, 0, &err) < 0)
		ph_log(PH_LOG_WARNING, "cache %s: cannot be made: %s", c->table, err.text);
}

static int put_entry(struct ph_table *t, const char *addr, const int64_t s[PH_SCREEN_TESTS], struct ph_err *err)
{
	char text[PH_SCREEN_ENTRY_BYTES];

	ph_screen_entry_format(s, text);
	return ph_table_ops(t)->put(ph_table_handle(t), addr, text, true, err);
}

static void flush(struct ph_screen_cache *c)
{
	struct ph_err err = { 0, "" };
	struct ph_table *t;
	struct pending *p;
	int r = 0;

	if (!c->pending)
		return;
	t = open_for_writing(c, &err);
	if (t && !ph_table_ops(t)->put)
		r = ph_err_set(&err, -EROFS, "this type of table cannot be written");
	for (p = c->pending; t && r == 0 && p; p = p->next)
		r = put_entry(t, p->addr, p->stamps, &err);
	if (t)
		r = close_written(t, r, &err);
	if (!t || r < 0)
		ph_log(PH_LOG_WARNING, "cache %s: cannot be written: %s", c->table, err.text);
	while ((p = c->pending)) {
		c->pending = p->next;
		free(p);
	}
}

static void on_timer(void *arg)
{
	flush(arg);
}

static bool table_get(struct ph_screen_cache *c, const char *key, struct ph_arena *a, const char **ret)
{
	struct ph_err err;

	if (ph_now_ms() >= c->reopen_ms) {
		ph_table_close(&c->read);
		c->read = open_table(c, PH_TABLE_READ, &err);
		c->reopen_ms = ph_now_ms() + REOPEN_MS;
	}
	return c->read && ph_table_get(c->read, key, a, ret, &err) == PH_LOOKUP_FOUND;
}

/* ---- clean-up ---- */

struct cleanup {
	int retained, dropped;
	struct pending *drop;
};

static void sort_entries(struct ph_screen_cache *c, struct ph_table *t, struct cleanup *u)
{
	const struct ph_lookup_ops *ops = ph_table_ops(t);
	struct ph_arena *a = ph_arena_new();
	int64_t stamps[PH_SCREEN_TESTS], oldest = now_s() - c->retention_ms / 1000, max;
	const char *key, *value;
	struct pending *p;
	struct ph_err err;
	bool first = true;

	for (; ops->next && ops->next(ph_table_handle(t), first, a, &key, &value, &err) > 0; first = false) {
		if (strcmp(key, CLEANUP_KEY) == 0)
			continue;
		max = 0;
		if (ph_screen_entry_parse(value, stamps))
			for (int k = 0; k < PH_SCREEN_TESTS; k++)
				max = stamps[k] > max ? stamps[k] : max;
		if (max >= oldest || strlen(key) >= sizeof(p->addr)) {
			u->retained++;
			continue;
		}
		u->dropped++;
		p = ph_alloc(sizeof(*p));
		strcpy(p->addr, key);
		p->next = u->drop;
		u->drop = p;
	}
	ph_arena_free(&a);
}

/* Once in cleanup_ms, by whichever worker notices first; all else is left to the next time. */
static void clean_up(struct ph_screen_cache *c)
{
	struct cleanup u = { 0, 0, NULL };
	struct ph_err err = { 0, "" };
	struct ph_arena *a = ph_arena_new();
	struct ph_table *t;
	struct pending *p;
	const char *value;
	char text[24];
	int64_t last = 0, mark[PH_SCREEN_TESTS] = { 0 };
	int r = 0;

	c->cleaned = true;
	if (c->shared && shared_get(c, CLEANUP_KEY, mark))
		last = mark[0];
	else if (table_get(c, CLEANUP_KEY, a, &value) && ph_str_int64(value, 0, INT64_MAX, &last) < 0)
		last = 0;
	ph_arena_free(&a);
	if (c->cleanup_ms <= 0 || now_s() - last < c->cleanup_ms / 1000)
		return;
	mark[0] = now_s();
	if (c->shared)
		shared_put(c, CLEANUP_KEY, mark);
	t = open_for_writing(c, &err);
	if (!t || !ph_table_ops(t)->put) {
		if (t)
			ph_table_close(&t);
		return;                 /* flush says it */
	}
	sort_entries(c, t, &u);
	while ((p = u.drop)) {
		u.drop = p->next;
		if (r == 0 && ph_table_ops(t)->del)
			ph_table_ops(t)->del(ph_table_handle(t), p->addr, &err);
		free(p);
	}
	snprintf(text, sizeof(text), "%lld", (long long)now_s());
	r = ph_table_ops(t)->put(ph_table_handle(t), CLEANUP_KEY, text, true, &err);
	if (close_written(t, r, &err) == 0)
		ph_log(PH_LOG_INFO, "cache %s full cleanup: retained=%d dropped=%d entries", c->table, u.retained, u.dropped);
}

/* ---- all of it ---- */

struct ph_screen_cache *ph_screen_cache_new(const struct ph_conf *conf, const char *table, struct ph_limits *shared, int64_t retention_ms,
					    int64_t cleanup_ms)
{
	struct ph_screen_cache *c = ph_alloc(sizeof(*c));

	if (strncmp(table, "proxy:", 6) == 0)
		table += 6;
	c->conf = conf;
	c->shared = shared ? ph_limits_stamps(shared) : NULL;
	c->retention_ms = retention_ms;
	c->cleanup_ms = cleanup_ms;
	if (strchr(table, ':')) {
		c->table = ph_strdup(table);
		make_table(c);
		c->timer = ph_timer_new(on_timer, c);
	}
	return c;
}

bool ph_screen_cache_get(struct ph_screen_cache *c, const char *addr, int64_t stamps[PH_SCREEN_TESTS])
{
	struct ph_arena *a;
	const char *value;
	bool found;

	if (c->table && !c->cleaned)
		clean_up(c);
	if (c->shared && shared_get(c, addr, stamps))
		return true;
	if (!c->table)
		return false;
	a = ph_arena_new();
	found = table_get(c, addr, a, &value) && ph_screen_entry_parse(value, stamps);
	ph_arena_free(&a);
	if (!found)
		memset(stamps, 0, PH_SCREEN_TESTS * sizeof(*stamps));
	return found;
}

void ph_screen_cache_put(struct ph_screen_cache *c, const char *addr, const int64_t stamps[PH_SCREEN_TESTS])
{
	struct pending *p;

	if (c->shared)
		shared_put(c, addr, stamps);
	if (!c->table)
		return;
	if (!c->pending)
		ph_timer_set(c->timer, ph_now_ms() + FLUSH_MS);
	p = ph_alloc(sizeof(*p));
	snprintf(p->addr, sizeof(p->addr), "%s", addr);
	memcpy(p->stamps, stamps, sizeof(p->stamps));
	p->next = c->pending;
	c->pending = p;
}

void ph_screen_cache_free(struct ph_screen_cache **cp)
{
	struct ph_screen_cache *c = *cp;

	*cp = NULL;
	if (!c)
		return;
	flush(c);
	ph_timer_free(&c->timer);
	ph_table_close(&c->read);
	free(c->table);
	free(c);
}
