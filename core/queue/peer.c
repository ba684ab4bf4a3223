/* peer.c: destinations with their concurrency windows, and peers (what one message has for one destination).
 *
 * A destination exists while batches wait for it or are under way, while it is given up (dead), or paused by a rate delay; a
 * destination that comes back starts with initial_destination_concurrency, as in Postfix.
 * State: struct ph_sched_dest, struct ph_sched_peer.  No I/O, no yield. */
#include <stdlib.h>
#include <string.h>

#include "queue/sched_private.h"

#define EPSILON 1e-9    /* 3 * (1/3) shall count as 1 */

/* ---- destinations ---- */

static void dest_timer_set(struct ph_sched *s, struct ph_sched_dest *d)
{
	int64_t at = d->dead_until ? d->dead_until : d->paused_until;

	if (at)
		ph_sched_timer_set(s, &d->timer, at);
}

static void dest_revive(struct ph_sched_dest *d)
{
	d->dead_until = 0;
	d->window = d->transport->p.initial_concurrency;
	d->cohorts = d->success = d->failure = 0;
}

static void on_timer(struct ph_sched *s, struct sched_timer *timer, int64_t now)
{
	struct ph_sched_dest *d = ph_container_of(timer, struct ph_sched_dest, timer);

	if (d->dead_until && now >= d->dead_until)
		dest_revive(d);
	if (d->paused_until && now >= d->paused_until)
		d->paused_until = 0;
	dest_timer_set(s, d);
	ph_sched_dest_check(s, d);
}

struct ph_sched_dest *ph_sched_dest_get(struct ph_sched *s, struct ph_sched_transport *t, const char *nexthop, const char *address)
{
	bool per_rcpt = t->p.dest_recipient_limit == 1;
	size_t tn = strlen(t->name) + 1, an = per_rcpt ? strlen(address) + 1 : 0, hn = strlen(nexthop), n = tn + an + hn;
	char small[512], *key = n + 1 <= sizeof(small) ? small : ph_alloc(n + 1);
	struct ph_sched_dest *d;

	memcpy(key, t->name, tn);
	if (per_rcpt) {
		memcpy(key + tn, address, an - 1);
		key[tn + an - 1] = '@';
	}
	memcpy(key + tn + an, nexthop, hn + 1);
	/* A domain is one destination, however it is written; a path is not. */
	if (!strchr(nexthop, '/'))
		ph_str_lower(key + tn + an);
	d = ph_htab_getn(&s->dests, key, n);
	if (d == NULL) {
		d = ph_alloc(sizeof(*d));
		d->key = ph_alloc(n + 1);               /* holds a NUL */
		memcpy(d->key, key, n + 1);
		d->key_n = n;
		d->name = d->key + tn;
		d->nexthop = per_rcpt || strcmp(d->name, nexthop) != 0 ? ph_strdup(nexthop) : NULL;
		d->transport = t;
		d->window = t->p.initial_concurrency;
		d->timer.fn = on_timer;
		ph_list_init(&d->peers);
		ph_htab_putn(&s->dests, d->key, n, d);
		t->n_dests++;
	}
	if (key != small)
		free(key);
	return d;
}

bool ph_sched_dest_open(const struct ph_sched_dest *d)
{
	double window = d->window;

	if (d->dead_until || d->paused_until || d->transport->dead_until)
		return false;
	if (d->transport->p.dest_rate_delay_ms > 0 && window > 1)
		window = 1;
	return d->busy + 1 <= window + EPSILON;
}

static void dest_free(struct ph_sched *s, struct ph_sched_dest *d)
{
	ph_heap_del(&s->timers, &d->timer.node);
	ph_heap_del(&d->transport->ready, &d->ready_node);
	ph_htab_deln(&s->dests, d->key, d->key_n);
	d->transport->n_dests--;
	free(d->key);
	free(d->nexthop);
	free(d->dsn);
	free(d->text);
	free(d);
}

/* The key that orders ready destinations: the place in the queue of the job that is first there; among those of one job the one
 * that was served longest ago. */
