/* watchdog.c: a thread that notices that one coroutine holds the loop.
 *
 * It samples a sequence number that the loop changes at each switch.  A run that is too long is marked, and the
 * loop's own thread writes the line when the run ends, with the coroutine's identity.  A run that does not end
 * is named by the watchdog itself after ten seconds; the lock keeps the run from ending meanwhile, so the name is
 * still there.  While nothing happens the thread sleeps on a futex, so an idle process is not woken up.
 * State: one per process.  Any part of it that is shared is atomic or under the lock. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <posthouse/base.h>
#include "base/watchdog.h"

#define STUCK_MS 10000

struct ph_watchdog ph_watchdog;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;        /* held while a name is used by another thread */
static _Atomic int64_t limit;           /* 0: switched off */
static _Atomic int64_t slow_since;      /* real monotonic ms: when the marked run was first seen */
static _Atomic uint64_t slow_count;
static pid_t thread_pid;                /* the process that has the thread */

static int64_t real_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

void ph_watchdog_wake(void)
{
	atomic_store(&ph_watchdog.sleeping, 0);
	syscall(SYS_futex, &ph_watchdog.sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* The loop's thread, at the end of a run while a mark is set: it may be the mark of an earlier run that
 * ended just when it was made. */
void ph_watchdog_report(void)
{
	bool this_run;

	pthread_mutex_lock(&lock);
	this_run = atomic_load(&ph_watchdog.slow) == atomic_load(&ph_watchdog.seq);
	atomic_store(&ph_watchdog.slow, 0);
	pthread_mutex_unlock(&lock);
	if (this_run)
		ph_log(PH_LOG_WARNING, "coroutine %s held the loop for %lld ms", atomic_load(&ph_watchdog.name),
		       (long long)(real_now_ms() - atomic_load(&slow_since)));
}

static void stuck(uint64_t seq, int64_t for_ms)
{
	pthread_mutex_lock(&lock);
	if (atomic_load(&ph_watchdog.seq) == seq && atomic_load(&ph_watchdog.slow) == seq)
		ph_log(PH_LOG_WARNING, "coroutine %s has been holding the loop for %lld ms",
		       atomic_load(&ph_watchdog.name), (long long)for_ms);
	pthread_mutex_unlock(&lock);
}

static void idle_sleep(uint64_t seq)
{
	atomic_store(&ph_watchdog.sleeping, 1);
	if (atomic_load(&ph_watchdog.seq) == seq)
		syscall(SYS_futex, &ph_watchdog.sleeping, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	atomic_store(&ph_watchdog.sleeping, 0);
}

static void *watch(void *arg)
{
	int64_t first = 0, now, max;
	uint64_t seq, last = 0;
	int quiet = 0, told = 0;

	for (;;) {
		max = atomic_load(&limit);
		sleep_ms(max > 0 && max < 400 ? max / 4 + 1 : 100);
		seq = atomic_load_explicit(&ph_watchdog.seq, memory_order_acquire);
		now = real_now_ms();
		if (seq != last) {
			last = seq;
			first = now;
			quiet = told = 0;
			continue;
		}
		if ((seq & 1) == 0 || max == 0) {
			if (++quiet > 8)
				idle_sleep(seq);
			continue;
		}
		if (told == 0 && now - first >= max) {
			told = 1;
			atomic_fetch_add(&slow_count, 1);
			atomic_store(&slow_since, first);
			atomic_store(&ph_watchdog.slow, seq);
		} else if (told == 1 && now - first >= STUCK_MS) {
			told = 2;
			stuck(seq, now - first);
		}
	}
	return arg;
}

int ph_watchdog_start(int64_t limit_ms)
{
	pthread_t thread;
	pthread_attr_t attr;
	sigset_t all, old;
	int r = 0;

	atomic_store(&limit, limit_ms);
	if (limit_ms == 0 || thread_pid == getpid())
		return 0;
	atomic_store(&ph_watchdog.sleeping, 0);
	atomic_store(&ph_watchdog.slow, 0);
	pthread_mutex_init(&lock, NULL);        /* a parent's thread may have held it at the fork */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);       /* signals are the loop's */
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	r = pthread_create(&thread, &attr, watch, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		thread_pid = getpid();
	return -r;
}

uint64_t ph_watchdog_count(void)
{
	return atomic_load(&slow_count);
}
