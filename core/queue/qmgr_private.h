/* qmgr_private.h: what the files of the queue manager share.  One thread; the state is one struct ph_qmgr. */
#ifndef CORE_QUEUE_QMGR_PRIVATE_H
#define CORE_QUEUE_QMGR_PRIVATE_H

#include <posthouse/co.h>
#include "base/fdw.h"
#include "base/ipc.h"
#include "base/loop.h"
#include "message/bounce.h"
#include "queue/index.h"
#include "queue/journal.h"
#include "queue/proto.h"
#include "queue/qmgr.h"
#include "queue/sched.h"
#include "route/route.h"

struct ph_qmgr_settings {
	int64_t minimal_backoff_ms, maximal_backoff_ms, queue_run_ms, lifetime_ms, bounce_lifetime_ms;
	int64_t delay_warning_ms, transport_retry_ms, in_flow_delay_ms, clog_warn_ms;
	int active_limit, recipient_limit, recipient_minimum;
	bool confirm_delay_cleared, soft_bounce, helpful_warnings, long_ids, disable_verp_bounces, feedback_debug;
	int delay_digits;
	const char *defer_transports, *notify_classes, *double_bounce_sender;
	const char *bounce_notice, *two_bounce_notice, *delay_notice;
	const char *bounce_service, *defer_service, *trace_service, *rewrite_service, *cleanup_service, *pickup_service;
	const char *filter_nexthop, *myhostname;
	const char *fast_flush_domains, *mail_owner;
};

/* ---- a process that delivers ---- */
struct ph_qagent {
	struct ph_list node;
	struct ph_ipc *ipc;             /* NULL: the connection is lost, the process perhaps not */
	uint32_t pid;
	int64_t lost_ms;
	uint8_t slot;
	bool root, ready, stopping, rotating;
	char journal[64];
	uint32_t busy;                  /* deliveries */
	struct ph_list deliveries;
	uint64_t delivered;
};

struct ph_active;
struct ph_qdelivery {                   /* a delivery under way */
	struct ph_list agent_node;
	uint64_t id;
	struct ph_qagent *agent;
	struct ph_active *active;       /* NULL: adopted, and its message is not active (yet) */
	struct ph_sched_batch *batch;   /* NULL: adopted */
	char queue_id[PH_QUEUE_ID_MAX];
	bool listed;                    /* scratch: the agent's HELLO has it */
	uint32_t n_rcpts, *rcpts;       /* adopted */
};

/* ---- a message that is being delivered ---- */
enum ph_active_phase { PH_PHASE_RESOLVE, PH_PHASE_DELIVER, PH_PHASE_END };
struct ph_active {
	struct ph_list node;            /* in qmgr.active */
	struct ph_list work;            /* in a list of the phase's workers */
	struct ph_sched_msg sm;
	struct ph_entry *e;             /* NULL: deleted meanwhile */
	struct ph_segment *segment;     /* kept alive while this is */
	struct ph_arena *arena;
	struct ph_envelope *env;
	struct ph_msg_ref ref;
	const struct ph_qmgr_line *line;        /* of master.cf, whose mail it is; NULL: the ordinary one */
	const char *verp_delims;        /* NULL: no VERP */
	int64_t active_us, filled_ms;
	enum ph_active_phase phase;
	uint32_t cursor;                /* next recipient to resolve */
	uint32_t deliveries;            /* under way */
	uint32_t counted;               /* recipients that count against the limit */
	struct ph_sched_transport *full;        /* took no more recipients when the last one was read; NULL: the reading stopped for other reasons */
	uint16_t results;               /* so far, for ph_entry_rcpt.order */
	bool resolving;                 /* a worker has it */
	bool hold, expire_now;
	bool again;                     /* an agent died over it: at once, once */
	uint32_t *adopted;              /* per recipient: how many deliveries are under way since before (parts: several); NULL: none */
	uint32_t redirected;            /* recipient that stands for all others (REDIRECT) + 1 */
	unsigned char *passed;          /* per recipient: its transport has handed it to another in this attempt; NULL: none */
	const char **addresses;         /* as the transport shall see them; NULL entries: as in env */
	struct ph_active_part { uint32_t rcpt; const char *address, *route; } *parts;  /* the scheduler's numbers n_rcpts, n_rcpts + 1, ... */
	uint32_t n_parts, cap_parts;
};

