/* offload.h: helper threads for what can only block.  ph_offload (posthouse/co.h) uses the default pool;
 * what must not queue up behind slow look-ups (fdatasync) gets a pool of its own. */
#ifndef PH_BASE_OFFLOAD_H
#define PH_BASE_OFFLOAD_H

#include <posthouse/co.h>

/* Number of threads of the default pool (1..64, default 4); before its first use. */
void ph_offload_threads(int n);

/* A pool of n threads, started on first use; lives as long as the process.  name: static, shown as thread name. */
struct ph_offload_pool;
struct ph_offload_pool *ph_offload_pool_new(const char *name, int n);
/* ph_offload on that pool.  Yields. */
int ph_offload_on(struct ph_offload_pool *pool, void (*fn)(void *), void *arg);

/* Without a coroutine: run fn(arg) on a helper thread, then done(arg) in the loop. */
void ph_offload_async(struct ph_offload_pool *pool, void (*fn)(void *), void (*done)(void *), void *arg);
/* The pool that ph_offload uses. */
struct ph_offload_pool *ph_offload_default(void);
/* Jobs that wait or run. */
unsigned ph_offload_pending(const struct ph_offload_pool *pool);

#endif
