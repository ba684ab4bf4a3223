/* delivery.c: one delivery request from its frame to DONE, and what a module can ask about it (posthouse/delivery.h).
 *
 * State: struct ph_delivery, in its own arena; the agent's list of deliveries under way.  The coroutine of a delivery yields as its module does. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/co_private.h"
#include "base/pack.h"

#define ARENAS_KEPT 64

static struct {
	struct ph_arena *kept[ARENAS_KEPT];
	size_t n;
} arenas;

static struct ph_arena *arena_get(void)
{
	return arenas.n ? arenas.kept[--arenas.n] : ph_arena_new();
}

static void arena_put(struct ph_arena *arena)
{
	if (arenas.n == ARENAS_KEPT) {
		ph_arena_free(&arena);
		return;
	}
	ph_arena_reset(arena);
	arenas.kept[arenas.n++] = arena;
}

/* ---- the request -------------------------------------------------------------------------- */

/* By domain, then by address: the order in which servers have always been told. */
static int by_address(const void *one, const void *two)
{
	const struct ph_request_rcpt *a = one, *b = two;
	const char *at_a = strrchr(a->address, '@'), *at_b = strrchr(b->address, '@');
	int r;

	if (at_a == NULL || at_b == NULL)
		return at_a ? -1 : at_b ? 1 : strcmp(a->address, b->address);
	r = strcasecmp(at_a, at_b);
	return r ? r : strcmp(a->address, b->address);
}

static void copy_recipients(struct ph_delivery *d)
{
	const struct ph_delivery_request *req = d->req;
	size_t i;

	if (req->n_rcpts > 1)
		qsort(req->rcpts, req->n_rcpts, sizeof(req->rcpts[0]), by_address);
	d->rcpts = ph_arena_alloc(d->arena, (req->n_rcpts + 1) * sizeof(*d->rcpts));
	for (i = 0; i < req->n_rcpts; i++) {
		d->rcpts[i].address = req->rcpts[i].address;
		d->rcpts[i].original = req->rcpts[i].original ? req->rcpts[i].original : req->rcpts[i].address;
		d->rcpts[i].dsn_orcpt = req->rcpts[i].dsn_orcpt;
		d->rcpts[i].dsn_notify = req->rcpts[i].dsn_notify;
	}
}

/* NULL: the frame is broken (logged). */
struct ph_delivery *ph_delivery_new(struct ph_slice payload)
{
	struct ph_arena *arena = arena_get();
	struct ph_delivery_request *req;
	struct ph_delivery *d;
	char *copy;

	copy = ph_arena_alloc(arena, payload.n);
	memcpy(copy, payload.p, payload.n);
	payload.p = copy;
	if (ph_request_decode(payload, arena, &req) < 0) {
		ph_log(PH_LOG_WARNING, "a delivery request cannot be read");
		arena_put(arena);
		return NULL;
	}
	d = ph_arena_alloc(arena, sizeof(*d));
	d->magic = PH_DELIVERY_MAGIC;
	d->arena = arena;
	d->req = req;
	d->request = payload;
	d->probe = req->flags & (PH_ENV_VERIFY | PH_ENV_TRACE_ONLY);
	d->started_us = ph_wall_us();
	copy_recipients(d);
	ph_list_append(&ph_agent_self.deliveries, &d->node);
	ph_agent_self.n_deliveries++;
	return d;
}

/* Recipients that the module has forgotten. */
void ph_delivery_lacking(struct ph_delivery *d, const char *dsn, const char *text)
{
	size_t i;

	for (i = 0; i < d->req->n_rcpts; i++) {
		if (!d->rcpts[i].done)
			ph_delivery_result(d, i, PH_DEFERRED, dsn, "none", "%s", text);
	}
}

static void send_done(struct ph_delivery *d)
{
	struct ph_buf b = PH_BUF_INIT(64 * 1024);

	ph_pack_u64(&b, d->req->id);
	ph_pack_u8(&b, d->dest_down);
	ph_pack_str(&b, d->down_dsn);
	ph_pack_str(&b, d->down_text);
	ph_agent_send(ph_agent_self.is_child ? (uint16_t)PH_CF_DONE : (uint16_t)PH_F_DONE, &b);
	ph_buf_done(&b);
}

void ph_delivery_end(struct ph_delivery *d)
{
	send_done(d);
	ph_list_del(&d->node);
	ph_agent_self.n_deliveries--;
	ph_waitq_wake_all(&ph_agent_self.idle);
	d->magic = 0;
	arena_put(d->arena);
}

/* ---- running it --------------------------------------------------------------------------- */

static const char *user_lacking(uid_t uid)
{
	return uid == geteuid() ? NULL : "mail system configuration error";
}

