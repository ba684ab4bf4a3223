/* test_sched.c: the scheduler against scripted scenarios with a clock of its own. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "queue/sched.h"
#include "tap.h"

static struct ph_sched_params params;
static struct ph_sched *s;
static int64_t now, wake;

static void load(void *arg, const char *transport, struct ph_sched_params *ret)
{
	*ret = params;
}

static void defaults(void)
{
	params = (struct ph_sched_params){
		.dest_concurrency_limit = 20, .initial_concurrency = 5, .positive = { PH_FEEDBACK_CONST, 1 },
		.negative = { PH_FEEDBACK_CONST, 1 }, .failed_cohort_limit = 1, .dest_recipient_limit = 50,
		.slot_cost = 5, .slot_loan = 3, .slot_discount = 50, .minimum_slots = 3, .recipient_limit = 20000,
		.extra_recipient_limit = 1000, .refill_limit = 100, .refill_delay_ms = 5000, .dead_ms = 300000, .retry_ms = 60000,
	};
	now = 1000;
	s = ph_sched_new(load, NULL);
}

static struct ph_sched_msg *msg(void)
{
	struct ph_sched_msg *m = ph_alloc(sizeof(*m));

	ph_sched_msg_init(m);
	return m;
}

static bool add(struct ph_sched_msg *m, const char *transport, const char *nexthop, uint32_t rcpt)
{
	const char *dsn, *text;
	char address[32];

	snprintf(address, sizeof(address), "u%u", rcpt);
	return ph_sched_add(s, m, ph_sched_transport(s, transport), nexthop, address, rcpt, now, &dsn, &text) == PH_SCHED_QUEUED;
}

static struct ph_sched_batch *next(void)
{
	return ph_sched_next(s, now, &wake);
}

static void ok(struct ph_sched_batch *b)
{
	ph_sched_finish(s, b, PH_SCHED_OK, NULL, NULL, now);
}

static void down(struct ph_sched_batch *b)
{
	ph_sched_finish(s, b, PH_SCHED_DEST_DOWN, "4.4.1", "connect to x: Connection refused", now);
}

static int start_all(struct ph_sched_batch **b, int max)
{
	int n = 0;

	while (n < max && (b[n] = next()) != NULL)
		n++;
	return n;
}

static void test_feedback(void)
{
	struct ph_sched_feedback f;

	tap_ok(ph_sched_feedback_parse("1", &f) == 0 && ph_sched_feedback_value(&f, 7) == 1, "feedback 1");
	tap_ok(ph_sched_feedback_parse(" 1/ 5 ", &f) == 0 && fabs(ph_sched_feedback_value(&f, 7) - 0.2) < 1e-12, "feedback 1/5");
	tap_ok(ph_sched_feedback_parse("1/concurrency", &f) == 0 && ph_sched_feedback_value(&f, 4) == 0.25, "feedback 1/concurrency");
	tap_ok(ph_sched_feedback_parse("2 / sqrt_concurrency", &f) == 0 && fabs(ph_sched_feedback_value(&f, 16) - 0.5) < 1e-9,
	       "feedback 2/sqrt_concurrency");
	tap_ok(ph_sched_feedback_parse("0.33", &f) == 0 && fabs(ph_sched_feedback_value(&f, 1) - 0.33) < 1e-12, "feedback 0.33");
	tap_ok(ph_sched_feedback_parse("0", &f) < 0 && ph_sched_feedback_parse("1/x", &f) < 0 && ph_sched_feedback_parse("", &f) < 0 &&
	       ph_sched_feedback_parse("-1", &f) < 0 && ph_sched_feedback_parse("1/0", &f) < 0 && ph_sched_feedback_parse("nan", &f) < 0 &&
	       ph_sched_feedback_parse("3", &f) < 0 && ph_sched_feedback_parse("1/concurrency2", &f) < 0, "bad feedback is refused");
}

/* recipients of one message to one destination are batched up to the limit */
static void test_batching(void)
{
	struct ph_sched_msg *m;
	struct ph_sched_batch *b[300];
	uint32_t i;
	int n;

	defaults();
	m = msg();
	for (i = 0; i < 120; i++)
		add(m, "smtp", "a.test", i);
	tap_ok(m->waiting == 120, "120 recipients wait");
	n = start_all(b, 300);
	tap_ok(n == 3 && b[0]->n == 50 && b[1]->n == 50 && b[2]->n == 20, "batches of 50, 50, 20 (%d)", n);
	tap_ok(b[0]->rcpts[0] == 0 && b[1]->rcpts[0] == 50 && b[2]->rcpts[19] == 119, "in order");
	tap_ok(m->waiting == 0 && m->busy == 120, "all under way");
	while (n > 0)
		ok(b[--n]);
	tap_ok(m->busy == 0 && ph_list_empty(&m->jobs), "all done, job gone");
	free(m);
	ph_sched_free(&s);

	defaults();
	params.dest_recipient_limit = 1;
	params.dest_concurrency_limit = params.initial_concurrency = 1;
	m = msg();
	for (i = 0; i < 10; i++)
		add(m, "local", "here.test", i);
	n = start_all(b, 300);
	tap_ok(n == 10 && b[0]->n == 1, "limit 1: each recipient is a destination (%d)", n);
	tap_is(ph_sched_dest_name(b[0]->dest), "u0@here.test", "its name");
	tap_is(ph_sched_dest_nexthop(b[0]->dest), "here.test", "its nexthop");
	while (n > 0)
		ok(b[--n]);
	free(m);
	ph_sched_free(&s);
}

