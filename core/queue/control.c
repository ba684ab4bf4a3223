/* control.c: the commands' requests on public/qmgr: one JSON object each, answered by lines and an end (proto.h).
 *
 *   {"cmd":"list","format":"mailq"|"json"}                 text
 *   {"cmd":"flush"} {"cmd":"flush-site","site":S} {"cmd":"flush-id","id":I}
 *   {"cmd":"super","op":OP,"all":true,"queues":[Q...]}     OP: delete hold release requeue expire expire-release
 *   {"cmd":"super","op":OP,"ids":[I...],"queues":[Q...]}   lines {"id":I}; last line {"count":N,"released":N}
 *   {"cmd":"find","id":I}                                  line: where it lies {"id","file","instance","offset","length","envelope"}
 *   {"cmd":"show","what":"queue"|"destinations"|"agents"|"coroutines"|"stats"|"metrics"}
 *   {"cmd":"checkpoint"}
 *
 * "super" and "checkpoint" are for root and the mail owner.  A request is bounded by the frame; a connection by a number of them at once.
 * No state.  The connections' coroutines yield. */
#include <errno.h>
#include <jansson.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pack.h"
#include "queue/control.h"
#include "queue/listing.h"

#define ANSWER_MS PH_SECONDS(600)       /* for a client to take a piece of the answer */
#define IDLE_MS PH_SECONDS(60)          /* for the next request */
#define PER_TURN 2000
#define REQUEUERS 32

/* ---- answers ---- */

int ph_control_text(struct ph_control *c, const char *text, size_t n)
{
	struct ph_buf b = PH_BUF_INIT(PH_IPC_FRAME_MAX);
	int r;

	if (c->ipc == NULL)
		return c->on_line ? c->on_line(c->arg, text, n) : 0;
	ph_pack_bytes(&b, text, n);
	r = ph_ipc_send(c->ipc, PH_F_CTL_LINE, b.data, b.len);
	ph_buf_done(&b);
	if (r == 0 && ph_ipc_pending(c->ipc) > 4 * PH_CONTROL_CHUNK)
		r = ph_ipc_drain(c->ipc, ph_now_ms() + ANSWER_MS);
	return r;
}

static int answer_json(struct ph_control *c, json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	int r = text ? ph_control_text(c, text, strlen(text)) : -ENOMEM;

	free(text);
	json_decref(j);
	return r;
}

static int answer_end(struct ph_control *c, int status, const char *text)
{
	struct ph_buf b = PH_BUF_INIT(64 * 1024);
	int r;

	ph_pack_u32(&b, (uint32_t)(status < 0 ? -status : status));
	ph_pack_str(&b, text);
	r = ph_ipc_send(c->ipc, PH_F_CTL_END, b.data, b.len);
	ph_buf_done(&b);
	return r == 0 ? ph_ipc_drain(c->ipc, ph_now_ms() + ANSWER_MS) : r;
}

static const char *member(const json_t *req, const char *name)
{
	const char *s = json_string_value(json_object_get(req, name));

	return s ? s : "";
}

/* ---- list ---- */

struct listing_run {
	struct ph_control *c;
	struct ph_listing l;
	struct ph_buf b;
	uint32_t limit;                 /* what comes later is not shown */
	uint8_t number;                 /* of this listing, in the marks of what it has shown */
};

/* All that is in this state now, or in the last pass whatever no pass has shown: a message that moves meanwhile is shown, and once.  Yields. */
static int list_pass(struct listing_run *run, int state)
{
	struct ph_index *ix = run->c->q->ix;
	struct ph_index_cursor cur;
	struct ph_entry *e;
	unsigned n = 0;
	int r = 0;

	ph_index_cursor_open(ix, &cur);
	while (r == 0 && (e = ph_index_cursor_next(ix, &cur)) != NULL) {
		if (++n % (16 * PER_TURN) == 0 && (r = ph_co_sleep(0)) < 0)
			break;
		if ((state >= 0 && e->state != state) || e->marks >> PH_MARK_LISTED_SHIFT == run->number || (int32_t)(e->added - run->limit) >= 0)
			continue;
		e->marks = (e->marks & ((1u << PH_MARK_LISTED_SHIFT) - 1)) | (uint32_t)run->number << PH_MARK_LISTED_SHIFT;
		ph_listing_entry(&run->l, ix, e, &run->b);
		if (run->b.len >= PH_CONTROL_CHUNK) {
			r = ph_control_text(run->c, run->b.data, run->b.len);
			ph_buf_clear(&run->b);
			if (r == 0)
				r = ph_co_sleep(0);
		}
	}
	ph_index_cursor_close(&cur);
	return r;
}

