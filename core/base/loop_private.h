/* loop_private.h: what the files of the loop share among each other; nobody else includes it. */
#ifndef PH_BASE_LOOP_PRIVATE_H
#define PH_BASE_LOOP_PRIVATE_H

#include "base/heap.h"
#include "base/loop.h"

struct ph_timer {
	struct ph_heap_node node;
	void (*fn)(void *);
	void *arg;
};

/* timer.c */
void ph_timers_run(int64_t now_ms);                     /* those due at now_ms */
int64_t ph_timers_next(void);                           /* when the next is due; PH_NEVER */
void ph_timers_forget(void);

/* fdw.c */
int ph_fdw_init_process(struct event_base *base);
int ph_fdw_poll(void);                                  /* handle what is ready now; number of events */

/* defer.c */
void ph_defers_run(void);
bool ph_defers_pending(void);
void ph_defers_forget(void);

#endif
