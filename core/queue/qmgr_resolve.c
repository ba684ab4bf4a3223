/* qmgr_resolve.c: where recipients go: transport and next hop for each, then into the scheduler.
 *
 * Worker coroutines do it, since tables may take their time; as long as none does, one worker does all.  At the end of a turn in which
 * work is left, all workers are parked in tables, and one more is started.
 * State: q->to_resolve, a small cache of answers.  The workers yield. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/qmgr_private.h"

#define RESOLVERS_MAX 200
#define CACHE_SIZE 256
#define CACHE_MS 1000           /* a table that has changed is noticed after that */
#define CACHE_TEXT 600

/* ---- answers of the last second ---- */

static struct cached {
	int64_t until;
	uint32_t n;                     /* bytes of key */
	char key[CACHE_TEXT];           /* sender NUL recipient NUL */
	char answer[CACHE_TEXT];        /* transport NUL nexthop NUL recipient NUL */
	enum ph_address_class cls;
	bool error;
} *cache;

static struct cached *cache_slot(const char *sender, const char *rcpt, char *key, size_t *n)
{
	size_t sn = strlen(sender) + 1, rn = strlen(rcpt) + 1;

	if (sn + rn > CACHE_TEXT)
		return NULL;
	if (cache == NULL)
		cache = ph_alloc(CACHE_SIZE * sizeof(*cache));
	memcpy(key, sender, sn);
	memcpy(key + sn, rcpt, rn);
	*n = sn + rn;
	return &cache[ph_hash_bytes(key, *n) % CACHE_SIZE];
}

static bool cache_get(struct ph_active *a, const char *sender, const char *rcpt, struct ph_resolved *ret)
{
	char key[CACHE_TEXT];
	size_t n;
	struct cached *c = cache_slot(sender, rcpt, key, &n);
	const char *p;

	if (c == NULL || c->until < ph_now_ms() || c->n != n || memcmp(c->key, key, n) != 0)
		return false;
	p = c->answer;
	ret->transport = ph_arena_strdup(a->arena, p);
	p += strlen(p) + 1;
	ret->nexthop = ph_arena_strdup(a->arena, p);
	p += strlen(p) + 1;
	ret->recipient = ph_arena_strdup(a->arena, p);
	ret->cls = c->cls;
	ret->error = c->error;
	return true;
}

static void cache_put(const char *sender, const char *rcpt, const struct ph_resolved *r)
{
	char key[CACHE_TEXT];
	size_t n, tn = strlen(r->transport) + 1, hn = strlen(r->nexthop) + 1, rn = strlen(r->recipient) + 1;
	struct cached *c = cache_slot(sender, rcpt, key, &n);

	if (c == NULL || tn + hn + rn > CACHE_TEXT)
		return;
	memcpy(c->key, key, n);
	c->n = (uint32_t)n;
	memcpy(c->answer, r->transport, tn);
	memcpy(c->answer + tn, r->nexthop, hn);
	memcpy(c->answer + tn + hn, r->recipient, rn);
	c->cls = r->cls;
	c->error = r->error;
	c->until = ph_now_ms() + CACHE_MS;
}

/* ---- one recipient ---- */

static const char *domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at ? at + 1 : NULL;
}

/* content_filter, FILTER: "transport:nexthop". */
static void filter_route(struct ph_qmgr *q, struct ph_active *a, const char *rcpt, struct ph_resolved *r)
{
	const char *colon = strchr(a->env->filter, ':'), *domain = domain_of(rcpt);

	r->recipient = rcpt;
	r->cls = PH_CLASS_DEFAULT;
	r->error = false;
	r->transport = colon ? ph_arena_strndup(a->arena, a->env->filter, (size_t)(colon - a->env->filter)) : a->env->filter;
	r->nexthop = colon ? colon + 1 : "";
	if (*r->nexthop == '\0')
		r->nexthop = *q->set.filter_nexthop ? q->set.filter_nexthop : domain ? domain : q->set.myhostname;
}

static bool transport_full(const struct ph_active *a, const struct ph_sched_transport *t);

static bool list_has(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list) {
		list += strspn(list, PH_SEP_LIST);
		if (strncmp(list, name, n) == 0 && strchr(PH_SEP_LIST, list[n]))        /* also finds the NUL */
			return n > 0;
		list += strcspn(list, PH_SEP_LIST);
	}
	return false;
}

/* Mail to the address that nothing may bounce to ends here (bounce(8)). */
static bool is_double_bounce(const struct ph_qmgr *q, const char *rcpt, const struct ph_resolved *r)
{
	size_t n = strlen(q->set.double_bounce_sender);

	return r->cls == PH_CLASS_LOCAL && !r->error && strncasecmp(rcpt, q->set.double_bounce_sender, n) == 0 && rcpt[n] == '@';
}

