/* sched.c: the scheduler's entry points and its choice.
 *
 * The next delivery: transports take turns; in a transport the destination whose first waiting job is first in the queue goes
 * first (destinations of one job take turns), unless another job overtakes that job (job.c).  So a job whose
 * destinations are all at their limit costs nothing: only destinations that can start stand in the transport's heap.
 * State: struct ph_sched.  No I/O, no yield. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/sched_private.h"

void ph_sched_timer_set(struct ph_sched *s, struct sched_timer *t, int64_t at)
{
	ph_heap_set(&s->timers, &t->node, at);
}

struct ph_sched *ph_sched_new(void (*load)(void *arg, const char *transport, struct ph_sched_params *ret), void *arg)
{
	struct ph_sched *s = ph_alloc(sizeof(*s));

	s->load = load;
	s->load_arg = arg;
	ph_list_init(&s->ready);
	ph_list_init(&s->dead);
	return s;
}

void ph_sched_msg_init(struct ph_sched_msg *m)
{
	ph_list_init(&m->jobs);
	m->waiting = m->busy = m->unread = 0;
	m->single = false;
}

/* ---- batches ---- */

static void batch_free(struct ph_sched_batch *b)
{
	if (b->rcpts != b->few)
		free(b->rcpts);
	free(b);
}

static struct ph_sched_batch *batch_new(struct ph_sched_peer *p)
{
	struct ph_sched_batch *b = ph_alloc(sizeof(*b));

	ph_list_init(&b->node);
	b->peer = p;
	b->msg = p->job->msg;
	b->dest = p->dest;
	b->rcpts = b->few;
	b->cap = PH_ARRAY_LEN(b->few);
	return b;
}

static void batch_add(struct ph_sched_batch *b, uint32_t rcpt)
{
	if (b->n == b->cap) {
		uint32_t *old = b->rcpts;

		b->cap *= 2;
		b->rcpts = ph_realloc(old == b->few ? NULL : old, b->cap * sizeof(b->rcpts[0]));
		if (old == b->few)
			memcpy(b->rcpts, b->few, sizeof(b->few));
	}
	b->rcpts[b->n++] = rcpt;
}

/* ---- adding ---- */

static enum ph_sched_added dead(struct ph_sched *s, const char *dsn, const char *prefix, const char *text, const char **ret_dsn, const char **ret_text)
{
	snprintf(s->dead_dsn, sizeof(s->dead_dsn), "%s", dsn ? dsn : "4.3.0");
	snprintf(s->dead_text, sizeof(s->dead_text), "%s%s", prefix, text ? text : "unknown");
	*ret_dsn = s->dead_dsn;
	*ret_text = s->dead_text;
	return PH_SCHED_DEAD;
}

static const char suspended[] = "delivery temporarily suspended: ";

enum ph_sched_added ph_sched_add(struct ph_sched *s, struct ph_sched_msg *m, struct ph_sched_transport *t, const char *nexthop,
				 const char *address, uint32_t rcpt, int64_t now, const char **ret_dsn, const char **ret_text)
{
	struct ph_sched_dest *d;
	struct ph_sched_job *j;
	struct ph_sched_peer *p;
	struct ph_sched_batch *b;
	uint32_t limit = m->single ? 1 : (uint32_t)t->p.dest_recipient_limit;

	if (t->dead_until && now < t->dead_until)
		return dead(s, t->dsn, "", t->text, ret_dsn, ret_text);
	d = ph_sched_dest_get(s, t, nexthop, address);
	if (d->dead_until && now < d->dead_until)
		return dead(s, d->dsn, suspended, d->text, ret_dsn, ret_text);
	j = ph_sched_job_get(s, m, t, now);
	p = ph_sched_peer_get(s, j, d, true);
	b = ph_list_last(&p->waiting, struct ph_sched_batch, node);
	if (b == NULL || (limit > 0 && b->n >= limit)) {
		bool first = b == NULL;

		b = batch_new(p);
		ph_list_append(&p->waiting, &b->node);
		j->waiting++;
		ph_sched_job_size(j, false);
		if (first) {
			ph_sched_peer_place(p);
			ph_sched_dest_check(s, d);
		}
	}
	batch_add(b, rcpt);
	d->waiting++;
	t->waiting++;
	t->rcpts++;
	m->waiting++;
	return PH_SCHED_QUEUED;
}

