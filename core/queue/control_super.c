/* control_super.c: postsuper's operations while the queue manager runs.  No state; yields.  Source: postsuper(1). */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "queue/control.h"

#define PER_TURN 2000
#define REQUEUERS 32

enum super_op { OP_DELETE, OP_HOLD, OP_RELEASE, OP_REQUEUE, OP_EXPIRE, OP_EXPIRE_RELEASE, OP_NONE };
static const char *const op_names[] = { "delete", "hold", "release", "requeue", "expire", "expire-release" };

struct super {
	struct ph_control *c;
	enum super_op op;
	unsigned queues;                /* bits of enum ph_entry_state */
	bool maildrop;                  /* and this folder */
	uint64_t count, released;
};

static unsigned queue_bits(const json_t *req, enum super_op op)
{
	static const char *const names[] = { "incoming", "active", "deferred", "hold" };
	const json_t *list = json_object_get(req, "queues");
	unsigned bits = 0;
	size_t i, k;

	for (i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		for (k = 0; s && k < PH_ARRAY_LEN(names); k++) {
			if (strcmp(s, names[k]) == 0)
				bits |= 1u << k;
		}
	}
	if (json_array_size(list) > 0)
		return bits;
	if (op == OP_RELEASE)
		return 1u << PH_ENTRY_HOLD;
	return op == OP_HOLD ? 7 : 15;
}

/* Those of postsuper(1); some are folders that a queue of ours never fills. */
static bool queues_known(const json_t *list)
{
	static const char *const names[] = { "incoming", "active", "deferred", "hold", "maildrop", "bounce", "defer", "trace", "flush", "corrupt" };
	size_t i, k;

	for (i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		for (k = 0; k < PH_ARRAY_LEN(names) && (s == NULL || strcmp(s, names[k]) != 0);)
			k++;
		if (k == PH_ARRAY_LEN(names))
			return false;
	}
	return true;
}

/* Mail that is not taken in yet can only be deleted. */
static bool wants_maildrop(const json_t *req, enum super_op op)
{
	const json_t *list = json_object_get(req, "queues");
	bool named = json_array_size(list) == 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		named |= s && strcmp(s, "maildrop") == 0;
	}
	return named && op == OP_DELETE;
}

/* Yields. */
static bool requeue_one(struct ph_qmgr *q, const char *queue_id)
{
	int64_t deadline = ph_now_ms() + PH_SECONDS(10);
	struct ph_entry *e = ph_index_find(q->ix, queue_id);
	struct ph_err err;
	bool held = e && e->state == PH_ENTRY_HOLD;

	/* Deliveries under way come to their end first: whom they reach must not get it again. */
	if (e && e->active) {
		e->active->hold = true;
		ph_active_withdraw(q, e->active);
	}
	while ((e = ph_index_find(q->ix, queue_id)) != NULL && e->active && ph_now_ms() < deadline)
		ph_co_sleep(50);
	if (e == NULL || (e->marks & PH_MARK_BUSY))
		return false;
	if (e->active) {
		e->active->hold = false;
		ph_log(PH_LOG_WARNING, "%s: not requeued: it is still being delivered", queue_id);
		return false;
	}
	e->marks |= PH_MARK_BUSY;
	ph_index_state(q->ix, e, PH_ENTRY_HOLD);
	if (ph_requeue(q, e, &err) == 0)
		return true;
	ph_log(PH_LOG_WARNING, "%s: not requeued: %s", queue_id, err.text);
	e = ph_index_find(q->ix, queue_id);
	if (e) {
		e->marks &= ~(uint32_t)PH_MARK_BUSY;
		if (!held)
			ph_index_defer(q->ix, e, ph_now_ms());
	}
	return false;
}

static bool super_one(struct super *s, struct ph_entry *e)
{
	struct ph_qmgr *q = s->c->q;
	bool expired = e->marks & PH_MARK_EXPIRE;

	if (!(s->queues & 1u << e->state) || (e->marks & PH_MARK_BUSY))
		return false;
	switch (s->op) {
	case OP_DELETE:
		ph_qmgr_remove(q, e, false);
		return true;
	case OP_HOLD:
		if (e->state == PH_ENTRY_HOLD || (e->active && e->active->hold))
			return false;
		ph_qmgr_hold(q, e);
		return true;
	case OP_RELEASE:
		if (e->state != PH_ENTRY_HOLD)
			return false;
		ph_qmgr_release(q, e);
		return true;
	case OP_EXPIRE:
	case OP_EXPIRE_RELEASE:
		if (s->op == OP_EXPIRE_RELEASE && e->state == PH_ENTRY_HOLD)
			s->released++;
		else if (expired)
			return false;
		ph_qmgr_expire(q, e, s->op == OP_EXPIRE_RELEASE);
		return !expired;
	case OP_REQUEUE:
	case OP_NONE:
		break;
	}
	return false;
}

