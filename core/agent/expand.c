/* expand.c: recipients that turn into several destinations, or into recipients of other transports (posthouse/delivery.h).
 *
 * State: what the parts of each recipient came to, in the delivery.  Yields where said. */
#include "agent/agent_private.h"
#include "agent/forward.h"
#include "queue/parts.h"
#include "route/route.h"

#include <errno.h>
#include <string.h>

struct ph_delivery_parts {
	bool any;
	struct ph_buf bounced;          /* parts.h */
	struct ph_result worst;         /* deferred over bounced over sent */
};

#define BOUNCED_MAX 1000                /* bytes that are told of the destinations of one recipient: what the index keeps of a reason */

static void free_buf(void *b)
{
	ph_buf_done(b);
}

void ph_delivery_part_owned(struct ph_delivery *d, bool owned)
{
	d->part_owned = owned;
}

static int rank(enum ph_delivery_status s)
{
	return s == PH_DEFERRED ? 2 : s == PH_BOUNCED ? 1 : 0;
}

void ph_delivery_part(struct ph_delivery *d, size_t i, const char *address, enum ph_delivery_status status, const char *dsn,
		      const char *relay, const char *fmt, ...)
{
	struct ph_result r = { status, ph_arena_strdup(d->arena, dsn), relay, NULL };
	struct ph_delivery_parts *p;
	bool softened;
	va_list ap;

	ph_assert(d->magic == PH_DELIVERY_MAGIC && i < d->req->n_rcpts);
	if (!d->parts)
		d->parts = ph_arena_alloc(d->arena, d->req->n_rcpts * sizeof *d->parts);
	p = &d->parts[i];
	va_start(ap, fmt);
	r.text = ph_result_text(d, fmt, ap);
	va_end(ap);
	softened = ph_result_settle(d, &r);
	ph_result_log(d, i, address, &r, softened);
	if (r.status == PH_BOUNCED) {
		struct ph_part part = { address, r.dsn, r.text, d->diag, d->part_owned };

		if (!p->bounced.max) {
			ph_buf_init(&p->bounced, BOUNCED_MAX);
			ph_arena_cleanup(d->arena, free_buf, &p->bounced);
		}
		ph_parts_add(&p->bounced, &part);
	}
	if (!p->any || rank(r.status) > rank(p->worst.status))
		p->worst = r;
	p->any = true;
}

void ph_delivery_parts_end(struct ph_delivery *d, size_t i)
{
	static const struct ph_result none = { PH_SENT, "2.0.0", "local", "all destinations had it already" };

	struct ph_delivery_parts *p = d->parts ? &d->parts[i] : NULL;

	if (d->rcpts[i].done)
		return;
	d->mta = NULL;
	d->diag = p && p->any && p->worst.status == PH_BOUNCED && p->bounced.len ? ph_buf_str(&p->bounced) : NULL;
	ph_result_commit(d, i, p && p->any ? &p->worst : &none);
	d->diag = NULL;
}

enum ph_lookup ph_delivery_resolve(struct ph_delivery *d, const char *address, const char **ret_address, bool *ret_same, struct ph_err *err)
{
	struct ph_route *route = ph_route_of(d->service->conf);
	struct ph_resolved res;
	const char *full;
	enum ph_lookup l;

	if (!*address || strlen(address) > 1000)
		return PH_LOOKUP_NOTFOUND;
	ph_route_rewrite(route, true, address, d->arena, &full);
	l = ph_route_resolve(route, d->req->sender, full, d->arena, &res, err);
	if (l != PH_LOOKUP_FOUND)
		return l;
	if (res.bad_syntax) {
		ph_err_set(err, -EINVAL, "%s", full);
		return PH_LOOKUP_NOTFOUND;
	}
	*ret_address = res.recipient;
	*ret_same = !res.error && strcmp(res.transport, d->req->service) == 0;
	return PH_LOOKUP_FOUND;
}

static unsigned notify_of(const struct ph_delivery *d, size_t i)
{
	return d->rcpts[i].dsn_notify;
}

int ph_delivery_forward(struct ph_delivery *d, const char *sender, const char *const *rcpts, size_t n, const char *original,
			const char *prepend_headers, const char **ret_queue_id, struct ph_err *err)
{
	struct ph_forward f = { .req = d->req, .sender = sender, .rcpts = rcpts, .n_rcpts = n, .original = original, .top = prepend_headers,
		.notify = notify_of(d, 0) };
	char *id = ph_arena_alloc(d->arena, PH_QUEUE_ID_MAX);
	int rc = ph_forward_mail(d, &f, id, err);

	if (rc == 0)
		*ret_queue_id = id;
	return rc;
}

/* "transport" and "transport:" mean the nexthop that the mail has now. */
static const char *full_route(struct ph_delivery *d, const char *transport_nexthop)
{
	const char *colon = strchr(transport_nexthop, ':');

	if (colon && colon[1])
		return transport_nexthop;
	return ph_arena_printf(d->arena, "%.*s:%s", (int)strcspn(transport_nexthop, ":"), transport_nexthop, d->req->nexthop);
}

int ph_delivery_pass(struct ph_delivery *d, size_t i, const char *address, const char *transport_nexthop, struct ph_err *err)
{
	const char *route = full_route(d, transport_nexthop);
	size_t n = strlen(d->req->service);

	if (strncmp(route, d->req->service, n) == 0 && route[n] == ':')
		return ph_err_set(err, -ELOOP, "mail transport configuration error: %s passes mail to itself", d->req->service);
	ph_result_pass(d, i, address, route);
	return 0;
}

/* A part is a message of its own: a recipient's record belongs to the whole of it. */
int ph_delivery_pass_part(struct ph_delivery *d, size_t i, const char *address, const char *sender, const char *transport_nexthop,
			  struct ph_err *err)
{
	struct ph_forward f = { .req = d->req, .sender = sender, .rcpts = &address, .n_rcpts = 1, .filter = full_route(d, transport_nexthop),
		.original = *d->rcpts[i].original ? d->rcpts[i].original : NULL, .top = "", .notify = notify_of(d, i) };
	char id[PH_QUEUE_ID_MAX];
	int rc;

	if (d->probe) {
		ph_delivery_part(d, i, address, PH_SENT, "2.0.0", d->req->service, "delivers by way of %s", transport_nexthop);
		return 0;
	}
	rc = ph_forward_mail(d, &f, id, err);
	if (rc == 0)
		ph_delivery_part(d, i, address, PH_SENT, "2.0.0", d->req->service, "passed on to %s as %s", f.filter, id);
	return rc;
}
