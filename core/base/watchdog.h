/* watchdog.h: notices that the thread of the loop has been held too long. */
#ifndef PH_BASE_WATCHDOG_H
#define PH_BASE_WATCHDOG_H

#include <stdatomic.h>
#include <stdint.h>

/* Watch the loop of this process from a thread of its own; limit_ms 0: stop watching.  After a fork the child
 * starts its own.  0 or -errno. */
int ph_watchdog_start(int64_t limit_ms);
/* How many times the limit was passed so far. */
uint64_t ph_watchdog_count(void);

/* ---- for the loop ---- */
struct ph_watchdog {
	_Atomic uint64_t seq;           /* odd while something runs */
	const char *_Atomic name;       /* of the coroutine, or of what the loop itself does */
	_Atomic int sleeping;           /* futex: 1 while the thread sleeps because nothing happens */
	_Atomic uint64_t slow;          /* the seq of a run that the thread has seen to be too long; 0: none */
};
extern struct ph_watchdog ph_watchdog;
void ph_watchdog_wake(void);
void ph_watchdog_report(void);

static inline void ph_watchdog_enter(const char *name)
{
	atomic_store_explicit(&ph_watchdog.name, name, memory_order_relaxed);
	atomic_store_explicit(&ph_watchdog.seq, atomic_load_explicit(&ph_watchdog.seq, memory_order_relaxed) + 1,
			      memory_order_release);
	if (__builtin_expect(atomic_load_explicit(&ph_watchdog.sleeping, memory_order_relaxed), 0))
		ph_watchdog_wake();
}

static inline void ph_watchdog_leave(void)
{
	if (__builtin_expect(atomic_load_explicit(&ph_watchdog.slow, memory_order_relaxed), 0))
		ph_watchdog_report();
	atomic_store_explicit(&ph_watchdog.seq, atomic_load_explicit(&ph_watchdog.seq, memory_order_relaxed) + 1,
			      memory_order_release);
}

#endif
