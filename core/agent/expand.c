/* expand.c: recipients that turn into several destinations, or into recipients of other transports (posthouse/delivery.h).
 *
 * State: what the parts of each recipient came to, in the delivery.  Yields where said. */
#include "agent/agent_private.h"
#include "agent/forward.h"
#include "queue/parts.h"
#include "route/route.h"

#include <errno.h>
#include <string.h>

/* A destination that another transport has to take. */
struct passing { struct passing *next; const char *address, *sender, *route; };

struct ph_delivery_parts {
	bool any, sent;
	bool expanded;                  /* and its sender wanted to hear of success */
	struct ph_buf bounced;          /* parts.h */
	struct ph_result worst;         /* deferred over bounced over sent */
	struct passing *passing, **passing_end;
};

static void free_buf(void *b)
{
	ph_buf_done(b);
}

void ph_delivery_part_owned(struct ph_delivery *d, bool owned)
{
	d->part_owned = owned;
}

static struct ph_delivery_parts *parts_of(struct ph_delivery *d, size_t i)
{
	ph_assert(d->magic == PH_DELIVERY_MAGIC && i < d->req->n_rcpts);
	if (!d->parts)
		d->parts = ph_arena_alloc(d->arena, d->req->n_rcpts * sizeof *d->parts);
	return &d->parts[i];
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