static void batch_started(struct ph_sched *s, struct ph_sched_batch *b)
{
	struct ph_sched_dest *d = b->dest;

	b->peer->busy++;
	b->peer->job->started++;
	d->busy++;
	d->transport->busy++;
	b->msg->busy += b->n;
}

/* ---- choosing ---- */

static struct ph_sched_batch *batch_start(struct ph_sched *s, struct ph_sched_peer *p)
{
	struct ph_sched_batch *b = ph_list_first(&p->waiting, struct ph_sched_batch, node);
	struct ph_sched_job *j = p->job;

	ph_list_del(&b->node);
	j->waiting--;
	b->dest->waiting -= b->n;
	b->dest->transport->waiting -= b->n;
	b->msg->waiting -= b->n;
	batch_started(s, b);
	if (ph_list_empty(&p->waiting))
		ph_list_del(&p->dest_node);
	ph_list_del(&p->job_node);              /* the job's destinations take turns */
	ph_list_append(&j->peers, &p->job_node);
	ph_sched_job_size(j, true);
	ph_sched_dest_check(s, b->dest);
	return b;
}

static void run_timers(struct ph_sched *s, int64_t now)
{
	struct ph_heap_node *n;

	while ((n = ph_heap_first(&s->timers)) != NULL && n->key <= now) {
		struct sched_timer *t = ph_container_of(n, struct sched_timer, node);

		ph_heap_del(&s->timers, n);
		t->fn(s, t, now);
	}
}

struct ph_sched_batch *ph_sched_next(struct ph_sched *s, int64_t now, int64_t *ret_wake)
{
	struct ph_sched_transport *t;
	struct ph_sched_peer *p;
	struct ph_sched_job *c;
	struct ph_heap_node *n;

	run_timers(s, now);
	n = ph_heap_first(&s->timers);
	*ret_wake = n ? n->key : INT64_MAX;
	t = ph_list_first(&s->ready, struct ph_sched_transport, ready_node);
	if (t == NULL)
		return NULL;
	ph_list_del(&t->ready_node);            /* transports take turns */
	ph_list_append(&s->ready, &t->ready_node);
	p = ph_list_first(&ph_container_of(ph_heap_first(&t->ready), struct ph_sched_dest, ready_node)->peers,
			  struct ph_sched_peer, dest_node);
	c = ph_sched_job_preempt(s, p->job, now);
	if (c) {
		ph_list_for_each(q, &c->peers, struct ph_sched_peer, job_node) {
			if (!ph_list_empty(&q->waiting) && ph_sched_dest_open(q->dest)) {
				p = q;
				break;
			}
		}
	}
	return batch_start(s, p);
}

struct ph_sched_batch *ph_sched_next_dead(struct ph_sched *s, const char **ret_dsn, const char **ret_text)
{
	struct ph_sched_batch *b = ph_list_first(&s->dead, struct ph_sched_batch, node);
	struct ph_sched_dest *d;

	if (b == NULL)
		return NULL;
	ph_list_del(&b->node);
	d = b->dest;
	if (d->transport->dead_until || d->text == NULL)
		dead(s, d->transport->dsn, "", d->transport->text, ret_dsn, ret_text);
	else
		dead(s, d->dsn, suspended, d->text, ret_dsn, ret_text);
	b->msg->waiting -= b->n;
	d->transport->rcpts -= b->n;
	d->limbo--;
	ph_sched_dest_check(s, d);
	b->dest = NULL;
	return b;
}

void ph_sched_drop(struct ph_sched *s, struct ph_sched_batch *b)
{
	ph_assert(b->dest == NULL);
	batch_free(b);
}

/* ---- the end of a delivery ---- */

static void batch_leave(struct ph_sched *s, struct ph_sched_batch *b)
{
	b->msg->busy -= b->n;
	b->peer->busy--;
}

void ph_sched_finish(struct ph_sched *s, struct ph_sched_batch *b, enum ph_sched_outcome outcome, const char *dsn, const char *text,
		     int64_t now)
{
	struct ph_sched_dest *d = b->dest;
	struct ph_sched_transport *t = d->transport;
	struct ph_sched_job *j = b->peer->job;

	batch_leave(s, b);
	t->rcpts -= b->n;
	/* Peer and job first: giving the destination up may free them otherwise. */
	ph_sched_peer_check(s, b->peer);
	ph_sched_job_check(s, j);
	ph_sched_dest_result(s, d, outcome, dsn, text, now);
	ph_sched_dest_check(s, d);
	ph_sched_transport_done(s, t, now);
	batch_free(b);
}

