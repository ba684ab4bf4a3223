/* control_show.c: "posthouse ctl show ...": what the queue manager has in its hands, as JSON lines, and as Prometheus text.
 * No state.  Yields where the client is slow. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/co_private.h"
#include "base/watchdog.h"
#include "module/loader.h"
#include "queue/control.h"

static json_t *queue_counts(const struct ph_qmgr *q)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I}", "messages", (json_int_t)q->ix->n,
			 "incoming", (json_int_t)q->ix->n_state[PH_ENTRY_INCOMING], "active", (json_int_t)q->ix->n_state[PH_ENTRY_ACTIVE],
			 "deferred", (json_int_t)q->ix->n_state[PH_ENTRY_DEFERRED], "hold", (json_int_t)q->ix->n_state[PH_ENTRY_HOLD],
			 "content_bytes", (json_int_t)q->ix->content_bytes, "index_bytes", (json_int_t)q->ix->bytes,
			 "recovered", q->recovered, "active_recipients", (json_int_t)q->n_active_rcpts);
}

static int show_segments(struct ph_control *c)
{
	int r = 0;

	ph_list_for_each(seg, &c->q->ix->segments, struct ph_segment, node) {
		r = ph_control_json(c, json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:b}", "file", seg->file, "messages", (json_int_t)seg->live,
						 "live_bytes", (json_int_t)seg->live_bytes, "end", (json_int_t)seg->end,
						 "covered", (json_int_t)seg->covered, "open", seg->open > 0, "doubtful", seg->doubtful));
		if (r < 0)
			break;
	}
	return r;
}

static json_t *destination(const struct ph_sched_dest_info *i)
{
	return json_pack("{s:s, s:s, s:f, s:i, s:i, s:I, s:I, s:s?, s:s?, s:I, s:I}", "transport", i->transport, "destination", i->name,
			 "window", i->window, "busy", (int)i->busy, "waiting", (int)i->waiting,
			 "dead_ms", (json_int_t)(i->dead_until ? i->dead_until - ph_now_ms() : 0),
			 "paused_ms", (json_int_t)(i->paused_until ? i->paused_until - ph_now_ms() : 0),
			 "dsn", i->dead_until ? i->dsn : NULL, "reason", i->dead_until ? i->text : NULL,
			 "delivered", (json_int_t)i->sent, "failed", (json_int_t)i->failed);
}

static int show_destinations(struct ph_control *c)
{
	struct ph_sched_dest_info info;
	struct ph_sched_dest *d;
	json_t *all = json_array();     /* copied first: the table does not hold still while the client is slow */
	size_t cursor = 0, i;
	int r = 0;

	while ((d = ph_sched_dest_next(c->q->sched, &cursor)) != NULL) {
		ph_sched_dest_info(d, &info);
		json_array_append_new(all, destination(&info));
	}
	for (i = 0; i < json_array_size(all) && r == 0; i++)
		r = ph_control_json(c, json_incref(json_array_get(all, i)));
	json_decref(all);
	return r;
}

static int show_agents(struct ph_control *c)
{
	json_t *all = json_array();
	size_t i;
	int r = 0;

	ph_list_for_each(g, &c->q->agents, struct ph_qagent, node)
		json_array_append_new(all, json_pack("{s:I, s:i, s:b, s:b, s:b, s:I, s:I, s:s}", "pid", (json_int_t)g->pid, "slot", (int)g->slot,
			"root", g->root, "connected", g->ipc != NULL, "stopping", g->stopping, "busy", (json_int_t)g->busy,
			"deliveries", (json_int_t)g->delivered, "journal", g->journal));
	for (i = 0; i < json_array_size(all) && r == 0; i++)
		r = ph_control_json(c, json_incref(json_array_get(all, i)));
	json_decref(all);
	return r;
}

static void add_coroutine(void *arg, const struct ph_co_info *i)
{
	json_array_append_new(arg, json_pack("{s:s, s:s, s:s, s:I, s:I}", "name", i->name, "state", i->state, "wait", i->wait,
					     "for_ms", (json_int_t)i->parked_ms, "age_ms", (json_int_t)i->age_ms));
}

static int show_coroutines(struct ph_control *c)
{
	json_t *all = json_array();
	size_t i;
	int r = 0;

	ph_co_for_each(add_coroutine, all);
	for (i = 0; i < json_array_size(all) && r == 0; i++)
		r = ph_control_json(c, json_incref(json_array_get(all, i)));
	json_decref(all);
	return r;
}

