/* Coroutines: order, deadlines, cancelling, waiting for each other, both switching back ends, stacks. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "base/co_private.h"
#include "base/loop.h"
#include "tap.h"

static char trace[256];

static void note(const char *s)
{
	strncat(trace, s, sizeof(trace) - strlen(trace) - 1);
}

static void two_turns(void *arg)
{
	note(arg);
	ph_co_sleep(0);
	note(arg);
}

static void test_order(void)
{
	trace[0] = '\0';
	ph_co_spawn("a", two_turns, "a");
	ph_co_spawn("b", two_turns, "b");
	tap_is(trace, "", "spawn does not run anything yet");
	ph_co_sleep(0);
	tap_is(trace, "ab", "each ran up to its first yield");
	ph_co_sleep(0);
	tap_is(trace, "abab", "and to the end in the next turn");
}

static void test_deadlines(void)
{
	struct ph_waitq q = { 0 };
	int64_t start = ph_now_ms();
	int r = ph_waitq_wait(&q, ph_now_ms() + 30);

	tap_ok(r == -ETIMEDOUT, "a wait ends at its deadline");
	tap_ok(ph_now_ms_exact() - start >= 30, "not before");
	tap_ok(q.first == NULL && q.last == NULL, "and leaves the queue");
	/* The timer of a far deadline is set; a nearer one must move it. */
	r = ph_waitq_wait(&q, ph_now_ms() + 20);
	start = ph_now_ms();
	tap_ok(r == -ETIMEDOUT, "a second one");
	tap_ok(ph_waitq_wait(&q, ph_now_ms()) == -ETIMEDOUT, "a deadline that has passed ends at once");
	start = ph_now_ms();
	tap_ok(ph_co_sleep(5) == 0 && ph_now_ms() - start >= 5, "sleep");
}

struct waiter {
	struct ph_waitq *q;
	struct ph_sem *sem;
	int result;
	bool done;
	int64_t wait_ms;
};

static void wait_in_queue(void *arg)
{
	struct waiter *w = arg;

	w->result = ph_waitq_wait(w->q, ph_now_ms() + w->wait_ms);
	if (w->result == -ECANCELED)
		w->result = ph_co_sleep(1000) == -ECANCELED && ph_co_cancelled() ? -ECANCELED : 1;
	w->done = true;
}

static void test_cancel(void)
{
	struct ph_waitq q = { 0 };
	struct waiter w = { .q = &q, .wait_ms = 10000 };
	struct ph_co *co = ph_co_spawn("waiter", wait_in_queue, &w);

	ph_co_sleep(0);
	tap_ok(q.first == co, "it waits");
	ph_co_cancel(co);
	ph_co_cancel(co);
	tap_ok(q.first == NULL, "cancelling takes it out of the queue");
	ph_co_sleep(0);
	tap_ok(w.done && w.result == -ECANCELED, "this wait and the next return -ECANCELED");
	w = (struct waiter){ .q = &q, .wait_ms = 10000 };
	co = ph_co_spawn("waiter", wait_in_queue, &w);
	ph_co_cancel(co);
	ph_co_sleep(0);
	tap_ok(w.done && w.result == -ECANCELED, "cancelled before it has started");
}

static void test_wake_order(void)
{
	struct ph_waitq q = { 0 };
	struct waiter w[3];
	int i;

	for (i = 0; i < 3; i++) {
		w[i] = (struct waiter){ .q = &q, .wait_ms = i == 1 ? 5 : 10000 };
		ph_co_spawn("waiter", wait_in_queue, &w[i]);
	}
	ph_co_sleep(20);
	tap_ok(w[1].done && w[1].result == -ETIMEDOUT && !w[0].done && !w[2].done, "the one in the middle timed out");
	ph_waitq_wake_one(&q);
	ph_co_sleep(0);
	tap_ok(w[0].done && w[0].result == 0 && !w[2].done, "oldest first");
	ph_waitq_wake_all(&q);
	ph_co_sleep(0);
	tap_ok(w[2].done && w[2].result == 0, "wake all");
}

static void take_token(void *arg)
{
	struct waiter *w = arg;

	w->result = ph_sem_get(w->sem, ph_now_ms() + w->wait_ms);
	w->done = true;
}

static void test_sem(void)
{
	struct ph_sem sem = { .free = 1 };
	struct waiter a = { .sem = &sem, .wait_ms = 10000 }, b = { .sem = &sem, .wait_ms = 5 };

	tap_ok(ph_sem_get(&sem, ph_now_ms()) == 0 && sem.free == 0, "the first gets it at once");
	tap_ok(ph_sem_get(&sem, ph_now_ms()) == -ETIMEDOUT, "the second does not");
	ph_co_spawn("a", take_token, &a);
	ph_co_spawn("b", take_token, &b);
	ph_co_sleep(10);
	tap_ok(b.done && b.result == -ETIMEDOUT, "one gave up");
	ph_sem_put(&sem);
	tap_ok(sem.free == 0, "the token is handed over, not up for grabs");
	ph_co_sleep(0);
	tap_ok(a.done && a.result == 0, "to the one that waited");
	ph_sem_put(&sem);
	tap_ok(sem.free == 1, "and comes back");
}