void ph_sched_unstart(struct ph_sched *s, struct ph_sched_batch *b)
{
	struct ph_sched_dest *d = b->dest;
	struct ph_sched_peer *p = b->peer;
	struct ph_sched_job *j = p->job;

	batch_leave(s, b);
	j->started--;
	j->waiting++;
	d->busy--;
	d->transport->busy--;
	d->waiting += b->n;
	d->transport->waiting += b->n;
	b->msg->waiting += b->n;
	if (ph_list_empty(&p->waiting))
		ph_sched_peer_place(p);
	ph_list_push(&p->waiting, &b->node);
	ph_sched_job_size(j, true);
	ph_sched_dest_check(s, d);
}

/* ---- the rest ---- */

static void peer_withdraw(struct ph_sched *s, struct ph_sched_peer *p)
{
	struct ph_sched_dest *d = p->dest;
	struct ph_sched_batch *b;

	while ((b = ph_list_first(&p->waiting, struct ph_sched_batch, node)) != NULL) {
		ph_list_del(&b->node);
		p->job->waiting--;
		d->waiting -= b->n;
		d->transport->waiting -= b->n;
		d->transport->rcpts -= b->n;
		b->msg->waiting -= b->n;
		batch_free(b);
	}
	ph_sched_peer_check(s, p);
	ph_sched_dest_check(s, d);
}

void ph_sched_withdraw(struct ph_sched *s, struct ph_sched_msg *m)
{
	ph_list_for_each_safe(j, &m->jobs, struct ph_sched_job, msg_node) {
		ph_list_for_each_safe(p, &j->peers, struct ph_sched_peer, job_node)
			peer_withdraw(s, p);
		ph_sched_job_size(j, true);
		ph_sched_job_check(s, j);
	}
	if (m->waiting == 0)
		return;
	ph_list_for_each_safe(b, &s->dead, struct ph_sched_batch, node) {       /* its batches of dead destinations */
		struct ph_sched_dest *d = b->dest;

		if (b->msg != m)
			continue;
		ph_list_del(&b->node);
		m->waiting -= b->n;
		d->transport->rcpts -= b->n;
		d->limbo--;
		batch_free(b);
		ph_sched_dest_check(s, d);
	}
}

void ph_sched_revive_all(struct ph_sched *s)
{
	size_t cursor = 0;
	struct ph_sched_transport *t;
	struct ph_sched_dest *d;

	/* Destinations free themselves when they are neither dead nor used: let their timers do it. */
	while ((d = ph_htab_next(&s->dests, &cursor, NULL)) != NULL) {
		if (d->dead_until) {
			d->dead_until = 1;
			ph_sched_timer_set(s, &d->timer, 1);
		}
	}
	cursor = 0;
	while ((t = ph_htab_next(&s->transports, &cursor, NULL)) != NULL) {
		if (t->dead_until) {
			t->dead_until = 1;
			ph_sched_timer_set(s, &t->timer, 1);
		}
	}
	run_timers(s, 1);
}

void ph_sched_free(struct ph_sched **sp)
{
	struct ph_sched *s = *sp;
	struct ph_sched_transport *t;
	struct ph_sched_dest *d;
	size_t cursor = 0;

	if (s == NULL)
		return;
	while ((t = ph_htab_next(&s->transports, &cursor, NULL)) != NULL) {
		struct ph_sched_job *j;

		while ((j = ph_list_first(&t->jobs, struct ph_sched_job, transport_node)) != NULL)
			ph_sched_withdraw(s, j->msg);
	}
	while (!ph_list_empty(&s->dead))
		ph_sched_withdraw(s, ph_list_first(&s->dead, struct ph_sched_batch, node)->msg);
	for (cursor = 0; (d = ph_htab_next(&s->dests, &cursor, NULL)) != NULL; cursor = 0) {
		d->dead_until = d->paused_until = 0;
		ph_sched_dest_check(s, d);
	}
	ph_heap_done(&s->timers);
	for (cursor = 0; (t = ph_htab_next(&s->transports, &cursor, NULL)) != NULL; ) {
		free(t->name);
		free(t->dsn);
		free(t->text);
		ph_heap_done(&t->ready);
		free(t);
	}
	ph_htab_done(&s->transports);
	ph_htab_done(&s->dests);
	ph_htab_done(&s->peers);
	free(s);
	*sp = NULL;
}