static double window_of(struct ph_sched_dest *d)
{
	struct ph_sched_dest_info i;

	ph_sched_dest_info(d, &i);
	return i.window;
}

static void test_window(void)
{
	struct ph_sched_msg *m[100];
	struct ph_sched_batch *b[100];
	struct ph_sched_dest *d;
	int i, n;

	defaults();
	for (i = 0; i < 100; i++)
		add(m[i] = msg(), "smtp", "a.test", 0);
	n = start_all(b, 100);
	tap_ok(n == 5, "initial concurrency 5 (%d)", n);
	d = b[0]->dest;
	ok(b[0]);
	tap_ok(window_of(d) == 6, "one success: 6");
	n = 4 + start_all(b + 5, 90);
	tap_ok(n == 6, "6 under way (%d)", n);
	for (i = 1; i < 60; i++) {
		ok(b[i]);
		start_all(b + n + i, 100 - n - i < 30 ? 30 : 100 - n - i);
		n = (int)window_of(d);
	}
	tap_ok(window_of(d) == 20, "grows to the limit and no further (%g)", window_of(d));
	for (i = 0; i < 100; i++)
		ph_sched_withdraw(s, m[i]);
	ph_sched_dest_info(d, &(struct ph_sched_dest_info){ 0 });
	for (i = 60; i < 100; i++) {
		if (m[i]->busy)
			ok(b[i]);
	}
	for (i = 0; i < 100; i++)
		free(m[i]);
	ph_sched_free(&s);
}

/* successes of 1/concurrency: one step per window's worth of deliveries */
static void test_window_slow(void)
{
	struct ph_sched_msg *m = msg();
	struct ph_sched_batch *b;
	struct ph_sched_dest *d = NULL;
	uint32_t i;
	double at[40];

	defaults();
	params.positive = (struct ph_sched_feedback){ PH_FEEDBACK_CONCURRENCY, 1 };
	params.negative = (struct ph_sched_feedback){ PH_FEEDBACK_CONST, 1.0 / 3 };
	params.failed_cohort_limit = 10;
	params.dest_recipient_limit = 2;
	params.initial_concurrency = 4;
	for (i = 0; i < 100; i++)
		add(m, "smtp", "a.test", i);
	for (i = 0; i < 40; i++) {
		struct ph_sched_batch *all[4];
		int n = start_all(all, 4);      /* keep some under way, or the window does not grow */

		b = all[0];
		d = b->dest;
		if (i >= 20)
			down(b);
		else
			ok(b);
		at[i] = window_of(d);
		while (n > 1)
			ph_sched_unstart(s, all[--n]);
	}
	tap_ok(at[0] == 4 && at[2] == 4 && at[3] == 5, "1/concurrency: the 4th success makes 5 of 4 (%g %g %g)", at[0], at[2], at[3]);
	tap_ok(at[7] == 5 && at[8] == 6, "and the next 5 make 6 (%g %g)", at[7], at[8]);
	tap_ok(at[20] == at[19] - 1 && at[22] == at[20] && at[23] == at[20] - 1, "1/3: the 1st and the 4th failure step down (%g %g %g %g)",
	       at[19], at[20], at[22], at[23]);
	ph_sched_withdraw(s, m);
	free(m);
	ph_sched_free(&s);
}

