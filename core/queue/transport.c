/* transport.c: transports of the scheduler, and the feedback expressions of their parameters.
 * State: struct ph_sched_transport.  No I/O, no yield. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/sched_private.h"

/* ---- feedback expressions (postconf(5): default_destination_concurrency_positive_feedback) ---- */

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

int ph_sched_feedback_parse(const char *text, struct ph_sched_feedback *ret)
{
	struct ph_sched_feedback f = { PH_FEEDBACK_CONST, 1 };
	char *end;
	double d;

	text = skip_blanks(text);
	f.n = strtod(text, &end);
	if (end == text || !(f.n > 0) || f.n > 1000)
		return -EINVAL;
	text = skip_blanks(end);
	if (*text == '/') {
		text = skip_blanks(text + 1);
		if (strncmp(text, "concurrency", 11) == 0) {
			f.kind = PH_FEEDBACK_CONCURRENCY;
			text += 11;
		} else if (strncmp(text, "sqrt_concurrency", 16) == 0) {
			f.kind = PH_FEEDBACK_SQRT;
			text += 16;
		} else {
			d = strtod(text, &end);
			if (end == text || !(d > 0))
				return -EINVAL;
			f.n /= d;
			text = end;
		}
	}
	if (*skip_blanks(text) != '\0' || (f.kind == PH_FEEDBACK_CONST && f.n > 1))
		return -EINVAL;
	*ret = f;
	return 0;
}

/* Newton's; saves linking libm for one call. */
static double square_root(double x)
{
	double r = x;
	int i;

	for (i = 0; i < 20; i++)
		r = (r + x / r) / 2;
	return r;
}

double ph_sched_feedback_value(const struct ph_sched_feedback *f, double window)
{
	double v = f->n;

	if (window < 1)
		window = 1;
	if (f->kind == PH_FEEDBACK_CONCURRENCY)
		v = f->n / window;
	else if (f->kind == PH_FEEDBACK_SQRT)
		v = f->n / square_root(window);
	return v > 1 ? 1 : v;
}

/* ---- transports ---- */

static void on_timer(struct ph_sched *s, struct sched_timer *timer, int64_t now)
{
	struct ph_sched_transport *t = ph_container_of(timer, struct ph_sched_transport, timer);
	struct ph_sched_dest *d;
	size_t cursor = 0;

	if (t->dead_until && now >= t->dead_until) {
		t->dead_until = 0;
		while ((d = ph_htab_next(&s->dests, &cursor, NULL)) != NULL) {
			if (d->transport == t && !ph_list_empty(&d->peers))     /* those are not freed by the check */
				ph_sched_dest_check(s, d);
		}
	}
	if (t->paused_until && now >= t->paused_until)
		t->paused_until = 0;
	if (t->dead_until || t->paused_until)
		ph_sched_timer_set(s, timer, t->dead_until ? t->dead_until : t->paused_until);
	ph_sched_transport_check(s, t);
}

struct ph_sched_transport *ph_sched_transport(struct ph_sched *s, const char *name)
{
	struct ph_sched_transport *t = ph_htab_get(&s->transports, name);
	size_t i;

	if (t)
		return t;
	t = ph_alloc(sizeof(*t));
	t->name = ph_strdup(name);
	ph_list_init(&t->ready_node);
	ph_list_init(&t->jobs);
	for (i = 0; i < PH_ARRAY_LEN(t->sizes); i++)
		ph_list_init(&t->sizes[i]);
	t->timer.fn = on_timer;
	s->load(s->load_arg, name, &t->p);
	if (t->p.initial_concurrency < 1)
		t->p.initial_concurrency = 1;
	if (t->p.dest_concurrency_limit > 0 && t->p.initial_concurrency > t->p.dest_concurrency_limit)
		t->p.initial_concurrency = t->p.dest_concurrency_limit;
	ph_htab_put(&s->transports, t->name, t);
	return t;
}

