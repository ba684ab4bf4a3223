/* screen.c: postscreen: the way of a client through access list, temporary list, early tests, and on to the SMTP server.
 *
 * Owns struct ph_screen.  Yields.  Source: postscreen(8), POSTSCREEN_README. */
#include "smtpd/screen.h"

#include <errno.h>
#include <posthouse/co.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/co_private.h"
#include "smtpd/limits.h"
#include "smtpd/screen_text.h"

/* ---- the service ---- */

struct ph_screen *ph_screen_new(const struct ph_config *config, const struct ph_service *service, struct ph_smtpd_service *svc, struct ph_limits *limits)
{
	struct ph_screen *ps = ph_alloc(sizeof(*ps));
	struct ph_err err = { 0, "" };
	int r;

	ps->conf = service->conf;
	ps->name = service->name;
	ps->svc = svc;
	ps->limit_scope = ph_conf_get(ps->conf, "smtpd_client_counter_scope");
	r = ph_screen_settings_load(ps->conf, &ps->set, &err);
	if (r == 0)
		r = ph_screen_compile(ps, &err);
	if (r < 0) {
		snprintf(ps->fatal_text, sizeof(ps->fatal_text), "%s", err.text);
		ps->fatal = ps->fatal_text;
	} else if (*ps->set.cache_map) {
		ps->cache = ph_screen_cache_new(ps->conf, ps->set.cache_map, limits, ps->set.cache_retention_ms, ps->set.cache_cleanup_ms);
	}
	return ps;
}

void ph_screen_free(struct ph_screen **pp)
{
	struct ph_screen *ps = *pp;

	*pp = NULL;
	if (!ps)
		return;
	ph_screen_cache_free(&ps->cache);
	for (size_t i = 0; i < ps->n_sites; i++)
		free(ps->sites[i].domain);
	free(ps->sites);
	for (size_t i = 0; i < ps->n_access; i++)
		free(ps->access[i].title);
	free(ps->access);
	ph_smtpd_words_free(&ps->forbidden);
	free(ps);
}

/* ---- last words ---- */

static void say(struct ph_screen_client *c, const char *text)
{
	int64_t deadline = ph_now_ms() + 5000;

	if (ph_stream_puts(c->s->io, text, deadline) == 0 && ph_stream_puts(c->s->io, "\r\n", deadline) == 0)
		ph_stream_flush(c->s->io, deadline);
}

static bool disconnect(struct ph_screen_client *c)
{
	ph_log(PH_LOG_INFO, "DISCONNECT %s", c->who);
	return false;
}

static bool refuse_connect(struct ph_screen_client *c, const char *why, const char *text)
{
	ph_log(PH_LOG_INFO, "NOQUEUE: reject: CONNECT from %s: %s", c->who, why);
	say(c, text);
	return disconnect(c);
}

static bool drop(struct ph_screen_client *c, const char *text)
{
	say(c, text);
	return disconnect(c);
}

/* ---- the access list ---- */

/* 1 permit, -1 reject, 0 neither. */
static int access_verdict(struct ph_screen_client *c)
{
	struct ph_screen *ps = c->ps;
	const char *value;
	struct ph_err err;

	for (size_t i = 0; i < ps->n_access; i++) {
		struct ph_screen_access *a = &ps->access[i];

		if (a->fixed)
			return a->fixed;
		if (a->mynetworks) {
			if (ph_match_find(ps->mynetworks, c->s->addr, c->s->addr, NULL) == PH_LOOKUP_FOUND)
				return 1;
			continue;
		}
		switch (ph_maps_find(a->map, c->s->addr, false, c->arena, &value, &err)) {
		case PH_LOOKUP_NOTFOUND:
			continue;
		case PH_LOOKUP_FOUND:
			break;
		case PH_LOOKUP_TEMPFAIL:
		case PH_LOOKUP_PERMERR:
			ph_log(PH_LOG_WARNING, "postscreen_access_list: %s: table lookup error -- ignoring the remainder of this access list", a->title);
			return 0;
		}
		if (strcasecmp(value, "permit") == 0)
			return 1;
		if (strcasecmp(value, "reject") == 0)
			return -1;
		if (strcasecmp(value, "dunno") == 0)
			return 0;
		ph_log(PH_LOG_WARNING, "%s: unknown command: %.100s -- ignoring the remainder of this access list", a->title, value);
		return 0;
	}
	return 0;
}

/* ---- early tests ---- */

void ph_screen_pass(struct ph_screen_client *c, enum ph_screen_test t, int64_t ttl_ms)
{
	c->todo[t] = false;
	c->renewed = true;
	c->stamps[t] = ph_wall_us() / 1000000 + ttl_ms / 1000;
}

static void log_pregreet(struct ph_screen_client *c, int64_t after_ms)
{
	struct ph_slice in = ph_stream_peek(c->s->io);
	char age[24];

	ph_log(PH_LOG_INFO, "PREGREET %zu after %s from %s: %s", in.n, ph_screen_age(after_ms, age, sizeof(age)), c->who, ph_screen_escaped(c->arena, in.p, in.n));
}

