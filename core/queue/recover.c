/* recover.c: the queue after a start: checkpoint, then journals, then what segments and message files hold.
 *
 * 1. Journals are read at once, before anything is served: what they say is kept by queue id until the messages turn up.
 * 2. A coroutine reads the files of incoming/, oldest first, on a helper thread: idle ones whole, those that a living process writes up to the
 *    committed offset that its HELLO tells.  Meanwhile new mail is announced and delivered.
 * 3. A message is in the queue unless a journal says that it was removed, or the checkpoint knew all of its file up to there and not it.
 * State: struct ph_recovery until all files were read.  The coroutine yields. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pack.h"
#include "queue/qmgr_private.h"
#include "queue/record.h"

struct told_rcpt {
	uint32_t rcpt;
	uint8_t state;                  /* PH_RCPT_* */
	int64_t time_ms;
	const char *dsn, *text, *relay, *mta, *diag;
	struct told_rcpt *next;         /* newest first */
};

struct told {                           /* what journals say about a message */
	char queue_id[PH_QUEUE_ID_MAX];
	bool removed, expire, warned, traced;
	uint8_t hold;                   /* 0: nothing said, 1: held, 2: released */
	int64_t hold_ms, retry_ms;
	uint64_t attempts;
	struct told_rcpt *rcpts;
};

struct open_file { char file[PH_STORE_FILE_MAX]; uint64_t instance, committed; };

struct ph_recovery {
	struct ph_htab told;            /* by queue id */
	struct ph_arena *arena;
	struct ph_htab live;            /* scratch while a checkpoint is read */
	struct open_file *open;
	size_t n_open;
	size_t found, messages;
	int64_t started_ms;
};

/* ---- what journals say ---- */

