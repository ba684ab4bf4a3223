/* qmgr_agent.c: the processes that deliver: their connections, deliveries under way, results.
 *
 * A delivery is over when the agent says DONE, or when the agent is gone and its journal has been read to the end.  A lost connection alone
 * means nothing: the agent connects again and says what it still has.  So no delivery is ever begun twice.
 * State: q->agents, q->deliveries.  The connections' coroutines yield. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/pack.h"
#include "queue/parts.h"
#include "queue/qmgr_private.h"

#define SPREAD 8                /* deliveries by which an agent may be ahead of the others for the sake of its connections */
#define LOST_MS 3000            /* without a master to ask: a connection that stays away that long means death */
#define CRASHES_MAX 2

/* ---- deliveries ---- */

static struct ph_qdelivery *delivery_find(struct ph_qmgr *q, uint64_t id)
{
	return ph_htab_getn(&q->deliveries, (const char *)&id, sizeof(id));
}

static struct ph_qdelivery *delivery_new(struct ph_qmgr *q, uint64_t id, struct ph_qagent *agent, const char *queue_id)
{
	struct ph_qdelivery *d = ph_alloc(sizeof(*d));

	d->id = id;
	d->agent = agent;
	strncpy(d->queue_id, queue_id, sizeof(d->queue_id) - 1);
	ph_list_append(&agent->deliveries, &d->agent_node);
	agent->busy++;
	ph_htab_putn(&q->deliveries, (const char *)&d->id, sizeof(d->id), d);
	return d;
}

static void delivery_free(struct ph_qmgr *q, struct ph_qdelivery *d)
{
	ph_htab_deln(&q->deliveries, (const char *)&d->id, sizeof(d->id));
	ph_list_del(&d->agent_node);
	d->agent->busy--;
	if (d->rcpts)
		q->n_adopted--;
	free(d->rcpts);
	free(d);
}

static struct ph_entry *delivery_entry(struct ph_qmgr *q, const struct ph_qdelivery *d)
{
	return d->active ? d->active->e : ph_index_find(q->ix, d->queue_id);
}

/* It is over.  dsn, text: why the destination is down. */
static void delivery_done(struct ph_qmgr *q, struct ph_qdelivery *d, enum ph_sched_outcome outcome, const char *dsn, const char *text)
{
	struct ph_active *a = d->active;
	struct ph_sched_batch *b = d->batch;
	uint32_t i, n = b ? b->n : 0;

	if (a && a->adopted) {
		for (i = 0; i < d->n_rcpts; i++) {
			if (d->rcpts[i] < a->env->n_rcpts)
				a->adopted[d->rcpts[i]]--;
		}
	}
	delivery_free(q, d);
	if (b)
		ph_sched_finish(q->sched, b, outcome, dsn, text, ph_now_ms());
	ph_qmgr_pump(q);
	if (a == NULL)
		return;
	a->deliveries--;
	ph_active_less(q, a, n);
	ph_active_check(q, a);
}

/* ---- choosing an agent ---- */

/* Deliveries to one destination go to one agent, which holds connections to it, unless that one has much more to do than another. */
static struct ph_qagent *agent_choose(struct ph_qmgr *q, bool root, const struct ph_sched_dest *dest)
{
	struct ph_qagent *least = NULL, *home = NULL;
	const char *nexthop = ph_sched_dest_nexthop(dest);
	uint64_t hash = ph_hash_bytes(nexthop, strlen(nexthop)), best = 0;

	ph_list_for_each(g, &q->agents, struct ph_qagent, node) {
		uint64_t mix;

		if (g->ipc == NULL || !g->ready || g->stopping || g->root != root)
			continue;
		if (least == NULL || g->busy < least->busy)
			least = g;
		/* Highest score wins: when an agent comes or goes, few destinations move. */
		mix = (hash ^ g->pid) * 0x9e3779b97f4a7c15u;
		mix ^= mix >> 29;
		if (home == NULL || mix > best) {
			home = g;
			best = mix;
		}
	}
	return home && home->busy <= least->busy + SPREAD ? home : least;
}

/* ---- starting ---- */