/* Wait for the client not to talk.  0: go on; 1: it is to be dropped; negative: it is gone. */
static int wait_greet(struct ph_screen_client *c, struct ph_screen_dnsbl *lists)
{
	struct ph_screen *ps = c->ps;
	int64_t start = ph_now_ms(), deadline = start + ps->set.greet_wait_ms;
	ssize_t n;

	if (c->todo[PH_SCREEN_PREGREET] && *ps->set.greet_banner) {
		char *text = ph_arena_printf(c->arena, "220-%s", ps->set.greet_banner);

		say(c, text);
	}
	n = ph_stream_peek(c->s->io).n ? 1 : ph_stream_fill(c->s->io, deadline);
	if (n == -ETIMEDOUT) {
		if (c->todo[PH_SCREEN_PREGREET])
			ph_screen_pass(c, PH_SCREEN_PREGREET, ps->ttl_ms[PH_SCREEN_PREGREET]);
		return 0;
	}
	if (n <= 0) {
		char age[24];

		ph_log(PH_LOG_INFO, "HANGUP after %s from %s in tests before SMTP handshake", ph_screen_age(ph_now_ms() - start, age, sizeof(age)), c->who);
		return -ENODATA;
	}
	if (c->todo[PH_SCREEN_PREGREET]) {
		log_pregreet(c, ph_now_ms() - start);
		c->failed = true;
		c->todo[PH_SCREEN_PREGREET] = false;
		if (ps->actions[PH_SCREEN_PREGREET] == PH_SCREEN_DROP)
			return 1;
		if (ps->actions[PH_SCREEN_PREGREET] == PH_SCREEN_ENFORCE) {
			c->reject = "550 5.5.1 Protocol error";
			c->pregreeted = true;
		}
	}
	if (lists)
		ph_screen_dnsbl_wait(lists, deadline);
	return 0;
}

static const char *shown(struct ph_screen_client *c, const char *domain)
{
	const char *value;

	if (!ph_maps_empty(c->ps->reply_map) && ph_maps_find(c->ps->reply_map, domain, false, c->arena, &value, NULL) == PH_LOOKUP_FOUND)
		return value;
	return domain;
}

/* 0: go on, 1: drop (c->reject_text). */
static int judge_lists(struct ph_screen_client *c, struct ph_screen_dnsbl *lists)
{
	struct ph_screen *ps = c->ps;
	const char *domain;
	int64_t ttl;
	int score = ph_screen_dnsbl_score(lists, &domain, &ttl);

	if (score < ps->set.dnsbl_threshold) {
		ph_screen_pass(c, PH_SCREEN_DNSBL, ttl);
		if (ps->set.dnsbl_allow_threshold < 0 && score <= ps->set.dnsbl_allow_threshold)
			for (int t = PH_SCREEN_PIPELINING; t < PH_SCREEN_TESTS; t++)
				if (c->todo[t])
					ph_screen_pass(c, (enum ph_screen_test)t, ttl);
		return 0;
	}
	ph_log(PH_LOG_INFO, "DNSBL rank %d for %s", score, c->who);
	c->failed = true;
	c->todo[PH_SCREEN_DNSBL] = false;
	snprintf(c->reject_text, sizeof(c->reject_text), "%s 5.7.1 Service unavailable; client [%s] blocked using %.200s",
		 ps->actions[PH_SCREEN_DNSBL] == PH_SCREEN_DROP ? "521" : "550", c->s->addr, shown(c, domain));
	if (ps->actions[PH_SCREEN_DNSBL] == PH_SCREEN_DROP)
		return 1;
	if (ps->actions[PH_SCREEN_DNSBL] == PH_SCREEN_ENFORCE && !c->reject)
		c->reject = c->reject_text;
	return 0;
}

/* true: the client is done with. */
static bool early_tests(struct ph_screen_client *c)
{
	struct ph_screen_dnsbl *lists = c->todo[PH_SCREEN_DNSBL] ? ph_screen_dnsbl_start(c->ps, c->s->addr) : NULL;
	int r = wait_greet(c, lists);
	bool gone = true;

	if (r < 0)
		disconnect(c);
	else if (r > 0)
		drop(c, "521 5.5.1 Protocol error");
	else if (lists && judge_lists(c, lists))
		drop(c, c->reject_text);
	else
		gone = false;
	ph_screen_dnsbl_unref(&lists);
	return gone;
}

/* ---- the whole way ---- */

static bool any(const bool *todo, int from, int to)
{
	for (int t = from; t < to; t++)
		if (todo[t])
			return true;
	return false;
}

#define NEVER_ASKED 1          /* the stamp of a test that was switched off */

