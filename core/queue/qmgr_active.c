/* qmgr_active.c: active messages: from the index into the scheduler, and what happens when an attempt has ended.
 *
 * An attempt: every recipient that is still to be delivered is resolved (qmgr_resolve.c), scheduled, and gets a result. Then the
 * notifications that are due are sent (by a coroutine, since that takes time), and the message is removed or deferred.
 * State: struct ph_active and the lists of struct ph_qmgr.  Only the workers at the end yield. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "queue/parts.h"
#include "queue/qmgr_private.h"

#define POOL_MAX 512
#define ENDERS_MAX 50           /* notifications sent at once */
#define REFILL 100              /* recipients */

/* ---- begin ---- */

static struct ph_active *active_get(struct ph_qmgr *q)
{
	struct ph_active *a = q->pool;
	struct ph_arena *arena;

	if (a) {
		q->pool = (struct ph_active *)(void *)a->work.next;
		q->n_pool--;
		arena = a->arena;
		memset(a, 0, sizeof(*a));
		a->arena = arena;
	} else {
		a = ph_alloc(sizeof(*a));
		a->arena = ph_arena_new();
	}
	ph_list_init(&a->node);
	ph_list_init(&a->work);
	ph_sched_msg_init(&a->sm);
	return a;
}

static void active_put(struct ph_qmgr *q, struct ph_active *a)
{
	ph_list_del(&a->node);
	ph_list_del(&a->work);
	if (q->n_pool >= POOL_MAX || ph_arena_bytes(a->arena) > 65536) {
		ph_arena_free(&a->arena);
		free(a);
		return;
	}
	ph_arena_reset(a->arena);
	a->work.next = (struct ph_list *)(void *)q->pool;
	q->pool = a;
	q->n_pool++;
}

/* The message cannot be read: out of the queue (its bytes go to corrupt/) or later, by the error. */
static void unreadable(struct ph_qmgr *q, struct ph_entry *e, const struct ph_msg_ref *ref, const struct ph_err *err)
{
	if (err->code == -EPROTO || err->code == -EBADMSG || err->code == -ENOENT) {
		ph_log(PH_LOG_WARNING, "%s: cannot be read: %s; saving what is there in corrupt", ref->queue_id, err->text);
		if (err->code != -ENOENT)
			ph_store_quarantine(q->dirfd, ref, err->text);
		ph_qmgr_remove(q, e, false);
		return;
	}
	ph_log(PH_LOG_WARNING, "%s: cannot be read now: %s", ref->queue_id, err->text);
	ph_index_defer(q->ix, e, ph_now_ms() + q->set.minimal_backoff_ms);
}

/* Without those that an alias replaced, with those that a filter deleted. */
static size_t rcpts_of(const struct ph_envelope *env)
{
	const char *deleted = ph_envelope_attr(env, "deleted_recipients");
	size_t n = deleted ? (size_t)strtoul(deleted, NULL, 10) : 0;

	for (size_t i = 0; i < env->n_rcpts; i++)
		n += !(env->rcpts[i].dsn_notify & PH_NOTIFY_EXPANDED);
	return n;
}

static void active_begin(struct ph_qmgr *q, struct ph_active *a, struct ph_entry *e)
{
	const struct ph_envelope *env = a->env;

	a->e = e;
	e->active = a;
	a->segment = e->segment;
	a->segment->live++;             /* its bytes stay while somebody reads them */
	a->active_us = ph_wall_us();
	a->phase = PH_PHASE_RESOLVE;
	ph_index_state(q->ix, e, PH_ENTRY_ACTIVE);
	e->marks &= ~(uint32_t)PH_MARK_FRESH;
	ph_list_append(&q->active, &a->node);
	q->n_active++;
	a->line = ph_qmgr_line(q, env);
	if (env->flags & PH_ENV_VERP) {
		a->verp_delims = ph_envelope_attr(env, "verp_delimiters");
		if (a->verp_delims == NULL || strlen(a->verp_delims) != 2)
			a->verp_delims = "+=";
		a->sm.single = true;
	}
	if (!(env->flags & PH_ENV_REFUSED))
		ph_log_under(a->line ? a->line->syslog_name : NULL, PH_LOG_INFO, "%s: from=<%s>, size=%lld, nrcpt=%zu (queue active)", a->ref.queue_id,
		       *env->sender ? ph_address_quote(a->arena, env->sender) : "", (long long)env->content_bytes, rcpts_of(env));
	if (a->verp_delims)
		ph_log(PH_LOG_DEBUG, "%s: enabling VERP for sender \"%s\"", a->ref.queue_id, env->sender);
	ph_qmgr_adopt(q, e);
	a->expire_now = (e->marks & PH_MARK_EXPIRE) != 0;
	ph_list_append(&q->to_resolve, &a->work);
	ph_resolve_kick(q);
}

