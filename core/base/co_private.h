/* co_private.h: coroutines as the core sees them. */
#ifndef PH_BASE_CO_PRIVATE_H
#define PH_BASE_CO_PRIVATE_H

#include <posthouse/co.h>
#include "base/time.h"

/* ---- the running coroutine ---- */

/* Identity of the log lines of the running coroutine; the texts are not copied and must outlive it (or the
 * next call).  NULL: the process's. */
void ph_co_set_ident(const char *syslog_name, const char *prog);
void ph_co_ident(const struct ph_co *co, const char **syslog_name, const char **prog);
/* The syslog name of what the coroutine logs in another program's name (ph_log_as); NULL: its own. */
void ph_co_set_as_ident(const char *syslog_name);
const char *ph_co_as_ident(const struct ph_co *co);
/* Log DEBUG lines of the running coroutine. */
void ph_co_set_debug(bool on);
bool ph_co_debug(const struct ph_co *co);
const char *ph_co_name(const struct ph_co *co);
/* Give the memory below the current frame back to the system: before a long idle wait that follows
 * deep calls.  One system call. */
void ph_co_trim_stack(void);
/* Count one non-waiting read or write; after many in a row let the others run.  0 or -ECANCELED.  May yield. */
int ph_co_io_tick(void);

/* ---- waiting: the only way to leave a coroutine ---- */

/* Park until ph_co_wake or the deadline.  what: static text for introspection ("read").  Returns what
 * ph_co_wake was given, -ETIMEDOUT, or -ECANCELED.  Yields. */
int ph_co_park(const char *what, int64_t deadline_ms);
/* Park where neither a deadline nor cancelling helps (a helper thread holds our memory).  Yields. */
int ph_co_park_hard(const char *what);
/* Make co ready; nothing happens when it is not parked.  result: what ph_co_park returns. */
void ph_co_wake(struct ph_co *co, int result);

/* ---- introspection ---- */
struct ph_co_info {
	const struct ph_co *co;
	const char *name;
	const char *state;              /* "ready", "running", "parked" */
	const char *wait;               /* what it waits for; "" */
	const char *syslog_name, *prog; /* may be NULL */
	int64_t deadline_ms;            /* PH_NEVER: none */
	int64_t parked_ms;              /* for how long it has been in this state */
	int64_t age_ms;
	bool cancelled;
};
void ph_co_for_each(void (*fn)(void *arg, const struct ph_co_info *info), void *arg);
size_t ph_co_count(void);
/* Cancel all coroutines but the running one. */
void ph_co_cancel_all(void);

/* ---- for the loop ---- */
bool ph_co_ready_any(void);
void ph_co_run_ready(void);             /* each that is ready now, once */
void ph_co_forget_all(void);            /* after fork: they are the parent's */

#endif
