/* retry.c: deferred mail: when it is tried again, when it is given up; hold, release, expire, remove.
 *
 * As in Postfix: a message is put off for as long as it has been in the queue, but at least minimal_backoff_time and at most
 * maximal_backoff_time; every queue_run_delay what is due is taken; new and deferred mail take turns while the active queue has room.
 * State: the index's heaps, q->scan_cutoff.  Does not yield. */
#include <stdlib.h>
#include <string.h>

#include "queue/qmgr_private.h"

#define ACTIVATE_AT_ONCE 500    /* per loop turn: each may read a file */
#define REFILL_MS 5000          /* default_recipient_refill_delay, where no transport is to blame */
#define JUMP_MS PH_SECONDS(3600)

/* In whole seconds of the clock, as Postfix counts: a message that is tried when a queue run of one second finds it must be as old there as here. */
int64_t ph_retry_age_ms(const struct ph_qmgr *q, const struct ph_entry *e)
{
	int64_t age = ph_wall_us() / 1000000 - e->arrival_us / 1000000;

	return age > 0 ? PH_SECONDS(age) : 0;
}

bool ph_retry_expired(const struct ph_qmgr *q, const struct ph_entry *e)
{
	int64_t life = ph_entry_sender(e)[0] ? q->set.lifetime_ms : q->set.bounce_lifetime_ms;

	if (e->marks & PH_MARK_EXPIRE)
		return true;
	return ph_retry_age_ms(q, e) >= life && ph_now_ms() >= q->no_expire_until;
}

int ph_qmgr_note(struct ph_qmgr *q, enum ph_journal_type type, const struct ph_entry *e, uint64_t n, int64_t time_ms, bool batched)
{
	struct ph_journal_rec rec = { .type = type, .number = n, .time_ms = time_ms };
	struct ph_err err;
	int r;

	if (q->journal == NULL)         /* a listing without the mail system */
		return 0;
	memcpy(rec.queue_id, ph_entry_queue_id(e), strlen(ph_entry_queue_id(e)) + 1);
	r = batched ? ph_journal_append_batched(q->journal, &rec, &err) : ph_journal_append(q->journal, &rec, &err);
	if (r < 0)
		ph_log(PH_LOG_ERROR, "%s: journal: %s", rec.queue_id, err.text);
	q->journal_bytes += 64;
	return r;
}

void ph_retry_defer(struct ph_qmgr *q, struct ph_entry *e)
{
	int64_t delay = ph_retry_age_ms(q, e);

	e->marks &= ~(uint32_t)PH_MARK_FLUSH;
	if (delay > q->set.maximal_backoff_ms)
		delay = q->set.maximal_backoff_ms;
	if (delay < q->set.minimal_backoff_ms)
		delay = q->set.minimal_backoff_ms;
	/* From the beginning of this second on: the queue run in the second that it falls into takes it. */
	delay -= ph_wall_us() / 1000 % 1000;
	if (e->attempts < UINT16_MAX)
		e->attempts++;
	ph_index_defer(q->ix, e, ph_now_ms() + delay);
	ph_qmgr_note(q, PH_J_RETRY, e, e->attempts, ph_wall_us() / 1000 + delay, true);
}

/* ---- filling the active queue ---- */

static struct ph_entry *next_incoming(const struct ph_qmgr *q)
{
	struct ph_heap_node *n = ph_heap_first(&q->ix->incoming);

	return n ? ph_container_of(n, struct ph_entry, due) : NULL;
}

static struct ph_entry *next_deferred(const struct ph_qmgr *q)
{
	struct ph_heap_node *n = ph_heap_first(&q->ix->deferred);

	if (n == NULL || n->key > q->scan_cutoff || !q->recovered || !ph_qmgr_agents_ready(q))
		return NULL;
	return ph_container_of(n, struct ph_entry, due);
}