static void request_rcpts(struct ph_qmgr *q, const struct ph_active *a, const struct ph_sched_batch *b)
{
	uint32_t i;

	if (b->n > q->req_rcpts_cap) {
		q->req_rcpts_cap = b->n + 16;
		q->req_rcpts = ph_realloc(q->req_rcpts, q->req_rcpts_cap * sizeof(q->req_rcpts[0]));
	}
	for (i = 0; i < b->n; i++) {
		const struct ph_active_part *part = ph_active_part(a, b->rcpts[i]);
		uint32_t k = part ? part->rcpt : b->rcpts[i];
		const struct ph_rcpt *r = &a->env->rcpts[k];

		q->req_rcpts[i] = (struct ph_request_rcpt){ .index = k, .original = r->original ? r->original : r->address,
			.address = part ? part->address : a->addresses && a->addresses[k] ? a->addresses[k] : r->address,
			.dsn_orcpt = r->dsn_orcpt, 
			.dsn_notify = part ? ph_parts_notify(r->dsn_notify) : r->dsn_notify, .route = part ? part->route : NULL };
	}
}

bool ph_qmgr_dispatch(struct ph_qmgr *q, struct ph_sched_batch *b)
{
	struct ph_active *a = ph_container_of(b->msg, struct ph_active, sm);
	const char *name = ph_sched_transport_name(ph_sched_dest_transport(b->dest));
	const struct ph_service *s = ph_qmgr_transport_service(q, name);
	struct ph_qagent *g = agent_choose(q, s && !s->unpriv, b->dest);
	struct ph_delivery_request req = {
		.ref = a->ref, .service = name, .nexthop = ph_sched_dest_nexthop(b->dest), .sender = a->env->sender, .envid = a->env->envid,
		.ret = a->env->ret, .encoding = a->env->encoding ? a->env->encoding : "", .flags = a->env->flags,
		.content_bytes = a->env->content_bytes, .arrival_us = a->env->arrival_us, .active_us = a->active_us,
		.n_attrs = a->env->n_attrs, .attrs = a->env->attrs, .n_rcpts = b->n,
	};
	struct ph_qdelivery *d;

	if (g == NULL)
		return false;
	req.id = q->next_delivery;
	request_rcpts(q, a, b);
	req.rcpts = q->req_rcpts;
	if (a->verp_delims)
		req.sender = ph_verp_sender(a->arena, a->env->sender, a->verp_delims, *req.rcpts[0].original ? req.rcpts[0].original : req.rcpts[0].address);
	ph_buf_clear(&q->out);
	if (ph_request_encode(&req, &q->out) < 0 || ph_ipc_send(g->ipc, PH_F_DELIVER, q->out.data, q->out.len) < 0)
		return false;
	q->next_delivery++;
	q->stats.deliveries++;
	g->delivered++;
	d = delivery_new(q, req.id, g, a->ref.queue_id);
	d->active = a;
	d->batch = b;
	b->user = d;
	a->deliveries++;
	return true;
}

/* ---- results ---- */

struct result {
	uint32_t rcpt;
	uint8_t status;
	bool passed;
	const char *route, *address;    /* of a part; NULL: of a recipient */
	struct ph_reason r;
};

static bool result_read(struct ph_unpack *u, struct ph_arena *arena, struct result *x)
{
	x->rcpt = ph_unpack_u32(u);
	x->status = ph_unpack_u8(u);
	x->r.dsn = ph_unpack_str(u, arena);
	x->r.text = ph_unpack_str(u, arena);
	x->r.relay = ph_unpack_str(u, arena);
	x->r.mta = ph_unpack_str(u, arena);
	x->r.diag = ph_unpack_str(u, arena);
	x->passed = ph_unpack_u8(u);
	x->route = x->address = NULL;
	if (!u->bad && u->n > 0) {
		x->route = ph_unpack_str(u, arena);
		x->address = ph_unpack_str(u, arena);
	}
	return !u->bad && x->status <= PH_RESULT_PARTS;
}

/* A part goes to the transport that was named for it, and no further. */
static void part_passed(struct result *x)
{
	static const struct ph_reason loop = { "4.3.5", "mail transport configuration error: passed on in a loop", "none", "", "" };

	if (!x->route || (x->status != PH_RESULT_PASS && x->status != PH_RESULT_PARTS))
		return;
	x->status = PH_DEFERRED;
	x->passed = false;
	x->r = loop;
}

