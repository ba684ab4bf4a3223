/* limits.h: how often and how much each client comes: the counters behind smtpd_client_*_limit.
 *
 * One table in shared memory for all SMTP workers.  Each worker writes only its own region (its slot), and reads all: no locks. */
#ifndef CORE_SMTPD_LIMITS_H
#define CORE_SMTPD_LIMITS_H

#include <posthouse/base.h>

struct ph_session;
struct ph_limits;

/* In the master, before workers are forked: the mapping is inherited.  NULL when there is no memory. */
struct ph_limits *ph_limits_create(void);
/* A worker begins in slot 0..255: its region is emptied. */
void ph_limits_attach(struct ph_limits *l, unsigned slot);
/* The worker of that slot is gone (master, when a child ended). */
void ph_limits_forget(struct ph_limits *l, unsigned slot);

/* Which tests of postscreen a client has passed, for all workers: a table that forgets.  See screen_cache.c. */
#define PH_SHARED_STAMPS 65536
struct ph_shared_stamp { _Atomic uint64_t key; _Atomic int64_t t[5]; };
struct ph_shared_stamps { struct ph_shared_stamp e[PH_SHARED_STAMPS]; };
struct ph_shared_stamps *ph_limits_stamps(struct ph_limits *l);

struct ph_limit_counts { unsigned connections, connection_rate; };
enum ph_limit_kind { PH_LIMIT_CONNECT, PH_LIMIT_MESSAGE, PH_LIMIT_RECIPIENT, PH_LIMIT_TLS, PH_LIMIT_AUTH, PH_LIMIT_KINDS };
void ph_limits_connect(struct ph_limits *l, struct ph_session *s, struct ph_limit_counts *ret);
void ph_limits_disconnect(struct ph_limits *l, struct ph_session *s);
/* Count one event; how many there were in the current time unit, this one included. */
unsigned ph_limits_count(struct ph_limits *l, struct ph_session *s, enum ph_limit_kind kind);
/* Without counting. */
unsigned ph_limits_rate(struct ph_limits *l, struct ph_session *s, enum ph_limit_kind kind);
/* Is the event over the limit (0: none)?  Counts it, and logs what ("Message delivery request rate") when it is. */
bool ph_limits_exceeded(struct ph_session *s, enum ph_limit_kind kind, int limit, const char *what);
/* "statistics: max ..." lines as anvil(8) writes them; then the peaks are forgotten. */
void ph_limits_log_peaks(struct ph_limits *l);
#endif
