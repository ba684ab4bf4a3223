/* checkpoint.c: the index as a file, so that old journals can go.
 *
 * 1. Everybody goes on in a new journal file; when all have said so, the index holds all that the old files say.
 * 2. The index is written to a journal file of its own, BEGIN .. END, over many loop turns; what changes meanwhile stands in the new
 *    journals, which are read after it.  For each file of messages it says up to where the set is complete: below that, what is not
 *    there was removed.
 * 3. When that is durable the old files are unlinked.  A crash before leaves the old files, a crash after a checkpoint and some old files that say
 *    nothing new.
 * State: q->old files.  The coroutine yields. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pack.h"
#include "queue/qmgr_private.h"

#define CHECKPOINT_BYTES ((uint64_t)64 * 1024 * 1024)  /* of journals, that make one worthwhile */
#define PER_TURN 500
#define ROTATE_MS PH_SECONDS(60)

void ph_checkpoint_old_file(struct ph_qmgr *q, const char *file)
{
	size_t i;

	for (i = 0; i < q->n_old_files; i++) {
		if (strcmp(q->old_files[i], file) == 0)
			return;
	}
	q->old_files = ph_realloc(q->old_files, (q->n_old_files + 1) * sizeof(q->old_files[0]));
	q->old_files[q->n_old_files++] = ph_strdup(file);
}

/* An agent that lives writes to it. */
static bool in_use(const struct ph_qmgr *q, const char *file)
{
	if (strcmp(ph_journal_file(q->journal), file) == 0)
		return true;
	ph_list_for_each(g, &q->agents, struct ph_qagent, node) {
		if (strcmp(g->journal, file) == 0)
			return true;
	}
	return false;
}

static bool all_rotated(const struct ph_qmgr *q)
{
	ph_list_for_each(g, &q->agents, struct ph_qagent, node) {
		if (g->rotating)
			return false;
	}
	return true;
}

/* ---- writing ---- */

struct writer {
	struct ph_qmgr *q;
	struct ph_journal *j;
	uint64_t mark, n_segs;          /* seg->seen == mark + number + 1: it was written */
	struct ph_err err;
};

static int write_rec(struct writer *w, struct ph_journal_rec *rec)
{
	return ph_journal_append_batched(w->j, rec, &w->err);
}

static int write_segment(struct writer *w, struct ph_segment *seg, uint64_t covered, bool complete)
{
	struct ph_journal_rec rec = { .type = PH_J_CHECKPOINT_SEGMENT, .number = seg->instance, .number2 = covered, .rcpt = complete,
		.text = { seg->file, strlen(seg->file) } };

	seg->seen = w->mark + ++w->n_segs;
	return write_rec(w, &rec);
}

static int write_entry(struct writer *w, const struct ph_entry *e, struct ph_buf *b)
{
	struct ph_journal_rec rec = { .type = PH_J_LIVE };
	int64_t due = 0;
	int r = 0;

	if (e->segment->seen <= w->mark)        /* a file that came after the beginning: nothing is known to be missing from it */
		r = write_segment(w, e->segment, 0, false);
	if (e->state == PH_ENTRY_DEFERRED)
		due = ph_wall_us() / 1000 + (e->due.key - ph_now_ms());
	ph_buf_clear(b);
	if (r < 0 || (r = ph_entry_pack(w->q->ix, e, due, b)) < 0)
		return r;
	memcpy(rec.queue_id, ph_entry_queue_id(e), strlen(ph_entry_queue_id(e)) + 1);
	rec.number = e->segment->seen - w->mark - 1;
	rec.blob = (struct ph_slice){ b->data, b->len };
	return write_rec(w, &rec);
}