/* Its message is found later. */
static void result_note(struct ph_qmgr *q, const struct ph_qdelivery *d, const struct result *x)
{
	struct ph_journal_rec rec = { .type = x->status == PH_DEFERRED || x->status == PH_RESULT_PARTS ? PH_J_DEFERRED : PH_J_RESULT,
		.rcpt = x->rcpt, .status = x->status, .dsn = { x->r.dsn, strlen(x->r.dsn) }, .text = { x->r.text, strlen(x->r.text) },
		.relay = { x->r.relay, strlen(x->r.relay) }, .mta = { x->r.mta, strlen(x->r.mta) }, .diag = { x->r.diag, strlen(x->r.diag) } };

	if (x->route) {
		rec.type = PH_J_PART;
		rec.blob = ph_part_key(q->scratch, x->address, x->route);
	}
	memcpy(rec.queue_id, d->queue_id, sizeof(rec.queue_id));
	ph_recover_note(q, &rec);
}

static void result_apply(struct ph_qmgr *q, struct ph_qdelivery *d, struct ph_entry *e, const struct result *x)
{
	if (x->route) {
		ph_qmgr_part_result(q, e, x->rcpt, x->address, x->route, x->status, &x->r, x->passed);
	} else if (x->status != PH_RESULT_PARTS) {
		ph_qmgr_apply(q, e, NULL, x->rcpt, x->status, &x->r, x->passed);
	} else {
		ph_qmgr_parts_set(q, e, x->rcpt, &x->r);
		if (d->active)
			ph_qmgr_pass_parts(q, d->active, x->rcpt);
	}
}

static void on_result(struct ph_qmgr *q, struct ph_slice payload)
{
	struct ph_qdelivery *d;
	struct ph_unpack u;
	struct ph_entry *e;
	struct result x;

	ph_unpack_init(&u, payload);
	d = delivery_find(q, ph_unpack_u64(&u));
	ph_arena_reset(q->scratch);
	if (!result_read(&u, q->scratch, &x)) {
		ph_log(PH_LOG_WARNING, "damaged RESULT frame from a delivery agent");
		return;
	}
	q->journal_bytes += payload.n + 80;
	if (d == NULL)
		return;
	e = delivery_entry(q, d);
	part_passed(&x);
	if (x.status == PH_RESULT_PASS && !x.route)     /* one that was adopted has no attempt here: it is tried again later */
		ph_qmgr_pass(q, d->active, x.rcpt, x.r.text, x.r.relay);
	else if (e)
		result_apply(q, d, e, &x);
	else if (!q->recovered && d->active == NULL)
		result_note(q, d, &x);
}

static void on_done(struct ph_qmgr *q, struct ph_slice payload)
{
	struct ph_unpack u;
	struct ph_qdelivery *d;
	bool down;
	const char *dsn, *text;

	ph_unpack_init(&u, payload);
	d = delivery_find(q, ph_unpack_u64(&u));
	down = ph_unpack_u8(&u);
	ph_arena_reset(q->scratch);
	dsn = ph_unpack_str(&u, q->scratch);
	text = ph_unpack_str(&u, q->scratch);
	if (u.bad)
		ph_log(PH_LOG_WARNING, "damaged DONE frame from a delivery agent");
	if (d)
		delivery_done(q, d, down ? PH_SCHED_DEST_DOWN : PH_SCHED_OK, dsn, text);
}

static void on_refused(struct ph_qmgr *q, struct ph_qagent *g, struct ph_slice payload)
{
	struct ph_unpack u;
	struct ph_qdelivery *d;

	ph_unpack_init(&u, payload);
	d = delivery_find(q, ph_unpack_u64(&u));
	if (d == NULL || d->agent != g || d->batch == NULL)
		return;
	g->stopping = true;
	d->active->deliveries--;
	ph_sched_unstart(q->sched, d->batch);
	delivery_free(q, d);
	ph_qmgr_pump(q);
}

static void on_rotated(struct ph_qmgr *q, struct ph_qagent *g, struct ph_slice payload)
{
	struct ph_unpack u;

	ph_unpack_init(&u, payload);
	ph_arena_reset(q->scratch);
	snprintf(g->journal, sizeof(g->journal), "%s", ph_unpack_str(&u, q->scratch));
	g->rotating = false;
	ph_checkpoint_rotated(q);
}

/* ---- coming and going ---- */

bool ph_qmgr_agents_ready(const struct ph_qmgr *q)
{
	return q->agents_known && q->n_expected == 0;
}

static void expected_drop(struct ph_qmgr *q, uint32_t pid)
{
	size_t i;

	for (i = 0; i < q->n_expected; i++) {
		if (q->expected[i] == pid) {
			q->expected[i] = q->expected[--q->n_expected];
			ph_qmgr_pump(q);
			return;
		}
	}
}

