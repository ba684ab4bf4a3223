/* limits.c: clients and their counts: who is one client, where it is counted, what is too much.  Owns the peaks of this process.
 *
 * May yield where a store of several machines is asked. */
#include "smtpd/limits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "module/loader.h"
#include "smtpd/session.h"

#define LOG_AGAIN_MS 60000      /* a store that stays down is named so often */

const char *const ph_limit_names[PH_LIMIT_KINDS] = {
	[PH_LIMIT_CONNECT] = "connect", [PH_LIMIT_MESSAGE] = "message", [PH_LIMIT_RECIPIENT] = "recipient", [PH_LIMIT_TLS] = "newtls",
	[PH_LIMIT_AUTH] = "auth",
};

/* ---- stores of several machines ---- */

struct ph_limit_store {
	const struct ph_module *module;
	void *store;                    /* NULL: could not be opened */
	char *title;                    /* "redis:/etc/posthouse/counters.cf" */
	char why[200];                  /* it could not */
	bool closed;                    /* without it, clients are turned away */
	bool down;
	int64_t logged_ms;
};

int ph_limit_store_new(const struct ph_conf *conf, const char *spec, const char *failure, struct ph_limit_store **ret, struct ph_err *err)
{
	const char *colon = strchr(spec, ':');
	struct ph_limit_store *st;
	const void *settings;
	struct ph_err why = { 0, "" };
	char type[40];
	int r = -ENOENT;

	*ret = NULL;
	if (strcmp(failure, "open") != 0 && strcmp(failure, "closed") != 0)
		return ph_err_set(err, -EINVAL, "bad configuration: smtpd_client_counter_failure is \"%.50s\", neither open nor closed", failure);
	if (strcmp(spec, "shared") == 0)
		return 0;
	if (!colon || colon == spec || (size_t)(colon - spec) >= sizeof(type))
		return ph_err_set(err, -EINVAL, "bad configuration: smtpd_client_counter_store is \"%.100s\", neither \"shared\" nor type:name", spec);
	snprintf(type, sizeof(type), "%.*s", (int)(colon - spec), spec);
	st = *ret = ph_alloc(sizeof(*st));
	st->title = ph_strdup(spec);
	st->closed = strcmp(failure, "closed") == 0;
	st->module = ph_module_load(PH_KIND_COUNTER, type, &why);
	settings = st->module ? ph_module_settings(st->module, conf, &why) : NULL;
	if (settings)
		r = st->module->ops.counter->open(conf, settings, colon + 1, &st->store, &why);
	if (r < 0) {
		st->store = NULL;
		snprintf(st->why, sizeof(st->why), "%.199s", why.text);
	}
	return 0;
}

void ph_limit_store_free(struct ph_limit_store **sp)
{
	struct ph_limit_store *st = *sp;

	*sp = NULL;
	if (!st)
		return;
	if (st->store)
		st->module->ops.counter->close(st->store);
	free(st->title);
	free(st);
}

static void note_down(struct ph_limit_store *st, const char *why)
{
	if (st->down && ph_now_ms() - st->logged_ms < LOG_AGAIN_MS)
		return;
	st->down = true;
	st->logged_ms = ph_now_ms();
	ph_log(PH_LOG_WARNING, "smtpd_client_counter_store: %s: %s; %s", st->title, why,
	       st->closed ? "clients are turned away" : "each machine counts by itself");
}

static int store_change(struct ph_limit_store *st, const char *client, struct ph_counter_change *changes, size_t n)
{
	struct ph_err err = { 0, "" };
	int r = -EIO;

	if (st->store)
		r = st->module->ops.counter->change(st->store, client, changes, n, &err);
	if (r < 0) {
		note_down(st, st->store ? err.text : st->why);
		return r;
	}
	if (st->down)
		ph_log(PH_LOG_INFO, "smtpd_client_counter_store: %s: counts again", st->title);
	st->down = false;
	return 0;
}

/* Here, and (ask) in the store of several machines, whose counts are the ones that hold. */
static int change(struct ph_session *s, const char *client, struct ph_counter_change *changes, size_t n, bool ask)
{
	struct ph_limit_store *st = s->svc->counters;
	struct ph_counter_change common[2];
	int r;

	ph_assert(n <= PH_ARRAY_LEN(common));
	memcpy(common, changes, n * sizeof(*changes));
	if (s->svc->limits)
		(void)ph_limits_shared.change(s->svc->limits, client, changes, n, NULL);
	if (!st || !ask)
		return 0;
	r = store_change(st, client, common, n);
	if (r == 0)
		memcpy(changes, common, n * sizeof(*changes));
	return st->closed ? r : 0;
}

/* ---- clients ---- */

/* "scope/192.0.2.0": the client's network as smtpd_client_*_prefix_length cuts it, within the service. */
static void client_text(const struct ph_session *s, char *buf, size_t bytes)
{
	unsigned char a[16] = { 0 };
	char text[INET6_ADDRSTRLEN] = "?";
	unsigned bits, n;
	int family = AF_INET;

	if (inet_pton(AF_INET, s->addr, a) == 1) {
		bits = (unsigned)s->set->ipv4_prefix;
		n = 4;
	} else {
		family = AF_INET6;
		if (inet_pton(AF_INET6, s->addr, a) != 1)
			memset(a, 0xff, sizeof(a));
		bits = (unsigned)s->set->ipv6_prefix;
		n = 16;
	}
	for (unsigned i = 0; i < n; i++)
		if (i * 8 >= bits)
			a[i] = 0;
		else if (bits - i * 8 < 8)
			a[i] &= (unsigned char)(0xff << (8 - (bits - i * 8)));
	(void)inet_ntop(family, a, text, sizeof(text));
	snprintf(buf, bytes, "%.80s/%s", s->limit_scope, text);
}

