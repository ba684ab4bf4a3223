/* co.c: coroutines: starting, parking, waking, cancelling.
 *
 * A coroutine's struct ph_co lies at the top of its own stack, so a parked one costs the pages it has
 * touched and nothing else.  All of them run on the thread of the loop.
 * Deadlines: each coroutine has one timer, which is only moved when a new deadline comes before it; when it fires
 * too early it is set anew.  So a session that waits 300 s for every command touches the heap every 300 s.
 * State: the lists of all and of ready coroutines, the running one.  ph_co_park is what yields. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/co_switch.h"
#include "base/fault.h"
#include "base/list.h"
#include "base/loop_private.h"
#include "base/watchdog.h"

#if defined(__SANITIZE_ADDRESS__)
#define CO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CO_ASAN 1
#endif
#endif
#ifdef CO_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define CO_MAGIC 0xc0c0a001u
#define IO_BUDGET 64            /* reads and writes without waiting before others get their turn */

enum co_state { CO_READY, CO_RUNNING, CO_PARKED, CO_DONE };

struct ph_co {
	uint32_t magic;
	enum co_state state;
	int wake;                       /* what the wait returns */
	int io_budget;
	bool cancelled, hard, debug;
	const char *name, *what;
	const char *syslog_name, *prog; /* not owned; see ph_co_set_ident */
	const char *as_syslog_name;     /* the same of ph_co_set_as_ident */
	ph_co_fn *fn;
	void *arg;
	struct ph_list all, ready;
	struct ph_waitq *queue;         /* the one it waits in */
	struct ph_co *queue_prev, *queue_next;
	struct ph_timer timer;
	int64_t deadline_ms, since_ms, born_ms;
	void *asan_fake;
	struct ph_stack stack;
	struct ph_switch sw;            /* last: see ph_co_spawn */
};

/* The running coroutine of this thread; helper threads never have one. */
static __thread struct ph_co *current;
static struct ph_list all = PH_LIST_INIT(all), ready = PH_LIST_INIT(ready);
static size_t count;
static const struct ph_switch_ops *ops;
#ifdef CO_ASAN
static const void *loop_low;
static size_t loop_bytes;
#endif

/* ---- switching ---------------------------------------------------------------------------- */

/* User-mode shadow stacks make siglongjmp to another stack a fault. */
static bool shadow_stack_on(void)
{
#if defined(__x86_64__)
	unsigned long ssp = 0;

	__asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8" : "+a"(ssp));    /* rdsspq %rax; a nop without them */
	return ssp != 0;
#elif defined(__aarch64__)
	register unsigned long x16 __asm__("x16") = 1;

	__asm__ volatile("hint 40" : "+r"(x16));        /* chkfeat x16: clears bit 0 when GCS is on */
	return (x16 & 1) == 0;
#else
	return false;
#endif
}

static void ops_choose(void)
{
	const char *want = secure_getenv("PH_CO_SWITCH");

	ops = shadow_stack_on() ? &ph_switch_ucontext : &ph_switch_jmp;
	if (want && strcmp(want, "ucontext") == 0)
		ops = &ph_switch_ucontext;
	else if (want && strcmp(want, "jmp") == 0)
		ops = &ph_switch_jmp;
}

static void co_main(void);