struct ph_intake_conn {
	struct ph_list node;
	struct ph_ipc *ipc;
	uint32_t pid;
	size_t n_open;
	struct ph_segment **open;
};

/* A further qmgr line of master.cf; see qmgr_line.c. */
struct ph_qmgr_line {
	struct ph_qmgr_line *next;
	const char *name, *syslog_name;
	const struct ph_conf *route_conf;
	struct ph_route *route;
};

struct ph_recovery;

struct ph_qmgr {
	const struct ph_qmgr_config *cfg;
	const struct ph_conf *conf, *route_conf;
	struct ph_qmgr_settings set;
	int dirfd;
	struct ph_index *ix;
	struct ph_sched *sched;
	struct ph_journal *journal;
	struct ph_route *route;
	struct ph_qmgr_line *lines;     /* further ones */

	struct ph_list agents, intakes, active;
	struct ph_intake_conn self;     /* the segments that we write */
	struct ph_htab deliveries;      /* by id */
	uint64_t next_delivery;
	size_t n_adopted;               /* deliveries that were under way before we began */
	uint32_t *expected;             /* pids of agents that must say hello */
	size_t n_expected;
	bool agents_known;              /* the master has told which agents live */
	bool recovered;                 /* the index is complete */
	bool stopping, failed;
	bool offline;                   /* a command's, without the mail system: nothing is delivered or freed */
	struct ph_fdw listen[2];
	int64_t flushed_ms;
	struct ph_recovery *recovery;

	size_t n_active, n_active_rcpts;
	struct ph_active *pool;         /* to be used again, linked by work.next */
	size_t n_pool;
	struct ph_list to_resolve, to_end, partial;     /* active.work */
	unsigned resolvers, resolvers_idle, enders, enders_idle;
	struct ph_waitq resolve_wait, end_wait;
	struct ph_waitq agent_wait;     /* woken when an agent comes */
	int64_t blocked_since;          /* deliveries wait for an agent; 0: no */
	bool turn_from_deferred;        /* whose turn it is when the active set has room */
	bool pump_pending;
	struct ph_timer *pump_timer, *scan_timer, *tick_timer;
	int64_t scan_cutoff;            /* deferred mail due up to then is taken */
	int64_t wall_minus_mono_ms, no_expire_until;
	int64_t next_clog_warning;
	uint64_t arrived, finished, arrived_last, finished_last;
	uint32_t throttle_sent;

	struct ph_htab claims;          /* submissions that were taken in, by file; see claim.c */
	struct claim **claim_ring;
	uint32_t claim_next;

	bool stray_running, stray_again, taking_stray;  /* stray.c */
	struct timespec stray_mtime;

	uint64_t journal_bytes;         /* since the last checkpoint, about */
	struct ph_store *store;         /* for bounces, compaction */
	bool checkpointing, compacting;
	bool checkpoint_now;
	uint64_t checkpoints, ticks;
	int64_t next_checkpoint_ms, next_compact_ms;
	char **old_files;               /* journals that go with the next checkpoint */
	size_t n_old_files;
	struct ph_waitq rotate_wait;
	struct { uint64_t sent, deferred, bounced, expired, deliveries, notifications, compacted, discarded; } stats;
	struct ph_arena *scratch;       /* of one frame */
	struct ph_buf out;              /* frame that is being built */
	struct ph_request_rcpt *req_rcpts;
	size_t req_rcpts_cap;
};

extern struct ph_qmgr *ph_qmgr;         /* this process's */

/* qmgr_settings.c */
int ph_qmgr_settings_load(struct ph_qmgr *q, struct ph_err *err);
void ph_qmgr_transport_params(void *arg, const char *transport, struct ph_sched_params *ret);
/* The view of a service line that may be there ("bounce", "rewrite"), else the queue manager's own. */
const struct ph_conf *ph_qmgr_service_conf(struct ph_qmgr *q, const char *service);
const struct ph_service *ph_qmgr_transport_service(struct ph_qmgr *q, const char *transport);

/* qmgr_line.c.  The line whose mail a message is, NULL: the ordinary one. */
const struct ph_qmgr_line *ph_qmgr_line(struct ph_qmgr *q, const struct ph_envelope *env);

