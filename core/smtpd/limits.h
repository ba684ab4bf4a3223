/* limits.h: how often and how much each client comes: the counters behind smtpd_client_*_limit.
 *
 * Each machine counts in shared memory (limits_shm.c): one table for all SMTP workers; each worker writes only its own region (its slot), and reads all: no
 * locks.  With smtpd_client_counter_store a store of several machines (posthouse/counter.h) is asked as well, and what that says counts while it answers. */
#ifndef CORE_SMTPD_LIMITS_H
#define CORE_SMTPD_LIMITS_H

#include <posthouse/base.h>
#include <posthouse/counter.h>

struct ph_session;

/* ---- shared memory: limits_shm.c ---- */
struct ph_limits;

/* In the master, before workers are forked: the mapping is inherited.  NULL when there is no memory. */
struct ph_limits *ph_limits_create(void);
/* A worker begins in slot 0..255: its region is emptied. */
void ph_limits_attach(struct ph_limits *l, unsigned slot);
/* The worker of that slot is gone (master, when a child ended). */
void ph_limits_forget(struct ph_limits *l, unsigned slot);
/* Its store is a struct ph_limits. */
extern const struct ph_counter_ops ph_limits_shared;

/* Which tests of postscreen a client has passed, for all workers: a table that forgets.  See screen_cache.c. */
#define PH_SHARED_STAMPS 65536
struct ph_shared_stamp { _Atomic uint64_t key; _Atomic int64_t t[5]; };
struct ph_shared_stamps { struct ph_shared_stamp e[PH_SHARED_STAMPS]; };
struct ph_shared_stamps *ph_limits_stamps(struct ph_limits *l);

/* ---- a store of several machines ---- */
struct ph_limit_store;
/* spec: smtpd_client_counter_store; failure: smtpd_client_counter_failure.  0 and *ret (NULL: shared memory is enough), or -EINVAL with err: a value that
 * means nothing.  A store that cannot be opened is one that never answers: the log says why. */
int ph_limit_store_new(const struct ph_conf *conf, const char *spec, const char *failure, struct ph_limit_store **ret, struct ph_err *err);
void ph_limit_store_free(struct ph_limit_store **st);           /* NULL-safe */

/* ---- clients ---- */
struct ph_limit_counts { unsigned connections, connection_rate; };
enum ph_limit_kind { PH_LIMIT_CONNECT, PH_LIMIT_MESSAGE, PH_LIMIT_RECIPIENT, PH_LIMIT_TLS, PH_LIMIT_AUTH, PH_LIMIT_KINDS };
extern const char *const ph_limit_names[PH_LIMIT_KINDS];        /* as stores know them */

/* One more connection, in s->limit_scope.  limited: some limit depends on it.  0; negative: the store does not answer, and clients are to be turned away
 * then.  Each call is followed by one of _disconnect.  May yield. */
int ph_limits_connect(struct ph_session *s, bool limited, struct ph_limit_counts *ret);
void ph_limits_disconnect(struct ph_session *s);
/* Count by events of the client (0: only ask); *ret: how many there were in the current time unit, these included.  0, or negative as above.  May yield. */
int ph_limits_count(struct ph_session *s, enum ph_limit_kind kind, unsigned by, unsigned *ret);
/* Count a command, and refuse it when there are more than limit (0: no limit) in the time unit: logs what ("Message delivery request"), replies with reply and the
 * client's address.  As the result of a command: 0, 1: refused, negative.  May yield. */
int ph_limits_refused(struct ph_session *s, enum ph_limit_kind kind, int limit, const char *what, const char *reply);
/* "statistics: max ..." lines as anvil(8) writes them; then the peaks are forgotten. */
void ph_limits_log_peaks(void);
#endif
