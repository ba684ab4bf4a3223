/* defer.c: calls put off to the end of the loop turn.  State: the list of them.  No yield. */
#include <stdlib.h>

#include "base/loop_private.h"

struct deferred {
	void (*fn)(void *);
	void *arg;
};
struct deferred_list {
	struct deferred *v;
	size_t n, cap;
};

static struct deferred_list lists[2];
static int filling;             /* the list that ph_loop_defer appends to; the other one is being run */

void ph_loop_defer(void (*fn)(void *), void *arg)
{
	struct deferred_list *l = &lists[filling];

	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->v = ph_realloc(l->v, l->cap * sizeof(l->v[0]));
	}
	l->v[l->n++] = (struct deferred){ fn, arg };
}

void ph_defers_run(void)
{
	struct deferred_list *l = &lists[filling];
	size_t i;

	filling = !filling;
	for (i = 0; i < l->n; i++)
		l->v[i].fn(l->v[i].arg);
	l->n = 0;
}

bool ph_defers_pending(void)
{
	return lists[filling].n > 0;
}

void ph_defers_forget(void)
{
	lists[0].n = lists[1].n = 0;
}