static void co_enter(struct ph_co *co)
{
#ifdef CO_ASAN
	void *fake = NULL;

	__sanitizer_start_switch_fiber(&fake, co->sw.low, co->sw.bytes);
#endif
	ops->enter(&co->sw, co_main);
#ifdef CO_ASAN
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

static void co_leave(struct ph_co *co)
{
#ifdef CO_ASAN
	/* NULL: it never comes back, its fake stack can go. */
	__sanitizer_start_switch_fiber(co->state == CO_DONE ? NULL : &co->asan_fake, loop_low, loop_bytes);
#endif
	ops->leave(&co->sw);
#ifdef CO_ASAN
	__sanitizer_finish_switch_fiber(co->asan_fake, &loop_low, &loop_bytes);
#endif
}

/* The end of one coroutine is the beginning of the next one on the same stack: making a new context costs two system calls. */
static void co_main(void)
{
	for (;;) {
		struct ph_co *co = current;

#ifdef CO_ASAN
		__sanitizer_finish_switch_fiber(NULL, &loop_low, &loop_bytes);
#endif
		co->fn(co->arg);
		co->syslog_name = co->prog = NULL;      /* their owner may be gone */
		co->state = CO_DONE;
		co_leave(co);
		ph_assert(current && current->state == CO_RUNNING);
	}
}

/* ---- life --------------------------------------------------------------------------------- */

static void co_deadline(void *arg)
{
	struct ph_co *co = arg;

	if (co->state != CO_PARKED || co->deadline_ms == PH_NEVER)
		return;
	if (co->deadline_ms > ph_now_ms())
		ph_timer_set(&co->timer, co->deadline_ms);      /* it was only a lower bound */
	else
		ph_co_wake(co, -ETIMEDOUT);
}

struct ph_co *ph_co_spawn(const char *name, ph_co_fn *fn, void *arg)
{
	struct ph_stack stack;
	struct ph_co *co;
	size_t top;

	if (ops == NULL)
		ops_choose();
	ph_stack_get(&stack);
	top = (stack.bytes - sizeof(*co)) & ~(size_t)63;
	co = (struct ph_co *)(void *)(stack.low + top);
	memset(co, 0, stack.resting ? offsetof(struct ph_co, sw) : sizeof(*co));
	co->magic = CO_MAGIC;
	co->name = name;
	co->what = "";
	co->fn = fn;
	co->arg = arg;
	co->stack = stack;
	co->sw.low = stack.low;
	co->sw.bytes = top;
	co->timer.fn = co_deadline;
	co->timer.arg = co;
	co->deadline_ms = PH_NEVER;
	co->born_ms = co->since_ms = ph_now_ms();
	co->state = CO_READY;
	ph_list_append(&all, &co->all);
	ph_list_append(&ready, &co->ready);
	count++;
	return co;
}

static void co_free(struct ph_co *co)
{
	struct ph_stack stack = co->stack;

#ifndef CO_ASAN                         /* which has freed its own half */
	stack.resting = true;
#endif
	ph_assert(co->queue == NULL);
	ph_timer_clear(&co->timer);
	ph_list_del(&co->all);
	count--;
	co->magic = 0;
	ph_stack_put(&stack);
}

static void co_run(struct ph_co *co)
{
	ph_assert(co->magic == CO_MAGIC && co->state == CO_READY && current == NULL);
	co->state = CO_RUNNING;
	co->io_budget = IO_BUDGET;
	current = co;
	ph_watchdog_enter(co->name);
	co_enter(co);
	ph_watchdog_leave();
	current = NULL;
	if (co->state == CO_DONE)
		co_free(co);
}

bool ph_co_ready_any(void)
{
	return !ph_list_empty(&ready);
}

void ph_co_run_ready(void)
{
	struct ph_list now = PH_LIST_INIT(now), *node;

	ph_list_splice(&now, &ready);
	while ((node = ph_list_pop(&now)) != NULL)
		co_run(ph_list_entry(node, struct ph_co, ready));
}

/* Their stacks stay mapped: nothing tells which of their pages the child still shares with the parent. */
void ph_co_forget_all(void)
{
	ph_list_init(&all);
	ph_list_init(&ready);
	count = 0;
	current = NULL;
}

struct ph_co *ph_co_self(void)
{
	return current;
}

/* ---- parking and waking ------------------------------------------------------------------- */

static int co_switch_out(struct ph_co *co, enum co_state state, const char *what)
{
	co->state = state;
	co->what = what;
	co->since_ms = ph_now_ms();
	co_leave(co);
	co->what = "";
	return co->wake;
}

/* Fault point park.NAME (blanks are hyphens): a coroutine of that name is cancelled where it wants to wait for the n-th time. */
static void park_fault(struct ph_co *co)
{
	char point[64];
	char *p;

	snprintf(point, sizeof(point), "park.%s", co->name);
	for (p = point; *p; p++)
		if (*p == ' ')
			*p = '-';
	if (ph_fault(point) < 0)
		co->cancelled = true;
}

int ph_co_park(const char *what, int64_t deadline_ms)
{
	struct ph_co *co = current;

	ph_assert(co != NULL && co->magic == CO_MAGIC);
	if (ph_fault_active)
		park_fault(co);
	if (co->cancelled)
		return -ECANCELED;
	if (deadline_ms <= ph_now_ms())
		return -ETIMEDOUT;
	co->deadline_ms = deadline_ms;
	if (deadline_ms != PH_NEVER && (!ph_timer_is_set(&co->timer) || co->timer.node.key > deadline_ms))
		ph_timer_set(&co->timer, deadline_ms);
	return co_switch_out(co, CO_PARKED, what);
}

int ph_co_park_hard(const char *what)
{
	struct ph_co *co = current;
	int r;

	ph_assert(co != NULL && co->magic == CO_MAGIC);
	co->hard = true;
	co->deadline_ms = PH_NEVER;
	r = co_switch_out(co, CO_PARKED, what);
	co->hard = false;
	return r;
}

static void waitq_remove(struct ph_co *co)
{
	struct ph_waitq *q = co->queue;

	if (q == NULL)
		return;
	if (co->queue_prev)
		co->queue_prev->queue_next = co->queue_next;
	else
		q->first = co->queue_next;
	if (co->queue_next)
		co->queue_next->queue_prev = co->queue_prev;
	else
		q->last = co->queue_prev;
	co->queue = NULL;
	co->queue_prev = co->queue_next = NULL;
}

void ph_co_wake(struct ph_co *co, int result)
{
	ph_assert(co->magic == CO_MAGIC);
	if (co->state != CO_PARKED)
		return;
	waitq_remove(co);
	co->state = CO_READY;
	co->wake = result;
	co->since_ms = ph_now_ms();
	ph_list_append(&ready, &co->ready);
}

void ph_co_cancel(struct ph_co *co)
{
	ph_assert(co->magic == CO_MAGIC);
	co->cancelled = true;
	if (!co->hard)
		ph_co_wake(co, -ECANCELED);
}

bool ph_co_cancelled(void)
{
	return current != NULL && current->cancelled;
}

void ph_co_cancel_all(void)
{
	ph_list_for_each(co, &all, struct ph_co, all)
		if (co != current)
			ph_co_cancel(co);
}

int ph_co_sleep(int64_t ms)
{
	int r;

	if (ms > 0) {
		r = ph_co_park("sleep", ph_deadline(ms));
		return r == -ETIMEDOUT ? 0 : r;
	}
	ph_assert(current != NULL);
	if (current->cancelled)
		return -ECANCELED;
	ph_list_append(&ready, &current->ready);
	co_switch_out(current, CO_READY, "turn");
	return current->cancelled ? -ECANCELED : 0;
}

int ph_co_io_tick(void)
{
	if (current == NULL || --current->io_budget > 0)
		return 0;
	return ph_co_sleep(0);
}

int ph_waitq_wait(struct ph_waitq *q, int64_t deadline_ms)
{
	struct ph_co *co = current;
	int r;

	ph_assert(co != NULL && co->queue == NULL);
	co->queue = q;
	co->queue_prev = q->last;
	if (q->last)
		q->last->queue_next = co;
	else
		q->first = co;
	q->last = co;
	r = ph_co_park("queue", deadline_ms);
	waitq_remove(co);       /* when it did not park at all */
	return r;
}

void ph_waitq_wake_one(struct ph_waitq *q)
{
	if (q->first)
		ph_co_wake(q->first, 0);
}

void ph_waitq_wake_all(struct ph_waitq *q)
{
	while (q->first)
		ph_co_wake(q->first, 0);
}

/* A token that is put while somebody waits is handed over, so that late-comers cannot overtake: who is woken
 * with 0 owns one, even when it is cancelled or times out before it runs. */
int ph_sem_get(struct ph_sem *s, int64_t deadline_ms)
{
	if (s->free > 0 && s->waiters.first == NULL) {
		s->free--;
		return 0;
	}
	return ph_waitq_wait(&s->waiters, deadline_ms);
}

void ph_sem_put(struct ph_sem *s)
{
	if (s->free >= 0 && s->waiters.first)
		ph_waitq_wake_one(&s->waiters);
	else
		s->free++;
}

/* ---- identity and introspection ----------------------------------------------------------- */

void ph_co_set_ident(const char *syslog_name, const char *prog)
{
	ph_assert(current != NULL);
	current->syslog_name = syslog_name;
	current->prog = prog;
}

void ph_co_set_as_ident(const char *syslog_name)
{
	ph_assert(current != NULL);
	current->as_syslog_name = syslog_name;
}

const char *ph_co_as_ident(const struct ph_co *c)
{
	return c->as_syslog_name;
}

void ph_co_ident(const struct ph_co *co, const char **syslog_name, const char **prog)
{
	*syslog_name = co->syslog_name;
	*prog = co->prog;
}

void ph_co_set_debug(bool on)
{
	ph_assert(current != NULL);
	current->debug = on;
}

bool ph_co_debug(const struct ph_co *co)
{
	return co->debug;
}

const char *ph_co_name(const struct ph_co *co)
{
	return co->name;
}

size_t ph_co_count(void)
{
	return count;
}

void ph_co_for_each(void (*fn)(void *arg, const struct ph_co_info *info), void *arg)
{
	static const char *const states[] = { "ready", "running", "parked", "done" };
	int64_t now = ph_now_ms();
	struct ph_co_info info;

	ph_list_for_each(co, &all, struct ph_co, all) {
		info = (struct ph_co_info){
			.co = co, .name = co->name, .state = states[co->state], .wait = co->what,
			.syslog_name = co->syslog_name, .prog = co->prog,
			.deadline_ms = co->state == CO_PARKED ? co->deadline_ms : PH_NEVER,
			.parked_ms = now - co->since_ms, .age_ms = now - co->born_ms,
			.cancelled = co->cancelled,
		};
		fn(arg, &info);
	}
}

/* What lies below this frame is dead but for a return address or two while the system call runs. */
__attribute__((noinline, no_sanitize("address"))) void ph_co_trim_stack(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	struct ph_co *co = current;
	uintptr_t low, end;

	ph_assert(co != NULL);
	low = (uintptr_t)co->stack.low;
	end = (here - 1024) & ~(page - 1);
	if (end > low)
		(void)madvise((void *)low, end - low, MADV_DONTNEED);
}