static struct told *told_get(struct ph_recovery *r, const char *queue_id)
{
	struct told *t = ph_htab_get(&r->told, queue_id);

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

static void told_rcpt_add(struct ph_recovery *r, struct told *t, const struct ph_journal_rec *rec, uint8_t state)
{
	struct told_rcpt *x = ph_arena_alloc(r->arena, sizeof(*x));

	*x = (struct told_rcpt){ .rcpt = rec->rcpt, .state = state, .time_ms = rec->time_ms, .dsn = keep(r, rec->dsn), .text = keep(r, rec->text),
		.relay = keep(r, rec->relay), .mta = keep(r, rec->mta), .diag = keep(r, rec->diag), .next = t->rcpts };
	t->rcpts = x;
}

/* The kind, then recipients as u32 in blob. */
static void told_notified(struct ph_recovery *r, struct told *t, const struct ph_journal_rec *rec)
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

static void tell(struct ph_recovery *r, const struct ph_journal_rec *rec)
{
	struct told *t = told_get(r, rec->queue_id);

	switch (rec->type) {
	case PH_J_RESULT:
		told_rcpt_add(r, t, rec, rec->status == PH_SENT ? PH_RCPT_SENT : PH_RCPT_BOUNCED);
		break;
	case PH_J_DEFERRED:
		told_rcpt_add(r, t, rec, PH_RCPT_TODO);
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

/* What was said about each recipient, oldest first, so that the newest reason stands; final states win by themselves. */
static void apply_rcpts(struct ph_qmgr *q, struct ph_entry *e, struct told_rcpt *x)
{
	struct told_rcpt *prev = NULL, *next;

	for (; x; x = next) {           /* turn the list around */
		next = x->next;
		x->next = prev;
		prev = x;
	}
	for (x = prev; x; x = x->next) {
		struct ph_reason reason = { x->dsn, x->text, x->relay, x->mta, x->diag };

		if (x->state == PH_RCPT_CLOSED)
			ph_index_result(q->ix, e, x->rcpt, PH_RCPT_CLOSED, NULL);
		else
			ph_qmgr_apply(q, e, NULL, x->rcpt, x->state == PH_RCPT_SENT ? PH_SENT : x->state == PH_RCPT_BOUNCED ? PH_BOUNCED : PH_DEFERRED,
				      &reason, false);
	}
}

static int64_t due_from_wall(const struct ph_qmgr *q, int64_t wall_ms)
{
	int64_t wait = wall_ms - ph_wall_us() / 1000;

	if (wait > q->set.maximal_backoff_ms)   /* the clock was set back */
		wait = q->set.maximal_backoff_ms;
	return ph_now_ms() + (wait > 0 ? wait : 0);
}

/* e is in the index; put it into the state that the journals say. */
static void settle(struct ph_qmgr *q, struct ph_entry *e, struct told *t, int64_t retry_ms)
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

static bool gone(const struct ph_entry *e)
{
	uint32_t i;

	for (i = 0; i < e->n_rcpts; i++) {
		if (e->rcpts[i].state != PH_RCPT_CLOSED)
			return false;
	}
	return true;
}

void ph_recover_note(struct ph_qmgr *q, const struct ph_journal_rec *rec)
{
	struct ph_entry *e = ph_index_find(q->ix, rec->queue_id);

	if (e == NULL) {
		if (!q->recovered && q->recovery)
			tell(q->recovery, rec);
		return;
	}
	if (rec->type == PH_J_RESULT || rec->type == PH_J_DEFERRED) {
		struct ph_recovery r = { .arena = q->scratch };
		struct told t = { .rcpts = NULL };

		told_rcpt_add(&r, &t, rec, rec->type == PH_J_DEFERRED ? PH_RCPT_TODO : rec->status == PH_SENT ? PH_RCPT_SENT : PH_RCPT_BOUNCED);
		apply_rcpts(q, e, t.rcpts);
	}
}

static int note_one(void *arg, const struct ph_journal_rec *rec)
{
	struct ph_qmgr *q = arg;

	ph_arena_reset(q->scratch);
	ph_recover_note(q, rec);
	return 0;
}

int ph_recover_journal(struct ph_qmgr *q, const char *file, struct ph_err *err)
{
	uint64_t offset = 0;

	return ph_journal_read(q->dirfd, file, &offset, note_one, q, err);
}

/* ---- checkpoints ---- */

struct look {                           /* is this file a checkpoint, a whole one? */
	bool first, begin, end;
	int64_t time_ms;
};

static int look_at(void *arg, const struct ph_journal_rec *rec)
{
	struct look *l = arg;

	if (l->first) {
		l->first = false;
		l->begin = rec->type == PH_J_CHECKPOINT_BEGIN;
		l->time_ms = rec->time_ms;
		return l->begin ? 0 : 1;
	}
	l->end = rec->type == PH_J_CHECKPOINT_END;
	return 0;
}

struct load {
	struct ph_qmgr *q;
	struct ph_segment **segs;
	size_t n_segs;
};

/* File and instance as it is on disk, 0: there is none. */
static uint64_t instance_of(int dirfd, const char *file)
{
	unsigned char page[PH_SEGMENT_START];
	struct ph_file_header h;
	int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = pread(fd, page, sizeof(page), 0);
	close(fd);
	return n == (ssize_t)sizeof(page) && ph_file_header_decode(page, &h) == 1 ? h.instance : 0;
}

static void load_segment(struct load *l, const struct ph_journal_rec *rec)
{
	char file[PH_STORE_FILE_MAX];
	struct ph_segment *seg;

	snprintf(file, sizeof(file), "%.*s", (int)rec->text.n, rec->text.p ? rec->text.p : "");
	seg = ph_index_segment(l->q->ix, file, rec->number);
	seg->covered = rec->number2 > seg->covered ? rec->number2 : seg->covered;
	if (seg->end < seg->covered)
		seg->end = seg->covered;
	seg->doubtful = rec->rcpt == 0; /* read on from there */
	l->segs = ph_realloc(l->segs, (l->n_segs + 1) * sizeof(l->segs[0]));
	l->segs[l->n_segs++] = seg;
}

static int load_record(void *arg, const struct ph_journal_rec *rec)
{
	struct load *l = arg;
	struct ph_qmgr *q = l->q;
	struct ph_entry *e;
	struct ph_err err;
	int64_t due = 0;

	if (rec->type == PH_J_CHECKPOINT_SEGMENT) {
		load_segment(l, rec);
	} else if (rec->type == PH_J_LIVE && rec->number < l->n_segs) {
		e = ph_entry_unpack(q->ix, l->segs[rec->number], rec->queue_id, rec->blob, &due, &err);
		if (e == NULL) {
			ph_log(PH_LOG_WARNING, "checkpoint: %s", err.text);
			return 0;
		}
		/* due: kept until the journals were read, see settle_all. */
		if (e->state == PH_ENTRY_DEFERRED)
			ph_index_defer(q->ix, e, due);
	}
	return 0;
}

static void settle_all(struct ph_qmgr *q)
{
	struct ph_index_cursor c;
	struct ph_entry *e;

	ph_index_cursor_open(q->ix, &c);
	while ((e = ph_index_cursor_next(q->ix, &c)) != NULL) {
		struct told *t = ph_htab_get(&q->recovery->told, ph_entry_queue_id(e));
		int64_t due = e->state == PH_ENTRY_DEFERRED ? e->due.key : 0;

		if (t && t->removed) {
			ph_index_remove(q->ix, e);
			continue;
		}
		settle(q, e, t, due);
		if (gone(e))
			ph_qmgr_remove(q, e, !q->offline);
	}
	ph_index_cursor_close(&c);
}

static int tell_one(void *arg, const struct ph_journal_rec *rec)
{
	struct ph_qmgr *q = arg;

	if (ph_queue_id_valid(rec->queue_id))
		tell(q->recovery, rec);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in a folder below the queue directory that begin with prefix, sorted; the folder in front. */
static size_t list_names(int dirfd, const char *folder, const char *prefix, char ***ret)
{
	int fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	char **names = NULL, path[300];
	size_t n = 0;
	struct dirent *e;

	if (d == NULL && fd >= 0)
		close(fd);
	while (d && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		if ((n & (n + 1)) == 0)
			names = ph_realloc(names, (2 * n + 2) * sizeof(*names));
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		names[n++] = ph_strdup(path);
	}
	if (d)
		closedir(d);
	if (n)
		qsort(names, n, sizeof(*names), by_name);
	*ret = names;
	return n;
}

size_t ph_recover_names(int dirfd, const char *folder, char ***ret)
{
	return list_names(dirfd, folder, "", ret);
}

uint64_t ph_recover_instance(int dirfd, const char *file)
{
	return instance_of(dirfd, file);
}

static void names_free(char **names, size_t n)
{
	while (n > 0)
		free(names[--n]);
	free(names);
}

void ph_recover_slot(struct ph_qmgr *q, uint8_t slot)
{
	char prefix[8], **names;
	struct ph_err err;
	size_t n, i;

	snprintf(prefix, sizeof(prefix), "J%02x.", slot);
	n = list_names(q->dirfd, "journal", prefix, &names);
	for (i = 0; i < n; i++) {
		if (ph_recover_journal(q, names[i], &err) < 0)
			ph_log(PH_LOG_WARNING, "%s: %s", names[i], err.text);
		ph_checkpoint_old_file(q, names[i]);
	}
	names_free(names, n);
}

/* The newest whole checkpoint into the index; what every other journal says into the table. */
static int read_journals(struct ph_qmgr *q, struct ph_err *err)
{
	char **names, *best = NULL;
	size_t n = list_names(q->dirfd, "journal", "J", &names), i;
	int64_t best_ms = -1;
	bool *is_checkpoint = ph_alloc(n + 1);
	int r = 0;

	for (i = 0; i < n && r >= 0; i++) {
		struct look l = { .first = true };
		uint64_t offset = 0;

		r = ph_journal_read(q->dirfd, names[i], &offset, look_at, &l, err);
		is_checkpoint[i] = l.begin;
		if (l.begin && l.end && l.time_ms > best_ms) {
			best = names[i];
			best_ms = l.time_ms;
		}
		if (q->journal == NULL || strcmp(names[i], ph_journal_file(q->journal)) != 0)
			ph_checkpoint_old_file(q, names[i]);
	}
	if (best && r >= 0) {
		struct load l = { .q = q };
		uint64_t offset = 0;

		r = ph_journal_read(q->dirfd, best, &offset, load_record, &l, err);
		free(l.segs);
	}
	for (i = 0; i < n && r >= 0; i++) {
		uint64_t offset = 0;

		if (!is_checkpoint[i])
			r = ph_journal_read(q->dirfd, names[i], &offset, tell_one, q, err);
		q->journal_bytes += offset;
	}
	if (r >= 0)
		settle_all(q);
	names_free(names, n);
	free(is_checkpoint);
	return r < 0 ? r : 0;
}

/* ---- files ---- */

void ph_recover_open(struct ph_qmgr *q, const struct ph_msg_ref *ref)
{
	struct ph_recovery *r = q->recovery;
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < r->n_open; i++) {
		if (strcmp(r->open[i].file, ref->file) == 0 && r->open[i].instance == ref->instance)
			break;
	}
	if (i == r->n_open) {
		r->open = ph_realloc(r->open, (r->n_open + 1) * sizeof(r->open[0]));
		memset(&r->open[r->n_open], 0, sizeof(r->open[0]));
		memcpy(r->open[r->n_open].file, ref->file, sizeof(ref->file));
		r->open[r->n_open++].instance = ref->instance;
	}
	if (ref->offset > r->open[i].committed)
		r->open[i].committed = ref->offset;
}

struct scan {
	struct ph_qmgr *q;
	const char *file;
	uint64_t limit;
	int idle;
	struct ph_buf found;            /* refs and envelopes */
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

static void scan_read(void *arg)
{
	struct scan *s = arg;

	s->idle = ph_segment_idle(s->q->dirfd, s->file);        /* before the scan: then nothing is written behind its back */
	if (s->idle == 0 && s->limit == 0)
		return;
	s->result = ph_segment_scan(s->q->dirfd, s->file, s->idle == 1 ? 0 : s->limit, scan_found, s, &s->err);
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
		tell(q->recovery, &rec);
	else if (gone(e) && !e->active)
		ph_qmgr_remove(q, e, true);
	ph_buf_done(&blob);
}

static bool heard_of(const struct ph_segment *seg, uint64_t offset)
{
	uint32_t i;

	if (offset < seg->covered)
		return true;
	for (i = 0; i < seg->n_holes; i++) {
		if (offset >= seg->holes[i].from && offset < seg->holes[i].to)
			return true;
	}
	return false;
}

/* A message that was found, with what the journals say about it. */
static void take_message(struct ph_qmgr *q, struct ph_segment *seg, const struct ph_msg_ref *ref, const struct ph_envelope *env, struct told *t)
{
	struct ph_entry *e;

	if ((t && t->removed) || (e = ph_index_add(q->ix, ref, env)) == NULL) {
		ph_segment_cover(seg, ref->offset, ref->offset + ref->length);
		return;
	}
	q->recovery->messages++;
	settle(q, e, t, 0);
	if (!ph_claim(q, ref->queue_id, env, true)) {
		ph_qmgr_remove(q, e, false);
		return;
	}
	if (gone(e))
		ph_qmgr_remove(q, e, !q->offline);
}

static void recover_message(struct ph_qmgr *q, const struct ph_msg_ref *ref, struct ph_slice bytes)
{
	struct ph_segment *seg = ph_index_segment(q->ix, ref->file, ref->instance);
	struct told *t = ph_htab_get(&q->recovery->told, ref->queue_id);
	struct ph_envelope *env;
	struct ph_entry *e;
	struct ph_err err;
	const char *replaces;

	if (heard_of(seg, ref->offset))
		return;
	if (ref->env_length == 0) {
		ph_segment_cover(seg, ref->offset, ref->offset + ref->length);
		if (!q->offline)
			ph_store_quarantine(q->dirfd, ref, "damaged");
		return;
	}
	ph_arena_reset(q->scratch);
	if (ph_envelope_decode(bytes, q->scratch, &env, &err) < 0 || env->n_rcpts == 0 || !ph_queue_id_valid(ref->queue_id)) {
		ph_segment_cover(seg, ref->offset, ref->offset + ref->length);
		if (!q->offline)
			ph_store_quarantine(q->dirfd, ref, "its envelope is damaged");
		return;
	}
	already_notified(q, env);
	replaces = ph_envelope_attr(env, "requeue_of");
	if (replaces && (e = ph_index_find(q->ix, replaces)) != NULL && !e->active)
		ph_qmgr_remove(q, e, false);
	else if (replaces && ph_queue_id_valid(replaces))
		told_get(q->recovery, replaces)->removed = true;
	take_message(q, seg, ref, env, t);
}

bool ph_recover_announced(struct ph_qmgr *q, const struct ph_msg_ref *ref, const struct ph_envelope *env)
{
	struct told *t = q->recovery ? ph_htab_get(&q->recovery->told, ref->queue_id) : NULL;

	if (t == NULL)
		return false;
	take_message(q, ph_index_segment(q->ix, ref->file, ref->instance), ref, env, t);
	return true;
}

/* False: a living process writes it and has not said hello yet. */
static bool scan_file(struct ph_qmgr *q, const char *file)
{
	uint64_t instance = instance_of(q->dirfd, file), offset = 0;
	struct ph_segment *seg = ph_index_segment_find(q->ix, file, instance);
	struct scan s = { .q = q, .file = file };
	struct ph_slice in;
	struct ph_msg_ref ref;
	struct ph_unpack u;
	size_t i, n = 0;

	if (seg && !seg->doubtful && (seg->own || seg->covered >= PH_SEGMENT_START) && seg->open == 0 && seg->live + seg->own > 0)
		return true;            /* the checkpoint knows all of it */
	for (i = 0; i < q->recovery->n_open; i++) {
		if (strcmp(q->recovery->open[i].file, file) == 0)
			s.limit = q->recovery->open[i].committed;
	}
	ph_buf_init(&s.found, SIZE_MAX / 2);
	ph_offload(scan_read, &s);
	if (s.idle == 0 && s.limit == 0 && !q->offline) {
		ph_buf_done(&s.found);
		return false;
	}
	if (s.result < 0 && s.result != -ENOENT)
		ph_log(PH_LOG_WARNING, "%s: %s", file, s.err.text);
	in = (struct ph_slice){ s.found.data, s.found.len };
	while (in.n > 0 && ph_ref_decode(&in, &ref) == 0) {
		struct ph_slice env;

		ph_unpack_init(&u, in);
		env = ph_unpack_bytes(&u);
		if (u.bad)
			break;
		in = (struct ph_slice){ (const char *)u.p, u.n };
		offset = ref.offset + ref.length;
		/* Read before, delivered and removed meanwhile: a file of its own is gone then. */
		if (strncmp(ref.file, "incoming/S", 10) == 0 || faccessat(q->dirfd, ref.file, F_OK, 0) == 0)
			recover_message(q, &ref, env);
		if (++n % 500 == 0)
			ph_co_sleep(0);
	}
	ph_buf_done(&s.found);
	seg = ph_index_segment_find(q->ix, file, instance);
	if (seg == NULL && !q->offline && s.idle == 1 && s.result == 0 && instance_of(q->dirfd, file) == instance) {
		ph_segment_discard(q->dirfd, file);     /* nothing that was ever acknowledged */
	} else if (seg) {
		seg->doubtful = s.result < 0;
		if (s.idle == 1 && s.result == 0 && seg->open == 0) {
			seg->n_holes = 0;
			seg->covered = seg->end > offset ? seg->end : offset;
		}
	}
	return true;
}

struct name_age { char *name; uint64_t instance; };

static int by_instance(const void *a, const void *b)
{
	const struct name_age *x = a, *y = b;

	return x->instance < y->instance ? -1 : x->instance > y->instance;
}

static void recovered(struct ph_qmgr *q)
{
	struct ph_recovery *r = q->recovery;

	q->recovered = true;
	if (q->ix->n && !q->offline)
		ph_log(PH_LOG_INFO, "%zu messages in the queue, read in %lld ms", q->ix->n, (long long)(ph_now_ms_exact() - r->started_ms));
	ph_htab_done(&r->told);
	ph_arena_free(&r->arena);
	free(r->open);
	free(r);
	q->recovery = NULL;
	/* Segments of the checkpoint whose file is gone, or is another by now. */
	ph_list_for_each_safe(seg, &q->ix->segments, struct ph_segment, node) {
		if (seg->live == 0 && seg->open == 0 && instance_of(q->dirfd, seg->file) != seg->instance)
			ph_index_segment_forget(q->ix, seg);
		else if (seg->doubtful && seg->open == 0)       /* its writer came and went meanwhile */
			ph_qmgr_gap_scan(q, seg, 0);
		else
			ph_segment_check(q, seg);
	}
	if (q->stray_again)
		ph_stray_scan(q);
	ph_qmgr_pump(q);
}

/* Yields. */
void ph_recover_run(void *arg)
{
	struct ph_qmgr *q = arg;
	char **names;
	size_t n = list_names(q->dirfd, "incoming", "", &names), i, left;
	struct name_age *files = ph_alloc((n + 1) * sizeof(*files));

	for (i = 0; i < n; i++)
		files[i] = (struct name_age){ names[i], instance_of(q->dirfd, names[i]) };
	qsort(files, n, sizeof(*files), by_instance);
	/* Files of living writers come last: they say hello meanwhile. */
	do {
		for (i = left = 0; i < n && !q->stopping; i++) {
			if (files[i].name == NULL)
				continue;
			if (files[i].instance == 0 && !ph_queue_id_valid(files[i].name + 9) && strncmp(files[i].name, "incoming/S", 10) != 0)
				files[i].name = NULL;   /* not ours */
			else if (scan_file(q, files[i].name))
				files[i].name = NULL;
			else
				left++;
			ph_qmgr_pump(q);
		}
		if (left)
			ph_co_sleep(100);
	} while (left && !q->stopping);
	names_free(names, n);
	free(files);
	if (!q->stopping)
		recovered(q);
}

int ph_recover_start(struct ph_qmgr *q, struct ph_err *err)
{
	int r;

	q->recovery = ph_alloc(sizeof(*q->recovery));
	q->recovery->arena = ph_arena_new();
	q->recovery->started_ms = ph_now_ms_exact();
	r = read_journals(q, err);
	if (r < 0)
		return r;
	if (!q->offline)
		ph_co_spawn("qmgr recovery", ph_recover_run, q);
	return 0;
}
