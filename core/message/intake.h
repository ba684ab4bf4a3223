/* intake.h: the one way into the queue, for SMTP, sendmail(1), bounces and forwards.
 *
 * Content is taken line by line; header and body pass clean-up (cleanup.h) on the way; at the end addresses are rewritten and
 * expanded, the envelope is written, the store makes it durable, and the queue manager is told.  One intake per message. */
#ifndef CORE_MESSAGE_INTAKE_H
#define CORE_MESSAGE_INTAKE_H

#include "message/envelope.h"
#include <posthouse/restriction.h>

struct ph_intake;
struct ph_filter_chain;         /* message/filter_host.h */
struct ph_submit;               /* queue/submit.h */

/* The view of the cleanup service that conf's cleanup_service_name names; conf itself when master.cf has no such line. */
const struct ph_conf *ph_intake_conf_of(const struct ph_conf *conf);

struct ph_intake_params {
	const struct ph_conf *conf;             /* of the cleanup service to be used */
	struct ph_session *session;             /* NULL: not from SMTP */
	struct ph_filter_chain *filters;        /* milters and native filters of the session, or NULL */
	const char *prog;                       /* "smtpd", "pickup", "bounce", "local": who submits, for logs */
	const char *origin;                     /* for header-check logs: "name[addr]" or "local" */
	bool local_origin;                      /* rewrite_context local: complete incomplete addresses in headers */
	unsigned flags;                         /* PH_INTAKE_* */
	int64_t size_limit;                     /* message_size_limit; 0: none */
	const char *content_filter;             /* content_filter of the receiving service (not of clean-up's: "smtpd -o content_filter="); NULL: none */
	struct ph_arena *arena;                 /* the transaction's */
	struct ph_submit *submit;               /* not into the queue but into maildrop/ (sendmail -bs: a user has no rights there); pickup cleans up.
						 * Opened by begin, ended by end or abort; the caller's.  NULL: the queue */
};
enum { PH_INTAKE_NO_MAPPINGS = 1, PH_INTAKE_NO_CHECKS = 2, PH_INTAKE_NO_MILTERS = 4, PH_INTAKE_BOUNCE = 8 /* internal notification */,
       PH_INTAKE_RECEIVED_DONE = 16 /* the content has its Received: already; else, and without ph_intake_prepend, one is made */, PH_INTAKE_NO_BCC = 32,
       PH_INTAKE_BOUNCES = 64 /* who submits cannot be told: what would be refused for good is taken (PERMIT), and its sender gets a bounce */ };

/* Begin: assigns the queue id.  Does not yield.  0, or negative with err (no space: -ENOSPC, too many buffers: -EAGAIN). */
int ph_intake_begin(const struct ph_intake_params *p, struct ph_intake **ret, struct ph_err *err);
const char *ph_intake_queue_id(const struct ph_intake *in);
void ph_intake_attr(struct ph_intake *in, const char *name, const char *value);
void ph_intake_sender(struct ph_intake *in, const char *sender, const char *envid, const char *ret, const char *encoding, uint32_t env_flags);
/* As params.local_origin, when it is known later; before the first line. */
void ph_intake_rewrite_context(struct ph_intake *in, bool local);
/* Full name of a local submitter, for a From: header that has to be made. */
void ph_intake_full_name(struct ph_intake *in, const char *full_name);
/* notify: PH_NOTIFY_*; orcpt decoded or NULL.  0, or -ENOBUFS. */
int ph_intake_rcpt(struct ph_intake *in, const char *address, const char *orcpt, unsigned notify);
/* The recipient that was added last stands for this one ("orig_to"): forwarded mail. */
void ph_intake_rcpt_original(struct ph_intake *in, const char *original);
size_t ph_intake_rcpt_count(const struct ph_intake *in);
/* Access actions of restrictions: FILTER, HOLD, REDIRECT, BCC, PREPEND, DISCARD. */
int ph_intake_action(struct ph_intake *in, const char *verb, const char *arg);
/* A header that is put on top of the content (Received: of smtpd), without line end, folds as LF. */
int ph_intake_prepend(struct ph_intake *in, const char *header);
/* One line of content without its end.  cont: the line is continued by the next piece (longer than line_length_limit).
 * 0, or negative: the message is lost already (too large -EFBIG, no space -ENOSPC); feed on, end tells the reply.  May yield. */
int ph_intake_line(struct ph_intake *in, const char *line, size_t n, bool cont);
/* End of message.  PERMIT: durable (fdatasync returned 0) and the queue manager told; code 250, text "Ok: queued as ID".  Else the reply to give;
 * nothing is kept.  A probe (PH_ENV_VERIFY) whose recipient is an alias of several is not kept either: PERMIT with code 252.  ret_size: bytes of content.  *in is freed in each case.  Yields. */
struct ph_verdict ph_intake_end(struct ph_intake **in, int64_t *ret_size);
void ph_intake_abort(struct ph_intake **in);    /* NULL-safe */
#endif