static int64_t ready_key(struct ph_sched_dest *d)
{
	const struct ph_sched_peer *p = ph_list_first(&d->peers, struct ph_sched_peer, dest_node);

	return p->job->order * (1 << 20) + (int64_t)(d->transport->turn++ & 0xfffff);
}

void ph_sched_dest_check(struct ph_sched *s, struct ph_sched_dest *d)
{
	struct ph_sched_transport *t = d->transport;

	if (!ph_list_empty(&d->peers)) {
		if (ph_sched_dest_open(d))
			ph_heap_set(&t->ready, &d->ready_node, ready_key(d));
		else
			ph_heap_del(&t->ready, &d->ready_node);
	} else if (d->busy == 0 && d->limbo == 0 && !d->dead_until && !d->paused_until) {
		dest_free(s, d);
	} else {
		ph_heap_del(&t->ready, &d->ready_node);
	}
	ph_sched_transport_check(s, t);
}

/* Everything that waits for d will be deferred. */
void ph_sched_dest_kill(struct ph_sched *s, struct ph_sched_dest *d)
{
	struct ph_sched_peer *p;

	while ((p = ph_list_first(&d->peers, struct ph_sched_peer, dest_node)) != NULL) {
		struct ph_sched_job *j = p->job;

		ph_list_del(&p->dest_node);
		while (!ph_list_empty(&p->waiting)) {
			struct ph_sched_batch *b = ph_list_first(&p->waiting, struct ph_sched_batch, node);

			ph_list_del(&b->node);
			ph_list_append(&s->dead, &b->node);
			b->peer = NULL;
			d->limbo++;
			d->waiting -= b->n;
			d->transport->waiting -= b->n;
			j->waiting--;
		}
		ph_sched_peer_check(s, p);
		ph_sched_job_size(j, true);
		ph_sched_job_check(s, j);
	}
}

/* ---- feedback ---- */

static void feedback_up(struct ph_sched_dest *d)
{
	const struct ph_sched_params *p = &d->transport->p;
	int limit = p->dest_concurrency_limit;

	d->cohorts = 0;
	if (d->dead_until) {                    /* somebody got through after all */
		dest_revive(d);
		return;
	}
	/* No growth beyond what is made use of. */
	if ((limit > 0 && d->window >= limit) || d->window >= d->busy + p->initial_concurrency)
		return;
	d->success += ph_sched_feedback_value(&p->positive, d->window);
	while (d->success + EPSILON >= 1) {
		d->success -= 1;
		d->failure = 0;
		d->window += 1;
	}
	if (limit > 0 && d->window > limit)
		d->window = limit;
}

static void feedback_down(struct ph_sched *s, struct ph_sched_dest *d, const char *dsn, const char *text, int64_t now)
{
	const struct ph_sched_params *p = &d->transport->p;

	free(d->dsn);
	free(d->text);
	d->dsn = ph_strdup(dsn);
	d->text = ph_strdup(text);
	if (d->dead_until)
		return;
	d->cohorts += 1 / (d->window < 1 ? 1 : d->window);
	if (p->failed_cohort_limit > 0 && d->cohorts + EPSILON >= p->failed_cohort_limit) {
		d->window = 0;
		d->dead_until = now + (p->dead_ms > 0 ? p->dead_ms : 1);
		dest_timer_set(s, d);
		ph_sched_dest_kill(s, d);
		return;
	}
	/* The step down comes at the beginning of a cycle of 1/feedback failures, the step up at the end of a cycle of successes. */
	d->failure -= ph_sched_feedback_value(&p->negative, d->window);
	while (d->failure < -EPSILON) {
		d->failure += 1;
		d->success = 0;
		d->window -= 1;
	}
	if (d->window < 1)
		d->window = 1;
}

void ph_sched_watch(struct ph_sched *s, void (*fn)(void *arg, const struct ph_sched_change *c), void *arg)
{
	s->watch = fn;
	s->watch_arg = arg;
}

static void tell_change(const struct ph_sched *s, const struct ph_sched_dest *d)
{
	struct ph_sched_change c = { .transport = d->transport->name, .destination = d->name, .limit = d->transport->p.dest_concurrency_limit,
		.window = d->window, .success = d->success, .failure = d->failure, .cohorts = d->cohorts };

	s->watch(s->watch_arg, &c);
}

