/* htab.c: linear probing, deletion by shifting back.  State: the random key.  No yield. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <posthouse/base.h>
#include "base/htab.h"

static uint64_t seed[2];

__attribute__((constructor)) static void seed_init(void)
{
	if (getrandom(seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) {
		seed[0] = (uint64_t)ph_wall_us() * 0x9e3779b97f4a7c15u;
		seed[1] = (uint64_t)(uintptr_t)&seed;
	}
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1], v[1] = rotl(v[1], 13) ^ v[0], v[0] = rotl(v[0], 32);
	v[2] += v[3], v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3], v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1], v[1] = rotl(v[1], 17) ^ v[2], v[2] = rotl(v[2], 32);
}

/* Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF". */
uint64_t ph_hash_bytes(const void *bytes, size_t n)
{
	uint64_t v[4] = { seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
			  seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u };
	const unsigned char *p = bytes;
	uint64_t m, last = (uint64_t)n << 56;
	size_t i;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&m, p, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	for (i = 0; i < n; i++)
		last |= (uint64_t)p[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The slot of the key, or the empty one where it would go. */
static size_t find(const struct ph_htab *t, const char *key, size_t n, uint32_t hash)
{
	size_t mask = t->cap - 1, i = hash & mask;
	const struct ph_htab_slot *s;

	for (;; i = (i + 1) & mask) {
		s = &t->slots[i];
		if (s->value == NULL || (s->hash == hash && s->key_len == n && memcmp(s->key, key, n) == 0))
			return i;
	}
}

static void resize(struct ph_htab *t, size_t cap)
{
	struct ph_htab_slot *old = t->slots;
	size_t old_cap = t->cap, i, mask = cap - 1, j;

	t->slots = ph_alloc(cap * sizeof(t->slots[0]));
	t->cap = cap;
	for (i = 0; i < old_cap; i++) {
		if (old[i].value == NULL)
			continue;
		for (j = old[i].hash & mask; t->slots[j].value; j = (j + 1) & mask)
			;
		t->slots[j] = old[i];
	}
	free(old);
}

void *ph_htab_getn(const struct ph_htab *t, const char *key, size_t n)
{
	if (t->n == 0)
		return NULL;
	return t->slots[find(t, key, n, (uint32_t)ph_hash_bytes(key, n))].value;
}

void *ph_htab_get(const struct ph_htab *t, const char *key)
{
	return ph_htab_getn(t, key, strlen(key));
}

void *ph_htab_putn(struct ph_htab *t, const char *key, size_t n, void *value)
{
	uint32_t hash = (uint32_t)ph_hash_bytes(key, n);
	struct ph_htab_slot *s;
	void *old;

	ph_assert(value != NULL && n <= UINT32_MAX);
	if (t->n + 1 > t->cap / 4 * 3) {
		ph_assert(t->cap < UINT32_MAX);         /* more would share too few hash bits */
		resize(t, t->cap ? t->cap * 2 : 16);
	}
	s = &t->slots[find(t, key, n, hash)];
	old = s->value;
	if (old == NULL)
		t->n++;
	*s = (struct ph_htab_slot){ .key = key, .value = value, .hash = hash, .key_len = (uint32_t)n };
	return old;
}

void *ph_htab_put(struct ph_htab *t, const char *key, void *value)
{
	return ph_htab_putn(t, key, strlen(key), value);
}

/* Close the gap at i: move back each follower that may stand there. */
static void shift_back(struct ph_htab *t, size_t i)
{
	size_t mask = t->cap - 1, j = i, home;

	for (;;) {
		j = (j + 1) & mask;
		if (t->slots[j].value == NULL)
			break;
		home = t->slots[j].hash & mask;
		if (((j - home) & mask) < ((j - i) & mask))
			continue;
		t->slots[i] = t->slots[j];
		i = j;
	}
	memset(&t->slots[i], 0, sizeof(t->slots[i]));
	t->n--;
}

void *ph_htab_deln(struct ph_htab *t, const char *key, size_t n)
{
	size_t i;
	void *value;

	if (t->n == 0)
		return NULL;
	i = find(t, key, n, (uint32_t)ph_hash_bytes(key, n));
	value = t->slots[i].value;
	if (value == NULL)
		return NULL;
	shift_back(t, i);
	if (t->cap > 64 && t->n < t->cap / 8)
		resize(t, t->cap / 2);
	return value;
}

void *ph_htab_del(struct ph_htab *t, const char *key)
{
	return ph_htab_deln(t, key, strlen(key));
}

void *ph_htab_next(const struct ph_htab *t, size_t *cursor, const char **ret_key)
{
	struct ph_htab_slot *s;

	while (*cursor < t->cap) {
		s = &t->slots[(*cursor)++];
		if (s->value) {
			if (ret_key)
				*ret_key = s->key;
			return s->value;
		}
	}
	return NULL;
}

/* The shift may pull an entry from the start of the table, which the walk has seen, to its end: it is seen twice
 * then, never missed. */
void ph_htab_del_at(struct ph_htab *t, size_t *cursor)
{
	ph_assert(*cursor > 0 && *cursor <= t->cap && t->slots[*cursor - 1].value);
	shift_back(t, --*cursor);
}

void ph_htab_done(struct ph_htab *t)
{
	free(t->slots);
	*t = (struct ph_htab){ NULL, 0, 0 };
}
