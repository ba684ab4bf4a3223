/* recover_told.c: what journals say about messages, kept by queue id until the messages turn up, and what it makes of them then.
 * State: r->told, its values in r->arena. */
#include <stdlib.h>
#include <string.h>

#include "base/pack.h"
#include "queue/parts.h"
#include "queue/record.h"
#include "queue/recover_private.h"

struct ph_told *ph_told_get(struct ph_recovery *r, const char *queue_id)
{
	struct ph_told *t = ph_htab_get(&r->told, queue_id);

	if (t == NULL) {
		t = ph_arena_alloc(r->arena, sizeof(*t));
		snprintf(t->queue_id, sizeof(t->queue_id), "%s", queue_id);
		ph_htab_put(&r->told, t->queue_id, t);
	}
	return t;
}

static const char *keep(struct ph_recovery *r, struct ph_slice s)
{
	return s.n ? ph_arena_strndup(r->arena, s.p, s.n) : "";
}

static void told_rcpt_add(struct ph_recovery *r, struct ph_told *t, const struct ph_journal_rec *rec, uint8_t state)
{
	struct ph_told_rcpt *x = ph_arena_alloc(r->arena, sizeof(*x));

	*x = (struct ph_told_rcpt){ .rcpt = rec->rcpt, .state = state, .time_ms = rec->time_ms, .dsn = keep(r, rec->dsn), .text = keep(r, rec->text),
		.relay = keep(r, rec->relay), .mta = keep(r, rec->mta), .diag = keep(r, rec->diag), .next = t->rcpts };
	if (rec->type == PH_J_PART)
		ph_part_key_read(rec->blob, r->arena, &x->address, &x->route);
	t->rcpts = x;
}

/* CLOSED, of a part: the notification about it has gone out. */
static uint8_t state_of(const struct ph_journal_rec *rec)
{
	if (rec->type == PH_J_PART && rec->status == PH_J_TOLD)
		return PH_RCPT_CLOSED;
	if (rec->type == PH_J_PART && rec->status == PH_DEFERRED)
		return PH_RCPT_TODO;
	return rec->status == PH_SENT ? PH_RCPT_SENT : PH_RCPT_BOUNCED;
}

/* The kind, then recipients as u32 in blob. */
static void told_notified(struct ph_recovery *r, struct ph_told *t, const struct ph_journal_rec *rec)
{
	struct ph_journal_rec one = *rec;
	struct ph_unpack u;

	if (rec->text.n == 5 && memcmp(rec->text.p, "delay", 5) == 0) {
		t->warned = true;
		return;
	}
	if (rec->text.n == 5 && memcmp(rec->text.p, "trace", 5) == 0)
		t->traced = true;
	ph_unpack_init(&u, rec->blob);
	one.dsn = one.text = one.relay = one.mta = one.diag = (struct ph_slice){ NULL, 0 };
	while (u.n >= 4) {
		one.rcpt = ph_unpack_u32(&u);
		told_rcpt_add(r, t, &one, PH_RCPT_CLOSED);
	}
}

void ph_tell(struct ph_recovery *r, const struct ph_journal_rec *rec)
{
	struct ph_told *t = ph_told_get(r, rec->queue_id);

	switch (rec->type) {
	case PH_J_RESULT:
		told_rcpt_add(r, t, rec, state_of(rec));
		break;
	case PH_J_DEFERRED:
		told_rcpt_add(r, t, rec, PH_RCPT_TODO);
		break;
	case PH_J_PART:
		told_rcpt_add(r, t, rec, state_of(rec));
		break;
	case PH_J_RETRY:
		if (rec->number >= t->attempts) {
			t->attempts = rec->number;
			t->retry_ms = rec->time_ms;
		}
		break;
	case PH_J_HOLD:
	case PH_J_RELEASE:
		if (rec->time_ms >= t->hold_ms) {
			t->hold_ms = rec->time_ms;
			t->hold = rec->type == PH_J_HOLD ? 1 : 2;
		}
		break;
	case PH_J_EXPIRE:
		t->expire = true;
		break;
	case PH_J_NOTIFIED:
		told_notified(r, t, rec);
		break;
	case PH_J_REMOVED:
		t->removed = true;
		break;
	case PH_J_LIVE:
	case PH_J_CHECKPOINT_BEGIN:
	case PH_J_CHECKPOINT_SEGMENT:
	case PH_J_CHECKPOINT_END:
		break;
	}
}

static void apply_rcpt(struct ph_qmgr *q, struct ph_entry *e, const struct ph_told_rcpt *x)
{
	struct ph_reason reason = { x->dsn, x->text, x->relay, x->mta, x->diag };
	enum ph_delivery_status status = x->state == PH_RCPT_SENT ? PH_SENT : x->state == PH_RCPT_BOUNCED ? PH_BOUNCED : PH_DEFERRED;

	if (x->address && x->state == PH_RCPT_CLOSED)
		ph_qmgr_part_told(q, e, x->rcpt, x->address);
	else if (x->address)
		ph_qmgr_part_result(q, e, x->rcpt, x->address, x->route, status, &reason, false);
	else if (x->state == PH_RCPT_CLOSED)
		ph_index_result(q->ix, e, x->rcpt, PH_RCPT_CLOSED, NULL);
	else
		ph_qmgr_apply(q, e, NULL, x->rcpt, status, &reason, false);
}

