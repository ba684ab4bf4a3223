/* redis.c: counter store "redis:/etc/posthouse/x.cf": counts that several machines share, in a Redis server (5.0 or later).
 *
 * One script makes all changes of a call at once.  Events of one counter and client are a number that expires by itself.  Holders are the members of a sorted set,
 * each with a lease: a process or a machine that dies takes nothing back, so what it held lapses.  A coroutine of the store renews the leases of
 * sessions that last, and takes back what is released: nobody waits for that.  change yields.
 *
 * Settings: those of redis tables (host, port, socket, connections, user, password, database), timeout (1s), key_prefix (posthouse),
 * lease (3m).  Keys: <key_prefix>:{<client>}:<counter>. */
#include "../lookup/common/rclient.h"

#include <posthouse/co.h>
#include <posthouse/counter.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 32                /* changes of one command of the keeper */
#define BUCKETS 1024
#define MAX_CHANGES 8           /* of a caller */
#define WORDS_OF(n) (3 + 4 * (n))

/* For each key three arguments: what, holder or number of events, lease or window in ms. */
static const char script[] =
	"local t = redis.call('TIME')\n"
	"local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
	"local r = {}\n"
	"for i, k in ipairs(KEYS) do\n"
	"  local what, a, ms = ARGV[3 * i - 2], ARGV[3 * i - 1], tonumber(ARGV[3 * i])\n"
	"  if what == 'add' then\n"
	"    if tonumber(a) > 0 then\n"
	"      r[i] = redis.call('INCRBY', k, a)\n"
	"      if redis.call('PTTL', k) < 0 then redis.call('PEXPIRE', k, ms) end\n"
	"    else\n"
	"      r[i] = tonumber(redis.call('GET', k) or 0)\n"
	"    end\n"
	"  else\n"
	"    redis.call('ZREMRANGEBYSCORE', k, '-inf', now)\n"
	"    if what == 'hold' then\n"
	"      redis.call('ZADD', k, now + ms, a)\n"
	"      redis.call('PEXPIRE', k, ms)\n"
	"    else\n"
	"      redis.call('ZREM', k, a)\n"
	"    end\n"
	"    r[i] = redis.call('ZCARD', k)\n"
	"  end\n"
	"end\n"
	"return r\n";

struct held {
	struct held *next;              /* of its bucket */
	struct held *next_released;
	int64_t renew_ms;
	bool released;
	char *key;
	char holder[];
};

struct store {
	char *name;
	struct lcfg *cfg;
	struct rclient *client;
	const char *prefix;
	int64_t lease_ms;
	struct held *buckets[BUCKETS];
	struct held *released, **released_end;
	size_t n_held;
	struct ph_co *keeper;           /* NULL: nothing was ever held */
	struct ph_waitq work;
	bool closing;
};

/* ---- one command ---- */

struct command {
	char *keys[BATCH];              /* owned */
	char numbers[BATCH][2][24];
	const char *words[WORDS_OF(BATCH)];
	size_t n;
	char count[8];
};

/* key is owned by the command from now on. */
static void command_add(struct command *m, char *key, const char *what, const char *subject, int64_t ms)
{
	size_t i = m->n++;
	const char **arg;

	m->keys[i] = key;
	/* The keys come before the arguments: those are laid out as if the command were full, and moved by command_words. */
	arg = &m->words[3 + BATCH + 3 * i];
	snprintf(m->numbers[i][0], sizeof m->numbers[i][0], "%lld", (long long)ms);
	arg[0] = what;
	arg[1] = subject;
	arg[2] = m->numbers[i][0];
}

static size_t command_words(struct command *m)
{
	m->words[0] = "EVAL";
	m->words[1] = script;
	snprintf(m->count, sizeof m->count, "%zu", m->n);
	m->words[2] = m->count;
	for (size_t i = 0; i < m->n; i++)
		m->words[3 + i] = m->keys[i];
	memmove(&m->words[3 + m->n], &m->words[3 + BATCH], 3 * m->n * sizeof m->words[0]);
	return WORDS_OF(m->n);
}