void ph_retry_activate(struct ph_qmgr *q)
{
	unsigned n = 0;

	if (q->stopping)
		return;
	while (q->n_active < (size_t)q->set.active_limit && q->n_active_rcpts < (size_t)q->set.recipient_limit) {
		struct ph_entry *in = next_incoming(q), *old = next_deferred(q), *e;

		if (in && !(in->marks & PH_MARK_FRESH) && !(q->recovered && ph_qmgr_agents_ready(q)))
			in = NULL;      /* recovered, and perhaps under way in an agent */
		e = in && old ? (q->turn_from_deferred ? old : in) : in ? in : old;
		if (e == NULL)
			return;
		q->turn_from_deferred = e == in;
		ph_active_start(q, e, NULL);
		if (++n >= ACTIVATE_AT_ONCE) {
			ph_qmgr_pump(q);
			return;
		}
	}
}

void ph_retry_scan(struct ph_qmgr *q)
{
	q->scan_cutoff = ph_now_ms();
	ph_qmgr_pump(q);
}

void ph_retry_now(struct ph_qmgr *q, struct ph_entry *e)
{
	if (e->state != PH_ENTRY_DEFERRED)
		return;
	e->marks |= PH_MARK_FLUSH;
	/* As if it had been due at the last queue run: what else has become due since then waits for the next one. */
	ph_index_defer(q->ix, e, q->scan_cutoff);
	ph_qmgr_pump(q);
}

void ph_retry_flush_all(struct ph_qmgr *q)
{
	struct ph_heap *h = &q->ix->deferred;
	int64_t now = ph_now_ms();
	uint32_t i;

	for (i = 0; i < h->n; i++) {            /* keys that are all the same need no sorting */
		if (h->nodes[i]->key > now)
			h->nodes[i]->key = now;
		ph_container_of(h->nodes[i], struct ph_entry, due)->marks |= PH_MARK_FLUSH;
	}
	/* Smaller keys stand above larger ones still: min(key, now) keeps the order of a heap. */
	ph_sched_revive_all(q->sched);
	ph_retry_scan(q);
}

/* ---- once a second ---- */

static void watch_clock(struct ph_qmgr *q)
{
	int64_t offset = ph_wall_us() / 1000 - ph_now_ms_exact(), jump = offset - q->wall_minus_mono_ms;

	q->wall_minus_mono_ms = offset;
	if (jump < JUMP_MS)
		return;
	q->no_expire_until = ph_now_ms() + JUMP_MS;
	ph_log(PH_LOG_WARNING, "the clock has jumped forward by %lld seconds: no mail is returned as expired for an hour", (long long)(jump / 1000));
}

static void warn_clog(struct ph_qmgr *q)
{
	struct ph_sched_dest_info info, worst = { 0 };
	struct ph_sched_dest *d;
	size_t cursor = 0;

	if (q->set.clog_warn_ms == 0 || !q->set.helpful_warnings || ph_now_ms() < q->next_clog_warning ||
	    (q->n_active < (size_t)q->set.active_limit && q->n_active_rcpts < (size_t)q->set.recipient_limit))
		return;
	while ((d = ph_sched_dest_next(q->sched, &cursor)) != NULL) {
		ph_sched_dest_info(d, &info);
		if (info.waiting > worst.waiting)
			worst = info;
	}
	if (worst.name == NULL || (size_t)worst.waiting * 5 < q->n_active_rcpts * 4)
		return;
	q->next_clog_warning = ph_now_ms() + q->set.clog_warn_ms;
	ph_log(PH_LOG_WARNING, "mail for %s is using up %u of %zu active queue entries", worst.name, worst.waiting, q->n_active_rcpts);
	ph_log(PH_LOG_WARNING, "you may need a separate master.cf transport for %s", worst.name);
}

