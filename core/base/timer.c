/* timer.c: one-shot timers on one heap.  State: the heap.  No yield. */
#include <stdlib.h>

#include "base/list.h"
#include "base/loop_private.h"

static struct ph_heap timers;

struct ph_timer *ph_timer_new(void (*fn)(void *), void *arg)
{
	struct ph_timer *t = ph_alloc(sizeof(*t));

	t->fn = fn;
	t->arg = arg;
	return t;
}

void ph_timer_set(struct ph_timer *t, int64_t at_ms)
{
	ph_heap_set(&timers, &t->node, at_ms);
}

void ph_timer_clear(struct ph_timer *t)
{
	ph_heap_del(&timers, &t->node);
}

bool ph_timer_is_set(const struct ph_timer *t)
{
	return ph_heap_has(&t->node);
}

void ph_timer_free(struct ph_timer **t)
{
	if (*t == NULL)
		return;
	ph_timer_clear(*t);
	free(*t);
	*t = NULL;
}

/* At most as many as are set now: a timer that sets itself to "now" runs again in the next turn. */
void ph_timers_run(int64_t now_ms)
{
	uint32_t most = timers.n;
	struct ph_heap_node *node;
	struct ph_timer *t;

	while (most-- > 0 && (node = ph_heap_first(&timers)) != NULL && node->key <= now_ms) {
		ph_heap_del(&timers, node);
		t = ph_container_of(node, struct ph_timer, node);
		t->fn(t->arg);
	}
}

int64_t ph_timers_next(void)
{
	struct ph_heap_node *node = ph_heap_first(&timers);

	return node ? node->key : PH_NEVER;
}

/* After a fork: timers set before it stay with the parent. */
void ph_timers_forget(void)
{
	ph_heap_done(&timers);
}
