/* sched.h: which delivery starts next.  A pure data structure: no I/O, no clock of its own, nothing here yields.
 *
 * transport   a master.cf service; holds jobs and destinations
 * destination (transport, nexthop), or (transport, recipient@nexthop) where the recipient limit is 1; holds a concurrency window
 * message     what its recipients belong to
 * job         (message, transport): the unit of preemption
 * peer        (job, destination): the message's batches that wait for one destination
 * batch       recipients that go out in one delivery request
 *
 * Semantics are those that postconf(5) gives to the parameters; how a choice is made stands in sched.c and sched_job.c. */
#ifndef CORE_QUEUE_SCHED_H
#define CORE_QUEUE_SCHED_H

#include <posthouse/base.h>
#include "base/list.h"

struct ph_sched;
struct ph_sched_transport;
struct ph_sched_dest;
struct ph_sched_job;
struct ph_sched_peer;

/* A feedback expression: n, n/concurrency or n/sqrt_concurrency; 0 < n <= 1. */
struct ph_sched_feedback {
	enum { PH_FEEDBACK_CONST, PH_FEEDBACK_CONCURRENCY, PH_FEEDBACK_SQRT } kind;
	double n;
};
/* "1", "0.5", "1/5", "1 / concurrency", "2/sqrt_concurrency".  0 or -EINVAL. */
int ph_sched_feedback_parse(const char *text, struct ph_sched_feedback *ret);
double ph_sched_feedback_value(const struct ph_sched_feedback *f, double window);

struct ph_sched_params {                /* of a transport */
	int process_limit;              /* deliveries at once; 0: no limit */
	int dest_concurrency_limit;     /* 0: no limit */
	int initial_concurrency;
	struct ph_sched_feedback positive, negative;
	int failed_cohort_limit;        /* 0: a destination is never given up */
	int dest_recipient_limit;       /* 0: no limit; 1: a destination is a recipient */
	int64_t dest_rate_delay_ms, transport_rate_delay_ms;
	int slot_cost, slot_loan, slot_discount, minimum_slots;  /* slot_cost < 2: no preemption */
	int recipient_limit, extra_recipient_limit;     /* recipients that wait here, see ph_sched_transport_room */
	int refill_limit;
	int64_t refill_delay_ms;
	int64_t dead_ms;                /* how long a destination is left alone (minimal_backoff_time) */
	int64_t retry_ms;               /* and a transport (transport_retry_time) */
};

/* What the queue manager embeds in an active message. */
struct ph_sched_msg {
	struct ph_list jobs;
	uint32_t waiting, busy;         /* recipients: in batches that wait; in deliveries under way */
	bool single;                    /* the caller's: one recipient a batch (VERP) */
	uint32_t unread;                /* the caller's: recipients that were not added yet; such a message does not overtake */
};
void ph_sched_msg_init(struct ph_sched_msg *m);

struct ph_sched_batch {
	struct ph_list node;            /* in peer->waiting, or in ph_sched.dead */
	struct ph_sched_msg *msg;
	struct ph_sched_peer *peer;
	struct ph_sched_dest *dest;
	uint32_t n, cap;
	uint32_t *rcpts;                /* indexes into the message's envelope */
	uint32_t few[2];                /* rcpts points here while they fit */
	void *user;                     /* the caller's, while under way */
};

/* load: fill the parameters of a transport that is seen for the first time. */
struct ph_sched *ph_sched_new(void (*load)(void *arg, const char *transport, struct ph_sched_params *ret), void *arg);
void ph_sched_free(struct ph_sched **s);        /* batches that are under way must have been finished */

/* Tell fn of each change that a result makes to a destination's concurrency (destination_concurrency_feedback_debug). */
struct ph_sched_change { const char *transport, *destination; int limit; double window, success, failure, cohorts; };
void ph_sched_watch(struct ph_sched *s, void (*fn)(void *arg, const struct ph_sched_change *c), void *arg);