static void count_one(void *arg, const struct ph_co_info *info)
{
	if (strcmp(info->name, "waiter") == 0 && strcmp(info->state, "parked") == 0 && strcmp(info->wait, "queue") == 0)
		++*(int *)arg;
}

static void test_many(void)
{
	enum { N = 3000 };
	static struct waiter w[N];
	struct ph_waitq q = { 0 };
	int i, n = 0, good = 0;

	for (i = 0; i < N; i++) {
		w[i] = (struct waiter){ .q = &q, .wait_ms = 60000 + i };
		ph_co_spawn("waiter", wait_in_queue, &w[i]);
	}
	ph_co_sleep(0);
	ph_co_for_each(count_one, &n);
	tap_ok(n == N, "introspection sees %d parked coroutines", n);
	ph_waitq_wake_all(&q);
	ph_co_sleep(0);
	for (i = 0; i < N; i++)
		good += w[i].done && w[i].result == 0;
	tap_ok(good == N, "all %d came back", good);
	tap_ok(ph_co_count() == 1, "and are gone");
}

/* About 200 KiB of stack, with a yield at the bottom. */
static int __attribute__((noinline)) deep(int levels)
{
	volatile char frame[1024];
	int sum;

	memset((char *)frame, levels, sizeof(frame));
	if (levels == 0)
		return ph_co_sleep(0);
	sum = deep(levels - 1);
	return sum + (frame[17] == (char)levels ? 0 : 1);
}

static void go_deep(void *arg)
{
	*(int *)arg = deep(100);
	ph_co_trim_stack();
	*(int *)arg += deep(100);
}

static void test_stack(void)
{
	int results[4] = { 9, 9, 9, 9 }, i;

	for (i = 0; i < 4; i++)
		ph_co_spawn("deep", go_deep, &results[i]);
	for (i = 0; i < 4; i++)
		ph_co_sleep(0);
	for (i = 0; i < 4; i++)
		tap_ok(results[i] == 0, "deep stack %d kept its contents", i);
}

#ifndef PH_SANITIZERS
static void overflow(void *arg)
{
	*(int *)arg = deep(100000);
}

static void blow(void *arg)
{
	int r;

	ph_co_spawn("overflow", overflow, &r);
	ph_co_sleep(10);
}

/* Running over the end of a stack hits the guard page, not a neighbour. */
static void test_guard(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		ph_run_blocking(blow, NULL);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "overflow hits the guard page");
}
#endif

static void all_tests(void *arg)
{
	test_order();
	test_deadlines();
	test_cancel();
	test_wake_order();
	test_sem();
	test_many();
	test_stack();
}

static void tick(void *arg)
{
	++*(int *)arg;
}

static void timers(void *arg)
{
	int a = 0, b = 0, d = 0;
	struct ph_timer *ta = ph_timer_new(tick, &a), *tb = ph_timer_new(tick, &b);

	ph_timer_set(ta, ph_now_ms() + 10);
	ph_timer_set(tb, ph_now_ms() + 5);
	ph_timer_clear(tb);
	ph_loop_defer(tick, &d);
	tap_ok(d == 0, "deferred");
	ph_co_sleep(0);
	tap_ok(d == 1, "ran at the end of the turn");
	ph_co_sleep(20);
	tap_ok(a == 1 && b == 0, "a timer fires once; a cleared one does not");
	ph_timer_free(&ta);
	ph_timer_free(&tb);
	tap_ok(ta == NULL, "freed");
}

/* What the parent had waiting does not run in a forked child. */
static void test_fork(void)
{
	pid_t pid;
	int status, a = 0;
	struct ph_timer *t = ph_timer_new(tick, &a);

	ph_timer_set(t, 0);
	ph_co_spawn("parent's", two_turns, "x");
	trace[0] = '\0';
	pid = fork();
	if (pid == 0) {
		dup2(STDERR_FILENO, STDOUT_FILENO);
		if (ph_run_blocking(all_tests, NULL) < 0)
			_exit(1);
		_exit(strchr(trace, 'x') == NULL && a == 0 && tap_failed == 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	tap_ok(status == 0, "a child makes its own loop");
	ph_timer_free(&t);
}

/* Everything once more with the other back end, in a process of its own; its TAP lines go to stderr. */
static void test_other_backend(const char *name, char **argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		setenv("PH_CO_SWITCH", name, 1);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl("/proc/self/exe", argv[0], "again", (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	tap_ok(status == 0, "all of it with %s", name);
}

int main(int argc, char **argv)
{
	ph_run_blocking(all_tests, NULL);
	ph_run_blocking(timers, NULL);
	if (argc > 1)
		return tap_done();
	test_other_backend("jmp", argv);
	test_other_backend("ucontext", argv);
	test_fork();
#ifndef PH_SANITIZERS
	test_guard();
#endif
	return tap_done();
}