static json_t *stats(const struct ph_qmgr *q)
{
	json_t *j = queue_counts(q);

	json_object_update_new(j, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "arrived", (json_int_t)q->arrived,
		"finished", (json_int_t)q->finished, "sent", (json_int_t)q->stats.sent, "deferrals", (json_int_t)q->stats.deferred,
		"bounced", (json_int_t)q->stats.bounced, "expired", (json_int_t)q->stats.expired, "deliveries", (json_int_t)q->stats.deliveries,
		"notifications", (json_int_t)q->stats.notifications, "compacted", (json_int_t)q->stats.compacted,
		"segments_freed", (json_int_t)q->stats.discarded, "journal_bytes", (json_int_t)q->journal_bytes,
		"slow_turns", (json_int_t)ph_watchdog_count()));
	return j;
}

/* ---- Prometheus text format 0.0.4 ---- */

static void metric(struct ph_buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
	ph_buf_printf(b, "# HELP posthouse_%s %s\n# TYPE posthouse_%s %s\nposthouse_%s %llu\n", name, help, name, type, name,
		      (unsigned long long)value);
}

static int show_metrics(struct ph_control *c)
{
	static const char *const states[] = { "incoming", "active", "deferred", "hold" };
	const struct ph_qmgr *q = c->q;
	struct ph_buf b = PH_BUF_INIT(1 << 20);
	struct ph_sched_transport_info t;
	size_t i, cursor = 0;
	int r;

	ph_buf_puts(&b, "# HELP posthouse_queue_messages Messages in the queue.\n# TYPE posthouse_queue_messages gauge\n");
	for (i = 0; i < 4; i++)
		ph_buf_printf(&b, "posthouse_queue_messages{queue=\"%s\"} %zu\n", states[i], q->ix->n_state[i]);
	metric(&b, "queue_content_bytes", "gauge", "Bytes of content in the queue.", q->ix->content_bytes);
	metric(&b, "queue_index_bytes", "gauge", "Memory of the queue's index.", q->ix->bytes);
	metric(&b, "messages_arrived_total", "counter", "Messages that came in.", q->arrived);
	metric(&b, "messages_finished_total", "counter", "Messages that left the queue.", q->finished);
	metric(&b, "recipients_sent_total", "counter", "Recipients delivered.", q->stats.sent);
	metric(&b, "recipients_deferred_total", "counter", "Attempts that were deferred.", q->stats.deferred);
	metric(&b, "recipients_bounced_total", "counter", "Recipients that failed.", q->stats.bounced);
	metric(&b, "messages_expired_total", "counter", "Messages given up after their lifetime.", q->stats.expired);
	metric(&b, "deliveries_total", "counter", "Delivery requests handed to agents.", q->stats.deliveries);
	metric(&b, "notifications_total", "counter", "Bounces, delay warnings and reports sent.", q->stats.notifications);
	metric(&b, "segments_freed_total", "counter", "Segments and message files freed.", q->stats.discarded);
	ph_buf_puts(&b, "# HELP posthouse_transport_busy Deliveries under way.\n# TYPE posthouse_transport_busy gauge\n");
	while (ph_sched_transport_next(q->sched, &cursor, &t))
		ph_buf_printf(&b, "posthouse_transport_busy{transport=\"%s\"} %u\n", t.name, t.busy);
	ph_buf_puts(&b, "# HELP posthouse_transport_waiting Recipients that wait.\n# TYPE posthouse_transport_waiting gauge\n");
	for (cursor = 0; ph_sched_transport_next(q->sched, &cursor, &t); )
		ph_buf_printf(&b, "posthouse_transport_waiting{transport=\"%s\"} %u\n", t.name, t.waiting);
	r = ph_control_text(c, b.data, b.len);
	ph_buf_done(&b);
	return r;
}

int ph_control_show(struct ph_control *c, const char *what, struct ph_err *err)
{
	int r;

	if (strcmp(what, "queue") == 0)
		r = ph_control_json(c, queue_counts(c->q));
	else if (strcmp(what, "segments") == 0)
		r = show_segments(c);
	else if (strcmp(what, "destinations") == 0)
		r = show_destinations(c);
	else if (strcmp(what, "agents") == 0)
		r = show_agents(c);
	else if (strcmp(what, "coroutines") == 0)
		r = show_coroutines(c);
	else if (strcmp(what, "stats") == 0)
		r = ph_control_json(c, stats(c->q));
	else if (strcmp(what, "metrics") == 0)
		r = show_metrics(c);
	else
		return ph_err_set(err, -EINVAL, "show what? queue, segments, destinations, agents, coroutines, stats or metrics");
	return r < 0 ? ph_err_set(err, r, "the client went away") : 0;
}