/* ---- requeue many: side by side, since each waits for the disk ---- */

struct requeue_pool {
	struct super *s;
	struct ph_index_cursor cursor;
	uint32_t limit;                 /* what came later is not requeued again */
	unsigned workers;
	struct ph_waitq done;
};

static void requeue_main(void *arg)
{
	struct requeue_pool *p = arg;
	struct ph_entry *e;
	char id[PH_QUEUE_ID_MAX];
	unsigned n = 0;

	while (!p->s->c->q->stopping && (e = ph_index_cursor_next(p->s->c->q->ix, &p->cursor)) != NULL) {
		if ((p->s->queues & 1u << e->state) && !(e->marks & PH_MARK_BUSY) && (int32_t)(e->added - p->limit) < 0) {
			snprintf(id, sizeof(id), "%s", ph_entry_queue_id(e));
			p->s->count += requeue_one(p->s->c->q, id);
		} else if (++n % PER_TURN == 0 && ph_co_sleep(0) < 0) {
			break;
		}
	}
	if (--p->workers == 0)
		ph_waitq_wake_all(&p->done);
}

static void requeue_all(struct super *s)
{
	struct requeue_pool p = { .s = s, .workers = REQUEUERS, .limit = (uint32_t)s->c->q->ix->added };
	unsigned i;

	ph_index_cursor_open(s->c->q->ix, &p.cursor);
	for (i = 0; i < REQUEUERS; i++)
		ph_co_spawn("qmgr requeue", requeue_main, &p);
	while (p.workers > 0)           /* they use our stack: wait whatever happens */
		if (ph_waitq_wait(&p.done, PH_NEVER) < 0)
			ph_co_sleep(10);
	ph_index_cursor_close(&p.cursor);
}

static void super_all(struct super *s)
{
	struct ph_index_cursor cur;
	struct ph_entry *e;
	unsigned n = 0;

	if (s->op == OP_REQUEUE) {
		requeue_all(s);
		return;
	}
	ph_index_cursor_open(s->c->q->ix, &cur);
	while ((e = ph_index_cursor_next(s->c->q->ix, &cur)) != NULL) {
		s->count += super_one(s, e);
		if (++n % PER_TURN == 0 && ph_co_sleep(0) < 0)
			break;
	}
	ph_index_cursor_close(&cur);
	if (s->maildrop)
		s->count += ph_control_drop_delete_all(s->c->q);
}

static int super_ids(struct super *s, const json_t *ids)
{
	size_t i;
	int r = 0;

	for (i = 0; i < json_array_size(ids) && r == 0; i++) {
		const char *id = json_string_value(json_array_get(ids, i));
		struct ph_entry *e = id ? ph_index_find(s->c->q->ix, id) : NULL;
		uint64_t released = s->released;
		bool done;

		if (e == NULL && !(id && s->maildrop && ph_control_drop_delete(s->c->q, id)))
			continue;
		if (e == NULL)
			done = true;
		else if (s->op == OP_REQUEUE)
			done = (s->queues & 1u << e->state) && requeue_one(s->c->q, id);
		else
			done = super_one(s, e);
		if (!done && s->released == released)
			continue;
		s->count += done;
		r = ph_control_json(s->c, json_pack("{s:s, s:b, s:b}", "id", id, "released", s->released > released, "done", done));
	}
	return r;
}

int ph_control_super(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	struct super s = { .c = c };
	const json_t *ids = json_object_get(req, "ids");
	bool all = json_is_true(json_object_get(req, "all"));
	const char *op = ph_control_member(req, "op");
	struct ph_err e2;

	if (!c->trusted)
		return ph_err_set(err, -EPERM, "use of this command is reserved for the superuser");
	while (s.op < OP_NONE && strcmp(op, op_names[s.op]) != 0)
		s.op++;
	if (s.op == OP_NONE)
		return ph_err_set(err, -EINVAL, "unknown operation");
	if (!queues_known(json_object_get(req, "queues")))
		return ph_err_set(err, -EINVAL, "unknown queue");
	if (!all && !json_is_array(ids))
		return ph_err_set(err, -EINVAL, "no message is named");
	s.queues = queue_bits(req, s.op);
	s.maildrop = wants_maildrop(req, s.op);
	if (all)
		super_all(&s);
	else if (super_ids(&s, ids) < 0)
		return ph_err_set(err, -EPIPE, "broken off");
	/* Said is done: what was asked for survives a crash of this process from here on. */
	if (ph_co_sleep(0) == 0 && s.count && ph_journal_sync(c->q->journal, &e2) < 0)
		ph_log(PH_LOG_WARNING, "journal: %s", e2.text);
	return ph_control_json(c, json_pack("{s:I, s:I}", "count", (json_int_t)s.count, "released", (json_int_t)s.released));
}