static void test_dead(void)
{
	struct ph_sched_msg *m[10], *late = msg();
	struct ph_sched_batch *b[10], *d;
	const char *dsn, *text;
	int i, n, dead = 0;

	defaults();
	for (i = 0; i < 10; i++)
		add(m[i] = msg(), "smtp", "a.test", 0);
	add(m[0], "smtp", "b.test", 1);
	n = start_all(b, 5 + 1);
	tap_ok(n == 6, "5 to a, 1 to b (%d)", n);
	for (i = 0; i < 6; i++) {
		if (strcmp(ph_sched_dest_name(b[i]->dest), "b.test") == 0)
			ok(b[i]);
		else
			down(b[i]);
	}
	while ((d = ph_sched_next_dead(s, &dsn, &text)) != NULL) {
		dead++;
		tap_ok(strcmp(dsn, "4.4.1") == 0 && strcmp(text, "delivery temporarily suspended: connect to x: Connection refused") == 0,
		       "deferred: %s", text);
		ph_sched_drop(s, d);
	}
	tap_ok(dead == 5, "a cohort of failures: the rest is deferred (%d)", dead);
	tap_ok(!add(late, "smtp", "a.test", 0), "new mail to it is refused");
	tap_ok(next() == NULL && wake == now + 300000, "until minimal_backoff_time has passed");
	now += 300000;
	tap_ok(next() == NULL && add(late, "smtp", "a.test", 0), "then it is tried again");
	b[0] = next();
	tap_ok(b[0] && window_of(b[0]->dest) == 5, "with initial concurrency");
	down(b[0]);
	for (i = 0; i < 3; i++) {
		add(late, "smtp", "a.test", 1);
		down(next());
	}
	ph_sched_revive_all(s);
	tap_ok(add(late, "smtp", "a.test", 1), "flush forgets");
	ph_sched_withdraw(s, late);
	for (i = 0; i < 10; i++) {
		tap_ok(m[i]->waiting == 0 && m[i]->busy == 0, "message %d is done", i);
		free(m[i]);
	}
	free(late);
	ph_sched_free(&s);
}

static void test_cohorts(void)
{
	struct ph_sched_msg *m = msg();
	struct ph_sched_batch *b;
	uint32_t i;
	int n = 0;

	defaults();
	params.failed_cohort_limit = 3;
	for (i = 0; i < 1000; i++)
		add(m, "smtp", "a.test", i);
	while ((b = next()) != NULL && n < 100) {
		down(b);
		n++;
	}
	/* 1/5 + 1/4 + 1/3 + 1/2 + 1 = 2.28, then 1 more */
	tap_ok(n == 6, "3 cohorts from a window of 5 take 6 failures (%d)", n);
	while ((b = ph_sched_next_dead(s, &(const char *){ NULL }, &(const char *){ NULL })) != NULL)
		ph_sched_drop(s, b);
	ph_sched_free(&s);

	defaults();
	params.failed_cohort_limit = 0;
	for (i = 0; i < 1000; i++)
		add(m, "smtp", "a.test", i);
	for (n = 0; (b = next()) != NULL; n++)
		down(b);
	tap_ok(n == 20, "cohort limit 0: never given up (%d)", n);
	free(m);
	ph_sched_free(&s);
}