/* Queue by queue, in the order of showq(8). */
static int do_list(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	static const int order[] = { PH_ENTRY_ACTIVE, PH_ENTRY_INCOMING, PH_ENTRY_DEFERRED, PH_ENTRY_HOLD, -1 };
	static uint8_t last_number;
	struct ph_qmgr *q = c->q;
	struct listing_run run = { .c = c, .l = { .long_ids = q->set.long_ids }, .b = PH_BUF_INIT(SIZE_MAX / 2), .limit = (uint32_t)q->ix->added };
	int r = 0;

	if (++last_number == 0)
		last_number = 1;
	run.number = last_number;
	run.l.format = strcmp(member(req, "format"), "json") == 0 ? PH_LISTING_JSON : PH_LISTING_MAILQ;
	for (size_t i = 0; i < PH_ARRAY_LEN(order) && r == 0; i++)
		if (order[i] < 0 || q->ix->n_state[order[i]] > 0)
			r = list_pass(&run, order[i]);
	if (r == 0)
		r = ph_control_list_maildrop(c, &run.l, &run.b);
	ph_listing_end(&run.l, &run.b);
	if (r == 0 && run.b.len)
		r = ph_control_text(c, run.b.data, run.b.len);
	ph_buf_done(&run.b);
	return r < 0 ? ph_err_set(err, r, "the listing was broken off") : 0;
}

/* ---- flush ---- */

static int do_flush(struct ph_control *c, struct ph_err *err)
{
	/* N-292: a flood of requests is one queue run a second. */
	if (ph_now_ms() - c->q->flushed_ms >= 1000 || c->q->flushed_ms == 0) {
		c->q->flushed_ms = ph_now_ms();
		ph_retry_flush_all(c->q);
	}
	return 0;
}

static bool goes_to_site(const struct ph_entry *e, const char *site)
{
	const char *cursor = ph_entry_rcpts(e), *original, *at;
	uint32_t i;

	for (i = 0; i < e->n_rcpts; i++) {
		at = strrchr(ph_entry_rcpt_next(e, i, &cursor, &original), '@');
		if (at && e->rcpts[i].state == PH_RCPT_TODO && ph_str_ieq(at + 1, site))
			return true;
	}
	return false;
}

static int do_flush_site(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	struct ph_qmgr *q = c->q;
	const char *site = member(req, "site");
	struct ph_match *m;
	struct ph_index_cursor cur;
	struct ph_entry *e;
	unsigned n = 0;

	if (*site == '\0' || strlen(site) > 255)
		return ph_err_set(err, -EINVAL, "no site");
	m = ph_match_open(q->conf, "fast_flush_domains", q->set.fast_flush_domains, PH_MATCH_DOMAIN | PH_MATCH_PARENT);
	if (ph_match_find(m, site, NULL, err) != PH_LOOKUP_FOUND)
		return ph_err_set(err, -EACCES, "Flush service is not configured for destination \"%s\"", site);
	ph_index_cursor_open(q->ix, &cur);
	while ((e = ph_index_cursor_next(q->ix, &cur)) != NULL) {
		if (e->state == PH_ENTRY_DEFERRED && goes_to_site(e, site))
			ph_retry_now(q, e);
		if (++n % PER_TURN == 0 && ph_co_sleep(0) < 0)
			break;
	}
	ph_index_cursor_close(&cur);
	ph_sched_revive_all(q->sched);
	ph_qmgr_pump(q);
	return 0;
}