/* What was said about each recipient, oldest first, so that the newest reason stands; final states win by themselves.  What became of parts comes last:
 * it may stand in a file that was read before the one which says that there are parts. First of that, which bounces were told: before the last result ends it. */
static void apply_rcpts(struct ph_qmgr *q, struct ph_entry *e, struct ph_told_rcpt *x)
{
	struct ph_told_rcpt *prev = NULL, *next;

	for (; x; x = next) {           /* turn the list around */
		next = x->next;
		x->next = prev;
		prev = x;
	}
	for (x = prev; x; x = x->next)
		if (!x->address)
			apply_rcpt(q, e, x);
	for (x = prev; x; x = x->next)
		if (x->address && x->state == PH_RCPT_CLOSED)
			apply_rcpt(q, e, x);
	for (x = prev; x; x = x->next)
		if (x->address && x->state != PH_RCPT_CLOSED)
			apply_rcpt(q, e, x);
}

static int64_t due_from_wall(const struct ph_qmgr *q, int64_t wall_ms)
{
	int64_t wait = wall_ms - ph_wall_us() / 1000;

	if (wait > q->set.maximal_backoff_ms)   /* the clock was set back */
		wait = q->set.maximal_backoff_ms;
	return ph_now_ms() + (wait > 0 ? wait : 0);
}

void ph_told_now(struct ph_qmgr *q, struct ph_entry *e, const struct ph_journal_rec *rec)
{
	struct ph_recovery r = { .arena = q->scratch };
	struct ph_told t = { .rcpts = NULL };

	told_rcpt_add(&r, &t, rec, rec->type == PH_J_DEFERRED ? PH_RCPT_TODO : state_of(rec));
	apply_rcpts(q, e, t.rcpts);
}

void ph_told_settle(struct ph_qmgr *q, struct ph_entry *e, struct ph_told *t, int64_t retry_ms)
{
	bool held = e->state == PH_ENTRY_HOLD;

	if (t) {
		apply_rcpts(q, e, t->rcpts);
		t->rcpts = NULL;
		if (t->warned)
			e->marks |= PH_MARK_WARNED;
		if (t->traced)
			e->marks |= PH_MARK_TRACED;
		if (t->expire)
			e->marks |= PH_MARK_EXPIRE;
		if (t->attempts >= e->attempts && t->retry_ms) {
			e->attempts = t->attempts < UINT16_MAX ? (uint16_t)t->attempts : UINT16_MAX;
			retry_ms = t->retry_ms;
		}
		if (t->hold)
			held = t->hold == 1;
	}
	e->marks &= ~(uint32_t)PH_MARK_FRESH;   /* perhaps it was tried */
	if (held)
		ph_index_state(q->ix, e, PH_ENTRY_HOLD);
	else if (retry_ms)
		ph_index_defer(q->ix, e, due_from_wall(q, retry_ms));
	else
		ph_index_enqueue(q->ix, e);
}

bool ph_recover_done(const struct ph_entry *e)
{
	uint32_t i;

	for (i = 0; i < e->n_rcpts; i++) {
		if (e->rcpts[i].state != PH_RCPT_CLOSED)
			return false;
	}
	return true;
}

/* Final states stand whatever came later.  One bit a recipient, since there may be many records of many. */
static bool rcpts_live(const struct ph_recovery *r, const struct ph_told *t)
{
	const struct ph_told_rcpt *x;
	unsigned char *final;
	uint32_t max = 0;
	bool live = false;

	for (x = t->rcpts; x; x = x->next) {
		if (x->rcpt > max)
			max = x->rcpt;
	}
	if (max > PH_ENV_MAX)
		return false;           /* no envelope has so many */
	final = ph_alloc(max / 8 + 1);
	for (x = t->rcpts; x; x = x->next) {
		if (x->state != PH_RCPT_TODO && !x->address)
			final[x->rcpt / 8] |= (unsigned char)(1 << x->rcpt % 8);
	}
	for (x = t->rcpts; x && !live; x = x->next)
		live = x->state == PH_RCPT_TODO && !x->address && x->time_ms >= r->checkpoint_ms && !(final[x->rcpt / 8] & 1 << x->rcpt % 8);
	free(final);
	return live;
}

bool ph_told_live(const struct ph_recovery *r, const struct ph_told *t)
{
	if (t->removed || t->found || !t->at_start)
		return false;
	return (t->hold == 1 && t->hold_ms >= r->checkpoint_ms) || rcpts_live(r, t);
}
