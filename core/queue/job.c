/* job.c: jobs (what one message has for one transport), and when a small one may overtake a big one.
 *
 * Jobs are served in order of arrival.  A job earns a slot for every slot_cost deliveries that it has started; a job behind it that
 * needs no more deliveries than that (less the discount and the loan) may be put in front, which uses up as many slots as it
 * has batches.  Of all that may, the one that has waited longest per batch is taken (postconf(5): transport_delivery_slot_cost,
 * _loan, _discount, transport_minimum_delivery_slots).  To find it without walking the queue, waiting jobs stand in
 * lists by size, oldest first.
 * State: struct ph_sched_job.  No I/O, no yield. */
#include <stdlib.h>

#include "queue/sched_private.h"

#define EXACT_SIZES 16          /* sizes[1..16] hold jobs of exactly that many batches, the rest by powers of two */
#define LOOK_AT 32              /* jobs per size that are looked at when the first ones cannot start */

static unsigned size_class(uint32_t batches)
{
	unsigned c = EXACT_SIZES;

	if (batches <= EXACT_SIZES)
		return batches;
	for (batches /= EXACT_SIZES; batches > 0; batches /= 2)
		c++;
	return c;
}

static uint32_t class_min(unsigned class)
{
	return class <= EXACT_SIZES ? class : (uint32_t)EXACT_SIZES << (class - EXACT_SIZES - 1);
}

struct ph_sched_job *ph_sched_job_get(struct ph_sched *s, struct ph_sched_msg *m, struct ph_sched_transport *t, int64_t now)
{
	struct ph_sched_job *n;

	ph_list_for_each(j, &m->jobs, struct ph_sched_job, msg_node) {
		if (j->transport == t)
			return j;
	}
	n = ph_alloc(sizeof(*n));
	n->msg = m;
	n->transport = t;
	n->order = ++t->back;
	n->since = now;
	ph_list_init(&n->peers);
	ph_list_init(&n->size_node);
	ph_list_append(&m->jobs, &n->msg_node);
	ph_list_append(&t->jobs, &n->transport_node);
	t->n_jobs++;
	return n;
}

void ph_sched_job_size(struct ph_sched_job *j, bool shrunk)
{
	struct ph_list *to = &j->transport->sizes[size_class(j->waiting)];

	if (j->transport->p.slot_cost < 2)
		return;
	ph_list_del(&j->size_node);
	if (j->waiting == 0 || j->preempts)
		return;
	if (shrunk)             /* older than most of those that came with this size */
		ph_list_push(to, &j->size_node);
	else
		ph_list_append(to, &j->size_node);
}

void ph_sched_job_check(struct ph_sched *s, struct ph_sched_job *j)
{
	if (j->waiting > 0 || !ph_list_empty(&j->peers))
		return;
	ph_list_del(&j->size_node);
	ph_list_del(&j->msg_node);
	ph_list_del(&j->transport_node);
	j->transport->n_jobs--;
	free(j);
}

/* ---- overtaking ---- */

static bool slots_suffice(const struct ph_sched_job *j, uint32_t batches)
{
	const struct ph_sched_params *p = &j->transport->p;
	int64_t have = (int64_t)(j->started / (uint32_t)p->slot_cost) - j->slots_used;

	return (int64_t)batches - (int64_t)batches * p->slot_discount / 100 - p->slot_loan <= have;
}

static bool job_can_start(const struct ph_sched_job *j)
{
	ph_list_for_each(p, &j->peers, struct ph_sched_peer, job_node) {
		if (!ph_list_empty(&p->waiting) && ph_sched_dest_open(p->dest))
			return true;
	}
	return false;
}

static struct ph_sched_job *first_of_size(const struct ph_sched_job *j, struct ph_list *head)
{
	int looked = 0;

	ph_list_for_each(c, head, struct ph_sched_job, size_node) {
		if (c != j && c->msg->unread == 0 && c->order > j->order && slots_suffice(j, c->waiting) && job_can_start(c))
			return c;
		if (++looked == LOOK_AT)
			break;
	}
	return NULL;
}

static void put_in_front(struct ph_sched *s, struct ph_sched_job *c)
{
	c->order = --c->transport->front;
	c->preempts = true;
	ph_list_del(&c->size_node);
	ph_list_for_each(p, &c->peers, struct ph_sched_peer, job_node) {
		if (ph_list_empty(&p->waiting))
			continue;
		ph_list_del(&p->dest_node);
		ph_list_push(&p->dest->peers, &p->dest_node);
		ph_sched_dest_check(s, p->dest);
	}
}

/* The job that overtakes j now, or NULL. */
struct ph_sched_job *ph_sched_job_preempt(struct ph_sched *s, struct ph_sched_job *j, int64_t now)
{
	const struct ph_sched_params *p = &j->transport->p;
	struct ph_sched_job *best = NULL, *c;
	double score, best_score = -1;
	unsigned i;

	if (p->slot_cost < 2 || (j->started + j->waiting) / (uint32_t)p->slot_cost < (uint32_t)p->minimum_slots ||
	    j->transport->n_jobs < 2)
		return NULL;
	for (i = 1; i < PH_ARRAY_LEN(j->transport->sizes) && slots_suffice(j, class_min(i)); i++) {
		c = first_of_size(j, &j->transport->sizes[i]);
		if (c == NULL)
			continue;
		score = (double)(now - c->since + 1) / c->waiting;
		if (score > best_score) {
			best = c;
			best_score = score;
		}
	}
	if (best == NULL)
		return NULL;
	j->slots_used += best->waiting;
	j->transport->preemptions++;
	put_in_front(s, best);
	return best;
}
