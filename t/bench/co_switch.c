/* co_switch: what coroutines cost: nanoseconds of processor time per switch, per wait with a deadline, per life, and memory per
 * parked coroutine.  Run it with PH_CO_SWITCH=jmp and =ucontext to compare. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/loop.h"

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);     /* others may use the machine, too */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void report(const char *what, int64_t ns, long n)
{
	printf("%-44s %8.1f ns\n", what, (double)ns / (double)n);
}

struct pair {
	struct ph_waitq q[2];
	long n;
	int64_t deadline_ms;
	bool done;
};

static void ping(void *arg)
{
	struct pair *p = arg;
	long i;

	for (i = 0; i < p->n; i++) {
		ph_waitq_wait(&p->q[0], p->deadline_ms);
		ph_waitq_wake_one(&p->q[1]);
	}
	p->done = true;
	ph_waitq_wake_one(&p->q[1]);
}

static void pong(void *arg)
{
	struct pair *p = arg;

	while (!p->done) {
		ph_waitq_wake_one(&p->q[0]);
		ph_waitq_wait(&p->q[1], p->deadline_ms);
	}
}

/* Many ready coroutines a turn, so that the loop's own work is shared as in a busy worker. */
static void spin(void *arg)
{
	long i, n = *(long *)arg;

	for (i = 0; i < n; i++)
		ph_co_sleep(0);
}

static void nothing(void *arg)
{
}

static long rss_bytes(void)
{
	char text[256];
	long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fgets(text, sizeof(text), f))
		sscanf(text, "%ld %ld", &size, &resident);
	if (f)
		fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

static void parked(void *arg)
{
	char small[1500];

	memset(small, 1, sizeof(small));
	__asm__ volatile("" : : "r"(small) : "memory");
	ph_waitq_wait(arg, ph_now_ms() + 300000);
}

static void memory(void)
{
	enum { N = 10000 };
	struct ph_waitq q = { 0 };
	long before = rss_bytes();
	int i;

	for (i = 0; i < N; i++)
		ph_co_spawn("parked", parked, &q);
	ph_co_sleep(0);
	ph_co_sleep(0);
	printf("%-44s %8ld bytes\n", "resident per parked coroutine", (rss_bytes() - before) / N);
	ph_waitq_wake_all(&q);
	while (ph_co_count() > 1)
		ph_co_sleep(0);
	printf("%-44s %8ld KiB\n", "still resident after they have ended", (rss_bytes() - before) / 1024);
}

static void bench(void *arg)
{
	static long turns = 2000;
	struct pair p = { .n = 300000, .deadline_ms = ph_now_ms() + 300000 };
	int64_t start;
	int i;

	start = now_ns();
	for (i = 0; i < 1000; i++)
		ph_co_spawn("spin", spin, &turns);
	while (ph_co_count() > 1)
		ph_co_sleep(0);
	report("resume and yield (1000 ready a turn)", now_ns() - start, 1000 * turns);
	start = now_ns();
	ph_co_spawn("ping", ping, &p);
	ph_co_spawn("pong", pong, &p);
	while (ph_co_count() > 1)
		ph_co_sleep(0);
	report("wake and wait, each with a turn of the loop", now_ns() - start, 2 * p.n);
	start = now_ns();
	for (i = 0; i < 200000; i++) {
		ph_co_spawn("nothing", nothing, NULL);
		if (i % 50 == 0)
			ph_co_sleep(0);
	}
	while (ph_co_count() > 1)
		ph_co_sleep(0);
	report("start and end", now_ns() - start, 200000);
	memory();
}

int main(void)
{
	return ph_run_blocking(bench, NULL) < 0;
}