static int do_flush_id(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	struct ph_entry *e = ph_index_find(c->q->ix, member(req, "id"));

	if (e == NULL)
		return ph_err_set(err, -ESRCH, "no such message");
	if (e->state == PH_ENTRY_DEFERRED) {
		ph_sched_revive_all(c->q->sched);
		ph_retry_now(c->q, e);
	}
	return 0;
}

static int do_find(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	struct ph_entry *e = ph_index_find(c->q->ix, member(req, "id"));
	struct ph_msg_ref ref;

	if (!c->trusted)
		return ph_err_set(err, -EPERM, "reserved for the superuser");
	if (e == NULL)
		return ph_err_set(err, -ESRCH, "no such message");
	ph_entry_ref(e, &ref);
	return answer_json(c, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "id", ref.queue_id, "file", ref.file, "instance",
					(json_int_t)ref.instance, "offset", (json_int_t)ref.offset, "length", (json_int_t)ref.length,
					"envelope", (json_int_t)ref.env_length));
}

/* ---- super ---- */

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
		r = answer_json(s->c, json_pack("{s:s, s:b, s:b}", "id", id, "released", s->released > released, "done", done));
	}
	return r;
}

static int do_super(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	struct super s = { .c = c };
	const json_t *ids = json_object_get(req, "ids");
	bool all = json_is_true(json_object_get(req, "all"));
	const char *op = member(req, "op");
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
	return answer_json(c, json_pack("{s:I, s:I}", "count", (json_int_t)s.count, "released", (json_int_t)s.released));
}

/* ---- requests ---- */

static int request(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	const char *cmd = member(req, "cmd");

	if (strcmp(cmd, "list") == 0)
		return do_list(c, req, err);
	if (strcmp(cmd, "flush") == 0)
		return do_flush(c, err);
	if (strcmp(cmd, "flush-site") == 0)
		return do_flush_site(c, req, err);
	if (strcmp(cmd, "flush-id") == 0)
		return do_flush_id(c, req, err);
	if (strcmp(cmd, "super") == 0)
		return do_super(c, req, err);
	if (strcmp(cmd, "find") == 0)
		return do_find(c, req, err);
	if (strcmp(cmd, "show") == 0)
		return ph_control_show(c, member(req, "what"), err);
	if (strcmp(cmd, "checkpoint") == 0) {
		if (!c->trusted)
			return ph_err_set(err, -EPERM, "reserved for the superuser");
		c->q->checkpoint_now = true;
		c->q->next_checkpoint_ms = 0;
		ph_checkpoint_maybe(c->q);
		while (c->q->checkpoint_now || c->q->checkpointing) {
			if (ph_co_sleep(50) < 0)
				return ph_err_set(err, -ECANCELED, "stopping");
			ph_checkpoint_maybe(c->q);
		}
		return 0;
	}
	return ph_err_set(err, -EINVAL, "unknown request");
}

int ph_control_request(struct ph_control *c, struct ph_slice text, struct ph_err *err)
{
	json_t *req = text.p ? json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	int r;

	if (!json_is_object(req))
		r = ph_err_set(err, -EINVAL, "not a JSON object");
	else
		r = request(c, req, err);
	json_decref(req);
	return r;
}

static int on_request(struct ph_control *c, struct ph_slice payload)
{
	struct ph_err err = { 0 };
	struct ph_unpack u;
	struct ph_slice text;
	int r;

	ph_unpack_init(&u, payload);
	text = ph_unpack_bytes(&u);
	r = ph_control_request(c, u.bad ? (struct ph_slice){ NULL, 0 } : text, &err);
	return answer_end(c, r < 0 ? -r : 0, r < 0 ? err.text : "");
}

bool ph_control_trusted(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

/* Yields. */
void ph_qmgr_control_serve(struct ph_qmgr *q, struct ph_ipc *ipc)
{
	struct ph_control c = { .q = q, .ipc = ipc, .trusted = ph_control_trusted(ph_ipc_fd(ipc)) };
	struct ph_slice payload;
	uint16_t type;

	while (ph_ipc_recv(ipc, &type, &payload, ph_now_ms() + IDLE_MS) == 0) {
		if (type != PH_F_CTL || on_request(&c, payload) < 0)
			break;
	}
}
