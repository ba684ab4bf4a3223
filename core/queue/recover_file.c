/* recover_file.c: a file of incoming/ at a start: its messages come into the queue, in the state that the journals say.
 * The coroutine yields: files are read on a helper thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pack.h"
#include "queue/recover_private.h"

struct scan {
	struct ph_qmgr *q;
	const char *file;
	uint64_t limit;
	int idle;
	struct ph_buf found;            /* refs and envelopes */
	struct ph_buf torn;             /* refs */
	uint64_t instance, end;         /* end: of the last that was found */
	int result;
	struct ph_err err;
};

static int scan_found(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope)
{
	struct scan *s = arg;

	if (ph_ref_encode(ref, &s->found) < 0 || ph_pack_bytes(&s->found, envelope.p, envelope.n) < 0)
		return -ENOBUFS;
	return 0;
}

static void scan_torn(void *arg, const struct ph_msg_ref *ref)
{
	struct scan *s = arg;

	(void)ph_ref_encode(ref, &s->torn);
}

static void scan_read(void *arg)
{
	struct scan *s = arg;

	s->idle = ph_segment_idle(s->q->dirfd, s->file);        /* before the scan: then nothing is written behind its back */
	if (s->idle == 0 && s->limit == 0)
		return;
	s->result = ph_segment_scan_torn(s->q->dirfd, s->file, s->idle == 1 ? 0 : s->limit, scan_found, scan_torn, s, &s->err);
}

/* A notification that was durable, but of which the journal does not know: its envelope says whom it is about. */
static void already_notified(struct ph_qmgr *q, const struct ph_envelope *env)
{
	const char *of = ph_envelope_attr(env, "notice_of"), *kind = ph_envelope_attr(env, "notice_kind"),
		*list = ph_envelope_attr(env, "notice_rcpts");
	struct ph_journal_rec rec = { .type = PH_J_NOTIFIED };
	struct ph_buf blob = PH_BUF_INIT(1 << 20);
	struct ph_entry *e;
	char *end;

	if (of == NULL || kind == NULL || !ph_queue_id_valid(of))
		return;
	e = ph_index_find(q->ix, of);
	while (list && *list) {
		uint32_t i = (uint32_t)strtoul(list, &end, 10);

		if (end == list)
			break;
		ph_pack_u32(&blob, i);
		if (e && strcmp(kind, "delay") != 0)
			ph_index_result(q->ix, e, i, PH_RCPT_CLOSED, NULL);
		list = end + strspn(end, ",");
	}
	if (e && strcmp(kind, "delay") == 0)
		e->marks |= PH_MARK_WARNED;
	if (e && strcmp(kind, "trace") == 0)
		e->marks |= PH_MARK_TRACED;
	snprintf(rec.queue_id, sizeof(rec.queue_id), "%s", of);
	rec.text = (struct ph_slice){ kind, strlen(kind) };
	rec.blob = (struct ph_slice){ blob.data, blob.len };
	if (e == NULL)
		ph_tell(q->recovery, &rec);
	else if (ph_recover_done(e) && !e->active)
		ph_qmgr_remove(q, e, true);
	ph_buf_done(&blob);
}

/* Damaged bytes; while they cannot be saved the file stays, as one that could not be read. */
static void quarantine(struct scan *s, struct ph_segment *seg, const struct ph_msg_ref *ref, const char *why)
{
	int r = s->q->offline ? 0 : ph_store_quarantine(s->q->dirfd, ref, why);

	if (r < 0)
		s->result = r;
	else
		ph_segment_cover(seg, ref->offset, ref->offset + ref->length);
}

/* A message that was found, with what the journals say about it. */
static void take_message(struct ph_qmgr *q, struct ph_segment *seg, const struct ph_msg_ref *ref, const struct ph_envelope *env, struct ph_told *t)
{
	struct ph_entry *e;

	if (t)
		t->found = true;
	if ((t && t->removed) || (e = ph_index_add(q->ix, ref, env)) == NULL) {
		ph_segment_cover(seg, ref->offset, ref->offset + ref->length);
		return;
	}
	ph_told_settle(q, e, t, 0);
	if (!ph_claim(q, ref->queue_id, env, true)) {
		ph_qmgr_remove(q, e, false);
		return;
	}
	if (ph_recover_done(e))
		ph_qmgr_remove(q, e, !q->offline);
}

