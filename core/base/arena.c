/* arena.c: allocations that die together.
 *
 * A chain of blocks, filled from the front; what is larger than a quarter of a block gets a block of its
 * own, so that a big allocation does not waste the rest of the current one.  What is handed out is zeroed then, and not the whole block.
 * State: a few free blocks of each thread, since every transaction needs one.  No yield.
 * Under AddressSanitizer every allocation is a block of its own, so overruns are seen. */
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/base.h>
#include "base/format.h"

#define ARENA_MAGIC 0xa3e7a001u
#define ARENA_FIRST 992         /* small: an idle session owns an arena, too; with its head what malloc hands out quickest (up to 1032) */
#define ARENA_BLOCK 16384
#ifdef PH_SANITIZERS
#define SPARE_BLOCKS 0          /* so that use after free is seen */
#else
#define SPARE_BLOCKS 4
#endif

struct arena_block {
	struct arena_block *next;
	size_t size, used;              /* of data */
	alignas(16) char data[];
};

struct arena_cleanup {
	struct arena_cleanup *next;
	void (*fn)(void *);
	void *arg;
};

struct ph_arena {
	uint32_t magic;
	struct arena_block *blocks;     /* the one being filled comes first */
	struct arena_cleanup *cleanups; /* last added first; the nodes live in the arena */
	size_t bytes;
};

static __thread struct arena_block *spare;
static __thread unsigned spare_n;

static struct arena_block *block_new(size_t size)
{
	struct arena_block *b;

	if (size == ARENA_BLOCK && spare) {
		b = spare;
		spare = b->next;
		spare_n--;
	} else {
		b = ph_realloc(NULL, sizeof(*b) + size);
	}
	b->next = NULL;
	b->size = size;
	b->used = 0;
	return b;
}

static void block_free(struct arena_block *b)
{
	if (b->size != ARENA_BLOCK || spare_n == SPARE_BLOCKS) {
		free(b);
		return;
	}
	b->next = spare;
	spare = b;
	spare_n++;
}

struct ph_arena *ph_arena_new(void)
{
	struct ph_arena *a = ph_alloc(sizeof(*a));

	a->magic = ARENA_MAGIC;
	return a;
}

static void *alloc_own_block(struct ph_arena *a, size_t bytes)
{
	struct arena_block *b = block_new(bytes);

	b->used = bytes;
	if (a->blocks) {                /* keep filling the block in front */
		b->next = a->blocks->next;
		a->blocks->next = b;
	} else {
		a->blocks = b;
	}
	return b->data;
}

/* Not zeroed. */
static void *take(struct ph_arena *a, size_t bytes)
{
	struct arena_block *b;
	size_t size;
	void *p;

	ph_assert(a->magic == ARENA_MAGIC);
	ph_assert(bytes < SIZE_MAX / 2);
	bytes = (bytes + 15) & ~(size_t)15;
	a->bytes += bytes;
#ifdef PH_SANITIZERS
	return alloc_own_block(a, bytes);
#endif
	b = a->blocks;
	if (b == NULL || bytes > b->size - b->used) {
		if (bytes > ARENA_BLOCK / 4)
			return alloc_own_block(a, bytes);
		size = b ? ARENA_BLOCK : ARENA_FIRST;
		b = block_new(size < bytes ? ARENA_BLOCK : size);
		b->next = a->blocks;
		a->blocks = b;
	}
	p = b->data + b->used;
	b->used += bytes;
	return p;
}

void *ph_arena_alloc(struct ph_arena *a, size_t bytes)
{
	return memset(take(a, bytes), 0, bytes);
}

char *ph_arena_strdup(struct ph_arena *a, const char *s)
{
	size_t n = strlen(s);

	return memcpy(take(a, n + 1), s, n + 1);
}

char *ph_arena_strndup(struct ph_arena *a, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = take(a, len + 1);

	copy[len] = '\0';
	return memcpy(copy, s, len);
}

char *ph_arena_printf(struct ph_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = ph_vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	ph_assert(n >= 0);
	s = take(a, (size_t)n + 1);
	va_start(ap, fmt);
	ph_vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}

void ph_arena_cleanup(struct ph_arena *a, void (*fn)(void *), void *arg)
{
	struct arena_cleanup *c = ph_arena_alloc(a, sizeof(*c));

	c->fn = fn;
	c->arg = arg;
	c->next = a->cleanups;
	a->cleanups = c;
}

size_t ph_arena_bytes(const struct ph_arena *a)
{
	return a->bytes;
}

static void arena_run_cleanups(struct ph_arena *a)
{
	struct arena_cleanup *c;

	while ((c = a->cleanups) != NULL) {     /* a clean-up may add another */
		a->cleanups = c->next;
		c->fn(c->arg);
	}
}

void ph_arena_reset(struct ph_arena *a)
{
	struct arena_block *b, *next, *keep = NULL;

	ph_assert(a->magic == ARENA_MAGIC);
	arena_run_cleanups(a);
	for (b = a->blocks; b; b = next) {
		next = b->next;
		if (keep == NULL && b->size == ARENA_FIRST)
			keep = b;
		else
			block_free(b);
	}
	if (keep) {
		keep->used = 0;
		keep->next = NULL;
	}
	a->blocks = keep;
	a->bytes = 0;
}

void ph_arena_free(struct ph_arena **a)
{
	struct arena_block *b, *next;

	if (*a == NULL)
		return;
	ph_assert((*a)->magic == ARENA_MAGIC);
	arena_run_cleanups(*a);
	for (b = (*a)->blocks; b; b = next) {
		next = b->next;
		block_free(b);
	}
	(*a)->magic = 0;
	free(*a);
	*a = NULL;
}
