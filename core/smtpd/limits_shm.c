/* limits_shm.c: the counter store of one machine: shared memory, one region per worker with one writer.  Does not yield.
 *
 * A region is an open-addressing hash table of fixed size: when a probe finds no room the entry with no connection and the oldest
 * window is taken over, so memory is bounded and a flood of clients can only make the counts forget. */
#include "smtpd/limits.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS 256
#define ENTRIES 8192            /* of a region; a power of two */
#define PROBES 8

struct entry {
	_Atomic uint64_t key;           /* 0: free */
	_Atomic int64_t window;         /* wall clock ms: start of the rates' time unit */
	_Atomic uint32_t connections;
	_Atomic uint32_t rate[PH_LIMIT_KINDS];
};
struct region {
	struct entry e[ENTRIES];
};
struct ph_limits {
	struct ph_shared_stamps stamps;
	_Atomic uint8_t live[SLOTS];
	struct region regions[SLOTS];   /* mapped, but only what is touched costs memory */
};

static struct region *own_region;

struct ph_shared_stamps *ph_limits_stamps(struct ph_limits *l)
{
	return &l->stamps;
}

struct ph_limits *ph_limits_create(void)
{
	void *p = mmap(NULL, sizeof(struct ph_limits), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void ph_limits_forget(struct ph_limits *l, unsigned slot)
{
	if (!l || slot >= SLOTS || !atomic_load(&l->live[slot]))
		return;
	atomic_store(&l->live[slot], 0);
	(void)madvise(&l->regions[slot], sizeof(struct region), MADV_REMOVE);
}

void ph_limits_attach(struct ph_limits *l, unsigned slot)
{
	ph_assert(slot < SLOTS);
	if (!l)
		return;
	ph_limits_forget(l, slot);
	memset(&l->regions[slot], 0, sizeof(struct region));
	atomic_store(&l->live[slot], 1);
	own_region = &l->regions[slot];
}

static uint64_t key_of(const char *client)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *client; client++)
		h = (h ^ (unsigned char)*client) * 0x100000001b3u;
	h ^= h >> 32;           /* the low bits choose the place */
	return h ? h : 1;
}

static struct entry *find(struct region *r, uint64_t key, bool make)
{
	struct entry *e, *victim = NULL;

	for (unsigned i = 0; i < PROBES; i++) {
		e = &r->e[(key + i) & (ENTRIES - 1)];
		if (atomic_load_explicit(&e->key, memory_order_relaxed) == key)
			return e;
		if (atomic_load_explicit(&e->key, memory_order_relaxed) == 0) {
			if (!victim || atomic_load_explicit(&victim->key, memory_order_relaxed))
				victim = e;
		} else if (e->connections == 0 && (!victim || (victim->key && e->window < victim->window))) {
			victim = e;
		}
	}
	if (!make || !victim)
		return NULL;
	atomic_store(&victim->key, 0);
	victim->window = 0;
	for (unsigned k = 0; k < PH_LIMIT_KINDS; k++)
		victim->rate[k] = 0;
	atomic_store(&victim->key, key);
	return victim;
}

/* The sums over all workers. */
struct sums {
	uint64_t connections, rate[PH_LIMIT_KINDS];
};

static void sum(struct ph_limits *l, uint64_t key, int64_t now, int64_t unit, struct sums *ret)
{
	struct entry *e;

	memset(ret, 0, sizeof(*ret));
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (!atomic_load_explicit(&l->live[slot], memory_order_relaxed))
			continue;
		e = find(&l->regions[slot], key, false);
		if (!e)
			continue;
		ret->connections += atomic_load_explicit(&e->connections, memory_order_relaxed);
		if (now - atomic_load_explicit(&e->window, memory_order_relaxed) >= unit)
			continue;
		for (unsigned k = 0; k < PH_LIMIT_KINDS; k++)
			ret->rate[k] += atomic_load_explicit(&e->rate[k], memory_order_relaxed);
	}
}

static unsigned kind_of(const char *name)
{
	unsigned k = 0;

	while (k < PH_LIMIT_KINDS && strcmp(ph_limit_names[k], name) != 0)
		k++;
	ph_assert(k < PH_LIMIT_KINDS);
	return k;
}

static void apply(uint64_t key, const struct ph_counter_change *c, int64_t now)
{
	struct entry *e = NULL;

	if (own_region && (c->what != PH_COUNTER_ADD || c->by > 0))
		e = find(own_region, key, c->what != PH_COUNTER_RELEASE);
	if (!e)
		return;
	switch (c->what) {
	case PH_COUNTER_ADD:
		if (now - e->window >= c->window_ms) {
			for (unsigned k = 0; k < PH_LIMIT_KINDS; k++)
				e->rate[k] = 0;
			e->window = now;
		}
		e->rate[kind_of(c->name)] += c->by;
		break;
	case PH_COUNTER_HOLD:
		e->connections++;
		break;
	case PH_COUNTER_RELEASE:
		if (e->connections > 0)
			e->connections--;
		break;
	}
}

static int shm_change(void *store, const char *client, struct ph_counter_change *changes, size_t n, struct ph_err *err)
{
	int64_t now = ph_wall_us() / 1000;
	uint64_t key = key_of(client);
	struct ph_limits *l = store;
	int64_t unit = 0;       /* the rates of a batch have one time unit */
	bool asked = false;
	struct sums s;

	(void)err;
	for (struct ph_counter_change *c = changes; c < changes + n; c++) {
		apply(key, c, now);
		unit = c->what == PH_COUNTER_ADD ? c->window_ms : unit;
		asked |= c->what != PH_COUNTER_RELEASE;
	}
	if (asked)
		sum(l, key, now, unit, &s);
	for (struct ph_counter_change *c = changes; c < changes + n; c++) {
		if (c->what == PH_COUNTER_RELEASE)
			continue;
		c->now = c->what == PH_COUNTER_HOLD ? s.connections : s.rate[kind_of(c->name)];
	}
	return 0;
}

/* Made before the processes that use it are (ph_limits_create): nothing to open. */
const struct ph_counter_ops ph_limits_shared = { .size = sizeof(ph_limits_shared), .change = shm_change };