/* Unlike any other session's, on any machine. */
static void holder_text(const struct ph_session *s, char buf[40])
{
	static uint64_t process;
	static int64_t of;

	if (of != getpid()) {
		arc4random_buf(&process, sizeof(process));
		of = getpid();
	}
	snprintf(buf, 40, "%016llx.%llx", (unsigned long long)process, (unsigned long long)s->limit_holder);
}

/* ---- peaks ---- */

/* Peaks of this process since the last statistics line. */
static struct peak {
	uint64_t n;
	int64_t at_us;
	char who[120];
} peaks[PH_LIMIT_KINDS + 1];

static void note_peak(unsigned which, uint64_t n, const struct ph_session *s)
{
	struct peak *p = &peaks[which];

	if (n <= p->n)
		return;
	p->n = n;
	p->at_us = ph_wall_us();
	snprintf(p->who, sizeof(p->who), "%.60s:%s", s->svc->name, s->addr);
}

void ph_limits_log_peaks(void)
{
	static const char *const names[PH_LIMIT_KINDS + 1] = {
		[PH_LIMIT_CONNECT] = "connection rate", [PH_LIMIT_MESSAGE] = "message rate", [PH_LIMIT_RECIPIENT] = "recipient rate",
		[PH_LIMIT_TLS] = "newtls rate", [PH_LIMIT_AUTH] = "auth rate", [PH_LIMIT_KINDS] = "connection count",
	};

	for (unsigned i = 0; i <= PH_LIMIT_KINDS; i++) {
		time_t at = (time_t)(peaks[i].at_us / 1000000);
		struct tm tm;
		char when[32];

		if (peaks[i].n == 0)
			continue;
		if (!localtime_r(&at, &tm) || !strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm))
			when[0] = '\0';
		ph_log_as("anvil", PH_LOG_INFO, "statistics: max %s %llu%s for (%s) at %s", names[i], (unsigned long long)peaks[i].n,
			  i == PH_LIMIT_KINDS ? "" : "/60s", peaks[i].who, when);
		peaks[i].n = 0;
	}
}

/* ---- what sessions do ---- */

int ph_limits_connect(struct ph_session *s, bool limited, struct ph_limit_counts *ret)
{
	static uint64_t connections;
	char client[160], holder[40];
	struct ph_counter_change c[2] = {
		{ .what = PH_COUNTER_HOLD, .name = "connections", .holder = holder },
		{ .what = PH_COUNTER_ADD, .name = ph_limit_names[PH_LIMIT_CONNECT], .by = 1, .window_ms = s->set->rate_unit_ms },
	};
	int r;

	client_text(s, client, sizeof(client));
	ph_smtpd_set(&s->limit_client, client);
	s->limit_holder = ++connections;
	s->limit_asked = limited;
	holder_text(s, holder);
	r = change(s, client, c, 2, limited);
	ret->connections = (unsigned)c[0].now;
	ret->connection_rate = (unsigned)c[1].now;
	note_peak(PH_LIMIT_KINDS, c[0].now, s);
	note_peak(PH_LIMIT_CONNECT, c[1].now, s);
	return r;
}

void ph_limits_disconnect(struct ph_session *s)
{
	char holder[40];
	struct ph_counter_change c = { .what = PH_COUNTER_RELEASE, .name = "connections", .holder = holder };

	holder_text(s, holder);
	(void)change(s, s->limit_client, &c, 1, s->limit_asked);
	ph_smtpd_set(&s->limit_client, NULL);
}

int ph_limits_count(struct ph_session *s, enum ph_limit_kind kind, unsigned by, unsigned *ret)
{
	struct ph_counter_change c = { .what = PH_COUNTER_ADD, .name = ph_limit_names[kind], .by = by, .window_ms = s->set->rate_unit_ms };
	char client[160];
	int r;

	client_text(s, client, sizeof(client));
	r = change(s, client, &c, 1, true);
	*ret = (unsigned)c.now;
	if (by > 0)
		note_peak(kind, c.now, s);
	return r;
}

int ph_limits_refused(struct ph_session *s, enum ph_limit_kind kind, int limit, const char *what, const char *reply)
{
	unsigned n;

	if (s->svc->standalone || s->limits_exempt || limit <= 0)
		return 0;
	if (ph_limits_count(s, kind, 1, &n) < 0)
		return ph_smtpd_refuse(s, "451 4.3.0 Error: cannot count, try again later");
	if (n <= (unsigned)limit)
		return 0;
	ph_log(PH_LOG_WARNING, "%s rate limit exceeded: %u from %s for service %s", what, n, s->namaddr, s->svc->name);
	return ph_smtpd_refuse(s, "%s %s", reply, s->addr);
}