/* A module that wants to run as the recipient's user. */
static void run_as_user(struct ph_delivery *d)
{
	uid_t uid;
	gid_t gid;

	if (d->service->ops->identity(d->service->state, d, &uid, &gid) < 0)
		return;
	if (geteuid() == 0) {
		ph_agent_child_deliver(d, uid, gid);
	} else if (user_lacking(uid)) {
		ph_log(PH_LOG_WARNING, "service %s: cannot deliver to %s as user id %ld: not running as root (column \"unpriv\" of master.cf: n)",
		       d->service->svc->name, d->rcpts[0].address, (long)uid);
		ph_delivery_lacking(d, "4.3.5", user_lacking(uid));
	} else {
		d->service->ops->deliver(d->service->state, d);
	}
}

void ph_delivery_run_module(struct ph_delivery *d)
{
	const struct ph_delivery_ops *ops = d->service->ops;

	if (ops == NULL) {
		ph_delivery_lacking(d, "4.3.0", "mail transport unavailable");
		return;
	}
	if (ops->identity && !ph_agent_self.is_child)
		run_as_user(d);
	else
		ops->deliver(d->service->state, d);
	ph_delivery_lacking(d, "4.3.0", "delivery agent failed");
}

static void delivery_run(void *arg)
{
	struct ph_delivery *d = arg;

	d->service = ph_agent_service_get(d->req->service);
	ph_co_set_ident(d->service->set.syslog_name, d->service->svc ? d->service->svc->command : "error");
	ph_delivery_run_module(d);
	ph_delivery_end(d);
}

void ph_delivery_begin(struct ph_slice payload)
{
	struct ph_delivery *d = ph_delivery_new(payload);

	if (d)
		ph_co_spawn("delivery", delivery_run, d);
}

/* ---- questions ---------------------------------------------------------------------------- */

const struct ph_conf *ph_delivery_conf(const struct ph_delivery *d)
{
	return d->service->conf;
}

struct ph_arena *ph_delivery_arena(struct ph_delivery *d)
{
	ph_assert(d->magic == PH_DELIVERY_MAGIC);
	return d->arena;
}

const char *ph_delivery_service(const struct ph_delivery *d)
{
	return d->req->service;
}

const char *ph_delivery_nexthop(const struct ph_delivery *d)
{
	return d->req->nexthop;
}

const char *ph_delivery_queue_id(const struct ph_delivery *d)
{
	return d->req->ref.queue_id;
}

const char *ph_delivery_sender(const struct ph_delivery *d)
{
	return d->req->sender;
}

static const char *or_null(const char *s)
{
	return s && *s ? s : NULL;
}

const char *ph_delivery_envid(const struct ph_delivery *d)
{
	return or_null(d->req->envid);
}

const char *ph_delivery_ret(const struct ph_delivery *d)
{
	return or_null(d->req->ret);
}

const char *ph_delivery_encoding(const struct ph_delivery *d)
{
	return d->req->encoding ? d->req->encoding : "";
}

bool ph_delivery_smtputf8(const struct ph_delivery *d)
{
	return d->req->flags & PH_ENV_SMTPUTF8;
}

enum ph_tls_request ph_delivery_tls_request(const struct ph_delivery *d)
{
	if (d->req->flags & PH_ENV_REQUIRETLS)
		return PH_TLS_REQUEST_REQUIRE;
	return d->req->flags & PH_ENV_TLS_OPTIONAL ? PH_TLS_REQUEST_OPTIONAL : PH_TLS_REQUEST_NONE;
}

bool ph_delivery_8bit(const struct ph_delivery *d)
{
	return d->req->flags & PH_ENV_8BIT;
}

bool ph_delivery_probe(const struct ph_delivery *d)
{
	return d->probe;
}

int64_t ph_delivery_arrival_us(const struct ph_delivery *d)
{
	return d->req->arrival_us;
}

const char *ph_delivery_attr(const struct ph_delivery *d, const char *name)
{
	size_t i;

	for (i = 0; i < d->req->n_attrs; i++) {
		if (strcmp(d->req->attrs[i].name, name) == 0)
			return d->req->attrs[i].value;
	}
	return NULL;
}

size_t ph_delivery_rcpt_count(const struct ph_delivery *d)
{
	return d->req->n_rcpts;
}

const struct ph_rcpt *ph_delivery_rcpt(const struct ph_delivery *d, size_t i)
{
	ph_assert(i < d->req->n_rcpts);
	return &d->rcpts[i];
}

int64_t ph_delivery_bytes(const struct ph_delivery *d)
{
	return d->req->content_bytes;
}

/* ---- notes -------------------------------------------------------------------------------- */

void ph_delivery_note_set(struct ph_delivery *d, const char *name, const char *value)
{
	struct ph_attr *more = ph_arena_alloc(d->arena, (d->n_notes + 1) * sizeof(*more));

	if (d->n_notes)
		memcpy(more, d->notes, d->n_notes * sizeof(*more));
	more[d->n_notes].name = ph_arena_strdup(d->arena, name);
	more[d->n_notes].value = ph_arena_strdup(d->arena, value);
	d->notes = more;
	d->n_notes++;
}

const char *ph_delivery_note(const struct ph_delivery *d, const char *name)
{
	size_t i;

	for (i = d->n_notes; i-- > 0;) {
		if (strcmp(d->notes[i].name, name) == 0)
			return d->notes[i].value;
	}
	return NULL;
}