static struct ph_qagent *agent_by_pid(struct ph_qmgr *q, uint32_t pid)
{
	ph_list_for_each(g, &q->agents, struct ph_qagent, node) {
		if (g->pid == pid)
			return g;
	}
	return NULL;
}

/* A delivery that an agent has had since before we (or its connection) came. */
static void adopt(struct ph_qmgr *q, struct ph_qagent *g, uint64_t id, const char *queue_id, uint32_t n, struct ph_unpack *u)
{
	struct ph_qdelivery *d = delivery_find(q, id);
	struct ph_entry *e;
	uint32_t i;

	if (d && d->agent == g) {
		d->listed = true;
		for (i = 0; i < n && !u->bad; i++)
			ph_unpack_u32(u);
		return;
	}
	if (d || n > u->n / 4 || !ph_queue_id_valid(queue_id)) {
		u->bad = true;
		return;
	}
	d = delivery_new(q, id, g, queue_id);
	d->listed = true;
	d->n_rcpts = n;
	d->rcpts = ph_alloc((n + 1) * sizeof(d->rcpts[0]));
	q->n_adopted++;
	for (i = 0; i < n; i++)
		d->rcpts[i] = ph_unpack_u32(u);
	e = ph_index_find(q->ix, queue_id);
	if (e && e->active)     /* it came back before the agent did: cannot be, recovered mail waits for the agents */
		ph_log(PH_LOG_WARNING, "%s: already active, but agent %u delivers it, too", queue_id, g->pid);
}

void ph_qmgr_adopt(struct ph_qmgr *q, struct ph_entry *e)
{
	struct ph_active *a = e->active;
	size_t cursor = 0;
	struct ph_qdelivery *d;
	uint32_t i;

	if (q->n_adopted == 0)
		return;
	while ((d = ph_htab_next(&q->deliveries, &cursor, NULL)) != NULL) {
		if (d->batch || d->active || strcmp(d->queue_id, a->ref.queue_id) != 0)
			continue;
		if (a->adopted == NULL)
			a->adopted = ph_arena_alloc(a->arena, a->env->n_rcpts * sizeof(a->adopted[0]));
		d->active = a;
		a->deliveries++;
		for (i = 0; i < d->n_rcpts; i++) {
			if (d->rcpts[i] < a->env->n_rcpts)
				a->adopted[d->rcpts[i]]++;
		}
	}
}

static void hello_deliveries(struct ph_qmgr *q, struct ph_qagent *g, struct ph_unpack *u)
{
	uint32_t n = ph_unpack_u32(u), i;

	ph_list_for_each(d, &g->deliveries, struct ph_qdelivery, agent_node)
		d->listed = false;
	for (i = 0; i < n && !u->bad; i++) {
		uint64_t id = ph_unpack_u64(u);
		const char *queue_id;

		ph_arena_reset(q->scratch);
		queue_id = ph_unpack_str(u, q->scratch);
		adopt(q, g, id, queue_id, ph_unpack_u32(u), u);
	}
	/* What it does not have any more is over: its results stand in the journal, which was read before. */
	if (!u->bad) {
		ph_list_for_each_safe(d, &g->deliveries, struct ph_qdelivery, agent_node) {
			if (!d->listed)
				delivery_done(q, d, PH_SCHED_NEUTRAL, NULL, NULL);
		}
	}
}

static struct ph_qagent *on_hello(struct ph_qmgr *q, struct ph_ipc *ipc, struct ph_slice hello)
{
	struct ph_qagent *g;
	struct ph_unpack u;
	struct ph_err err;
	uint32_t pid;