	p = parts_of(d, i);
	va_start(ap, fmt);
	r.text = ph_result_text(d, fmt, ap);
	va_end(ap);
	softened = ph_result_settle(d, &r);
	ph_result_log(d, i, address, &r, softened);
	if (r.status == PH_BOUNCED) {
		struct ph_part part = { .state = PH_PART_BOUNCED, .address = address, .dsn = r.dsn, .text = ph_result_kept(d, r.text), .diag = d->diag, .anonymous = d->part_owned };

		if (!p->bounced.max) {
			ph_buf_init(&p->bounced, PH_PARTS_MAX);
			ph_arena_cleanup(d->arena, free_buf, &p->bounced);
		}
		ph_parts_add(&p->bounced, &part);
	}
	if (!p->any || rank(r.status) > rank(p->worst.status))
		p->worst = r;
	p->any = true;
	p->sent |= r.status == PH_SENT;
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

void ph_delivery_expanded(struct ph_delivery *d, size_t i)
{
	struct ph_delivery_parts *p = parts_of(d, i);

	p->expanded |= (d->rcpts[i].dsn_notify & PH_NOTIFY_SUCCESS) != 0;
	d->rcpts[i].dsn_notify = ph_parts_notify(d->rcpts[i].dsn_notify);
}

static unsigned notify_of(const struct ph_delivery *d, size_t i)
{
	return d->rcpts[i].dsn_notify;
}

int ph_delivery_forward(struct ph_delivery *d, const char *sender, const char *const *rcpts, size_t n, const char *original,
			const char *prepend_headers, const char **ret_queue_id, struct ph_err *err)
{
	struct ph_forward f = { .req = d->req, .sender = sender, .rcpts = rcpts, .n_rcpts = n, .original = original, .top = prepend_headers,
		.orcpt = original ? d->rcpts[0].dsn_orcpt : NULL, .notify = notify_of(d, 0) };
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

static bool same_service(const struct ph_delivery *d, const char *route)
{
	size_t n = strlen(d->req->service);

	return strncmp(route, d->req->service, n) == 0 && route[n] == ':';
}

int ph_delivery_pass(struct ph_delivery *d, size_t i, const char *address, const char *transport_nexthop, struct ph_err *err)
{
	const char *route = full_route(d, transport_nexthop);

	if (same_service(d, route))
		return ph_err_set(err, -ELOOP, "mail transport configuration error: %s passes mail to itself", d->req->service);
	if (d->parts && d->parts[i].expanded)
		return ph_delivery_pass_part(d, i, address, d->req->sender, transport_nexthop, err);
	ph_result_pass(d, i, address, route);
	return 0;
}

int ph_delivery_pass_part(struct ph_delivery *d, size_t i, const char *address, const char *sender, const char *transport_nexthop,
			  struct ph_err *err)
{
	struct ph_delivery_parts *p = parts_of(d, i);
	const char *route = full_route(d, transport_nexthop);
	struct passing *x;

	if (same_service(d, route))
		return ph_err_set(err, -ELOOP, "mail transport configuration error: %s passes mail to itself", d->req->service);
	if (d->probe) {
		ph_delivery_part(d, i, address, PH_SENT, "2.0.0", d->req->service, "delivers by way of %s", transport_nexthop);
		return 0;
	}
	for (x = p->passing; x; x = x->next)
		if (strcmp(x->address, address) == 0 && strcmp(x->route, route) == 0 && strcmp(x->sender, sender) == 0)
			return 0;
	x = ph_arena_alloc(d->arena, sizeof *x);
	*x = (struct passing){ .address = ph_arena_strdup(d->arena, address), .sender = ph_arena_strdup(d->arena, sender), .route = route };
	if (!p->passing)
		p->passing_end = &p->passing;
	*p->passing_end = x;
	p->passing_end = &x->next;
	return 0;
}

/* ---- the end of an expanded recipient ---- */

/* Those with the message's sender, as parts of this message; NULL: none, or more than can be kept of a recipient, or this is a part itself. */
static const char *parts_text(struct ph_delivery *d, size_t i, struct ph_delivery_parts *p)
{
	struct ph_parts bounced = { NULL, 0 }, all = { NULL, 0 };
	bool any = false;
	size_t n = 0;

	if (d->req->rcpts[i].route)
		return NULL;
	if (p->bounced.len)
		bounced = ph_parts_read(ph_buf_str(&p->bounced), d->arena);
	for (const struct passing *x = p->passing; x; x = x->next)
		n++;
	all.part = ph_arena_alloc(d->arena, (bounced.n + n + 2) * sizeof *all.part);
	for (size_t k = 0; k < bounced.n; k++)
		all.part[all.n++] = bounced.part[k];
	if (p->sent)
		all.part[all.n++] = (struct ph_part){ .state = PH_PART_SENT, .address = "", .dsn = "", .text = "" };
	if (p->expanded)
		all.part[all.n++] = (struct ph_part){ .state = PH_PART_EXPANDED, .address = "", .dsn = "", .text = "" };
	for (const struct passing *x = p->passing; x; x = x->next) {
		if (strcmp(x->sender, d->req->sender) != 0)
			continue;
		all.part[all.n++] = (struct ph_part){ .state = PH_PART_PENDING, .address = x->address, .dsn = "", .text = "", .route = x->route };
		any = true;
	}
	return any ? ph_parts_write(&all, d->arena) : NULL;
}

/* As a message of its own. */
static void forward_part(struct ph_delivery *d, size_t i, const struct passing *x)
{
	struct ph_forward f = { .req = d->req, .sender = x->sender, .rcpts = &x->address, .n_rcpts = 1, .filter = x->route,
		.original = *d->rcpts[i].original ? d->rcpts[i].original : NULL, .orcpt = d->rcpts[i].dsn_orcpt, .top = "", .notify = notify_of(d, i) };
	char id[PH_QUEUE_ID_MAX];
	struct ph_err err;

	if (ph_forward_mail(d, &f, id, &err) == 0)
		ph_delivery_part(d, i, x->address, PH_SENT, "2.0.0", d->req->service, "passed on to %s as %s", x->route, id);
	else
		ph_delivery_part(d, i, x->address, PH_DEFERRED, "4.3.0", d->req->service, "%s", err.text);
}

void ph_delivery_parts_end(struct ph_delivery *d, size_t i)
{
	static const struct ph_result none = { PH_SENT, "2.0.0", "local", "all destinations had it already" };

	struct ph_delivery_parts *p = parts_of(d, i);
	const struct ph_result *r;
	const char *parts;

	if (d->rcpts[i].done)
		return;
	parts = parts_text(d, i, p);
	/* First what becomes a message of its own: if that fails, everything is done again later. */
	for (const struct passing *x = p->passing; x && !(p->any && p->worst.status == PH_DEFERRED); x = x->next)
		if (!parts || strcmp(x->sender, d->req->sender) != 0)
			forward_part(d, i, x);
	if (parts && !(p->any && p->worst.status == PH_DEFERRED)) {
		ph_result_parts(d, i, parts);
		return;
	}
	d->mta = NULL;
	r = p->any ? &p->worst : &none;
	d->diag = r->status == PH_BOUNCED && p->bounced.len ? ph_buf_str(&p->bounced) : r->status == PH_SENT && p->expanded ? PH_PARTS_EXPANDED : NULL;
	ph_result_commit(d, i, r);
	d->diag = NULL;
}
