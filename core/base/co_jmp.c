/* co_jmp.c: switching by sigsetjmp and siglongjmp, without system calls.
 *
 * makecontext creates the first frame on the new stack; all later switches only save and restore
 * registers.  _FORTIFY_SOURCE replaces longjmp by a version that refuses to jump "up" to another stack, so it
 * has to be off in this file (and only here), before any header is read.
 * State: the registers of the loop, and a context used while a coroutine starts.  It is what yields. */
#undef _FORTIFY_SOURCE
#include <setjmp.h>
#include <ucontext.h>

#include <posthouse/base.h>
#include "base/co_switch.h"

static sigjmp_buf loop_jmp;
static ucontext_t start;

static void jmp_start(struct ph_switch *s, void (*main_fn)(void))
{
	s->started = true;
	ph_assert(getcontext(&start) == 0);
	start.uc_stack.ss_sp = s->low;
	start.uc_stack.ss_size = s->bytes;
	start.uc_link = NULL;
	makecontext(&start, main_fn, 0);
	setcontext(&start);
	ph_assert(!"setcontext failed");
}

static void jmp_enter(struct ph_switch *s, void (*main_fn)(void))
{
	if (sigsetjmp(loop_jmp, 0) != 0)
		return;
	if (s->started)
		siglongjmp(s->u.jmp, 1);
	jmp_start(s, main_fn);
}

static void jmp_leave(struct ph_switch *s)
{
	if (sigsetjmp(s->u.jmp, 0) == 0)
		siglongjmp(loop_jmp, 1);
}

const struct ph_switch_ops ph_switch_jmp = { "jmp", jmp_enter, jmp_leave };