/* Find or make. */
struct ph_sched_transport *ph_sched_transport(struct ph_sched *s, const char *name);
const char *ph_sched_transport_name(const struct ph_sched_transport *t);
const struct ph_sched_params *ph_sched_transport_params(const struct ph_sched_transport *t);
/* How many more recipients this transport takes into memory; preferred: for a message that overtakes (extra_recipient_limit counts). */
int64_t ph_sched_transport_room(const struct ph_sched_transport *t, bool preferred);

enum ph_sched_added { PH_SCHED_QUEUED, PH_SCHED_DEAD };
/* A recipient of m goes to nexthop.  address: used as part of the destination's name where the recipient limit is 1.
 * PH_SCHED_DEAD: the destination or the transport is given up for now; nothing was queued, *ret_dsn and *ret_text
 * (valid until the next call) say why. */
enum ph_sched_added ph_sched_add(struct ph_sched *s, struct ph_sched_msg *m, struct ph_sched_transport *t, const char *nexthop,
				 const char *address, uint32_t rcpt, int64_t now, const char **ret_dsn, const char **ret_text);
/* The next delivery to start, or NULL; then *ret_wake is when to ask again at the latest (INT64_MAX: after an event). */
struct ph_sched_batch *ph_sched_next(struct ph_sched *s, int64_t now, int64_t *ret_wake);
/* A batch that must be deferred because its destination or transport was given up; NULL: none.  The caller owns it: ph_sched_drop. */
struct ph_sched_batch *ph_sched_next_dead(struct ph_sched *s, const char **ret_dsn, const char **ret_text);

enum ph_sched_outcome {
	PH_SCHED_OK,            /* the destination took part, whatever it said about the mail */
	PH_SCHED_DEST_DOWN,     /* it did not answer, or not as a mail server */
	PH_SCHED_NEUTRAL,       /* says nothing about the destination (the agent died) */
};
/* The delivery has ended; frees b. */
void ph_sched_finish(struct ph_sched *s, struct ph_sched_batch *b, enum ph_sched_outcome outcome, const char *dsn, const char *text,
		     int64_t now);
/* A batch that was handed out by ph_sched_next could not be started: it goes back to the front of its peer. */
void ph_sched_unstart(struct ph_sched *s, struct ph_sched_batch *b);
/* Free a batch of ph_sched_next_dead. */
void ph_sched_drop(struct ph_sched *s, struct ph_sched_batch *b);
/* Take all waiting batches of m out (hold, delete).  What is under way stays. */
void ph_sched_withdraw(struct ph_sched *s, struct ph_sched_msg *m);
/* The transport is not to be had until now + retry_ms: what waits is deferred. */
void ph_sched_transport_down(struct ph_sched *s, struct ph_sched_transport *t, const char *dsn, const char *text, int64_t now);
/* Nobody is there to do its deliveries now: none is started until it is unblocked. */
void ph_sched_transport_block(struct ph_sched *s, struct ph_sched_transport *t, bool blocked);
void ph_sched_unblock_all(struct ph_sched *s);
/* Flush: forget that destinations and transports were given up. */
void ph_sched_revive_all(struct ph_sched *s);

/* ---- to look at ---- */
struct ph_sched_dest_info {
	const char *transport, *name;
	double window;
	uint32_t busy, waiting;         /* deliveries; recipients */
	int64_t dead_until, paused_until;       /* 0: no */
	const char *dsn, *text;         /* why it is dead */
	uint64_t sent, failed;          /* deliveries since it became active */
};
void ph_sched_dest_info(const struct ph_sched_dest *d, struct ph_sched_dest_info *ret);
struct ph_sched_dest *ph_sched_dest_next(struct ph_sched *s, size_t *cursor);   /* cursor 0 to begin; does not survive other calls */
struct ph_sched_transport_info { const char *name; uint32_t busy, waiting, jobs, dests; bool dead, blocked; uint64_t preemptions; };
bool ph_sched_transport_next(struct ph_sched *s, size_t *cursor, struct ph_sched_transport_info *ret);
const char *ph_sched_dest_name(const struct ph_sched_dest *d);
const char *ph_sched_dest_nexthop(const struct ph_sched_dest *d);
struct ph_sched_transport *ph_sched_dest_transport(const struct ph_sched_dest *d);
uint32_t ph_sched_dest_waiting(const struct ph_sched_dest *d);
#endif