bool ph_sched_transport_open(const struct ph_sched_transport *t)
{
	uint32_t limit = (uint32_t)t->p.process_limit;

	if (t->dead_until || t->paused_until || t->blocked)
		return false;
	if (t->p.transport_rate_delay_ms > 0)
		limit = 1;
	return limit == 0 || t->busy < limit;
}

void ph_sched_transport_check(struct ph_sched *s, struct ph_sched_transport *t)
{
	bool ready = t->ready.n > 0 && ph_sched_transport_open(t);

	if (ready && ph_list_empty(&t->ready_node))
		ph_list_append(&s->ready, &t->ready_node);
	else if (!ready)
		ph_list_del(&t->ready_node);
}

/* A delivery has ended. */
void ph_sched_transport_done(struct ph_sched *s, struct ph_sched_transport *t, int64_t now)
{
	ph_assert(t->busy > 0);
	t->busy--;
	if (t->p.transport_rate_delay_ms > 0) {
		t->paused_until = now + t->p.transport_rate_delay_ms;
		ph_sched_timer_set(s, &t->timer, t->dead_until ? t->dead_until : t->paused_until);
	}
	ph_sched_transport_check(s, t);
}

void ph_sched_transport_down(struct ph_sched *s, struct ph_sched_transport *t, const char *dsn, const char *text, int64_t now)
{
	free(t->dsn);
	free(t->text);
	t->dsn = ph_strdup(dsn);
	t->text = ph_strdup(text);
	t->dead_until = now + (t->p.retry_ms > 0 ? t->p.retry_ms : 1);
	ph_sched_timer_set(s, &t->timer, t->dead_until);
	ph_list_for_each_safe(j, &t->jobs, struct ph_sched_job, transport_node) {
		ph_list_for_each_safe(p, &j->peers, struct ph_sched_peer, job_node) {
			while (!ph_list_empty(&p->waiting)) {
				struct ph_sched_batch *b = ph_list_first(&p->waiting, struct ph_sched_batch, node);

				ph_list_del(&b->node);
				ph_list_append(&s->dead, &b->node);
				b->peer = NULL;
				b->dest->limbo++;
				b->dest->waiting -= b->n;
				t->waiting -= b->n;
				j->waiting--;
			}
			ph_list_del(&p->dest_node);
			ph_sched_dest_check(s, p->dest);
			if (p->busy == 0) {
				ph_list_del(&p->job_node);
				ph_htab_deln(&s->peers, (const char *)&p->key, sizeof(p->key));
				free(p);
			}
		}
		ph_sched_job_size(j, true);
		ph_sched_job_check(s, j);
	}
	ph_sched_transport_check(s, t);
}

void ph_sched_transport_block(struct ph_sched *s, struct ph_sched_transport *t, bool blocked)
{
	t->blocked = blocked;
	ph_sched_transport_check(s, t);
}

void ph_sched_unblock_all(struct ph_sched *s)
{
	struct ph_sched_transport *t;
	size_t cursor = 0;

	while ((t = ph_htab_next(&s->transports, &cursor, NULL)) != NULL)
		ph_sched_transport_block(s, t, false);
}

const char *ph_sched_transport_name(const struct ph_sched_transport *t)
{
	return t->name;
}

const struct ph_sched_params *ph_sched_transport_params(const struct ph_sched_transport *t)
{
	return &t->p;
}

int64_t ph_sched_transport_room(const struct ph_sched_transport *t, bool preferred)
{
	return (int64_t)t->p.recipient_limit + (preferred ? t->p.extra_recipient_limit : 0) - t->rcpts;
}

bool ph_sched_transport_next(struct ph_sched *s, size_t *cursor, struct ph_sched_transport_info *ret)
{
	const struct ph_sched_transport *t = ph_htab_next(&s->transports, cursor, NULL);

	if (t == NULL)
		return false;
	*ret = (struct ph_sched_transport_info){ .name = t->name, .busy = t->busy, .waiting = t->waiting, .jobs = t->n_jobs,
		.dests = t->n_dests, .dead = t->dead_until != 0, .blocked = t->blocked, .preemptions = t->preemptions };
	return true;
}
