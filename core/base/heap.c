/* heap.c: intrusive binary min-heap.  No state of its own; no yield. */
#include <stdlib.h>

#include <posthouse/base.h>
#include "base/heap.h"

static void place(struct ph_heap *h, uint32_t i, struct ph_heap_node *node)
{
	h->nodes[i] = node;
	node->pos = i + 1;
}

static void sift_up(struct ph_heap *h, uint32_t i, struct ph_heap_node *node)
{
	while (i > 0) {
		uint32_t up = (i - 1) / 2;

		if (h->nodes[up]->key <= node->key)
			break;
		place(h, i, h->nodes[up]);
		i = up;
	}
	place(h, i, node);
}

static void sift_down(struct ph_heap *h, uint32_t i, struct ph_heap_node *node)
{
	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->nodes[child + 1]->key < h->nodes[child]->key)
			child++;
		if (node->key <= h->nodes[child]->key)
			break;
		place(h, i, h->nodes[child]);
		i = child;
	}
	place(h, i, node);
}

void ph_heap_set(struct ph_heap *h, struct ph_heap_node *node, int64_t key)
{
	if (node->pos == 0) {
		ph_assert(h->n < UINT32_MAX / 2);
		if (h->n == h->cap) {
			h->cap = h->cap ? h->cap * 2 : 32;
			h->nodes = ph_realloc(h->nodes, h->cap * sizeof(h->nodes[0]));
		}
		node->key = key;
		h->n++;
		sift_up(h, h->n - 1, node);
		return;
	}
	ph_assert(node->pos <= h->n && h->nodes[node->pos - 1] == node);
	if (key < node->key) {
		node->key = key;
		sift_up(h, node->pos - 1, node);
	} else {
		node->key = key;
		sift_down(h, node->pos - 1, node);
	}
}

void ph_heap_del(struct ph_heap *h, struct ph_heap_node *node)
{
	struct ph_heap_node *last;
	uint32_t i = node->pos - 1;

	if (node->pos == 0)
		return;
	ph_assert(node->pos <= h->n && h->nodes[i] == node);
	node->pos = 0;
	last = h->nodes[--h->n];
	if (last == node)
		return;
	if (i > 0 && h->nodes[(i - 1) / 2]->key > last->key)
		sift_up(h, i, last);
	else
		sift_down(h, i, last);
}

struct ph_heap_node *ph_heap_pop(struct ph_heap *h)
{
	struct ph_heap_node *node = ph_heap_first(h);

	if (node)
		ph_heap_del(h, node);
	return node;
}

void ph_heap_done(struct ph_heap *h)
{
	uint32_t i;

	for (i = 0; i < h->n; i++)
		h->nodes[i]->pos = 0;
	free(h->nodes);
	*h = (struct ph_heap){ NULL, 0, 0 };
}
