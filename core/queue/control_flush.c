/* control_flush.c: "postqueue -f", "-s site" and "-i id": deferred mail is tried again.  No state; by site it yields.
 * Source: postqueue(1), flush(8). */
#include <errno.h>
#include <string.h>

#include "queue/control.h"

#define PER_TURN 2000

int ph_control_flush(struct ph_control *c)
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

int ph_control_flush_site(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	struct ph_qmgr *q = c->q;
	const char *site = ph_control_member(req, "site");
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

int ph_control_flush_id(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	struct ph_entry *e = ph_index_find(c->q->ix, ph_control_member(req, "id"));

	if (e == NULL)
		return ph_err_set(err, -ESRCH, "no such message");
	if (e->state == PH_ENTRY_DEFERRED) {
		ph_sched_revive_all(c->q->sched);
		ph_retry_now(c->q, e);
	}
	return 0;
}
