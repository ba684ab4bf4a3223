/* recover_journal.c: journals and checkpoints, as a start and as later deaths of agents need them.
 * State: none of its own; it fills the index and r->told. */
#include <stdlib.h>
#include <string.h>

#include "queue/recover_private.h"

/* ---- one journal ---- */

void ph_recover_note(struct ph_qmgr *q, const struct ph_journal_rec *rec)
{
	struct ph_entry *e = ph_index_find(q->ix, rec->queue_id);

	if (e == NULL) {
		if (!q->recovered && q->recovery)
			ph_tell(q->recovery, rec);
		return;
	}
	if (rec->type == PH_J_RESULT || rec->type == PH_J_DEFERRED || rec->type == PH_J_PART)
		ph_told_now(q, e, rec);
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
		struct ph_told *t = ph_htab_get(&q->recovery->told, ph_entry_queue_id(e));
		int64_t due = e->state == PH_ENTRY_DEFERRED ? e->due.key : 0;

		if (t)
			t->found = true;
		if (t && t->removed) {
			ph_index_remove(q->ix, e);
			continue;
		}
		ph_told_settle(q, e, t, due);
		if (ph_recover_done(e))
			ph_qmgr_remove(q, e, !q->offline);
	}
	ph_index_cursor_close(&c);
}

static int tell_one(void *arg, const struct ph_journal_rec *rec)
{
	struct ph_qmgr *q = arg;

	if (ph_queue_id_valid(rec->queue_id)) {
		ph_tell(q->recovery, rec);
		ph_told_get(q->recovery, rec->queue_id)->at_start = true;
	}
	return 0;
}

/* ---- all of them ---- */

void ph_recover_slot(struct ph_qmgr *q, uint8_t slot)
{
	char prefix[8], **names;
	struct ph_err err;
	size_t n, i;

	snprintf(prefix, sizeof(prefix), "J%02x.", slot);
	n = ph_queue_names(q->dirfd, "journal", prefix, &names);
	for (i = 0; i < n; i++) {
		if (ph_recover_journal(q, names[i], &err) < 0)
			ph_log(PH_LOG_WARNING, "%s: %s", names[i], err.text);
		ph_checkpoint_old_file(q, names[i]);
	}
	ph_queue_names_free(names, n);
}

int ph_recover_read_journals(struct ph_qmgr *q, struct ph_err *err)
{
	char **names, *best = NULL;
	size_t n = ph_queue_names(q->dirfd, "journal", "J", &names), i;
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

		q->recovery->checkpoint_ms = best_ms;
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
	ph_queue_names_free(names, n);
	free(is_checkpoint);
	return r < 0 ? r : 0;
}