static int take_answer(struct store *st, const struct rreply *reply, size_t n, uint64_t *now, struct ph_err *err)
{
	int64_t v;

	if (reply->type == RREPLY_ERROR)
		return ph_err_set(err, -EIO, "server %s: %.200s", rclient_server_name(st->client), reply->text);
	if (reply->type != RREPLY_LIST || reply->n != n)
		return ph_err_set(err, -EPROTO, "server %s: not an answer to what was asked", rclient_server_name(st->client));
	for (size_t i = 0; i < n; i++) {
		if (!reply->list[i] || reply->list[i]->type != RREPLY_TEXT || ph_str_int64(reply->list[i]->text, 0, INT64_MAX, &v) < 0)
			return ph_err_set(err, -EPROTO, "server %s: a count is no number", rclient_server_name(st->client));
		now[i] = (uint64_t)v;
	}
	return 0;
}

/* Counts go to now[], as many as there are changes. */
static int command_run(struct store *st, struct command *m, uint64_t *now, struct ph_err *err)
{
	struct ph_arena *arena = ph_arena_new();
	struct rreply *reply = NULL;
	int r = rclient_ask(st->client, arena, m->words, command_words(m), &reply, err);

	if (r >= 0)
		r = take_answer(st, reply, m->n, now, err);
	rreply_free(reply);
	for (size_t i = 0; i < m->n; i++)
		free(m->keys[i]);
	ph_arena_free(&arena);
	return r < 0 ? r : 0;
}

static char *make_key(const struct store *st, const char *client, const char *name)
{
	struct ph_buf b = PH_BUF_INIT(1024);
	char *key;

	ph_buf_printf(&b, "%s:{%s}:%s", st->prefix, client, name);
	key = ph_strdup(ph_buf_str(&b));
	ph_buf_done(&b);
	return key;
}

/* ---- what is held ---- */

static struct held **held_find(struct store *st, const char *holder)
{
	uint32_t h = 2166136261u;
	struct held **p;

	for (const char *c = holder; *c; c++)
		h = (h ^ (unsigned char)*c) * 16777619u;
	for (p = &st->buckets[h % BUCKETS]; *p; p = &(*p)->next)
		if (!(*p)->released && strcmp((*p)->holder, holder) == 0)
			break;
	return p;
}

static void held_free(struct held *h)
{
	free(h->key);
	free(h);
}

static void held_add(struct store *st, const char *key, const char *holder)
{
	struct held **p = held_find(st, holder);
	struct held *h;

	if (*p)
		return;
	h = ph_alloc(sizeof *h + strlen(holder) + 1);
	strcpy(h->holder, holder);
	h->key = ph_strdup(key);
	h->renew_ms = ph_now_ms() + st->lease_ms / 3;
	*p = h;
	st->n_held++;
}

/* Off the table; the keeper tells the server. */
static void held_release(struct store *st, const char *holder)
{
	struct held **p = held_find(st, holder), *h = *p;

	if (!h)
		return;
	*p = h->next;
	st->n_held--;
	h->released = true;
	h->next_released = NULL;
	*st->released_end = h;
	st->released_end = &h->next_released;
	ph_waitq_wake_one(&st->work);
}

/* ---- the keeper ---- */

/* A failure is not repeated: the lease ends, too. */
static void tell_releases(struct store *st)
{
	uint64_t now[BATCH];
	struct command *m;
	struct held *mine, *h;
	struct ph_err err;

	while (st->released && !ph_co_cancelled()) {
		m = ph_alloc(sizeof *m);
		mine = h = st->released;
		for (; h && m->n < BATCH; h = h->next_released)
			command_add(m, ph_strdup(h->key), "release", h->holder, 0);
		st->released = h;
		if (!h)
			st->released_end = &st->released;
		(void)command_run(st, m, now, &err);
		for (size_t i = 0; i < m->n; i++) {
			h = mine->next_released;
			held_free(mine);
			mine = h;
		}
		free(m);
	}
}

/* Those whose time has come; their texts are copied, as sessions may end meanwhile. */
static void renew(struct store *st)
{
	struct ph_arena *arena = ph_arena_new();
	struct command *m = ph_alloc(sizeof *m);
	uint64_t now[BATCH];
	struct ph_err err;
	int64_t t = ph_now_ms();

	for (size_t b = 0; b < BUCKETS && !ph_co_cancelled(); b++) {
		for (struct held *h = st->buckets[b]; h && m->n < BATCH; h = h->next) {
			if (h->renew_ms > t)
				continue;
			h->renew_ms = t + st->lease_ms / 3;
			command_add(m, ph_strdup(h->key), "hold", ph_arena_strdup(arena, h->holder), st->lease_ms);
		}
		if (m->n < BATCH && (b + 1 < BUCKETS || m->n == 0))
			continue;
		if (m->n == BATCH)
			b--;            /* this bucket may hold more */
		(void)command_run(st, m, now, &err);
		m->n = 0;
		ph_arena_reset(arena);
	}
	free(m);
	ph_arena_free(&arena);
}

