/* table.c: one lookup table as the rest of the core sees it.
 *
 * Owns the module's handle.  A table that cannot be opened is a surrogate: it answers "temporary failure" with the reason, so mail
 * waits and the router lives; the reason goes when the file can be opened.  Files are looked at again after
 * 10 ms at the earliest and opened anew when they have changed; the old handle lives until its last look-up has ended.  Yields where the module's get does. */
#include "module/table.h"
#include "module/loader.h"
#include "module/memo.h"
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define WATCH_MS 10             /* short, as a mail may follow postmap at once, and one process must not know a user that another does not */
#define REST_US 1000000         /* a file changed in place is left alone until it has rested so long */
#define MAX_KEY 65536
#define MAX_DEPTH 16            /* tables within tables: unionmap, pipemap ... */

struct handle {
	void *obj;
	unsigned users;         /* look-ups under way */
	bool closing;
};

struct ph_table {
	char *title, *type, *name;
	const struct ph_conf *conf;
	const struct ph_module *module;         /* NULL: no such type */
	const struct ph_lookup_ops *ops;
	struct ph_module_stats *stats;
	struct handle *cur;                     /* NULL: nothing could be opened so far */
	int mode;
	unsigned flags, perm;                   /* for postmap */
	bool utf8;                              /* keys are folded as UTF-8 */
	enum ph_lookup broken;                  /* TEMPFAIL, PERMERR: answer this; NOTFOUND: works */
	char *why;
	char *failure;                          /* of the last look-up that failed; NULL: no reason was given */
	char *path;                             /* watched file, or NULL */
	bool kept;                              /* opened by root, for derived views, too */
	struct stat seen;
	int64_t next_look_ms;
	struct ph_memo *memo;                   /* REPEATABLE: answers of a moment ago; NULL: none yet */
};

static void handle_close(struct ph_table *t, struct handle *h)
{
	if (h == NULL)
		return;
	h->closing = true;
	if (h->users == 0) {
		t->ops->close(h->obj);
		free(h);
	}
}