/* env: decoded in the arena of an active that is handed over in it, see ph_qmgr_add; NULL: it is read from the store. */
struct ph_active *ph_active_start(struct ph_qmgr *q, struct ph_entry *e, const struct ph_envelope *env)
{
	struct ph_active *a = active_get(q);
	struct ph_stored *stored;
	struct ph_err err;

	(void)env;
	ph_entry_ref(e, &a->ref);
	if (ph_stored_open(q->dirfd, &a->ref, a->arena, &stored, &err) < 0) {
		unreadable(q, e, &a->ref, &err);
		active_put(q, a);
		return NULL;
	}
	if (stored->env == NULL || stored->env->n_rcpts != e->n_rcpts) {
		ph_err_set(&err, -EPROTO, "its envelope has changed");
		unreadable(q, e, &a->ref, &err);
		active_put(q, a);
		return NULL;
	}
	a->env = stored->env;
	active_begin(q, a, e);
	return a;
}

/* A message was announced.  Its envelope is read once and serves the first attempt, when there is room for that.  Without an envelope it is announced
 * again: an agent may have had it since before we came, so it waits for the agents like what recovery finds. */
void ph_qmgr_add(struct ph_qmgr *q, const struct ph_msg_ref *ref, struct ph_slice envelope, const struct ph_envelope *env)
{
	struct ph_active *a;
	struct ph_entry *e;
	struct ph_stored *stored;
	struct ph_err err;
	int r = 0;

	if (ph_index_find(q->ix, ref->queue_id))
		return;
	a = active_get(q);
	a->ref = *ref;
	if (envelope.n > 0)
		r = ph_envelope_decode(envelope, a->arena, &a->env, &err);
	else if ((r = ph_stored_open(q->dirfd, ref, a->arena, &stored, &err)) == 0)
		a->env = stored->env;
	if (r < 0 || a->env == NULL) {
		if (r != -ENOENT)       /* announced again after it was delivered */
			ph_log(PH_LOG_WARNING, "%s: announced, but cannot be read: %s", ref->queue_id, r < 0 ? err.text : "no envelope");
		active_put(q, a);
		return;
	}
	if (ph_recover_announced(q, ref, a->env)) {
		active_put(q, a);
		ph_qmgr_pump(q);
		return;
	}
	e = ph_index_add(q->ix, ref, a->env);
	if (!ph_claim(q, ref->queue_id, a->env, q->taking_stray)) {
		active_put(q, a);
		ph_qmgr_remove(q, e, false);
		return;
	}
	q->arrived++;
	if (envelope.n == 0)
		e->marks &= ~(uint32_t)PH_MARK_FRESH;
	if (e->state == PH_ENTRY_HOLD) {
		active_put(q, a);
		return;
	}
	if (ph_heap_first(&q->ix->incoming) || !(e->marks & PH_MARK_FRESH) || q->n_active >= (size_t)q->set.active_limit ||
	    q->n_active_rcpts >= (size_t)q->set.recipient_limit || q->stopping) {
		active_put(q, a);
		ph_index_enqueue(q->ix, e);
		ph_qmgr_pump(q);
		return;
	}
	active_begin(q, a, e);
}

/* ---- results ---- */

/* Is something still to be said about a recipient that was delivered? */
static bool keep_sent(const struct ph_qmgr *q, const struct ph_entry *e, uint32_t i, bool dsn_passed)
{
	unsigned notify = e->rcpts[i].notify;

	if ((e->flags & PH_ENV_TRACE) && !(e->marks & PH_MARK_TRACED))
		return true;
	if (e->flags & PH_ENV_TRACE_ONLY)
		return true;
	if (notify & PH_NOTIFY_NEVER)
		return false;
	if ((notify & PH_NOTIFY_SUCCESS) && !dsn_passed)
		return true;
	return ph_entry_sender(e)[0] && q->set.confirm_delay_cleared && (e->marks & PH_MARK_WARNED) && (notify == 0 || (notify & PH_NOTIFY_DELAY));
}

