/* posthouse/co.h: waiting without threads.
 *
 * Each session and each delivery runs in a coroutine of its own on the worker's one thread.  A call
 * whose comment says "Yields" parks only that coroutine; others run meanwhile, so errno, OpenSSL's
 * error queue and iterators over shared lists do not survive it.  A parked coroutine is never freed:
 * when it is cancelled its wait returns -ECANCELED (as does every later one) and its own clean-up runs. */
#ifndef POSTHOUSE_CO_H
#define POSTHOUSE_CO_H

#include <posthouse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_co;
typedef void ph_co_fn(void *arg);

/* Start fn(arg) in a new coroutine; it runs from the next loop turn on.  name: static or outliving
 * the coroutine; shown by "posthouse ctl show coroutines".  The coroutine frees itself when fn returns. */
PH_API struct ph_co *ph_co_spawn(const char *name, ph_co_fn *fn, void *arg);
/* The running coroutine; NULL outside of one (in the loop's own callbacks). */
PH_API struct ph_co *ph_co_self(void);
/* Make the wait that co is in, and every later one, return -ECANCELED. */
PH_API void ph_co_cancel(struct ph_co *co);
PH_API bool ph_co_cancelled(void);

/* Park for ms milliseconds (0: let others run one turn).  0 or -ECANCELED.  Yields. */
PH_API int ph_co_sleep(int64_t ms);

/* Run fn(arg) on a helper thread and park until it has returned.  For what can only block: fdatasync,
 * libraries without an asynchronous interface.  fn must not call anything of this interface that is not
 * marked "any thread".  There is no deadline and no cancellation: arg must stay valid, and so the call
 * always waits to the end; let fn have time limits of its own.  Returns 0.  Yields. */
PH_API int ph_offload(void (*fn)(void *), void *arg);

/* Run fn(arg) once at the end of this turn of the loop (of the next one when called by a deferred function; of the first one when no loop runs),
 * outside of any coroutine: it must not yield.  For what all calls of a turn share: a lock, a batch.  arg must stay valid until then. */
PH_API void ph_loop_defer(void (*fn)(void *), void *arg);

/* Park until fd is ready to be read or written (PH_FD_READ | PH_FD_WRITE), for descriptors that a client library owns; never for
 * that of a ph_stream.  0, -ETIMEDOUT, -ECANCELED, or -errno.  Costs two system calls for the registration.  Yields.  (1.1) */
enum { PH_FD_READ = 2, PH_FD_WRITE = 4 };
PH_API int ph_fd_wait(int fd, short events, int64_t deadline_ms);

/* A place where coroutines wait for each other.  Embed one in the object waited for; zero it to
 * initialise; it must be empty when its memory goes. */
struct ph_waitq {
	struct ph_co *first, *last;
};
/* Park until woken or until deadline_ms (a value of ph_now_ms).  0 when woken, -ETIMEDOUT, -ECANCELED.
 * Check the condition again: being woken does not mean that it holds.  Yields. */
PH_API int ph_waitq_wait(struct ph_waitq *q, int64_t deadline_ms);
PH_API void ph_waitq_wake_one(struct ph_waitq *q);          /* oldest first; no yield */
PH_API void ph_waitq_wake_all(struct ph_waitq *q);

/* A counting limit, e.g. connections to one server.  Zero it and set .free. */
struct ph_sem {
	int free;
	struct ph_waitq waiters;
};
PH_API int ph_sem_get(struct ph_sem *s, int64_t deadline_ms);   /* 0, -ETIMEDOUT, -ECANCELED.  Yields. */
PH_API void ph_sem_put(struct ph_sem *s);                       /* gives back what get got; wakes one that waits */

#ifdef __cplusplus
}
#endif
#endif