static void unknown_transport(struct ph_qmgr *q, const char *name)
{
	ph_log(PH_LOG_WARNING, "connect to transport private/%s: No such file or directory", name);
	ph_sched_transport_down(q->sched, ph_sched_transport(q->sched, name), "4.3.0", "mail transport unavailable", ph_now_ms());
}

void ph_qmgr_schedule(struct ph_qmgr *q, struct ph_active *a, uint32_t i, const char *rcpt, const struct ph_resolved *r)
{
	struct ph_sched_transport *t;
	const char *dsn, *text;

	if (is_double_bounce(q, rcpt, r)) {
		ph_qmgr_result(q, a, i, PH_SENT, "qmgr", "2.0.0", "undeliverable postmaster notification discarded");
		return;
	}
	if (!(a->e->marks & PH_MARK_FLUSH) && list_has(q->set.defer_transports, r->transport)) {
		ph_qmgr_result(q, a, i, PH_DEFERRED, "error", "4.3.2", "deferred transport");
		return;
	}
	if (i < a->env->n_rcpts && strcmp(r->recipient, a->env->rcpts[i].address) != 0) {
		if (a->addresses == NULL)
			a->addresses = ph_arena_alloc(a->arena, a->env->n_rcpts * sizeof(a->addresses[0]));
		a->addresses[i] = r->recipient;
	}
	t = ph_sched_transport(q->sched, r->transport);
	if (ph_sched_add(q->sched, &a->sm, t, r->nexthop, r->recipient, i, ph_now_ms(), &dsn, &text) == PH_SCHED_DEAD) {
		ph_qmgr_result(q, a, i, PH_DEFERRED, "error", dsn, text);
		return;
	}
	a->counted++;
	q->n_active_rcpts++;
	a->full = transport_full(a, t) ? t : NULL;
	if (ph_qmgr_transport_service(q, r->transport) == NULL)
		unknown_transport(q, r->transport);
}

static void resolve_one(struct ph_qmgr *q, struct ph_active *a, uint32_t i)
{
	const char *rcpt = a->env->redirect ? a->env->redirect : a->env->rcpts[i].address;
	struct ph_resolved r;
	struct ph_err err = { 0 };
	enum ph_lookup found;
	bool probe = a->env->flags & PH_ENV_VERIFY;     /* address_verify_transport_maps ... */
	bool cached = !probe && !a->line;
	struct ph_route *route = a->line ? a->line->route : q->route;

	if (a->env->filter && *a->env->filter && !a->env->redirect) {     /* REDIRECT overrides FILTER and content_filter */
		filter_route(q, a, rcpt, &r);
	} else if (!cached || !cache_get(a, a->env->sender, rcpt, &r)) {
		found = ph_route_resolve(probe ? ph_route_of_probes(a->line ? a->line->route_conf : q->route_conf) : route, a->env->sender, rcpt, a->arena, &r, &err);
		if (a->e == NULL || a->hold)    /* deleted or held while a table was asked */
			return;
		if (found != PH_LOOKUP_FOUND) {
			ph_log(PH_LOG_WARNING, "%s: %s: %s", a->ref.queue_id, rcpt, err.text);
			ph_qmgr_result(q, a, i, PH_DEFERRED, "error", "4.3.0", "address resolver failure");
			return;
		}
		if (cached)
			cache_put(a->env->sender, rcpt, &r);
	}
	ph_qmgr_schedule(q, a, i, rcpt, &r);
}

/* ---- a message ---- */

/* Forced expiration: no attempt, the last reason stands. */
static void expire_all(struct ph_qmgr *q, struct ph_active *a)
{
	struct ph_reason reason;
	uint32_t i;

	for (i = 0; i < a->e->n_rcpts; i++) {
		if (a->e->rcpts[i].state == PH_RCPT_TODO && !(a->adopted && a->adopted[i]) && !ph_entry_reason(q->ix, a->e, i, &reason))
			ph_qmgr_result(q, a, i, PH_DEFERRED, "error", "4.7.0", "message is administratively expired");
	}
	a->cursor = (uint32_t)a->env->n_rcpts;
}