static void store_free(struct store *st)
{
	struct held *h;

	for (size_t i = 0; i < BUCKETS; i++)
		while ((h = st->buckets[i]) != NULL) {
			st->buckets[i] = h->next;
			held_free(h);
		}
	while ((h = st->released) != NULL) {
		st->released = h->next_released;
		held_free(h);
	}
	rclient_close(&st->client);
	lcfg_free(&st->cfg);
	free(st->name);
	free(st);
}

static void keep(void *arg)
{
	struct store *st = arg;
	int64_t next = ph_now_ms() + st->lease_ms / 6;

	while (!st->closing && !ph_co_cancelled()) {
		if (!st->released)
			(void)ph_waitq_wait(&st->work, next);
		tell_releases(st);
		if (ph_now_ms() < next)
			continue;
		renew(st);
		next = ph_now_ms() + st->lease_ms / 6;
	}
	st->keeper = NULL;
	if (st->closing)
		store_free(st);
}

/* ---- operations ---- */

static int read_settings(struct store *st, struct ph_err *err)
{
	int r;

	st->prefix = lcfg_str(st->cfg, "key_prefix", "posthouse");
	if ((r = lcfg_ms(st->cfg, "lease", 180000, &st->lease_ms, err)) < 0 || (r = rclient_open(st->cfg, st->name, 1000, &st->client, err)) < 0)
		return r;
	if (st->lease_ms < 1000)
		return ph_err_set(err, -EINVAL, "%s: lease is less than a second", st->name);
	if (strlen(st->prefix) > 200)
		return ph_err_set(err, -EINVAL, "%s: key_prefix is longer than 200 bytes", st->name);
	lcfg_warn_unused(st->cfg);
	return 0;
}

static int store_open(const struct ph_conf *conf, const void *settings, const char *spec, void **ret, struct ph_err *err)
{
	struct ph_table_spec table = { .type = "redis", .name = spec, .mode = PH_TABLE_READ, .conf = conf };
	struct store *st = ph_alloc(sizeof *st);
	int r;

	(void)settings;
	st->name = ph_strdup(spec);
	st->released_end = &st->released;
	r = lcfg_open(&table, &st->cfg, err);
	if (r == 0)
		r = read_settings(st, err);
	if (r < 0)
		store_free(st);
	else
		*ret = st;
	return r;
}

static void store_close(void *store)
{
	struct store *st = store;

	st->closing = true;
	if (st->keeper)
		ph_co_cancel(st->keeper);       /* it frees the store when it has come to its end */
	else
		store_free(st);
}

static int store_change(void *store, const char *client, struct ph_counter_change *changes, size_t n, struct ph_err *err)
{
	const struct ph_counter_change *c;
	struct store *st = store;
	uint64_t now[BATCH];
	struct command *m;
	size_t asked = 0;
	int r = 0;

	if (n > MAX_CHANGES)
		return ph_err_set(err, -EINVAL, "more than %d changes at once", MAX_CHANGES);
	m = ph_alloc(sizeof *m);
	for (c = changes; c < changes + n; c++) {
		char *key = make_key(st, client, c->name);

		switch (c->what) {
		case PH_COUNTER_ADD:
			snprintf(m->numbers[m->n][1], sizeof m->numbers[0][1], "%u", c->by);
			command_add(m, key, "add", m->numbers[m->n][1], c->window_ms);
			break;
		case PH_COUNTER_HOLD:
			held_add(st, key, c->holder);
			command_add(m, key, "hold", c->holder, st->lease_ms);
			break;
		case PH_COUNTER_RELEASE:
			held_release(st, c->holder);
			free(key);
			break;
		}
	}
	if (st->n_held > 0 && !st->keeper)
		st->keeper = ph_co_spawn("redis counters", keep, st);
	if (m->n > 0)
		r = command_run(st, m, now, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (changes[i].what != PH_COUNTER_RELEASE)
			changes[i].now = now[asked++];
	free(m);
	return r;
}

static const struct ph_counter_ops ops = { .size = sizeof ops, .open = store_open, .close = store_close, .change = store_change };

PH_MODULE(PH_KIND_COUNTER, "redis", "1.0", "counts that several machines share, in a Redis server", .ops.counter = &ops);
