/* limits.c: counters per (service, client) in shared memory, one region per worker with one writer.  Does not yield.
 *
 * A region is an open-addressing hash table of fixed size: when a probe finds no room the entry with no connection and the oldest
 * window is taken over, so memory is bounded and a flood of clients can only make the counts forget. */
#include "smtpd/limits.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "smtpd/session.h"

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
	struct region *own;             /* of this process */
	struct region regions[SLOTS];   /* mapped, but only what is touched costs memory */
};

/* Peaks of this process since the last statistics line. */
static struct peak {
	uint32_t n;
	int64_t at_us;
	char who[120];
} peaks[PH_LIMIT_KINDS + 1];
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

static uint64_t mix(uint64_t h, uint64_t v)
{
	h ^= v;
	h *= 0x9e3779b97f4a7c15u;
	return h ^ (h >> 29);
}

/* The client's network as smtpd_client_*_prefix_length cuts it, together with the service. */
static uint64_t key_of(const struct ph_session *s)
{
	unsigned char a[16] = { 0 };
	unsigned bits, bytes = 16;
	uint64_t h = mix(0x706f7374u, s->limit_service), v;

	if (inet_pton(AF_INET, s->addr, a) == 1) {
		bits = (unsigned)s->set->ipv4_prefix;
		bytes = 4;
	} else {
		if (inet_pton(AF_INET6, s->addr, a) != 1)
			memset(a, 0xff, sizeof(a));
		bits = (unsigned)s->set->ipv6_prefix;
	}
	for (unsigned i = 0; i < bytes; i++)
		if (i * 8 >= bits)
			a[i] = 0;
		else if (bits - i * 8 < 8)
			a[i] &= (unsigned char)(0xff << (8 - (bits - i * 8)));
	memcpy(&v, a, 8);
	h = mix(h, v);
	memcpy(&v, a + 8, 8);
	h = mix(mix(h, v), bytes);
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

static void note_peak(unsigned which, uint32_t n, const struct ph_session *s)
{
	struct peak *p = &peaks[which];

	if (n <= p->n)
		return;
	p->n = n;
	p->at_us = ph_wall_us();
	snprintf(p->who, sizeof(p->who), "%.60s:%s", s->svc->name, s->addr);
}

/* The sums over all workers. */
static void sum(struct ph_limits *l, uint64_t key, int64_t now, int64_t unit, struct ph_limit_counts *ret, unsigned rate[PH_LIMIT_KINDS])
{
	struct entry *e;

	ret->connections = 0;
	memset(rate, 0, PH_LIMIT_KINDS * sizeof(*rate));
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
			rate[k] += atomic_load_explicit(&e->rate[k], memory_order_relaxed);
	}
	ret->connection_rate = rate[PH_LIMIT_CONNECT];
}

static struct entry *own_entry(const struct ph_session *s, uint64_t key, int64_t now)
{
	struct entry *e = own_region ? find(own_region, key, true) : NULL;

	if (e && now - e->window >= s->set->rate_unit_ms) {
		for (unsigned k = 0; k < PH_LIMIT_KINDS; k++)
			e->rate[k] = 0;
		e->window = now;
	}
	return e;
}

void ph_limits_connect(struct ph_limits *l, struct ph_session *s, struct ph_limit_counts *ret)
{
	int64_t now = ph_wall_us() / 1000;
	uint64_t key = key_of(s);
	unsigned rate[PH_LIMIT_KINDS];
	struct entry *e;

	ret->connections = ret->connection_rate = 0;
	if (!l)
		return;
	e = own_entry(s, key, now);
	if (!e)
		return;
	s->limit_key = key;
	e->connections++;
	e->rate[PH_LIMIT_CONNECT]++;
	sum(l, key, now, s->set->rate_unit_ms, ret, rate);
	note_peak(PH_LIMIT_KINDS, ret->connections, s);
	note_peak(PH_LIMIT_CONNECT, ret->connection_rate, s);
}

void ph_limits_disconnect(struct ph_limits *l, struct ph_session *s)
{
	struct entry *e = l && own_region ? find(own_region, s->limit_key, false) : NULL;

	if (e && e->connections > 0)
		e->connections--;
	s->counted = false;
}

unsigned ph_limits_rate(struct ph_limits *l, struct ph_session *s, enum ph_limit_kind kind)
{
	struct ph_limit_counts c;
	unsigned rate[PH_LIMIT_KINDS];

	if (!l)
		return 0;
	sum(l, key_of(s), ph_wall_us() / 1000, s->set->rate_unit_ms, &c, rate);
	return rate[kind];
}

unsigned ph_limits_count(struct ph_limits *l, struct ph_session *s, enum ph_limit_kind kind)
{
	struct entry *e;
	unsigned n;

	if (!l)
		return 0;
	e = own_entry(s, key_of(s), ph_wall_us() / 1000);
	if (e)
		e->rate[kind]++;
	n = ph_limits_rate(l, s, kind);
	note_peak(kind, n, s);
	return n;
}

bool ph_limits_exceeded(struct ph_session *s, enum ph_limit_kind kind, int limit, const char *what)
{
	unsigned n;

	if (s->svc->standalone || s->limits_exempt || limit <= 0)
		return false;
	n = ph_limits_count(s->svc->limits, s, kind);
	if (n <= (unsigned)limit)
		return false;
	ph_log(PH_LOG_WARNING, "%s rate limit exceeded: %u from %s for service %s", what, n, s->namaddr, s->svc->name);
	return true;
}

void ph_limits_log_peaks(struct ph_limits *l)
{
	static const char *const names[PH_LIMIT_KINDS + 1] = {
		[PH_LIMIT_CONNECT] = "connection rate", [PH_LIMIT_MESSAGE] = "message rate", [PH_LIMIT_RECIPIENT] = "recipient rate",
		[PH_LIMIT_TLS] = "newtls rate", [PH_LIMIT_AUTH] = "auth rate", [PH_LIMIT_KINDS] = "connection count",
	};

	for (unsigned i = 0; i <= PH_LIMIT_KINDS; i++) {
		time_t at = (time_t)(peaks[i].at_us / 1000000);
		struct tm tm;
		char when[32];

		if (peaks[i].n == 0)
			continue;
		if (!localtime_r(&at, &tm) || !strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm))
			when[0] = '\0';
		if (i == PH_LIMIT_KINDS)
			ph_log_as("anvil", PH_LOG_INFO, "statistics: max %s %u for (%s) at %s", names[i], peaks[i].n, peaks[i].who, when);
		else
			ph_log_as("anvil", PH_LOG_INFO, "statistics: max %s %u/60s for (%s) at %s", names[i], peaks[i].n, peaks[i].who, when);
		peaks[i].n = 0;
	}
}
