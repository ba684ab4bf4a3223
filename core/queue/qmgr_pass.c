/* qmgr_pass.c: recipients that their transport hands to another: as they are, or in parts (an alias with several members of which mailbox_transport takes some).
 *
 * What is left to be done of an expanded recipient stands in its reason (parts.h): recorded by the agent that expanded it, before anything of it is handed
 * on, kept by checkpoints, and shortened as the parts get their results.  So nothing of it is expanded, or delivered, a second time because another part has to
 * wait.  The scheduler knows parts by numbers behind those of the envelope's recipients, for the time of one attempt.  Does not yield. */
#include <string.h>

#include "queue/parts.h"
#include "queue/qmgr_private.h"

_Static_assert(PH_PARTS_MAX <= PH_REASON_TEXT_MAX, "parts of a recipient would be cut");

const struct ph_active_part *ph_active_part(const struct ph_active *a, uint32_t i)
{
	return i < a->env->n_rcpts ? NULL : &a->parts[i - a->env->n_rcpts];
}

/* false: no route. */
static bool schedule(struct ph_qmgr *q, struct ph_active *a, uint32_t i, const char *address, const char *route)
{
	const char *colon = strchr(route, ':');
	struct ph_resolved r = { .cls = PH_CLASS_DEFAULT };

	if (!colon)
		return false;
	r.recipient = ph_arena_strdup(a->arena, address);
	r.transport = ph_arena_strndup(a->arena, route, (size_t)(colon - route));
	r.nexthop = ph_arena_strdup(a->arena, colon + 1);
	a->sm.single = true;            /* as it would be without the queue manager in between */
	ph_qmgr_schedule(q, a, i, r.recipient, &r);
	ph_qmgr_pump(q);
	return true;
}

void ph_qmgr_pass(struct ph_qmgr *q, struct ph_active *a, uint32_t i, const char *address, const char *route)
{
	if (a == NULL || a->e == NULL || a->hold || i >= a->env->n_rcpts || a->e->rcpts[i].state != PH_RCPT_TODO)
		return;
	if (a->passed == NULL)
		a->passed = ph_arena_alloc(a->arena, a->env->n_rcpts);
	if (a->passed[i]++ || !schedule(q, a, i, address, route))
		ph_qmgr_result(q, a, i, PH_DEFERRED, "error", "4.3.5", "mail transport configuration error: passed on in a loop");
}

static uint32_t part_add(struct ph_active *a, uint32_t rcpt, const struct ph_part *p)
{
	if (a->n_parts == a->cap_parts) {
		struct ph_active_part *more;

		a->cap_parts = a->cap_parts ? 2 * a->cap_parts : 8;
		more = ph_arena_alloc(a->arena, a->cap_parts * sizeof(*more));
		if (a->n_parts)
			memcpy(more, a->parts, a->n_parts * sizeof(*more));
		a->parts = more;
	}
	a->parts[a->n_parts] = (struct ph_active_part){ rcpt, p->address, p->route };
	return (uint32_t)a->env->n_rcpts + a->n_parts++;
}

/* Were parts of it left to be done before? */
static bool pending(const struct ph_qmgr *q, const struct ph_entry *e, uint32_t i, struct ph_reason *ret)
{
	return i < e->n_rcpts && e->rcpts[i].state == PH_RCPT_TODO && ph_entry_reason(q->ix, e, i, ret) && ph_parts_pending(ret->diag);
}

void ph_qmgr_parts_set(struct ph_qmgr *q, struct ph_entry *e, uint32_t i, const struct ph_reason *reason)
{
	struct ph_reason before;

	if (!pending(q, e, i, &before))
		ph_index_result(q->ix, e, i, PH_RCPT_TODO, reason);
}

bool ph_qmgr_pass_parts(struct ph_qmgr *q, struct ph_active *a, uint32_t i)
{
	struct ph_parts list;
	struct ph_reason r;

	if (a->e == NULL || !pending(q, a->e, i, &r))
		return false;
	list = ph_parts_read(ph_arena_strdup(a->arena, r.diag), a->arena);
	for (size_t k = 0; k < list.n && a->e && !a->hold; k++) {
		uint32_t number;

		if (list.part[k].state != PH_PART_PENDING)
			continue;
		number = part_add(a, i, &list.part[k]);
		if (!schedule(q, a, number, list.part[k].address, list.part[k].route))
			ph_qmgr_result(q, a, number, PH_DEFERRED, "error", "4.3.5", "mail transport configuration error: no next hop");
	}
	return true;
}