static void test_rate_delay(void)
{
	struct ph_sched_msg *m[4];
	struct ph_sched_batch *b;
	int i;

	defaults();
	params.dest_rate_delay_ms = 2000;
	for (i = 0; i < 4; i++)
		add(m[i] = msg(), "smtp", i == 3 ? "b.test" : "a.test", 0);
	b = next();
	ok(b);
	b = next();
	tap_is(ph_sched_dest_name(b->dest), "b.test", "the paused destination does not hold up the other");
	ok(b);
	tap_ok(next() == NULL && wake == 3000, "until 3000 (%lld)", (long long)wake);
	now = 3000;
	b = next();
	tap_ok(b && next() == NULL, "one at a time");
	ok(b);
	now = 5000;
	ok(next());
	now = 7000;
	tap_ok(next() == NULL && wake == INT64_MAX, "all done, nothing remembered");
	for (i = 0; i < 4; i++)
		free(m[i]);
	ph_sched_free(&s);

	defaults();
	params.transport_rate_delay_ms = 1000;
	for (i = 0; i < 2; i++)
		add(m[i] = msg(), "smtp", i ? "b.test" : "a.test", 0);
	b = next();
	tap_ok(b && next() == NULL, "transport rate delay: one delivery at a time");
	ok(b);
	tap_ok(next() == NULL && wake == 2000, "and a pause behind it");
	now = 2000;
	ok(next());
	for (i = 0; i < 2; i++)
		free(m[i]);
	ph_sched_free(&s);
}

static void test_process_limit(void)
{
	struct ph_sched_msg *m[40];
	struct ph_sched_batch *b[40];
	int i, n;
	bool order = true;

	defaults();
	params.process_limit = 7;
	for (i = 0; i < 40; i++) {
		char dest[16];

		snprintf(dest, sizeof(dest), "d%d.test", i);
		add(m[i] = msg(), i % 2 ? "smtp" : "lmtp", dest, 0);
	}
	n = start_all(b, 40);
	tap_ok(n == 14, "7 of each transport (%d)", n);
	for (i = 0; i < n; i++)
		order = order && b[i]->msg == m[i];
	tap_ok(order, "in turns, each in order of arrival");
	ok(b[1]);
	b[1] = next();
	tap_ok(b[1]->msg == m[15] && next() == NULL, "one ends, the next of that transport starts");
	for (i = 0; i < n; i++)
		ok(b[i]);
	n = start_all(b, 40);
	for (i = 0; i < n; i++)
		ok(b[i]);
	n = start_all(b, 40);
	for (i = 0; i < n; i++)
		ok(b[i]);
	for (i = 0; i < 40; i++) {
		tap_ok(m[i]->busy + m[i]->waiting == 0, "done %d", i);
		free(m[i]);
	}
	ph_sched_free(&s);
}

/* one message to many destinations, few processes: they take turns */
static void test_round_robin(void)
{
	struct ph_sched_msg *m = msg();
	struct ph_sched_batch *b[8];
	int i, k, seen[4] = { 0 };

	defaults();
	params.process_limit = 8;
	params.dest_recipient_limit = 2;
	for (i = 0; i < 4 * 20; i++) {
		char dest[16];

		snprintf(dest, sizeof(dest), "d%d.test", i % 4);
		add(m, "smtp", dest, (uint32_t)i);
	}
	tap_ok(start_all(b, 8) == 8, "8 start");
	for (i = 0; i < 8; i++) {
		k = ph_sched_dest_name(b[i]->dest)[1] - '0';
		seen[k]++;
		ok(b[i]);
	}
	tap_ok(seen[0] == 2 && seen[1] == 2 && seen[2] == 2 && seen[3] == 2, "two to each (%d %d %d %d)", seen[0], seen[1], seen[2], seen[3]);
	ph_sched_withdraw(s, m);
	free(m);
	ph_sched_free(&s);
}