void ph_qmgr_settle(struct ph_qmgr *q, struct ph_entry *e, const struct ph_envelope *env, uint32_t rcpt,
		    enum ph_delivery_status status, const struct ph_reason *reason, bool dsn_passed)
{
	struct ph_reason before;

	if (rcpt >= e->n_rcpts)
		return;
	if (e->active)
		e->rcpts[rcpt].order = e->active->results < UINT16_MAX ? ++e->active->results : UINT16_MAX;
	if (e->flags & PH_ENV_VERIFY) {
		ph_qmgr_verify_result(q, e, env ? env : e->active ? e->active->env : NULL, rcpt, status, reason ? reason->text : "");
		ph_index_result(q->ix, e, rcpt, PH_RCPT_CLOSED, NULL);
		return;
	}
	switch (status) {
	case PH_SENT:
		q->stats.sent++;
		if (keep_sent(q, e, rcpt, dsn_passed))
			ph_index_result(q->ix, e, rcpt, PH_RCPT_SENT, reason);
		else
			ph_index_result(q->ix, e, rcpt, PH_RCPT_CLOSED, NULL);
		break;
	case PH_BOUNCED:
		q->stats.bounced++;
		if (!ph_notify_bounced(q, e, rcpt))
			ph_index_result(q->ix, e, rcpt, PH_RCPT_CLOSED, NULL);
		else
			ph_index_result(q->ix, e, rcpt, PH_RCPT_BOUNCED, reason);
		break;
	case PH_DEFERRED:
		q->stats.deferred++;
		/* What is left to be done of an expanded recipient is not replaced by what was said before it was. */
		if (reason && ph_entry_reason(q->ix, e, rcpt, &before) && ph_parts_pending(before.diag))
			break;
		ph_index_result(q->ix, e, rcpt, PH_RCPT_TODO, reason);
		break;
	}
}

void ph_qmgr_apply(struct ph_qmgr *q, struct ph_entry *e, const struct ph_envelope *env, uint32_t rcpt,
		   enum ph_delivery_status status, const struct ph_reason *reason, bool dsn_passed)
{
	bool soft = status == PH_BOUNCED && q->set.soft_bounce && !(e->flags & PH_ENV_VERIFY);

	ph_qmgr_settle(q, e, env, rcpt, soft ? PH_DEFERRED : status, reason, dsn_passed);
}

static void log_result(struct ph_qmgr *q, const struct ph_active *a, uint32_t i, enum ph_delivery_status status, const char *prog,
		       const char *dsn, const char *text)
{
	const struct ph_active_part *passed = ph_active_part(a, i);
	const struct ph_rcpt *r = &a->env->rcpts[passed ? passed->rcpt : i];
	const char *to = passed ? passed->address : a->addresses && a->addresses[i] ? a->addresses[i] : r->address;
	int64_t now = ph_wall_us(), part[3] = { now - a->env->arrival_us, a->active_us - a->env->arrival_us, now - a->active_us };
	char delay[3][24], orig[400] = "";
	int k;

	for (k = 0; k < 3; k++)
		ph_delay_format(part[k], q->set.delay_digits, delay[k], sizeof(delay[k]));
	if (r->original && *r->original && !ph_str_fold_eq(r->original, to, true))
		snprintf(orig, sizeof(orig), " orig_to=<%s>,", ph_address_quote(a->arena, r->original));
	ph_log_as(prog, PH_LOG_INFO, "%s: to=<%s>,%s relay=none, delay=%s, delays=%s/%s/0/0, dsn=%s, status=%s (%s)", a->ref.queue_id,
		  ph_address_quote(a->arena, to), orig, delay[0], delay[1], delay[2], dsn,
		  a->env->flags & PH_ENV_VERIFY ? (status == PH_SENT ? "deliverable" : "undeliverable")
		  : status == PH_SENT ? "sent" : status == PH_DEFERRED ? "deferred" : "bounced", text);
}

