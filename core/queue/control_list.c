/* control_list.c: "postqueue -p" and "-j": the queue as the queue manager has it in memory.  State: the number of the last listing.
 * Yields.  Source: showq(8), postqueue(1). */
#include <stdint.h>
#include <string.h>

#include "queue/control.h"

#define PER_TURN 32000

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
		if (++n % PER_TURN == 0 && (r = ph_co_sleep(0)) < 0)
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
int ph_control_list(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	static const int order[] = { PH_ENTRY_ACTIVE, PH_ENTRY_INCOMING, PH_ENTRY_DEFERRED, PH_ENTRY_HOLD, -1 };
	static uint8_t last_number;
	struct ph_qmgr *q = c->q;
	struct listing_run run = { .c = c, .l = { .long_ids = q->set.long_ids }, .b = PH_BUF_INIT(SIZE_MAX / 2), .limit = (uint32_t)q->ix->added };
	int r = 0;

	if (++last_number == 0)
		last_number = 1;
	run.number = last_number;
	run.l.format = strcmp(ph_control_member(req, "format"), "json") == 0 ? PH_LISTING_JSON : PH_LISTING_MAILQ;
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
