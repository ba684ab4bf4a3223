/* co_ucontext.c: switching by swapcontext: two system calls a switch, but right under shadow stacks.
 * State: the registers of the loop.  It is what yields. */
#include <ucontext.h>

#include <posthouse/base.h>
#include "base/co_switch.h"

static ucontext_t loop_uc;

static void uc_enter(struct ph_switch *s, void (*main_fn)(void))
{
	if (!s->started) {
		s->started = true;
		ph_assert(getcontext(&s->u.uc) == 0);
		s->u.uc.uc_stack.ss_sp = s->low;
		s->u.uc.uc_stack.ss_size = s->bytes;
		s->u.uc.uc_link = NULL;
		makecontext(&s->u.uc, main_fn, 0);
	}
	ph_assert(swapcontext(&loop_uc, &s->u.uc) == 0);
}

static void uc_leave(struct ph_switch *s)
{
	ph_assert(swapcontext(&s->u.uc, &loop_uc) == 0);
}

const struct ph_switch_ops ph_switch_ucontext = { "ucontext", uc_enter, uc_leave };
