/* compact.c: closed segments with few live bytes: the live messages are copied into a segment of our own, then the old file is freed.
 *
 * The copy is durable before the index points to it; until the old file is discarded a restart finds the message twice, under one queue id,
 * and keeps one.  One pass over the index serves all segments that are worth it.
 * State: seg->compacting.  The coroutines yield. */
#include <stdlib.h>
#include <string.h>

#include "queue/qmgr_private.h"

#define EVERY_MS PH_SECONDS(30)
#define SHARE 4                 /* worth it when less than 1/SHARE lives */
#define AT_ONCE 32              /* copies: they share commits */

struct pass {
	struct ph_qmgr *q;
	struct ph_index_cursor cursor;
	unsigned workers;
	bool failed;
};

static bool worth(const struct ph_segment *seg)
{
	return !seg->own && !seg->compacting && !seg->doubtful && seg->open == 0 && seg->live > 0 && seg->n_holes == 0 &&
	       seg->live_bytes * SHARE < seg->end && seg->end > 1024 * 1024;
}

static void copy_one(struct pass *p, const struct ph_msg_ref *from)
{
	struct ph_qmgr *q = p->q;
	struct ph_msg_ref to;
	struct ph_segment *old;
	struct ph_entry *e;
	struct ph_err err;

	if (ph_store_copy(q->store, from, &to, &err) < 0) {
		ph_log(PH_LOG_WARNING, "%s: cannot be copied out of %s: %s", from->queue_id, from->file, err.text);
		p->failed = true;
		return;
	}
	q->stats.compacted++;
	e = ph_index_find(q->ix, from->queue_id);
	if (e == NULL || e->segment->instance != from->instance || e->offset != from->offset) {
		ph_segment_cover(ph_index_segment(q->ix, to.file, to.instance), to.offset, to.offset + to.length);
		return;                 /* removed meanwhile */
	}
	old = e->segment;
	ph_index_move(q->ix, e, &to);
	(void)old;                      /* freed at the end of the pass */
}

static void pass_end(struct pass *p)
{
	struct ph_qmgr *q = p->q;

	ph_index_cursor_close(&p->cursor);
	q->compacting = false;
	q->next_compact_ms = ph_now_ms() + (p->failed ? 10 * EVERY_MS : EVERY_MS);
	free(p);
	ph_list_for_each_safe(seg, &q->ix->segments, struct ph_segment, node) {
		if (seg->compacting && seg->gap_scans == 0) {
			seg->compacting = false;
			ph_segment_check(q, seg);
		}
	}
}

static void copier_main(void *arg)
{
	struct pass *p = arg;
	struct ph_entry *e;
	struct ph_msg_ref ref;
	unsigned n = 0;

	while (!p->failed && (e = ph_index_cursor_next(p->q->ix, &p->cursor)) != NULL) {
		if (e->segment->compacting && !e->segment->gap_scans) {
			ph_entry_ref(e, &ref);
			copy_one(p, &ref);
		} else if (++n % 5000 == 0 && ph_co_sleep(0) < 0) {
			break;
		}
	}
	if (--p->workers == 0)
		pass_end(p);
}

void ph_compact_maybe(struct ph_qmgr *q)
{
	struct pass *p;
	unsigned n = 0, i;

	if (q->compacting || !q->recovered || q->store == NULL || q->stopping || ph_now_ms() < q->next_compact_ms)
		return;
	q->next_compact_ms = ph_now_ms() + EVERY_MS;
	ph_list_for_each(seg, &q->ix->segments, struct ph_segment, node) {
		if (worth(seg)) {
			seg->compacting = true;
			n++;
		}
	}
	if (n == 0)
		return;
	q->compacting = true;
	p = ph_alloc(sizeof(*p));
	p->q = q;
	p->workers = AT_ONCE;
	ph_index_cursor_open(q->ix, &p->cursor);
	for (i = 0; i < AT_ONCE; i++)
		ph_co_spawn("qmgr compact", copier_main, p);
}
