/* proto.h: frames between the processes (base/ipc.h) on the queue manager's socket, private/qmgr, and the encodings of their payloads.
 *
 * intake (smtpd, pickup, and whoever makes mail) -> qmgr: HELLO_INTAKE once per connection, then NEW per message, after it is durable.
 * agent -> qmgr: HELLO_AGENT with the deliveries still under way (a restarted queue manager must not start them twice), then per delivery
 * RESULT for each recipient (already in the agent's journal) and DONE.  qmgr -> agent: DELIVER, ROTATE.
 * commands (postqueue, postsuper, postcat, posthouse ctl) -> qmgr on public/qmgr: CTL with a JSON request; answers are CTL_LINE frames (JSON) and CTL_END. */
#ifndef CORE_QUEUE_PROTO_H
#define CORE_QUEUE_PROTO_H

#include "queue/store.h"

enum ph_frame {
	PH_F_HELLO_INTAKE = 1,  /* u32 pid, u8 slot, u32 n, n * { ref: committed up to ref.offset } */
	PH_F_NEW,               /* ref, bytes envelope */
	PH_F_THROTTLE,          /* qmgr -> intake: u32 ms to wait before each message (in_flow_delay) */
	PH_F_HELLO_AGENT,       /* u32 pid, u8 slot, u8 root, str journal file, u32 n, n * { u64 delivery, str queue id, u32 m, m * u32 rcpt } */
	PH_F_DELIVER,           /* struct ph_delivery_request */
	PH_F_RESULT,            /* u64 delivery, u32 rcpt, u8 status, str dsn, text, relay, mta, diag, u8 dsn_passed; of a part (parts.h): str route, str address */
	PH_F_DONE,              /* u64 delivery, u8 dest_down, str dsn, str text */
	PH_F_ROTATE,            /* go on in a new journal file */
	PH_F_ROTATED,           /* str new journal file; all results of older ones were sent before */
	PH_F_AGENTS,            /* master -> qmgr: u32 n, n * u32 pid: agents that live; start deliveries when each has said HELLO or is gone */
	PH_F_AGENT_GONE,        /* master -> qmgr: u32 pid, u8 slot */
	PH_F_OPEN_SEGMENTS,     /* intake -> qmgr, when they have changed: u32 n, n * { ref: committed up to ref.offset }; all others are closed */
	PH_F_AGENT_LEAVE,       /* agent -> qmgr: finishes what it has, wants no more */
	PH_F_REFUSED,           /* agent -> qmgr: u64 delivery: not begun, give it to another */
	PH_F_VERIFY,            /* intake -> qmgr: u32 number, str address */
	PH_F_VERIFIED,          /* qmgr -> intake: u32 number, u8 enum ph_verified, str text */
	PH_F_CTL = 64,          /* str JSON */
	PH_F_CTL_LINE,          /* str JSON; of listings: str text as it is to be printed, many lines at once */
	PH_F_CTL_END,           /* u32 status, str error text */
};

/* A RESULT's status that is none: the recipient goes to relay ("transport:nexthop") as the address in text.  In no journal: after a crash its first
 * transport is asked again. */
#define PH_RESULT_PASS 3
/* Nor this one: the recipient was expanded, and other transports have to take the pending parts in diag (parts.h).  In the journal as deferred. */
#define PH_RESULT_PARTS 4

struct ph_request_rcpt {
	uint32_t index;                 /* in the envelope */
	const char *address, *original, *dsn_orcpt;
	unsigned dsn_notify;
	const char *route;              /* it is a part of that recipient (parts.h), by this route; NULL: all of it */
};

struct ph_delivery_request {
	uint64_t id;
	struct ph_msg_ref ref;
	const char *service;            /* transport: a master.cf service name */
	const char *nexthop;
	const char *sender, *envid, *ret, *encoding;
	uint32_t flags;                 /* PH_ENV_* */
	int64_t content_bytes;
	int64_t arrival_us, active_us;  /* wall clock: taken in; made active */
	size_t n_attrs; struct ph_attr *attrs;
	size_t n_rcpts; struct ph_request_rcpt *rcpts;
};
int ph_request_encode(const struct ph_delivery_request *r, struct ph_buf *out);
int ph_request_decode(struct ph_slice in, struct ph_arena *arena, struct ph_delivery_request **ret);
int ph_ref_encode(const struct ph_msg_ref *r, struct ph_buf *out);
int ph_ref_decode(struct ph_slice *in, struct ph_msg_ref *ret);

/* The intake side's link to the queue manager: connects and reconnects by itself to <queue_dir>/private/qmgr. */
struct ph_qmgr_link;
int ph_qmgr_link_start(const char *queue_dir, struct ph_store *store);  /* one per process */
/* A durable message is there.  Never blocks, never fails for the caller: if the queue manager is away it finds the message when it comes back.  */
void ph_qmgr_announce(const struct ph_msg_ref *ref, const struct ph_envelope *env);
/* In the queue manager's own process (bounces, requeued mail) announcements go straight to fn. */
void ph_qmgr_announce_hook(void (*fn)(const struct ph_msg_ref *ref, const struct ph_envelope *env));
int64_t ph_qmgr_throttle_ms(void);

/* ---- the commands' side (control_client.c): one request to <queue_dir>/public/qmgr.  Also for ETRN and "sendmail -q". ----
 * on_line: each CTL_LINE's text; non-zero ends early.  0; -ECONNREFUSED or -ENOENT: the mail system is down; a negative errno that the
 * queue manager answered with its text in err (-EPERM, -EINVAL, -ENOENT ...).  Yields. */
int ph_qmgr_ctl(const char *queue_dir, const char *json, int (*on_line)(void *arg, const char *text, size_t n), void *arg,
		int64_t deadline_ms, struct ph_err *err);
/* Requests: {"cmd":"flush"} all; {"cmd":"flush-site","site":"example.com"}; {"cmd":"flush-id","id":"..."}; see doc/architecture.md. */
#endif