static void set_broken(struct ph_table *t, enum ph_lookup status, const char *why)
{
	free(t->why);
	t->why = why ? ph_strdup(why) : NULL;
	t->broken = status;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool unchanged(const struct stat *a, const struct stat *b)
{
	return same_file(a, b) && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool rested(const struct stat *st)
{
	int64_t age = ph_wall_us() - ((int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000);

	return age < 0 || age >= REST_US;
}

static struct handle *open_handle(struct ph_table *t, struct ph_err *err)
{
	static int depth;
	struct ph_table_spec spec = { t->type, t->name, t->mode, t->conf, NULL, t->flags, t->perm };
	struct handle *h = NULL;
	void *obj = NULL;
	int r;

	if (depth >= MAX_DEPTH) {
		ph_err_set(err, -EINVAL, "tables within tables are nested more than %d deep", MAX_DEPTH);
		return NULL;
	}
	spec.settings = ph_module_settings(t->module, t->conf, err);
	if (spec.settings == NULL)
		return NULL;
	depth++;
	r = t->ops->open(&spec, &obj, err);
	depth--;
	if (r < 0)
		return NULL;
	h = ph_alloc(sizeof *h);
	h->obj = obj;
	return h;
}

/* Put a freshly opened handle in place, or note why there is none. */
static void table_load(struct ph_table *t)
{
	struct ph_err err = { 0 };
	struct handle *h = open_handle(t, &err);

	if (h) {
		handle_close(t, t->cur);
		t->cur = h;
		ph_memo_clear(t->memo);
		set_broken(t, PH_LOOKUP_NOTFOUND, NULL);
		return;
	}
	if (t->why == NULL || strcmp(t->why, err.text) != 0)
		ph_log(PH_LOG_WARNING, "%s is unavailable. %s", t->title, err.text);
	set_broken(t, err.code == -EINVAL ? PH_LOOKUP_PERMERR : PH_LOOKUP_TEMPFAIL, err.text);
}

/* Forgotten postmap?  (A source that is just being edited is left alone.) */
static void warn_older(const struct ph_table *t)
{
	struct stat source;

	if (strcmp(t->path, t->name) != 0 && stat(t->name, &source) == 0 &&
	    source.st_mtim.tv_sec > t->seen.st_mtim.tv_sec && source.st_mtim.tv_sec < ph_wall_us() / 1000000 - 100)
		ph_log(PH_LOG_WARNING, "database %s is older than source file %s", t->path, t->name);
}

static void watch_start(struct ph_table *t)
{
	struct ph_table_spec spec = { t->type, t->name, t->mode, t->conf, NULL, t->flags, t->perm };
	struct ph_arena *a;
	const char *path;

	if (!(t->ops->flags & PH_LOOKUP_FILE) || t->name[0] == '{' || t->mode != PH_TABLE_READ)
		return;
	a = ph_arena_new();
	path = t->ops->path ? t->ops->path(&spec, a) : t->name;
	if (path)
		t->path = ph_strdup(path);
	ph_arena_free(&a);
	if (t->path == NULL)
		return;
	t->next_look_ms = ph_now_ms() + WATCH_MS;
	if (stat(t->path, &t->seen) < 0) {
		memset(&t->seen, 0, sizeof t->seen);
		return;
	}
	warn_older(t);
	if (!rested(&t->seen))
		t->seen.st_mtim.tv_sec = 0;     /* it may still be written to within this tick of its clock: look again */
}

/* Has the file changed?  Then open it anew. */
static void watch_look(struct ph_table *t)
{
	struct stat st;
	bool quiet;

	if (t->path == NULL || ph_now_ms() < t->next_look_ms)
		return;
	t->next_look_ms = ph_now_ms() + WATCH_MS;
	if (stat(t->path, &st) < 0) {
		if (t->seen.st_ino != 0 || t->broken == PH_LOOKUP_NOTFOUND) {
			memset(&t->seen, 0, sizeof t->seen);
			table_load(t);          /* says what is wrong */
		}
		return;
	}
	if (unchanged(&st, &t->seen) && t->broken == PH_LOOKUP_NOTFOUND)
		return;
	/* Being edited in place: the old table is good until the new one is all there. */
	if (t->cur && (t->ops->flags & PH_LOOKUP_TEXT) && same_file(&st, &t->seen) && !rested(&st))
		return;
	quiet = t->seen.st_mtim.tv_sec == 0 || t->broken != PH_LOOKUP_NOTFOUND;
	t->seen = st;
	table_load(t);
	if (!quiet && t->broken == PH_LOOKUP_NOTFOUND)
		ph_log(PH_LOG_INFO, "table %s has changed -- reopened", t->title);
}

static struct ph_table *table_new(const struct ph_conf *conf, const char *type, const char *name, int mode)
{
	struct ph_table *t = ph_alloc(sizeof *t);
	size_t n = strlen(type) + strlen(name) + 2;

	t->title = ph_alloc(n);
	snprintf(t->title, n, "%s:%s", type, name);
	t->type = ph_strdup(type);
	t->name = ph_strdup(name);
	t->conf = conf;
	t->mode = mode;
	t->utf8 = ph_conf_utf8(conf);
	return t;
}

static int table_find_module(struct ph_table *t, struct ph_err *err)
{
	struct ph_err why = { 0 };

	t->module = ph_module_load(PH_KIND_LOOKUP, t->type, &why);
	if (t->module == NULL) {
		if (why.code == -ENOENT || why.code == -EINVAL)
			return ph_err_set(err, -EINVAL, "unsupported dictionary type: %.100s", t->type);
		return ph_err_set(err, why.code, "%s", why.text);
	}
	t->ops = t->module->ops.lookup;
	t->stats = ph_module_stats(t->module);
	return 0;
}

struct ph_table *ph_table_open(const struct ph_conf *conf, const char *type, const char *name, int mode, unsigned flags,
			       unsigned perm, struct ph_err *err)
{
	struct ph_table *t = table_new(conf, type, name, mode);

	t->flags = flags;
	t->perm = perm;

	if (table_find_module(t, err) < 0 || (t->cur = open_handle(t, err)) == NULL)
		ph_table_close(&t);
	return t;
}

void ph_table_close(struct ph_table **tp)
{
	struct ph_table *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	if (t->cur)
		handle_close(t, t->cur);
	free(t->title);
	free(t->type);
	free(t->name);
	free(t->why);
	free(t->failure);
	free(t->path);
	ph_memo_free(&t->memo);
	free(t);
}

static void free_shared(void *p)
{
	struct ph_table *t = p;

	ph_table_close(&t);
}

/* "type:name", perhaps behind "proxy:".  The proxy is transparent here: there is no other process to ask. */
static struct ph_table *shared_new(const struct ph_conf *conf, const char *text)
{
	struct ph_err err = { 0 };
	struct ph_table *t;
	const char *colon;
	bool approved = true;
	char *type;

	if (strncmp(text, "proxy:", 6) == 0) {
		text += 6;
		approved = ph_table_proxy_approved(conf, text, true);
	}
	colon = strchr(text, ':');
	if (!approved) {
		t = table_new(conf, "proxy", text, PH_TABLE_READ);
		ph_err_set(&err, -EINVAL, "proxymap service is not configured for table \"%.200s\"", text);
	} else if (colon == NULL || colon == text || colon[1] == '\0') {
		t = table_new(conf, "?", text, PH_TABLE_READ);
		ph_err_set(&err, -EINVAL, "expecting \"type:name\" form instead of \"%.200s\"", text);
	} else {
		type = ph_strndup(text, (size_t)(colon - text));
		t = table_new(conf, type, colon + 1, PH_TABLE_READ);
		free(type);
		table_find_module(t, &err);
	}
	if (t->ops) {
		watch_start(t);
		table_load(t);
	} else {
		ph_log(PH_LOG_WARNING, "%s is unavailable. %s", t->title, err.text);
		set_broken(t, PH_LOOKUP_PERMERR, err.text);
	}
	return t;
}

static bool any_kept;           /* in this process */

/* The table that root has opened for conf or for what conf is derived from. */
static struct ph_table *find_kept(const struct ph_conf *conf, const char *key)
{
	struct ph_table *t = NULL;

	for (; any_kept && conf; conf = ph_conf_base(conf)) {
		t = ph_conf_attach_get(conf, key);
		if (t && t->kept)
			return t;
	}
	return NULL;
}

void ph_table_keep(const struct ph_conf *conf, const char *text)
{
	struct ph_table *t = ph_table_shared(conf, text);

	if (t->cur == NULL)
		return;                 /* it is tried again, and the log says why it fails */
	free(t->path);
	t->path = NULL;
	t->kept = any_kept = true;
}

struct ph_table *ph_table_shared(const struct ph_conf *conf, const char *text)
{
	size_t n = strlen(text) + sizeof "table:";
	char *key = ph_alloc(n);
	struct ph_table *t;

	snprintf(key, n, "table:%s", text);
	t = ph_conf_attach_get(conf, key);
	if (t == NULL)
		t = find_kept(conf, key);
	if (t == NULL) {
		t = shared_new(conf, text);
		ph_conf_attach_set(conf, key, t, free_shared);
	}
	free(key);
	return t;
}

const char *ph_table_title(const struct ph_table *t)
{
	return t->title;
}

const struct ph_lookup_ops *ph_table_ops(const struct ph_table *t)
{
	return t->ops;
}

void *ph_table_handle(struct ph_table *t)
{
	return t->cur ? t->cur->obj : NULL;
}

unsigned ph_table_flags(const struct ph_table *t)
{
	unsigned own = PH_LOOKUP_PATTERN | PH_LOOKUP_NETWORK;

	if (t->ops == NULL)
		return 0;
	if (t->ops->table_flags && t->cur)
		return (t->ops->flags & ~own) | (t->ops->table_flags(t->cur->obj) & own);
	return t->ops->flags;
}

uid_t ph_table_owner(const struct ph_table *t)
{
	return t->ops && (t->ops->flags & PH_LOOKUP_FILE) ? t->seen.st_uid : 0;
}

const char *ph_table_broken(const struct ph_table *t)
{
	return t->broken != PH_LOOKUP_NOTFOUND ? t->why : NULL;
}

const char *ph_table_failure(const struct ph_table *t)
{
	return t->broken != PH_LOOKUP_NOTFOUND ? t->why : t->failure;
}

const char *ph_table_fold(const struct ph_table *t, const char *key, struct ph_arena *arena)
{
	if (!(ph_table_flags(t) & PH_LOOKUP_CASEFOLD))
		return key;
	for (const char *p = key; *p; p++)
		if ((*p >= 'A' && *p <= 'Z') || (*p & 0x80))
			return ph_str_fold(arena, key, t->utf8);
	return key;
}

static uint64_t nanoseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* What the table answered a moment ago.  false: it has to be asked. */
static bool remembered(const struct ph_table *t, const char *key, struct ph_arena *arena, enum ph_lookup *ret, const char **ret_value)
{
	const char *value;

	if (!t->memo || !ph_memo_get(t->memo, key, ph_now_ms(), &value))
		return false;
	*ret = value ? PH_LOOKUP_FOUND : PH_LOOKUP_NOTFOUND;
	if (value)
		*ret_value = ph_arena_strdup(arena, value);
	return true;
}

/* h answered a question of asked_ms; another handle may be the current one by now. */
static void remember(struct ph_table *t, const struct handle *h, const char *key, enum ph_lookup status, const char *value, int64_t asked_ms)
{
	if (status < 0 || h != t->cur || t->mode != PH_TABLE_READ || !(t->ops->flags & PH_LOOKUP_REPEATABLE))
		return;
	if (!t->memo)
		t->memo = ph_memo_new();
	ph_memo_put(t->memo, key, status == PH_LOOKUP_FOUND ? value : NULL, asked_ms);
}

enum ph_lookup ph_table_get(struct ph_table *t, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct ph_err why = { 0 };
	const char *value = NULL;
	enum ph_lookup status;
	struct handle *h;
	uint64_t start;
	int64_t asked_ms;

	watch_look(t);
	if (t->broken != PH_LOOKUP_NOTFOUND) {
		ph_err_set(err, t->broken == PH_LOOKUP_PERMERR ? -EINVAL : -EAGAIN, "%s is unavailable. %s", t->title, t->why);
		if (t->stats)
			t->stats->tempfails++;
		return t->broken;
	}
	if (strlen(key) > MAX_KEY)
		return PH_LOOKUP_NOTFOUND;
	if (remembered(t, key, arena, &status, ret_value))
		return status;
	h = t->cur;
	h->users++;
	asked_ms = ph_now_ms();
	start = nanoseconds();
	status = t->ops->get(h->obj, key, arena, &value, &why);
	t->stats->calls++;
	t->stats->ns += nanoseconds() - start;
	if (status == PH_LOOKUP_FOUND)
		*ret_value = ph_arena_strdup(arena, value);
	remember(t, h, key, status, value, asked_ms);
	if (--h->users == 0 && h->closing) {
		t->ops->close(h->obj);
		free(h);
	}
	if (status < 0) {
		t->stats->tempfails++;
		/* In two lines, as Postfix's tables and their callers do it. */
		free(t->failure);
		t->failure = why.text[0] ? ph_strdup(why.text) : NULL;
		if (why.text[0])
			ph_log(PH_LOG_WARNING, "%s%s %s", t->title, strncmp(why.text, t->type, strlen(t->type)) == 0 ? "" : ":", why.text);
		ph_err_set(err, status == PH_LOOKUP_PERMERR ? -EINVAL : -EAGAIN, "%s lookup error for \"%.128s\"", t->title, key);
	}
	return status;
}