	ph_unpack_init(&u, hello);
	pid = ph_unpack_u32(&u);
	g = agent_by_pid(q, pid);
	if (g && g->ipc) {
		ph_log(PH_LOG_WARNING, "agent %u connects a second time", pid);
		return NULL;
	}
	if (g == NULL) {
		g = ph_alloc(sizeof(*g));
		g->pid = pid;
		ph_list_init(&g->deliveries);
		ph_list_append(&q->agents, &g->node);
	}
	g->ipc = ipc;
	g->slot = ph_unpack_u8(&u);
	g->root = ph_unpack_u8(&u);
	ph_arena_reset(q->scratch);
	snprintf(g->journal, sizeof(g->journal), "%s", ph_unpack_str(&u, q->scratch));
	/* Results of the time without a connection. */
	if (*g->journal && ph_recover_journal(q, g->journal, &err) < 0)
		ph_log(PH_LOG_WARNING, "%s: %s", g->journal, err.text);
	hello_deliveries(q, g, &u);
	if (u.bad) {                    /* what it has is not known: nothing is given to it, and the connection ends */
		ph_log(PH_LOG_WARNING, "damaged HELLO frame from agent %u", pid);
		return g;
	}
	if (g->rotating)                /* it was told so when nobody listened */
		ph_ipc_send(ipc, PH_F_ROTATE, NULL, 0);
	g->ready = true;
	expected_drop(q, pid);
	q->blocked_since = 0;
	ph_sched_unblock_all(q->sched);
	ph_qmgr_pump(q);
	return g;
}

static void agent_dead(struct ph_qmgr *q, struct ph_qagent *g)
{
	struct ph_err err;

	if (*g->journal && ph_recover_journal(q, g->journal, &err) < 0)
		ph_log(PH_LOG_WARNING, "%s: %s", g->journal, err.text);
	if (g->busy > 0)
		ph_log(PH_LOG_WARNING, "delivery agent %u is gone with %u deliveries under way", g->pid, g->busy);
	ph_list_for_each_safe(d, &g->deliveries, struct ph_qdelivery, agent_node) {
		struct ph_entry *e = delivery_entry(q, d);

		if (e && d->active && e->crashes < CRASHES_MAX) {
			e->crashes++;
			d->active->again = e->crashes < CRASHES_MAX;    /* once at once, then with the usual pause */
		}
		delivery_done(q, d, PH_SCHED_NEUTRAL, NULL, NULL);
	}
	ph_list_del(&g->node);
	if (*g->journal)
		ph_checkpoint_old_file(q, g->journal);
	free(g);
	ph_checkpoint_rotated(q);
}

void ph_qmgr_agent_gone(struct ph_qmgr *q, uint32_t pid, uint8_t slot)
{
	struct ph_qagent *g = agent_by_pid(q, pid);

	/* It ended before it had said hello to us (at a reload it and the queue manager end together): what it has delivered since
	 * we read the journals stands only there. */
	if (g == NULL)
		ph_recover_slot(q, slot);
	expected_drop(q, pid);
	/* With a connection: its last frames have yet to be read; the end of it comes here again. */
	if (g && g->ipc)
		g->lost_ms = -1;
	else if (g)
		agent_dead(q, g);
}

static void lost_main(void *arg)
{
	uint32_t pid = (uint32_t)(uintptr_t)arg;
	struct ph_qagent *g;

	ph_co_sleep(LOST_MS);
	g = agent_by_pid(ph_qmgr, pid);
	if (g && g->ipc == NULL && ph_now_ms() - g->lost_ms >= LOST_MS)
		agent_dead(ph_qmgr, g);
}

static void on_agent_frame(struct ph_qmgr *q, struct ph_qagent *g, uint16_t type, struct ph_slice payload)
{
	switch (type) {
	case PH_F_RESULT:
		on_result(q, payload);
		break;
	case PH_F_DONE:
		on_done(q, payload);
		break;
	case PH_F_REFUSED:
		on_refused(q, g, payload);
		break;
	case PH_F_ROTATED:
		on_rotated(q, g, payload);
		break;
	case PH_F_AGENT_LEAVE:
		g->stopping = true;
		break;
	default:
		ph_log(PH_LOG_WARNING, "unexpected frame %u from agent %u", type, g->pid);
	}
}

/* Yields. */
void ph_qmgr_agent_serve(struct ph_qmgr *q, struct ph_ipc *ipc, struct ph_slice hello)
{
	struct ph_qagent *g = on_hello(q, ipc, hello);
	struct ph_slice payload;
	uint16_t type;

	if (g == NULL)
		return;
	while (g->ready && ph_ipc_recv(ipc, &type, &payload, PH_NEVER) == 0)
		on_agent_frame(q, g, type, payload);
	g->ipc = NULL;
	g->ready = false;
	if (g->lost_ms < 0) {
		agent_dead(q, g);
		return;
	}
	g->lost_ms = ph_now_ms();
	if (q->cfg->control < 0)
		ph_co_spawn("qmgr lost agent", lost_main, (void *)(uintptr_t)g->pid);
}