/* All parts have their results: what bounced was not softened (soft_bounce) when it did, and nothing of it may be begun again. */
static void finish(struct ph_qmgr *q, struct ph_entry *e, uint32_t rcpt, const char *diag, struct ph_reason *reason, struct ph_arena *arena)
{
	struct ph_parts list = ph_parts_read(diag, arena);
	const struct ph_part *bounced = NULL;
	bool relayed = true, told = false, expanded = ph_parts_expanded(diag);

	for (size_t i = 0; i < list.n; i++) {
		if (list.part[i].state == PH_PART_BOUNCED && !bounced)
			bounced = &list.part[i];
		told = told || list.part[i].state == PH_PART_TOLD;
		relayed = relayed && list.part[i].state == PH_PART_RELAYED;
	}
	if (told && !bounced) {         /* the sender knows what there is to know */
		ph_index_result(q->ix, e, rcpt, PH_RCPT_CLOSED, NULL);
		return;
	}
	reason->diag = bounced ? diag : expanded ? PH_PARTS_EXPANDED : "";
	if (bounced) {
		reason->dsn = bounced->dsn;
		reason->text = bounced->text;
	} else if (reason->dsn[0] != '2') {
		reason->dsn = "2.0.0";
		reason->text = "all parts were delivered";
	}
	ph_qmgr_settle(q, e, NULL, rcpt, bounced ? PH_BOUNCED : PH_SENT, reason, relayed && !expanded);
}

void ph_qmgr_part_result(struct ph_qmgr *q, struct ph_entry *e, uint32_t rcpt, const char *address, const char *route,
			 enum ph_delivery_status status, const struct ph_reason *reason, bool dsn_passed)
{
	struct ph_arena *arena;
	struct ph_reason r, now;
	struct ph_part result;
	const char *diag;

	if (!pending(q, e, rcpt, &r))
		return;
	if (status == PH_BOUNCED && q->set.soft_bounce)
		status = PH_DEFERRED;
	arena = ph_arena_new();
	result = (struct ph_part){ .dsn = reason->dsn, .text = reason->text, 
		.diag = *reason->diag && !ph_parts_are(reason->diag) ? reason->diag : NULL, .mta = *reason->mta ? reason->mta : NULL };
	diag = ph_parts_settle(r.diag, arena, address, route, status, dsn_passed, &result);
	if (diag == NULL)
		goto out;                       /* it had its result before */
	/* What the lists show: why the last one that waits does so. */
	now = status == PH_DEFERRED || !ph_parts_pending(diag) ? *reason : (struct ph_reason){ ph_arena_strdup(arena, r.dsn),
		ph_arena_strdup(arena, r.text), ph_arena_strdup(arena, r.relay), ph_arena_strdup(arena, r.mta), "" };
	now.diag = diag;
	if (!ph_parts_pending(diag)) {
		finish(q, e, rcpt, diag, &now, arena);
	} else {
		q->stats.deferred += status == PH_DEFERRED;
		ph_index_result(q->ix, e, rcpt, PH_RCPT_TODO, &now);
	}
out:
	ph_arena_free(&arena);
}

void ph_qmgr_part_told(struct ph_qmgr *q, struct ph_entry *e, uint32_t rcpt, const char *address)
{
	struct ph_arena *arena;
	struct ph_reason r, now;
	const char *diag;

	if (!pending(q, e, rcpt, &r))
		return;
	arena = ph_arena_new();
	diag = ph_parts_told(r.diag, arena, address);
	if (diag) {
		now = (struct ph_reason){ ph_arena_strdup(arena, r.dsn), ph_arena_strdup(arena, r.text), ph_arena_strdup(arena, r.relay),
			ph_arena_strdup(arena, r.mta), diag };
		ph_index_result(q->ix, e, rcpt, PH_RCPT_TODO, &now);
	}
	ph_arena_free(&arena);
}
