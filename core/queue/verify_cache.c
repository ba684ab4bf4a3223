/* verify_cache.c: see verify_cache.h.
 *
 * Memory holds everything, so a question never waits for a disk.  What has changed is written in one batch every few seconds; the table is open only
 * meanwhile, so that postmap -s and a restarted process see a whole one.  (Not on a helper thread: LMDB's transactions belong to the thread that began them.)
 * State: the cache.  Only the writer's coroutine yields. */
#include "queue/verify_cache.h"

#include <errno.h>
#include <posthouse/co.h>
#include <stdlib.h>
#include <string.h>

#include "base/htab.h"
#include "module/table.h"

#define WRITE_MS 2000
#define STAMP "_LAST_CACHE_CLEANUP_COMPLETED_"          /* Postfix's own entry in such a table */

struct entry {
	struct entry *dirty_next;       /* to be written */
	bool dirty, gone;               /* gone: to be deleted from the table */
	char *value;
	char key[];
};

struct ph_verify_cache {
	const struct ph_conf *conf;
	char *type, *name;              /* NULL: memory alone */
	char *title;
	size_t max;
	struct ph_verify_times times;
	struct ph_htab entries;
	struct entry *dirty;
	bool writing, broken;
};

static int64_t now_seconds(void)
{
	return ph_wall_us() / 1000000;
}

static struct entry *entry_new(const char *key, const char *value)
{
	size_t n = strlen(key) + 1;
	struct entry *e = ph_alloc(sizeof(*e) + n);

	memcpy(e->key, key, n);
	e->value = ph_strdup(value);
	return e;
}

static void entry_free(struct entry *e)
{
	free(e->value);
	free(e);
}

static bool expired(const struct ph_verify_cache *c, const char *value)
{
	struct ph_verify_entry v;

	return ph_verify_parse(value, &v) < 0 || ph_verify_expired(&v, &c->times, now_seconds());
}

/* ---- the table ---- */

static void trouble(struct ph_verify_cache *c, const char *what, const struct ph_err *err)
{
	if (!c->broken)
		ph_log_as("verify", PH_LOG_WARNING, "%s: %s: %s; results are kept in memory", c->title, what, err->text);
	c->broken = true;
}

static void read_table(struct ph_verify_cache *c)
{
	struct ph_err err = { 0, "" };
	struct ph_table *t = ph_table_open(c->conf, c->type, c->name, PH_TABLE_UPDATE, 0, 0600, &err);
	const struct ph_lookup_ops *ops = t ? ph_table_ops(t) : NULL;
	struct ph_arena *a;
	const char *key, *value;
	bool first = true;

	if (!t || !ops->next || !ops->put || !ops->del) {
		if (t)
			ph_err_set(&err, -ENOTSUP, "the table type has no updates");
		trouble(c, "cannot be used", &err);
		ph_table_close(&t);
		return;
	}
	a = ph_arena_new();
	while (c->entries.n < c->max && ops->next(ph_table_handle(t), first, a, &key, &value, &err) > 0) {
		first = false;
		if (strcmp(key, STAMP) != 0 && !expired(c, value) && !ph_htab_get(&c->entries, key)) {
			struct entry *e = entry_new(key, value);

			ph_htab_put(&c->entries, e->key, e);
		}
		ph_arena_reset(a);
	}
	ph_arena_free(&a);
	if (ops->commit)                /* a table that is new gets its file */
		ops->commit(ph_table_handle(t), &err);
	ph_table_close(&t);
}

/* A batch on its way to the helper thread: copies, as entries may change meanwhile. */
struct change {
	struct change *next;
	char *key, *value;              /* value NULL: delete */
};
struct batch {
	struct ph_verify_cache *c;
	struct change *changes;
	int r;
	struct ph_err err;
};

static void write_batch(void *arg)
{
	struct batch *b = arg;
	struct ph_table *t = ph_table_open(b->c->conf, b->c->type, b->c->name, PH_TABLE_UPDATE, 0, 0600, &b->err);
	const struct ph_lookup_ops *ops = t ? ph_table_ops(t) : NULL;

	b->r = t ? 0 : -EIO;
	for (struct change *x = b->changes; b->r >= 0 && x; x = x->next) {
		b->r = x->value ? ops->put(ph_table_handle(t), x->key, x->value, true, &b->err) : ops->del(ph_table_handle(t), x->key, &b->err);
		if (b->r == -ENOENT && !x->value)
			b->r = 0;
	}
	if (b->r >= 0 && ops->commit)
		b->r = ops->commit(ph_table_handle(t), &b->err);
	ph_table_close(&t);
}