static int write_all(struct writer *w)
{
	struct ph_qmgr *q = w->q;
	struct ph_journal_rec rec = { .type = PH_J_CHECKPOINT_BEGIN, .time_ms = ph_wall_us() / 1000 };
	struct ph_buf b = PH_BUF_INIT(SIZE_MAX / 2);
	struct ph_index_cursor c;
	struct ph_entry *e;
	unsigned n = 0;
	int r = write_rec(w, &rec);

	ph_qmgr_own_open(q);
	/* At one go: this is the moment that the checkpoint speaks of. */
	ph_list_for_each(seg, &q->ix->segments, struct ph_segment, node) {
		if (r == 0 && !(seg->live == 0 && seg->own))
			r = write_segment(w, seg, seg->doubtful ? 0 : seg->covered, seg->open == 0 && !seg->doubtful && seg->n_holes == 0);
	}
	ph_index_cursor_open(q->ix, &c);
	while (r == 0 && (e = ph_index_cursor_next(q->ix, &c)) != NULL) {
		r = write_entry(w, e, &b);
		if (++n % PER_TURN == 0 && ph_co_sleep(0) < 0)
			r = -ECANCELED;
	}
	ph_index_cursor_close(&c);
	ph_buf_done(&b);
	rec.type = PH_J_CHECKPOINT_END;
	if (r == 0)
		r = write_rec(w, &rec);
	if (r == 0 && ph_co_sleep(0) == 0)
		r = ph_journal_sync(w->j, &w->err);
	return r;
}

/* ---- the whole ---- */

static int rotate_all(struct ph_qmgr *q, struct ph_err *err)
{
	int64_t deadline = ph_now_ms() + ROTATE_MS;
	char own[64];
	int r;

	snprintf(own, sizeof(own), "%s", ph_journal_file(q->journal));
	r = ph_journal_rotate(q->journal, err);
	if (r < 0)
		return r;
	ph_checkpoint_old_file(q, own);
	ph_list_for_each(g, &q->agents, struct ph_qagent, node) {
		ph_checkpoint_old_file(q, g->journal);
		g->rotating = true;
		if (g->ipc)
			ph_ipc_send(g->ipc, PH_F_ROTATE, NULL, 0);
	}
	while (!all_rotated(q)) {
		r = ph_waitq_wait(&q->rotate_wait, deadline);
		if (r < 0)
			return ph_err_set(err, r, "a delivery agent does not change its journal");
	}
	return 0;
}

static void unlink_old(struct ph_qmgr *q, char **files, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (in_use(q, files[i]))
			ph_checkpoint_old_file(q, files[i]);
		else if (unlinkat(q->dirfd, files[i], 0) < 0 && errno != ENOENT)
			ph_log(PH_LOG_WARNING, "%s: %m", files[i]);
	}
}

static void checkpoint_main(void *arg)
{
	struct ph_qmgr *q = arg;
	struct writer w = { .q = q, .mark = ++q->checkpoints << 32 };
	uint64_t bytes = q->journal_bytes;
	char **old = NULL;
	size_t n_old = 0;
	int r;

	ph_qmgr_own_open(q);
	r = rotate_all(q, &w.err);

	if (r == 0) {
		old = q->old_files;
		n_old = q->n_old_files;
		q->old_files = NULL;
		q->n_old_files = 0;
		q->journal_bytes -= bytes;
		r = ph_journal_open(q->dirfd, q->cfg->slot, &w.j, &w.err);
	}
	if (r == 0)
		r = write_all(&w);
	if (r == 0)
		unlink_old(q, old, n_old);
	else if (r != -ECANCELED)
		ph_log(PH_LOG_WARNING, "checkpoint: %s", w.err.text);
	if (w.j)
		ph_checkpoint_old_file(q, ph_journal_file(w.j));        /* goes with the next one */
	while (n_old > 0) {
		if (r < 0)
			ph_checkpoint_old_file(q, old[n_old - 1]);
		free(old[--n_old]);
	}
	free(old);
	if (w.j)
		ph_journal_close(&w.j);
	q->checkpointing = false;
	q->next_checkpoint_ms = ph_now_ms() + (r < 0 ? 60000 : 1000);
}

void ph_checkpoint_rotated(struct ph_qmgr *q)
{
	ph_waitq_wake_all(&q->rotate_wait);
}

void ph_checkpoint_maybe(struct ph_qmgr *q)
{
	/* A large index needs more news to be worth writing again. */
	uint64_t worth = CHECKPOINT_BYTES + q->ix->bytes / 2;

	if (q->checkpointing || !q->recovered || !ph_qmgr_agents_ready(q) || ph_now_ms() < q->next_checkpoint_ms ||
	    (q->journal_bytes < worth && !q->checkpoint_now))
		return;
	q->checkpointing = true;
	q->checkpoint_now = false;
	ph_co_spawn("qmgr checkpoint", checkpoint_main, q);
}