/* Clean-up refused it: nothing is delivered, and this is the reason. */
static void refuse_all(struct ph_qmgr *q, struct ph_active *a)
{
	const char *why = ph_envelope_attr(a->env, "refused");
	size_t n = why ? strcspn(why, " ") : 0;
	const char *dsn = n ? ph_arena_strndup(a->arena, why, n) : "5.7.1", *text = n && why[n] ? why + n + 1 : "refused";

	for (uint32_t i = 0; a->e && i < a->e->n_rcpts; i++) {
		if (a->e->rcpts[i].state != PH_RCPT_TODO || (a->adopted && a->adopted[i]))
			continue;
		if (a->e->rcpts[i].notify & PH_NOTIFY_EXPANDED)
			ph_index_result(q->ix, a->e, i, PH_RCPT_CLOSED, NULL);
		else
			ph_qmgr_result(q, a, i, PH_BOUNCED, "cleanup", dsn, text);
	}
	a->cursor = (uint32_t)a->env->n_rcpts;
}

/* A message that is small beside what the transport keeps for such may overtake, and so may use what is kept for that (extra_recipient_limit). */
static bool transport_full(const struct ph_active *a, const struct ph_sched_transport *t)
{
	bool small = a->env->n_rcpts <= (size_t)ph_sched_transport_params(t)->extra_recipient_limit;

	return ph_sched_transport_room(t, small) <= 0;
}

static bool may_read_more(const struct ph_qmgr *q, const struct ph_active *a)
{
	return a->counted < (uint32_t)q->set.recipient_minimum || (q->n_active_rcpts < (size_t)q->set.recipient_limit && !a->full);
}

/* REDIRECT: one delivery, that of the first recipient, stands for all; it may be under way since before, or done. Recipients that a mapping replaced were
 * never to be delivered. */
static bool redirected_by_other(struct ph_active *a, uint32_t i)
{
	if (!a->env->redirect)
		return false;
	if (!a->redirected && !(a->e->rcpts[i].notify & PH_NOTIFY_EXPANDED))
		a->redirected = i + 1;
	return a->redirected != i + 1;
}

static void resolve_message(struct ph_qmgr *q, struct ph_active *a)
{
	a->resolving = true;
	a->filled_ms = ph_now_ms();
	a->full = NULL;
	if (a->expire_now && a->e && !a->hold)
		expire_all(q, a);
	else if ((a->env->flags & PH_ENV_REFUSED) && a->e && !a->hold)
		refuse_all(q, a);
	while (a->e && !a->hold && a->cursor < a->env->n_rcpts && may_read_more(q, a)) {
		uint32_t i = a->cursor++;
		bool other = redirected_by_other(a, i);

		if (a->e->rcpts[i].state != PH_RCPT_TODO || (a->adopted && a->adopted[i]))
			continue;
		if (other)
			ph_index_result(q->ix, a->e, i, PH_RCPT_CLOSED, NULL);
		else if (!ph_qmgr_pass_parts(q, a, i))
			resolve_one(q, a, i);
	}
	if (a->e == NULL || a->hold)
		a->cursor = (uint32_t)a->env->n_rcpts;
	a->sm.unread = (uint32_t)a->env->n_rcpts - a->cursor;
	a->resolving = false;
	a->phase = PH_PHASE_DELIVER;
	if (a->sm.unread > 0)
		ph_list_append(&q->partial, &a->work);
	ph_active_check(q, a);
	ph_qmgr_pump(q);
}

static void more_workers(void *arg);

static void resolver_main(void *arg)
{
	struct ph_qmgr *q = arg;

	while (!q->stopping) {
		struct ph_list *n = ph_list_pop(&q->to_resolve);

		if (n == NULL) {
			q->resolvers_idle++;
			if (ph_waitq_wait(&q->resolve_wait, ph_now_ms() + 60000) == -ETIMEDOUT && q->resolvers_idle > 1) {
				q->resolvers_idle--;
				break;
			}
			q->resolvers_idle--;
			continue;
		}
		resolve_message(q, ph_list_entry(n, struct ph_active, work));
	}
	q->resolvers--;
}

static bool watching;

/* Runs at the end of the turn after the one in which workers were woken: what is left is left because they are parked. */
static void more_workers(void *arg)
{
	struct ph_qmgr *q = arg;

	watching = false;
	if (ph_list_empty(&q->to_resolve) || q->stopping)
		return;
	if (q->resolvers_idle > 0) {
		ph_waitq_wake_one(&q->resolve_wait);
	} else if (q->resolvers < RESOLVERS_MAX) {
		q->resolvers++;
		ph_co_spawn("qmgr resolve", resolver_main, q);
	}
	watching = true;
	ph_loop_defer(more_workers, q);
}

void ph_resolve_kick(struct ph_qmgr *q)
{
	if (watching)
		return;
	more_workers(q);
}