static void take_dirty(struct ph_verify_cache *c, struct batch *b)
{
	struct entry *e;

	while ((e = c->dirty)) {
		struct change *x = ph_alloc(sizeof(*x));

		c->dirty = e->dirty_next;
		x->key = ph_strdup(e->key);
		x->value = e->gone ? NULL : ph_strdup(e->value);
		x->next = b->changes;
		b->changes = x;
		e->dirty = false;
		if (e->gone)
			entry_free(e);
	}
}

static void write_main(void *arg)
{
	struct ph_verify_cache *c = arg;

	while (c->dirty && ph_co_sleep(WRITE_MS) == 0) {
		struct batch b = { .c = c };
		struct change *x;

		take_dirty(c, &b);
		write_batch(&b);
		if (b.r < 0)
			trouble(c, "cannot be written", &b.err);
		while ((x = b.changes)) {
			b.changes = x->next;
			free(x->key);
			free(x->value);
			free(x);
		}
	}
	c->writing = false;
}

static void changed(struct ph_verify_cache *c, struct entry *e)
{
	if (!c->type || c->broken) {
		if (e->gone)
			entry_free(e);
		return;
	}
	if (!e->dirty) {
		e->dirty = true;
		e->dirty_next = c->dirty;
		c->dirty = e;
	}
	if (!c->writing) {
		c->writing = true;
		ph_co_spawn("verify cache", write_main, c);
	}
}

/* ---- the cache ---- */

struct ph_verify_cache *ph_verify_cache_open(const struct ph_conf *conf, const char *map, size_t max, const struct ph_verify_times *times)
{
	struct ph_verify_cache *c = ph_alloc(sizeof(*c));
	const char *colon;

	if (strncmp(map, "proxy:", 6) == 0)     /* one process holds it in any case */
		map += 6;
	colon = strchr(map, ':');
	c->conf = conf;
	c->max = max;
	c->times = *times;
	c->title = ph_strdup(*map ? map : "internal:verify");
	if (*map && !colon) {
		ph_log_as("verify", PH_LOG_WARNING, "address_verify_map: need type:name instead of \"%s\"; results are kept in memory", map);
	} else if (*map) {
		c->type = ph_strndup(map, (size_t)(colon - map));
		c->name = ph_strdup(colon + 1);
		read_table(c);
	}
	return c;
}

void ph_verify_cache_free(struct ph_verify_cache **cp)
{
	struct ph_verify_cache *c = *cp;
	struct entry *e;
	size_t cursor = 0;

	if (!c)
		return;
	while ((e = ph_htab_next(&c->entries, &cursor, NULL)))
		entry_free(e);
	ph_htab_done(&c->entries);
	free(c->type);
	free(c->name);
	free(c->title);
	free(c);
	*cp = NULL;
}

const char *ph_verify_cache_get(struct ph_verify_cache *c, const char *address)
{
	struct entry *e = ph_htab_get(&c->entries, address);

	return e ? e->value : NULL;
}

/* Somebody asks for ever more addresses: what has expired goes first, then whatever comes first. */
static void make_room(struct ph_verify_cache *c)
{
	size_t cursor = 0, seen = 0;
	struct entry *e;

	while (seen++ < 1000 && (e = ph_htab_next(&c->entries, &cursor, NULL)))
		if (expired(c, e->value) || seen == 1000)
			break;
	if (!e) {
		cursor = 0;
		e = ph_htab_next(&c->entries, &cursor, NULL);
	}
	if (!e)
		return;
	ph_htab_del_at(&c->entries, &cursor);
	e->gone = true;
	changed(c, e);
}

void ph_verify_cache_put(struct ph_verify_cache *c, const char *address, const char *value)
{
	struct entry *e = ph_htab_get(&c->entries, address);

	if (e) {
		free(e->value);
		e->value = ph_strdup(value);
	} else {
		if (c->entries.n >= c->max)
			make_room(c);
		e = entry_new(address, value);
		ph_htab_put(&c->entries, e->key, e);
	}
	changed(c, e);
}

void ph_verify_cache_clean(struct ph_verify_cache *c)
{
	size_t cursor = 0, dropped = 0;
	struct entry *e;

	while ((e = ph_htab_next(&c->entries, &cursor, NULL))) {
		if (!expired(c, e->value))
			continue;
		ph_htab_del_at(&c->entries, &cursor);
		e->gone = true;
		changed(c, e);
		dropped++;
	}
	ph_log_as("verify", PH_LOG_INFO, "cache %s full cleanup: retained=%zu dropped=%zu entries", c->title, c->entries.n, dropped);
}