void ph_qmgr_result(struct ph_qmgr *q, struct ph_active *a, uint32_t rcpt, enum ph_delivery_status status, const char *prog,
		    const char *dsn, const char *text)
{
	struct ph_journal_rec rec = { .type = status == PH_DEFERRED ? PH_J_DEFERRED : PH_J_RESULT, .rcpt = rcpt };
	const struct ph_active_part *part = ph_active_part(a, rcpt);
	struct ph_reason reason = { dsn, text, "none", "", "" };
	struct ph_err err;

	if (a->e == NULL)
		return;
	if (part) {
		rec.type = PH_J_PART;
		rec.rcpt = part->rcpt;
		rec.blob = ph_part_key(a->arena, part->address, part->route);
	}
	memcpy(rec.queue_id, a->ref.queue_id, sizeof(rec.queue_id));
	rec.status = (uint8_t)status;
	rec.time_ms = ph_wall_us() / 1000;
	rec.dsn = (struct ph_slice){ dsn, strlen(dsn) };
	rec.text = (struct ph_slice){ text, strlen(text) };
	rec.relay = (struct ph_slice){ "none", 4 };
	if (!(a->env->flags & PH_ENV_VERIFY) && ph_journal_append_batched(q->journal, &rec, &err) < 0)
		ph_log(PH_LOG_ERROR, "%s: result cannot be recorded: %s", a->ref.queue_id, err.text);
	q->journal_bytes += 100 + rec.text.n;
	log_result(q, a, rcpt, status, prog, dsn, text);
	if (part)
		ph_qmgr_part_result(q, a->e, part->rcpt, part->address, part->route, status, &reason, false);
	else
		ph_qmgr_apply(q, a->e, a->env, rcpt, status, &reason, false);
}

/* ---- end ---- */

void ph_active_free(struct ph_qmgr *q, struct ph_active *a)
{
	struct ph_segment *seg = a->segment;

	ph_assert(a->deliveries == 0 && a->sm.waiting == 0 && !a->resolving);
	if (a->e)
		a->e->active = NULL;
	q->n_active--;
	active_put(q, a);
	ph_assert(seg->live > 0);
	seg->live--;
	ph_segment_check(q, seg);
	ph_qmgr_pump(q);
}

static bool all_closed(const struct ph_entry *e)
{
	uint32_t i;

	if (e->n_todo > 0)
		return false;
	for (i = 0; i < e->n_rcpts; i++) {
		if (e->rcpts[i].state != PH_RCPT_CLOSED)
			return false;
	}
	return true;
}

/* The attempt and its notifications are over. */
static void active_finish(struct ph_qmgr *q, struct ph_active *a)
{
	const struct ph_qmgr_line *line = a->line;
	struct ph_entry *e = a->e;
	bool hold = a->hold, told;

	ph_active_free(q, a);
	if (e == NULL)
		return;
	if (all_closed(e)) {
		q->finished++;
		told = !(e->flags & PH_ENV_REFUSED);
		if (told && line)
			ph_log_under(line->syslog_name, PH_LOG_INFO, "%s: removed", ph_entry_queue_id(e));
		ph_qmgr_remove(q, e, told && !line);
	} else if (hold) {
		ph_index_state(q->ix, e, PH_ENTRY_HOLD);
	} else {
		ph_retry_defer(q, e);
	}
}

static void ender_main(void *arg)
{
	struct ph_qmgr *q = arg;
	struct ph_active *a;

	while (!q->stopping) {
		struct ph_list *n = ph_list_pop(&q->to_end);

		if (n == NULL) {
			q->enders_idle++;
			if (ph_waitq_wait(&q->end_wait, ph_now_ms() + 10000) == -ETIMEDOUT) {
				q->enders_idle--;
				break;
			}
			q->enders_idle--;
			continue;
		}
		a = ph_list_entry(n, struct ph_active, work);
		ph_list_init(&a->work);
		if (a->e)
			ph_notify_send(q, a);
		active_finish(q, a);
	}
	q->enders--;
}

static void ender_kick(struct ph_qmgr *q)
{
	if (q->enders_idle > 0)
		ph_waitq_wake_one(&q->end_wait);
	else if (q->enders < ENDERS_MAX) {
		q->enders++;
		ph_co_spawn("qmgr notify", ender_main, q);
	}
}

