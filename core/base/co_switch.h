/* co_switch.h: stacks and switching back ends; included by co.c, co_stack.c, co_jmp.c and co_ucontext.c only. */
#ifndef PH_BASE_CO_SWITCH_H
#define PH_BASE_CO_SWITCH_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

#define PH_STACK_BYTES ((size_t)256 * 1024)     /* with the guard page */

struct ph_stack {
	char *low;              /* lowest usable byte, above the guard page */
	size_t bytes;           /* usable */
	char *map;              /* start of the mapping: the guard page */
	unsigned valgrind_id;
	bool resting;           /* the last coroutine's end is parked on it: its switch can be entered for the next one */
};

void ph_stack_get(struct ph_stack *s);
void ph_stack_put(struct ph_stack *s);

/* The saved registers of a coroutine that is not running. */
struct ph_switch {
	bool started;
	char *low;              /* of its stack */
	size_t bytes;
	union {
		sigjmp_buf jmp;
		ucontext_t uc;
	} u;
};

/* enter: from the loop into the coroutine, until it leaves; the first time main_fn runs, which never returns.
 * leave: from the coroutine back to the loop, until it is entered again. */
struct ph_switch_ops {
	const char *name;
	void (*enter)(struct ph_switch *s, void (*main_fn)(void));
	void (*leave)(struct ph_switch *s);
};
extern const struct ph_switch_ops ph_switch_jmp, ph_switch_ucontext;

#endif