/* qmgr_active.c */
void ph_qmgr_add(struct ph_qmgr *q, const struct ph_msg_ref *ref, struct ph_slice envelope, const struct ph_envelope *env);
void ph_qmgr_pump(struct ph_qmgr *q);                   /* soon: start what can be started */
void ph_active_check(struct ph_qmgr *q, struct ph_active *a);   /* has its attempt ended? */
void ph_active_free(struct ph_qmgr *q, struct ph_active *a);
/* Recipients of a have ended: n less; time to read more of them? */
void ph_active_less(struct ph_qmgr *q, struct ph_active *a, uint32_t n);
void ph_active_withdraw(struct ph_qmgr *q, struct ph_active *a);
struct ph_active *ph_active_start(struct ph_qmgr *q, struct ph_entry *e, const struct ph_envelope *env);
/* qmgr_resolve.c */
void ph_resolve_kick(struct ph_qmgr *q);
/* Queue recipient i (or a part, see qmgr_pass.c) for r, or give it a result.  rcpt: its address. */
void ph_qmgr_schedule(struct ph_qmgr *q, struct ph_active *a, uint32_t i, const char *rcpt, const struct ph_resolved *r);
/* qmgr_pass.c */
/* Recipient i goes to another transport, as address (PH_RESULT_PASS).  Once in an attempt; a NULL: nothing happens. */
void ph_qmgr_pass(struct ph_qmgr *q, struct ph_active *a, uint32_t i, const char *address, const char *route);
/* The agent has expanded recipient i, and other transports have to take parts of it: what is to be done from now on. */
void ph_qmgr_parts_set(struct ph_qmgr *q, struct ph_entry *e, uint32_t i, const struct ph_reason *reason);
/* Parts of recipient i that other transports have to take: queued.  false: it has none. */
bool ph_qmgr_pass_parts(struct ph_qmgr *q, struct ph_active *a, uint32_t i);
/* The part that the scheduler knows as number i; NULL: that is a recipient. */
const struct ph_active_part *ph_active_part(const struct ph_active *a, uint32_t i);
/* A part's result, from wherever, into the index: with the last one its recipient has its own. */
void ph_qmgr_part_result(struct ph_qmgr *q, struct ph_entry *e, uint32_t rcpt, const char *address, const char *route,
			 enum ph_delivery_status status, const struct ph_reason *reason, bool dsn_passed);
/* The notification about a bounced part has gone out. */
void ph_qmgr_part_told(struct ph_qmgr *q, struct ph_entry *e, uint32_t rcpt, const char *address);
/* A result that the queue manager itself gives: log line (as prog), index, journal. */
void ph_qmgr_result(struct ph_qmgr *q, struct ph_active *a, uint32_t rcpt, enum ph_delivery_status status, const char *prog,
		    const char *dsn, const char *text);
/* A final result into the index as it is, and one from wherever (soft_bounce). */
void ph_qmgr_settle(struct ph_qmgr *q, struct ph_entry *e, const struct ph_envelope *env, uint32_t rcpt,
		    enum ph_delivery_status status, const struct ph_reason *reason, bool dsn_passed);
void ph_qmgr_apply(struct ph_qmgr *q, struct ph_entry *e, const struct ph_envelope *env, uint32_t rcpt,
		   enum ph_delivery_status status, const struct ph_reason *reason, bool dsn_passed);

/* qmgr_agent.c */
void ph_qmgr_agent_serve(struct ph_qmgr *q, struct ph_ipc *ipc, struct ph_slice hello);
bool ph_qmgr_dispatch(struct ph_qmgr *q, struct ph_sched_batch *b);     /* false: nobody is there to do it */
void ph_qmgr_agent_gone(struct ph_qmgr *q, uint32_t pid, uint8_t slot); /* the master says so */
void ph_qmgr_adopt(struct ph_qmgr *q, struct ph_entry *e);              /* take over deliveries of e that are under way */
bool ph_qmgr_agents_ready(const struct ph_qmgr *q);
/* qmgr_intake.c */
void ph_qmgr_intake_serve(struct ph_qmgr *q, struct ph_ipc *ipc, struct ph_slice hello);
void ph_qmgr_throttle(struct ph_qmgr *q);
void ph_qmgr_own_open(struct ph_qmgr *q);
void ph_segment_check(struct ph_qmgr *q, struct ph_segment *seg);       /* can it be discarded? */
void ph_qmgr_gap_scan(struct ph_qmgr *q, struct ph_segment *seg, uint64_t limit);