/* Which tests has the client not passed, or too long ago?  true: it has passed some before. */
static bool load(struct ph_screen_client *c)
{
	int64_t now = ph_wall_us() / 1000000;
	bool old = c->ps->cache && ph_screen_cache_get(c->ps->cache, c->s->addr, c->stamps);

	for (int t = 0; t < PH_SCREEN_TESTS; t++) {
		c->todo[t] = c->ps->enabled[t] && c->stamps[t] < now;
		c->is_new |= c->ps->enabled[t] && c->stamps[t] == 0;
		if (!c->ps->enabled[t] && c->stamps[t] == 0)
			c->stamps[t] = NEVER_ASKED;
	}
	return old;
}

/* The client is done with, or goes on to the server: who has failed nothing is remembered for what it has passed so far. */
static void conclude(struct ph_screen_client *c)
{
	if (c->failed)
		return;
	if (any(c->ps->enabled, 0, PH_SCREEN_TESTS) && !any(c->todo, 0, PH_SCREEN_TESTS))
		ph_log(PH_LOG_INFO, "PASS %s %s", c->is_new ? "NEW" : "OLD", c->who);
	if (c->ps->cache && c->renewed)
		ph_screen_cache_put(c->ps->cache, c->s->addr, c->stamps);
}

/* May the client come onto the temporary list on this address of ours? */
static bool veto(struct ph_screen_client *c)
{
	if (ph_match_find(c->ps->allow_interfaces, c->s->server_addr, c->s->server_addr, NULL) == PH_LOOKUP_FOUND)
		return false;
	ph_log(PH_LOG_INFO, "%s VETO %s", c->ps->set.respectful ? "ALLOWLIST" : "WHITELIST", c->who);
	c->failed = true;
	c->reject = "450 4.3.2 Service currently unavailable";
	return true;
}

static bool tests(struct ph_screen_client *c)
{
	struct ph_screen *ps = c->ps;

	if (load(c) && !any(c->todo, 0, PH_SCREEN_TESTS) && !c->failed) {
		ph_log(PH_LOG_INFO, "PASS OLD %s", c->who);
		return true;
	}
	if (ps->screening > ps->set.pre_queue_limit)
		return refuse_connect(c, "all screening ports busy", "421 4.3.2 All server ports are busy");
	if (!c->failed)
		veto(c);
	if (any(c->todo, PH_SCREEN_PREGREET, PH_SCREEN_DNSBL + 1) && early_tests(c))
		return false;
	if (c->reject || any(c->todo, PH_SCREEN_PIPELINING, PH_SCREEN_TESTS)) {
		ph_screen_engine(c);
		conclude(c);
		return disconnect(c);
	}
	conclude(c);
	return true;
}

static bool connected(struct ph_screen_client *c, unsigned connections)
{
	struct ph_screen *ps = c->ps;
	bool polite = ps->set.respectful;

	ph_log(PH_LOG_INFO, "CONNECT from %s to [%s]:%d", c->who, c->s->server_addr, c->s->server_port);
	if (ps->set.client_count > 0 && connections > (unsigned)ps->set.client_count)
		return refuse_connect(c, "too many connections", "421 4.7.0 Error: too many connections");
	if (ps->svc->sessions > ps->set.post_queue_limit + ps->screening)
		return refuse_connect(c, "all server ports busy", "421 4.3.2 All server ports are busy");
	switch (access_verdict(c)) {
	case 1:
		ph_log(PH_LOG_INFO, "%s %s", polite ? "ALLOWLISTED" : "WHITELISTED", c->who);
		return true;
	case -1:
		ph_log(PH_LOG_INFO, "%s %s", polite ? "DENYLISTED" : "BLACKLISTED", c->who);
		if (ps->deny_action == PH_SCREEN_DROP)
			return drop(c, "521 5.3.2 Service currently unavailable");
		if (ps->deny_action == PH_SCREEN_ENFORCE) {
			c->reject = "550 5.3.2 Service currently unavailable";
			c->failed = true;
		}
		break;
	}
	return tests(c);
}

bool ph_screen_client(struct ph_screen *ps, struct ph_session *s)
{
	struct ph_screen_client *c = ph_alloc(sizeof(*c));
	struct ph_limit_counts n;
	bool on = false;

	c->ps = ps;
	c->s = s;
	c->arena = ph_arena_new();
	snprintf(c->who, sizeof(c->who), "[%s]:%d", s->addr, s->port);
	ph_co_set_ident(ps->set.syslog_name, "postscreen");
	s->limit_scope = ps->limit_scope;
	ps->screening++;
	if (ph_limits_connect(s, ps->set.client_count > 0, &n) < 0)
		refuse_connect(c, "cannot count", "421 4.3.0 Error: cannot count, try again later");
	else
		on = connected(c, n.connections);
	ps->screening--;
	ph_limits_disconnect(s);
	s->limit_scope = s->svc->set.counter_scope;
	s->screened = on;
	ph_arena_free(&c->arena);
	free(c);
	return on;
}
