/* heap.h: intrusive binary min-heap over int64 keys, for timers and retry times.
 * Nodes live in the objects; the heap holds pointers.  Nothing here yields. */
#ifndef PH_BASE_HEAP_H
#define PH_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ph_heap_node {
	int64_t key;
	uint32_t pos;           /* position + 1; 0: in no heap.  Zero the node to initialise it. */
};

struct ph_heap {                /* zero it to initialise */
	struct ph_heap_node **nodes;
	uint32_t n, cap;
};

static inline bool ph_heap_has(const struct ph_heap_node *node)
{
	return node->pos != 0;
}

/* The node with the smallest key; NULL when empty. */
static inline struct ph_heap_node *ph_heap_first(const struct ph_heap *h)
{
	return h->n ? h->nodes[0] : NULL;
}

/* Insert node with this key, or move it when it is in h already. */
void ph_heap_set(struct ph_heap *h, struct ph_heap_node *node, int64_t key);
/* Take node out; nothing happens when it is in no heap. */
void ph_heap_del(struct ph_heap *h, struct ph_heap_node *node);
/* Take the first out; NULL when empty. */
struct ph_heap_node *ph_heap_pop(struct ph_heap *h);
void ph_heap_done(struct ph_heap *h);

#endif