/* retry.c */
int64_t ph_retry_age_ms(const struct ph_qmgr *q, const struct ph_entry *e);
void ph_retry_defer(struct ph_qmgr *q, struct ph_entry *e);
void ph_retry_scan(struct ph_qmgr *q);
void ph_retry_flush_all(struct ph_qmgr *q);
void ph_retry_now(struct ph_qmgr *q, struct ph_entry *e);
bool ph_retry_expired(const struct ph_qmgr *q, const struct ph_entry *e);
void ph_retry_activate(struct ph_qmgr *q);              /* fill the active set */
void ph_retry_tick(struct ph_qmgr *q);
void ph_qmgr_hold(struct ph_qmgr *q, struct ph_entry *e);
void ph_qmgr_release(struct ph_qmgr *q, struct ph_entry *e);
void ph_qmgr_expire(struct ph_qmgr *q, struct ph_entry *e, bool release);
/* Take it out of the queue: journal, log line "QID: removed" when text is set. */
void ph_qmgr_remove(struct ph_qmgr *q, struct ph_entry *e, bool log);
int ph_qmgr_note(struct ph_qmgr *q, enum ph_journal_type type, const struct ph_entry *e, uint64_t number, int64_t time_ms, bool batched);

/* claim.c.  A message comes into the queue (recovered: found after a crash).  False: what was submitted is in the queue already, as another message. */
bool ph_claim(struct ph_qmgr *q, const char *queue_id, const struct ph_envelope *env, bool recovered);
/* stray.c: read what nobody has announced, soon. */
void ph_stray_scan(struct ph_qmgr *q);
void ph_stray_tick(struct ph_qmgr *q);
/* verify.c: whether addresses are deliverable */
void ph_qmgr_verify_frame(struct ph_qmgr *q, struct ph_ipc *ipc, struct ph_slice payload);
/* A probe (PH_ENV_VERIFY) is back. */
void ph_qmgr_verify_result(struct ph_qmgr *q, const struct ph_entry *e, const struct ph_envelope *env, uint32_t rcpt, enum ph_delivery_status status,
			   const char *text);
/* notify.c */
bool ph_notify_wanted(struct ph_qmgr *q, struct ph_active *a);
bool ph_notify_bounced(const struct ph_qmgr *q, const struct ph_entry *e, uint32_t rcpt);       /* is anybody to be told that it failed? */
/* Has a part of recipient i bounced, of which somebody is to be told now, while others are still to be delivered? */
bool ph_notify_parts_due(const struct ph_qmgr *q, const struct ph_entry *e, uint32_t i);
int ph_notify_send(struct ph_qmgr *q, struct ph_active *a);             /* Yields */
/* VERP: "owner@here" for "user@there" is "owner+user=there@here".  rcpt: as the sender knows it.  In arena. */
const char *ph_verp_sender(struct ph_arena *arena, const char *sender, const char *delims, const char *rcpt);
/* recover*.c */
void ph_recover_run(void *q);                           /* what the start does not do itself; a coroutine's function */
int ph_recover_start(struct ph_qmgr *q, struct ph_err *err);
/* A message was announced while recovery is under way: when journals spoke of it, it is taken with what they said.  False: it is new. */
bool ph_recover_announced(struct ph_qmgr *q, const struct ph_msg_ref *ref, const struct ph_envelope *env);
void ph_recover_note(struct ph_qmgr *q, const struct ph_journal_rec *rec);      /* from an agent's journal */
void ph_recover_open(struct ph_qmgr *q, const struct ph_msg_ref *committed);
int ph_recover_journal(struct ph_qmgr *q, const char *file, struct ph_err *err);
/* All journals that processes of this slot have written. */
void ph_recover_slot(struct ph_qmgr *q, uint8_t slot);
/* checkpoint.c, compact.c */
void ph_checkpoint_old_file(struct ph_qmgr *q, const char *file);
void ph_checkpoint_maybe(struct ph_qmgr *q);
void ph_checkpoint_rotated(struct ph_qmgr *q);
void ph_compact_maybe(struct ph_qmgr *q);
/* control.c */
void ph_qmgr_control_serve(struct ph_qmgr *q, struct ph_ipc *ipc);
/* Two queue managers, or one and a command that works on the files, would undo each other's work: 0 or -EBUSY. */
int ph_qmgr_lock(int dirfd);
/* requeue.c */
int ph_requeue(struct ph_qmgr *q, struct ph_entry *e, struct ph_err *err);      /* Yields */

/* As the delivery host formats delays (agent/result.c). */
void ph_delay_format(int64_t us, int max_digits, char *buf, size_t bytes);
#endif
