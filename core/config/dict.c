/* dict.c: a hash table from names to pointers whose memory comes from an arena.  Keys are not copied.  No yield. */
#include <string.h>

#include "config/private.h"

struct ph_dict_node {
	struct ph_dict_node *next;
	const char *name;
	uint32_t hash;
	void *value;
};

static uint32_t hash_name(const char *s)
{
	uint32_t h = 2166136261u;       /* FNV-1a */

	while (*s)
		h = (h ^ (unsigned char)*s++) * 16777619u;
	return h;
}

static struct ph_dict_node *find(const struct ph_dict *d, const char *name, uint32_t hash)
{
	struct ph_dict_node *n;

	if (d->n_buckets == 0)
		return NULL;
	for (n = d->buckets[hash & (d->n_buckets - 1)]; n; n = n->next) {
		if (n->hash == hash && strcmp(n->name, name) == 0)
			return n;
	}
	return NULL;
}

void *ph_dict_get(const struct ph_dict *d, const char *name)
{
	const struct ph_dict_node *n = find(d, name, hash_name(name));

	return n ? n->value : NULL;
}

/* The old bucket array stays in the arena: growing by a factor of four keeps that waste below a third. */
static void grow(struct ph_dict *d, struct ph_arena *a)
{
	size_t i, n = d->n_buckets ? d->n_buckets * 4 : 16;
	struct ph_dict_node **buckets = ph_arena_alloc(a, n * sizeof(*buckets));
	struct ph_dict_node *node, *next;

	for (i = 0; i < d->n_buckets; i++) {
		for (node = d->buckets[i]; node; node = next) {
			next = node->next;
			node->next = buckets[node->hash & (n - 1)];
			buckets[node->hash & (n - 1)] = node;
		}
	}
	d->buckets = buckets;
	d->n_buckets = n;
}

void ph_dict_set(struct ph_dict *d, struct ph_arena *a, const char *name, void *value)
{
	uint32_t hash = hash_name(name);
	struct ph_dict_node *n = find(d, name, hash);

	if (n) {
		n->value = value;
		return;
	}
	if (d->n >= d->n_buckets)
		grow(d, a);
	n = ph_arena_alloc(a, sizeof(*n));
	n->name = name;
	n->hash = hash;
	n->value = value;
	n->next = d->buckets[hash & (d->n_buckets - 1)];
	d->buckets[hash & (d->n_buckets - 1)] = n;
	d->n++;
}