static void begin_again(struct ph_active *a)
{
	a->again = false;
	a->cursor = 0;
	if (a->passed)
		memset(a->passed, 0, a->env->n_rcpts);
}

void ph_active_check(struct ph_qmgr *q, struct ph_active *a)
{
	if (a->phase != PH_PHASE_DELIVER || a->resolving || a->sm.waiting || a->sm.busy || a->deliveries)
		return;
	if (a->e && !a->hold && (a->cursor < a->env->n_rcpts || (a->again && a->e->n_todo > 0))) {
		if (a->again)
			begin_again(a);
		a->phase = PH_PHASE_RESOLVE;
		ph_list_del(&a->work);
		ph_list_append(&q->to_resolve, &a->work);
		ph_resolve_kick(q);
		return;
	}
	a->phase = PH_PHASE_END;
	ph_list_del(&a->work);
	if (a->e && ph_notify_wanted(q, a)) {
		ph_list_append(&q->to_end, &a->work);
		ender_kick(q);
		return;
	}
	active_finish(q, a);
}

void ph_active_less(struct ph_qmgr *q, struct ph_active *a, uint32_t n)
{
	a->counted -= n;
	q->n_active_rcpts -= n;
	if (a->sm.unread == 0 || a->phase != PH_PHASE_DELIVER || a->resolving || a->e == NULL || a->hold)
		return;
	/* In portions (recipient_refill_limit): reading a few at a time would keep the small batches small. */
	if (a->counted == 0 || (a->full ? ph_sched_transport_room(a->full, false) >= ph_sched_transport_params(a->full)->refill_limit :
				q->n_active_rcpts + REFILL <= (size_t)q->set.recipient_limit)) {
		a->phase = PH_PHASE_RESOLVE;
		ph_list_del(&a->work);
		ph_list_append(&q->to_resolve, &a->work);
		ph_resolve_kick(q);
	}
}

/* Held or deleted: nothing more is started; what is under way comes to its end. */
void ph_active_withdraw(struct ph_qmgr *q, struct ph_active *a)
{
	uint32_t before = a->sm.waiting;

	ph_sched_withdraw(q->sched, &a->sm);
	before -= a->sm.waiting;
	a->counted -= before;
	q->n_active_rcpts -= before;
	a->sm.unread = 0;
	if (a->phase == PH_PHASE_RESOLVE && !a->resolving) {
		ph_list_del(&a->work);
		a->phase = PH_PHASE_DELIVER;
	}
	a->cursor = (uint32_t)a->env->n_rcpts;
	ph_active_check(q, a);
}

/* ---- the pump ---- */

static void drain_dead(struct ph_qmgr *q)
{
	struct ph_sched_batch *b;
	const char *dsn, *text;
	uint32_t i;

	while ((b = ph_sched_next_dead(q->sched, &dsn, &text)) != NULL) {
		struct ph_active *a = ph_container_of(b->msg, struct ph_active, sm);

		for (i = 0; i < b->n; i++)
			ph_qmgr_result(q, a, b->rcpts[i], PH_DEFERRED, "error", dsn, text);
		ph_active_less(q, a, b->n);
		ph_sched_drop(q->sched, b);
		ph_active_check(q, a);
	}
}

static void pump(void *arg)
{
	struct ph_qmgr *q = arg;
	struct ph_sched_batch *b;
	int64_t wake = INT64_MAX;

	q->pump_pending = false;
	drain_dead(q);
	while ((b = ph_sched_next(q->sched, ph_now_ms(), &wake)) != NULL) {
		if (!ph_qmgr_dispatch(q, b)) {
			struct ph_sched_transport *t = ph_sched_dest_transport(b->dest);

			ph_sched_unstart(q->sched, b);
			ph_sched_transport_block(q->sched, t, true);
			if (q->blocked_since == 0)
				q->blocked_since = ph_now_ms();
		}
	}
	drain_dead(q);
	ph_retry_activate(q);
	if (wake != INT64_MAX)
		ph_timer_set(q->pump_timer, wake);
}

void ph_qmgr_pump(struct ph_qmgr *q)
{
	if (q->pump_pending || q->offline)
		return;
	q->pump_pending = true;
	ph_loop_defer(pump, q);
}