static void watch_blocked(struct ph_qmgr *q)
{
	struct ph_sched_transport_info info;
	size_t cursor = 0;

	if (q->blocked_since == 0)
		return;
	if (ph_now_ms() - q->blocked_since > PH_SECONDS(60)) {
		/* No agent for a minute: the mail shall not hang without a word. */
		q->blocked_since = 0;
		while (ph_sched_transport_next(q->sched, &cursor, &info)) {
			if (info.waiting > 0 && info.blocked) {
				ph_log(PH_LOG_WARNING, "transport %s: no delivery agent", info.name);
				ph_sched_transport_down(q->sched, ph_sched_transport(q->sched, info.name), "4.3.0",
							"mail transport unavailable", ph_now_ms());
			}
		}
	}
	ph_sched_unblock_all(q->sched);         /* try again */
	ph_qmgr_pump(q);
}

/* Messages whose recipients are read in portions: the next one, if the time for it has come. */
static void refill(struct ph_qmgr *q)
{
	ph_list_for_each_safe(a, &q->partial, struct ph_active, work) {
		int64_t delay = a->full ? ph_sched_transport_params(a->full)->refill_delay_ms : REFILL_MS;

		if (ph_now_ms() - a->filled_ms < delay || q->n_active_rcpts >= (size_t)q->set.recipient_limit ||
		    (a->full && ph_sched_transport_room(a->full, false) <= 0))
			continue;
		a->phase = PH_PHASE_RESOLVE;
		ph_list_del(&a->work);
		ph_list_append(&q->to_resolve, &a->work);
		ph_resolve_kick(q);
	}
}

void ph_retry_tick(struct ph_qmgr *q)
{
	watch_clock(q);
	warn_clog(q);
	watch_blocked(q);
	refill(q);
	ph_qmgr_throttle(q);
	if (q->recovered && q->ticks % 30 == 15)
		ph_stray_tick(q);
	if (q->recovered && ++q->ticks % 10 == 0) {
		ph_qmgr_own_open(q);
		ph_list_for_each_safe(seg, &q->ix->segments, struct ph_segment, node)
			ph_segment_check(q, seg);
		ph_stored_cache_trim();
	}
	ph_checkpoint_maybe(q);
	ph_compact_maybe(q);
}

/* ---- commands ---- */

void ph_qmgr_hold(struct ph_qmgr *q, struct ph_entry *e)
{
	if (e->state == PH_ENTRY_HOLD)
		return;
	ph_qmgr_note(q, PH_J_HOLD, e, 0, ph_wall_us() / 1000, true);
	if (e->active) {
		e->active->hold = true;
		ph_active_withdraw(q, e->active);
	} else {
		ph_index_state(q->ix, e, PH_ENTRY_HOLD);
	}
}

void ph_qmgr_release(struct ph_qmgr *q, struct ph_entry *e)
{
	if (e->active && e->active->hold) {
		ph_qmgr_note(q, PH_J_RELEASE, e, 0, ph_wall_us() / 1000, true);
		e->active->hold = false;
		e->active->again = true;
		return;
	}
	if (e->state != PH_ENTRY_HOLD)
		return;
	ph_qmgr_note(q, PH_J_RELEASE, e, 0, ph_wall_us() / 1000, true);
	ph_index_defer(q->ix, e, ph_now_ms());          /* as in Postfix: the next queue run takes it */
}

void ph_qmgr_expire(struct ph_qmgr *q, struct ph_entry *e, bool release)
{
	if (!(e->marks & PH_MARK_EXPIRE)) {
		e->marks |= PH_MARK_EXPIRE;
		ph_qmgr_note(q, PH_J_EXPIRE, e, 0, 0, true);
	}
	if (release)
		ph_qmgr_release(q, e);
}

void ph_qmgr_remove(struct ph_qmgr *q, struct ph_entry *e, bool log)
{
	struct ph_segment *seg = e->segment;
	struct ph_active *a = e->active;

	ph_qmgr_note(q, PH_J_REMOVED, e, 0, 0, true);
	if (log)
		ph_log(PH_LOG_INFO, "%s: removed", ph_entry_queue_id(e));
	if (a) {
		a->e = NULL;
		e->active = NULL;
	}
	ph_index_remove(q->ix, e);
	if (a)
		ph_active_withdraw(q, a);
	ph_segment_check(q, seg);
}
