/* loop.h: the event loop of a process.
 *
 * One turn: wait for events; run timers that are due; run each coroutine that was ready at the turn's start
 * once; run what was deferred; write out the log.  Descriptors of streams are watched with an epoll instance of
 * our own (edge-triggered, registered once; see fdw.h), everything else (signals, DNS, ph_fd_wait) with libevent. */
#ifndef PH_BASE_LOOP_H
#define PH_BASE_LOOP_H

#include <event2/event.h>
#include <posthouse/co.h>       /* ph_loop_defer */

#include <posthouse/co.h>

#include "base/time.h"

/* Create the loop of this process; again after a fork: what the parent had waiting is forgotten here.
 * Ignores SIGPIPE.  0, or -errno. */
int ph_loop_init(void);
/* Until ph_loop_stop.  Not from within a coroutine. */
void ph_loop_run(void);
void ph_loop_stop(void);
struct event_base *ph_loop_base(void);
bool ph_loop_running(void);
/* Number of the current turn. */
uint64_t ph_loop_turn(void);

/* ph_fd_wait: see posthouse/co.h; its flags are EV_READ and EV_WRITE. */

/* One-shot timers; fn runs in the loop, not in a coroutine, and may set its timer again or free it. */
struct ph_timer;
struct ph_timer *ph_timer_new(void (*fn)(void *), void *arg);
void ph_timer_set(struct ph_timer *t, int64_t at_ms);          /* moves it when it is set already */
void ph_timer_clear(struct ph_timer *t);
bool ph_timer_is_set(const struct ph_timer *t);
void ph_timer_free(struct ph_timer **t);                        /* NULL-safe */

/* Call fn(signo, arg) in the loop for each delivery of the signal (several may be merged). 0 or -errno.
 * A second call for the same signal replaces the first; fn NULL gives the default action back. */
int ph_signal_on(int signo, void (*fn)(int signo, void *arg), void *arg);

/* Run fn(arg) each time the loop has nothing left to do and is about to sleep; NULL: none. */
void ph_loop_idle_hook(void (*fn)(void *), void *arg);

/* Run fn(arg) in a coroutine until it returns, creating the loop when there is none: for command-line tools
 * and tests.  Other coroutines run meanwhile.  0, or -errno when no loop can be made. */
int ph_run_blocking(void (*fn)(void *), void *arg);

#endif