static void recover_message(struct scan *s, const struct ph_msg_ref *ref, struct ph_slice bytes)
{
	struct ph_qmgr *q = s->q;
	struct ph_segment *seg = ph_index_segment(q->ix, ref->file, ref->instance);
	struct ph_told *t = ph_htab_get(&q->recovery->told, ref->queue_id);
	struct ph_envelope *env;
	struct ph_entry *e;
	struct ph_err err;
	const char *replaces;

	if (ph_segment_covers(seg, ref->offset))
		return;
	if (ref->env_length == 0) {
		quarantine(s, seg, ref, "damaged");
		return;
	}
	ph_arena_reset(q->scratch);
	if (ph_envelope_decode(bytes, q->scratch, &env, &err) < 0 || env->n_rcpts == 0 || !ph_queue_id_valid(ref->queue_id)) {
		quarantine(s, seg, ref, "its envelope is damaged");
		return;
	}
	already_notified(q, env);
	replaces = ph_envelope_attr(env, "requeue_of");
	if (replaces && (e = ph_index_find(q->ix, replaces)) != NULL && !e->active)
		ph_qmgr_remove(q, e, false);
	else if (replaces && ph_queue_id_valid(replaces))
		ph_told_get(q->recovery, replaces)->removed = true;
	take_message(q, seg, ref, env, t);
}

bool ph_recover_announced(struct ph_qmgr *q, const struct ph_msg_ref *ref, const struct ph_envelope *env)
{
	struct ph_told *t = q->recovery ? ph_htab_get(&q->recovery->told, ref->queue_id) : NULL;

	if (t == NULL)
		return false;
	take_message(q, ph_index_segment(q->ix, ref->file, ref->instance), ref, env, t);
	return true;
}

/* All that the scan found comes into the queue. */
static void take_found(struct ph_qmgr *q, struct scan *s)
{
	struct ph_slice in = { s->found.data, s->found.len }, env;
	struct ph_msg_ref ref;
	struct ph_unpack u;
	size_t n = 0;

	while (in.n > 0 && ph_ref_decode(&in, &ref) == 0) {
		ph_unpack_init(&u, in);
		env = ph_unpack_bytes(&u);
		if (u.bad)
			break;
		in = (struct ph_slice){ (const char *)u.p, u.n };
		s->instance = ref.instance;     /* the header may be damaged */
		s->end = ref.offset + ref.length;
		/* Read before, delivered and removed meanwhile: a file of its own is gone then. */
		if (strncmp(ref.file, "incoming/S", 10) == 0 || faccessat(q->dirfd, ref.file, F_OK, 0) == 0)
			recover_message(s, &ref, env);
		if (++n % 500 == 0)
			ph_co_sleep(0);
	}
}

static bool take_torn(struct ph_qmgr *q, struct scan *s, bool discard)
{
	struct ph_slice in = { s->torn.data, s->torn.len };
	struct ph_msg_ref ref;
	bool any = false;

	while (in.n > 0 && ph_ref_decode(&in, &ref) == 0)
		any |= ph_recover_torn(q, &ref, discard);
	return any;
}

/* What becomes of the file. */
static void file_end(struct ph_qmgr *q, struct scan *s)
{
	struct ph_segment *seg = ph_index_segment_find(q->ix, s->file, s->instance);
	bool kept;

	if (seg == NULL) {
		if (q->offline || s->idle != 1 || s->result != 0)
			return;
		kept = take_torn(q, s, true);
		if (!kept && !ph_recover_cut(q, s->file))
			ph_segment_discard(q->dirfd, s->file);  /* nothing that was ever acknowledged */
		return;
	}
	take_torn(q, s, false);
	seg->doubtful = s->result < 0;
	if (s->idle == 1 && s->result == 0 && seg->open == 0) {
		seg->n_holes = 0;
		seg->covered = seg->end > s->end ? seg->end : s->end;
	}
}

/* The checkpoint knows all of it. */
static bool covered(const struct ph_segment *seg)
{
	return seg && !seg->doubtful && (seg->own || seg->covered >= PH_SEGMENT_START) && seg->open == 0 && seg->live + seg->own > 0;
}

bool ph_recover_file(struct ph_qmgr *q, const char *file)
{
	uint64_t instance = ph_file_instance(q->dirfd, file);
	struct scan s = { .q = q, .file = file, .instance = instance };
	bool ready;
	size_t i;

	if (covered(ph_index_segment_find(q->ix, file, instance)))
		return true;
	for (i = 0; i < q->recovery->n_open; i++) {
		if (strcmp(q->recovery->open[i].file, file) == 0)
			s.limit = q->recovery->open[i].committed;
	}
	ph_buf_init(&s.found, SIZE_MAX / 2);
	ph_buf_init(&s.torn, SIZE_MAX / 2);
	ph_offload(scan_read, &s);
	ready = s.idle != 0 || s.limit != 0 || q->offline;
	if (ready) {
		if (s.result < 0 && s.result != -ENOENT)
			ph_log(PH_LOG_WARNING, "%s: %s", file, s.err.text);
		take_found(q, &s);
		if (ph_file_instance(q->dirfd, file) == instance)
			file_end(q, &s);
	}
	ph_buf_done(&s.found);
	ph_buf_done(&s.torn);
	return ready;
}