/* A mailing of 1000 batches, then small ones: how long do they wait? */
static void test_preemption(void)
{
	struct ph_sched_msg *big = msg(), *small[20];
	struct ph_sched_batch *b;
	uint32_t i, started = 0, order[20], preempted = 0, max_wait = 0, n_small = 0;
	struct ph_sched_transport_info info;
	size_t cursor = 0;

	defaults();
	params.process_limit = 1;
	params.dest_recipient_limit = 2;
	for (i = 0; i < 2000; i++)
		add(big, "smtp", "a.test", i);
	for (i = 0; i < 3; i++) {
		b = next();
		tap_ok(b->msg == big, "the mailing starts");
		ok(b);
	}
	now += 100;
	for (i = 0; i < 20; i++) {
		small[i] = msg();
		add(small[i], "smtp", "a.test", 0);
	}
	while ((b = next()) != NULL && n_small < 20) {
		if (b->msg != big) {
			order[n_small++] = started;
			max_wait = started;
		}
		ok(b);
		started++;
		now += 10;
	}
	if (b)
		ok(b);
	tap_ok(n_small == 20, "all small ones got through");
	tap_ok(order[0] == 0 && order[1] == 1 && order[2] == 2, "three at once, on loan (%u %u %u)", order[0], order[1], order[2]);
	for (i = 4; i < 20; i++)
		preempted += order[i] - order[i - 1] == 6;      /* five of the mailing, then a small one */
	tap_ok(preempted == 16, "then one after each five of the mailing (%u; %u in all)", preempted, max_wait);
	ph_sched_transport_next(s, &cursor, &info);
	tap_ok(info.preemptions == 20, "20 preemptions (%llu)", (unsigned long long)info.preemptions);
	ph_sched_withdraw(s, big);
	for (i = 0; i < 20; i++)
		free(small[i]);
	ph_sched_free(&s);

	/* too small a message is not overtaken; slot_cost 0 switches it off */
	for (int off = 0; off < 2; off++) {
		defaults();
		params.process_limit = 1;
		params.dest_recipient_limit = 2;
		if (off)
			params.slot_cost = 0;
		for (i = 0; i < (off ? 200u : 20u); i++)
			add(big, "smtp", "a.test", i);
		small[0] = msg();
		add(small[0], "smtp", "a.test", 0);
		for (i = 0; (b = next()) != NULL && b->msg == big; i++)
			ok(b);
		tap_ok(i == (off ? 100 : 10), "%s (%u)", off ? "slot_cost 0: strictly in order" : "10 batches are below minimum_delivery_slots", i);
		ok(b);
		free(small[0]);
		ph_sched_free(&s);
	}
	free(big);
}

/* of two candidates the one that waited longest per batch goes first */
static void test_preemption_choice(void)
{
	struct ph_sched_msg *big = msg(), *two = msg(), *one = msg();
	struct ph_sched_batch *b;
	uint32_t i;

	defaults();
	params.process_limit = 1;
	params.dest_recipient_limit = 2;
	params.slot_loan = 10;
	for (i = 0; i < 200; i++)
		add(big, "smtp", "a.test", i);
	add(two, "smtp", "a.test", 0);
	add(two, "smtp", "b.test", 1);
	now += 100;
	add(one, "smtp", "a.test", 0);
	now += 300;             /* two: 400/2 = 200; one: 300/1 = 300 */
	b = next();
	tap_ok(b->msg == one, "the one with the larger delay per batch");
	ok(b);
	b = next();
	tap_ok(b->msg == two, "then the other");
	ok(b);
	b = next();
	tap_ok(b->msg == two, "and stays in front");
	ok(b);
	ph_sched_withdraw(s, big);
	free(big);
	free(one);
	free(two);
	ph_sched_free(&s);
}

static void test_transport_down(void)
{
	struct ph_sched_msg *m = msg();
	struct ph_sched_batch *b, *busy;
	const char *dsn, *text;
	int n = 0;

	defaults();
	add(m, "uucp", "a", 0);
	add(m, "uucp", "b", 1);
	add(m, "smtp", "c", 2);
	busy = next();
	ph_sched_transport_down(s, ph_sched_transport(s, "uucp"), "4.3.0", "mail transport unavailable", now);
	while ((b = ph_sched_next_dead(s, &dsn, &text)) != NULL) {
		tap_is(text, "mail transport unavailable", "reason");
		ph_sched_drop(s, b);
		n++;
	}
	tap_ok(n == 1 + (strcmp(ph_sched_dest_name(busy->dest), "c") == 0), "what waited for it is deferred");
	tap_ok(!add(m, "uucp", "z", 3), "and new mail for it");
	ph_sched_unstart(s, busy);
	while ((b = next()) != NULL)
		ok(b);
	tap_ok(wake == now + 60000, "for transport_retry_time");
	now += 60000;
	if (m->waiting) {
		b = next();
		tap_ok(b != NULL, "what came back meanwhile starts then");
		ok(b);
	}
	tap_ok(m->waiting == 0 && m->busy == 0, "all done");
	free(m);
	ph_sched_free(&s);
}