/* d->busy still counts the delivery that this is about. */
void ph_sched_dest_result(struct ph_sched *s, struct ph_sched_dest *d, enum ph_sched_outcome o, const char *dsn, const char *text, int64_t now)
{
	switch (o) {
	case PH_SCHED_OK:
		d->sent++;
		feedback_up(d);
		break;
	case PH_SCHED_DEST_DOWN:
		d->failed++;
		feedback_down(s, d, dsn, text, now);
		break;
	case PH_SCHED_NEUTRAL:
		break;
	}
	if (s->watch && o != PH_SCHED_NEUTRAL)
		tell_change(s, d);
	ph_assert(d->busy > 0);
	d->busy--;
	if (d->transport->p.dest_rate_delay_ms > 0 && o != PH_SCHED_NEUTRAL) {
		d->paused_until = now + d->transport->p.dest_rate_delay_ms;
		dest_timer_set(s, d);
	}
}

/* ---- peers ---- */

struct ph_sched_peer *ph_sched_peer_get(struct ph_sched *s, struct ph_sched_job *j, struct ph_sched_dest *d, bool make)
{
	struct { void *job, *dest; } key = { j, d };
	struct ph_sched_peer *p = ph_htab_getn(&s->peers, (const char *)&key, sizeof(key));

	if (p || !make)
		return p;
	p = ph_alloc(sizeof(*p));
	p->job = j;
	p->dest = d;
	p->key.job = j;
	p->key.dest = d;
	ph_list_init(&p->waiting);
	ph_list_init(&p->dest_node);
	ph_list_append(&j->peers, &p->job_node);
	ph_htab_putn(&s->peers, (const char *)&p->key, sizeof(p->key), p);
	return p;
}

void ph_sched_peer_place(struct ph_sched_peer *p)
{
	struct ph_list *head = &p->dest->peers, *at;
	const struct ph_sched_peer *last = ph_list_last(head, struct ph_sched_peer, dest_node);

	if (last == NULL || last->job->order <= p->job->order) {
		ph_list_append(head, &p->dest_node);
		return;
	}
	/* An older job comes back (its recipients are read in portions), or one overtakes: near the front. */
	for (at = head->next; ph_list_entry(at, struct ph_sched_peer, dest_node)->job->order <= p->job->order; )
		at = at->next;
	ph_list_append(at, &p->dest_node);
}

void ph_sched_peer_check(struct ph_sched *s, struct ph_sched_peer *p)
{
	if (!ph_list_empty(&p->waiting))
		return;
	ph_list_del(&p->dest_node);
	if (p->busy > 0)
		return;
	ph_list_del(&p->job_node);
	ph_htab_deln(&s->peers, (const char *)&p->key, sizeof(p->key));
	free(p);
}

/* ---- to look at ---- */

void ph_sched_dest_info(const struct ph_sched_dest *d, struct ph_sched_dest_info *ret)
{
	*ret = (struct ph_sched_dest_info){
		.transport = d->transport->name, .name = d->name, .window = d->window, .busy = d->busy, .waiting = d->waiting,
		.dead_until = d->dead_until, .paused_until = d->paused_until, .dsn = d->dsn, .text = d->text,
		.sent = d->sent, .failed = d->failed,
	};
}

struct ph_sched_dest *ph_sched_dest_next(struct ph_sched *s, size_t *cursor)
{
	return ph_htab_next(&s->dests, cursor, NULL);
}

const char *ph_sched_dest_name(const struct ph_sched_dest *d)
{
	return d->name;
}

const char *ph_sched_dest_nexthop(const struct ph_sched_dest *d)
{
	return d->nexthop ? d->nexthop : d->name;
}

struct ph_sched_transport *ph_sched_dest_transport(const struct ph_sched_dest *d)
{
	return d->transport;
}

uint32_t ph_sched_dest_waiting(const struct ph_sched_dest *d)
{
	return d->waiting;
}
