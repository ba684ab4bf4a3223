/* bounce.h: notifications about a message's fate (RFC 3464), made by the queue manager's coroutines.
 *
 * The message engine builds the multipart/report from the request and submits it through ph_intake; the queue manager records the
 * notification (PH_J_NOTIFIED) only after this has said that the new message is durable. */
#ifndef CORE_MESSAGE_BOUNCE_H
#define CORE_MESSAGE_BOUNCE_H

#include "message/envelope.h"
#include "queue/store.h"

enum ph_bounce_kind {
	PH_BOUNCE_FAILURE,      /* sender non-delivery notification */
	PH_BOUNCE_DELAY,        /* sender delay notification: still trying */
	PH_BOUNCE_SUCCESS,      /* sender delivery status notification (NOTIFY=SUCCESS, or relayed/expedited) */
	PH_BOUNCE_TRACE,        /* sendmail -v / -bv: report on every recipient */
};

struct ph_bounce_rcpt {
	uint32_t index;                 /* in env->rcpts: address, original, dsn_orcpt, dsn_notify */
	enum ph_delivery_status status;
	/* Action of RFC 3464 section 2.3.3, or NULL: by status and kind ("failed", "delayed", "delivered"). Others: "relayed" (SENT to a
	 * server without DSN), "expanded", "deliverable", "undeliverable". */
	const char *action;
	const char *dsn;                /* "5.1.1" */
	const char *text;               /* what the log line had in parentheses */
	const char *relay;              /* "none", "host[addr]:25" */
	const char *mta;                /* name of the remote server for Remote-MTA, or NULL */
	const char *diag;               /* Diagnostic-Code as "smtp; 550 ...", or NULL */
	int64_t time_us;                /* wall clock of the attempt */
	const char *address;            /* the destination that it was expanded to, or NULL: env's */
	bool anonymous;                 /* with address: do not say what it was expanded from */
};

struct ph_bounce_request {
	enum ph_bounce_kind kind;
	const struct ph_conf *conf;     /* of the bounce (delay: defer, success/trace: trace) service line if master.cf has one, else the queue manager's */
	const struct ph_envelope *env;  /* of the message that this is about */
	const struct ph_msg_ref *ref;   /* its content, with ph_stored_open */
	int queue_dirfd;
	const char *to;                 /* recipient of the notification: the original sender, or a postmaster address */
	bool postmaster;                /* a copy for the postmaster (notify_classes bounce, 2bounce, delay): sent from double_bounce_sender,
	                                 * headers only; else from <> */
	bool double_bounce;             /* the message itself was a bounce (or its sender null): "Postmaster Copy: Undelivered ..." */
	bool full;                      /* return the content (RET=FULL or not given; bounded by bounce_size_limit), else headers only */
	int64_t expires_us;             /* DELAY: when the queue gives up on it (maximal_queue_lifetime) */
	size_t n_rcpts;
	const struct ph_bounce_rcpt *rcpts;
	struct ph_arena *arena;         /* for its temporary data */
	const char *const *attr_names, *const *attr_values;     /* attributes to put into the notification's envelope, so that a */
	size_t n_attrs;                                         /* restarted queue manager knows that it was sent */
	char *ret_queue_id;             /* PH_QUEUE_ID_MAX bytes: the notification's queue id, for the log */
};

/* Send one notification.  0 when it is durable, or negative with err: the message stays in the queue ("bounce failed") and it is tried
 * again.  -ENOTSUP-like permanent refusals do not exist: whoever may not get a notification is sorted out by the caller.  Logging of
 * "QID: sender non-delivery notification: NEWQID" is the function's own.  Yields. */
int ph_bounce_send(const struct ph_bounce_request *req, struct ph_err *err);
#endif