/* Random walk: no crash, no loss, counters agree. */
static void test_random(void)
{
	enum { MSGS = 300 };
	struct ph_sched_msg *m[MSGS];
	struct ph_sched_batch *b[4000], *x;
	uint32_t added = 0, ended = 0, i;
	int n = 0;
	unsigned seed = 7;
	const char *dsn, *text;

	defaults();
	params.process_limit = 50;
	params.dest_recipient_limit = 3;
	for (i = 0; i < MSGS; i++)
		m[i] = msg();
	for (i = 0; i < 200000; i++) {
		unsigned r = (unsigned)rand_r(&seed) % 100;
		char dest[16];

		if (r < 40) {
			snprintf(dest, sizeof(dest), "d%d", rand_r(&seed) % 40);
			added += add(m[rand_r(&seed) % MSGS], rand_r(&seed) % 3 ? "smtp" : "lmtp", dest, i);
		} else if (r < 65 && n < 4000) {
			if ((b[n] = next()) != NULL)
				n++;
		} else if (r < 90 && n > 0) {
			int k = rand_r(&seed) % n;

			ended += b[k]->n;
			ph_sched_finish(s, b[k], r < 85 ? PH_SCHED_OK : r < 89 ? PH_SCHED_DEST_DOWN : PH_SCHED_NEUTRAL, "4.4.1", "down", now);
			b[k] = b[--n];
		} else if (r < 96) {
			while ((x = ph_sched_next_dead(s, &dsn, &text)) != NULL) {
				ended += x->n;
				ph_sched_drop(s, x);
			}
		} else if (r < 97) {
			uint32_t k = (uint32_t)rand_r(&seed) % MSGS;

			ended += m[k]->waiting;
			ph_sched_withdraw(s, m[k]);
		} else if (r < 98 && i % 50 == 0) {
			ph_sched_transport_down(s, ph_sched_transport(s, "smtp"), "4.3.0", "gone", now);
		} else if (r < 99 && i % 20 == 0) {
			ph_sched_revive_all(s);
		} else {
			now += rand_r(&seed) % 20000;
		}
	}
	while (n > 0) {
		ended += b[--n]->n;
		ok(b[n]);
	}
	for (i = 0; i < MSGS; i++) {
		ended += m[i]->waiting;
		ph_sched_withdraw(s, m[i]);
		n += m[i]->busy != 0 || m[i]->waiting != 0 || !ph_list_empty(&m[i]->jobs);
		free(m[i]);
	}
	tap_ok(n == 0, "no message is left with anything");
	tap_ok(added == ended, "what was added has ended (%u, %u)", added, ended);
	ph_sched_free(&s);
	tap_ok(s == NULL, "freed");
}

/* Printed, not asserted. */
static void bench(void)
{
	enum { N = 20000 };
	struct ph_sched_msg *m = ph_alloc(N * sizeof(*m));
	struct ph_sched_batch *b;
	struct timespec t0, t1;
	int i, n = 0;

	defaults();
	for (i = 0; i < N; i++)
		ph_sched_msg_init(&m[i]);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (i = 0; i < N; i++)
		add(&m[i], "smtp", i % 4 ? "a.test" : "b.test", 0);
	while ((b = next()) != NULL) {
		ok(b);
		n++;
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	printf("# %d messages queued, started and finished: %.0f ns each\n", n,
	       ((double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec)) / N);
	free(m);
	ph_sched_free(&s);
}

int main(void)
{
	test_feedback();
	test_batching();
	test_window();
	test_window_slow();
	test_dead();
	test_cohorts();
	test_rate_delay();
	test_process_limit();
	test_round_robin();
	test_preemption();
	test_preemption_choice();
	test_transport_down();
	test_random();
	bench();
	return tap_done();
}
