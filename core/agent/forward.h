/* forward.h: new mail from a delivery: aliases and .forward files that lead elsewhere. */
#ifndef CORE_AGENT_FORWARD_H
#define CORE_AGENT_FORWARD_H

#include "agent/agent_private.h"

/* Everything about a message to be forwarded.  Encoded, it travels from the root agent to its forwarder. */
struct ph_forward {
	const struct ph_delivery_request *req;  /* the delivery that forwards: content, client attributes, envelope id */
	const char *sender;
	const char *const *rcpts;
	size_t n_rcpts;
	const char *original, *orcpt;   /* of all recipients (orcpt: RFC 3461, NULL: not given); NULL: each recipient is its own */
	const char *top;                /* headers to put on top, each with its line end */
	const char *filter;             /* "transport:nexthop" for all recipients, or NULL */
	unsigned notify;                /* PH_NOTIFY_* of the recipient */
};

int ph_forward_encode(const struct ph_forward *f, struct ph_slice request, struct ph_buf *out);
int ph_forward_decode(struct ph_slice in, struct ph_arena *arena, struct ph_forward **ret);
/* Take it in, as the mail owner.  0: durable, queue id in ret_id.  Yields. */
int ph_forward_submit(int queue_dirfd, const struct ph_forward *f, struct ph_arena *arena, char ret_id[PH_QUEUE_ID_MAX], struct ph_err *err);
/* From a delivery: here, or in the forwarder of the root agent, which must not parse mail.  Yields. */
int ph_forward_mail(struct ph_delivery *d, const struct ph_forward *f, char ret_id[PH_QUEUE_ID_MAX], struct ph_err *err);
#endif
