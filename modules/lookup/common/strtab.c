/* strtab.c: see strtab.h.  Open addressing over an array of entries; SipHash-like safety is not needed, since the keys that are
 * stored come from the administrator's own table.  Pure. */
#include "strtab.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	char *key, *value;      /* key NULL: deleted */
	uint32_t hash;
};

struct lstrtab {
	struct entry *entries;
	size_t n, cap;          /* entries used, deleted ones included */
	uint32_t *slots;        /* index + 1; 0: free */
	size_t n_slots;         /* a power of two */
};

static uint32_t hash_of(const char *s)
{
	uint32_t h = 2166136261u;       /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

struct lstrtab *lstrtab_new(void)
{
	struct lstrtab *t = ph_alloc(sizeof *t);

	t->n_slots = 64;
	t->slots = ph_alloc(t->n_slots * sizeof t->slots[0]);
	return t;
}

void lstrtab_free(struct lstrtab **tp)
{
	struct lstrtab *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++) {
		free(t->entries[i].key);
		free(t->entries[i].value);
	}
	free(t->entries);
	free(t->slots);
	free(t);
}

/* The entry of key, or NULL; *ret_slot: where it is, or would go. */
static struct entry *find(const struct lstrtab *t, const char *key, uint32_t hash, size_t *ret_slot)
{
	size_t at = hash & (t->n_slots - 1);

	for (; t->slots[at]; at = (at + 1) & (t->n_slots - 1)) {
		struct entry *e = &t->entries[t->slots[at] - 1];

		if (e->key && e->hash == hash && strcmp(e->key, key) == 0) {
			*ret_slot = at;
			return e;
		}
	}
	*ret_slot = at;
	return NULL;
}

static void grow_slots(struct lstrtab *t)
{
	free(t->slots);
	t->n_slots *= 2;
	t->slots = ph_alloc(t->n_slots * sizeof t->slots[0]);
	for (size_t i = 0; i < t->n; i++) {
		size_t at = t->entries[i].hash & (t->n_slots - 1);

		while (t->slots[at])
			at = (at + 1) & (t->n_slots - 1);
		t->slots[at] = (uint32_t)i + 1;
	}
}

const char *lstrtab_get(const struct lstrtab *t, const char *key)
{
	size_t slot;
	struct entry *e = find(t, key, hash_of(key), &slot);

	return e ? e->value : NULL;
}

bool lstrtab_put(struct lstrtab *t, const char *key, const char *value, bool replace)
{
	uint32_t hash = hash_of(key);
	size_t slot;
	struct entry *e = find(t, key, hash, &slot);

	if (e) {
		if (replace) {
			free(e->value);
			e->value = ph_strdup(value);
		}
		return replace;
	}
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 32;
		t->entries = ph_realloc(t->entries, t->cap * sizeof t->entries[0]);
	}
	ph_assert(t->n < UINT32_MAX - 1);
	t->entries[t->n++] = (struct entry){ ph_strdup(key), ph_strdup(value), hash };
	t->slots[slot] = (uint32_t)t->n;
	if (t->n * 2 > t->n_slots)
		grow_slots(t);
	return true;
}

bool lstrtab_put_folded(struct lstrtab *t, char *key, const char *value, bool replace, const struct ph_conf *conf)
{
	struct ph_arena *arena;
	bool put;

	if (ph_str_ascii(key) || !ph_conf_utf8(conf))
		return lstrtab_put(t, ph_str_lower(key), value, replace);
	arena = ph_arena_new();
	put = lstrtab_put(t, ph_str_fold(arena, key, true), value, replace);
	ph_arena_free(&arena);
	return put;
}

bool lstrtab_del(struct lstrtab *t, const char *key)
{
	size_t slot;
	struct entry *e = find(t, key, hash_of(key), &slot);

	if (e == NULL)
		return false;
	free(e->key);
	free(e->value);
	e->key = e->value = NULL;       /* its slot stays taken, so that chains hold */
	return true;
}

bool lstrtab_next(const struct lstrtab *t, size_t *pos, const char **ret_key, const char **ret_value)
{
	while (*pos < t->n) {
		const struct entry *e = &t->entries[(*pos)++];

		if (e->key) {
			*ret_key = e->key;
			*ret_value = e->value;
			return true;
		}
	}
	return false;
}

/* ---- as a table ---- */

struct lstrtable *lstrtable_new(void)
{
	struct lstrtable *t = ph_alloc(sizeof *t);

	t->tab = lstrtab_new();
	return t;
}

enum ph_lookup lstrtable_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct lstrtable *t = table;

	*ret_value = lstrtab_get(t->tab, key);
	return *ret_value ? PH_LOOKUP_FOUND : PH_LOOKUP_NOTFOUND;
}

int lstrtable_next(void *table, bool first, struct ph_arena *arena, const char **ret_key, const char **ret_value, struct ph_err *err)
{
	struct lstrtable *t = table;

	if (first)
		t->pos = 0;
	return lstrtab_next(t->tab, &t->pos, ret_key, ret_value);
}

void lstrtable_close(void *table)
{
	struct lstrtable *t = table;

	lstrtab_free(&t->tab);
	free(t);
}
