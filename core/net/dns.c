/* dns.c: questions to the DNS, through libunbound's event interface on our loop.
 *
 * State: one libunbound context for each process (made at the first question; a forked child makes its own), with its cache.  A question parks its
 * coroutine; one that is given up because of its deadline is cancelled in libunbound.  RFC 1034, 1035; RFC 7505 in those who call. */
#include <errno.h>
#include <idn2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>
#include <unbound-event.h>

#include "base/co_private.h"
#include "base/loop.h"
#include "net/dns_conf.h"
#include "net/dns_private.h"
#include "net/dns_wire.h"

#define QUERY_MS PH_SECONDS(30)
#define UNDER_WAY_MAX "4096"            /* questions that libunbound works on at once */

static struct {
	struct ub_ctx *ctx[2];          /* [1]: validating */
	const char *anchor;
	bool idna2003;
	int64_t limit_ms;               /* of one question, by resolv.conf */
	bool forked;                    /* a child's handler has been registered */
} dns;

/* One question under way.  On the stack of the coroutine that waits. */
struct query {
	struct ph_arena *arena;
	const char *name;
	int type;
	struct ph_dns_answer *answer;
	int id;                         /* libunbound's, for cancelling */
	struct ub_ctx *ctx;
	bool done;
	struct ph_co *waiter;
};

const char *ph_dns_status_text(enum ph_dns_status status)
{
	switch (status) {
	case PH_DNS_OK: return "";
	case PH_DNS_NXDOMAIN: return "Host not found";
	case PH_DNS_NODATA: return "Host found but no data record of requested type";
	case PH_DNS_TEMPFAIL: return "Host not found, try again";
	case PH_DNS_BADNAME: return "Malformed or unexpected name server reply";
	}
	return "";
}

void ph_dns_set_trust_anchor(const char *file)
{
	dns.anchor = file;
}

void ph_dns_set_idna2003(bool on)
{
	dns.idna2003 = on;
}

bool ph_dns_validates(void)
{
	return dns.anchor != NULL;
}

/* ---- the context -------------------------------------------------------------------------- */

/* Ours are the resolver's settings for a stub: it forwards, it caches, it does not play authority.  A setting that this libunbound does not know is
 * left at its default. */
static const char *const options[][2] = {
	{ "do-not-query-localhost:", "no" },
	{ "num-queries-per-thread:", UNDER_WAY_MAX },
	{ "outgoing-range:", "1024" },
	{ "udp-connect:", "yes" },              /* notices a closed port at once */
	{ "rrset-roundrobin:", "no" },
	{ "qname-minimisation:", "no" },        /* whom we ask sees it all anyhow */
	{ "cache-max-negative-ttl:", "900" },
	{ "infra-host-ttl:", "30" },            /* a server that came back is used again soon */
	{ "infra-cache-max-rtt:", "5000" },
	{ "infra-keep-probing:", "yes" },
	{ "unblock-lan-zones:", "yes" },
	{ "insecure-lan-zones:", "yes" },
	{ "edns-buffer-size:", "1232" },
	{ "use-syslog:", "no" },
	{ "verbosity:", "0" },
};

/* Zones that libunbound would answer itself.  What they hold is for the site's own servers to say. */
static const char *const own_zones[] = {
	"localhost.", "test.", "invalid.", "onion.", "home.arpa.", "resolver.arpa.", "service.arpa.", "127.in-addr.arpa.",
	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
	"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
};

static void forget_parent(void)
{
	/* The parent's contexts hold its sockets and its event base; only their memory is ours. */
	dns.ctx[0] = dns.ctx[1] = NULL;
}

static struct ub_ctx *ctx_make(bool validate)
{
	struct ph_dns_resolv conf;
	struct ub_ctx *ctx;
	size_t i;
	int r;

	ctx = ub_ctx_create_event(ph_loop_base());
	if (ctx == NULL)
		return NULL;
	for (i = 0; i < PH_ARRAY_LEN(options); i++)
		(void)ub_ctx_set_option(ctx, options[i][0], options[i][1]);
	(void)ub_ctx_set_option(ctx, "module-config:", validate ? "validator iterator" : "iterator");
	if (validate && (r = ub_ctx_add_ta_file(ctx, dns.anchor)) != 0)
		ph_log(PH_LOG_WARNING, "DNSSEC trust anchors in %s cannot be used: %s", dns.anchor, ub_strerror(r));
	ph_dns_resolv_read(&conf);
	for (i = 0; i < conf.n; i++) {
		r = ub_ctx_set_fwd(ctx, conf.server[i]);
		if (r != 0)
			ph_log(PH_LOG_WARNING, "nameserver %s cannot be used: %s", conf.server[i], ub_strerror(r));
	}
	for (i = 0; i < PH_ARRAY_LEN(own_zones); i++)
		(void)ub_ctx_zone_remove(ctx, own_zones[i]);
	dns.limit_ms = QUERY_MS;
	if (conf.timeout_s || conf.attempts)
		dns.limit_ms = PH_SECONDS((int64_t)(conf.timeout_s ? conf.timeout_s : 5) * (conf.attempts ? conf.attempts : 2) * (int64_t)conf.n);
	if (dns.limit_ms > QUERY_MS)
		dns.limit_ms = QUERY_MS;
	return ctx;
}

static struct ub_ctx *ctx_get(bool validate)
{
	if (!dns.forked) {
		dns.forked = true;
		pthread_atfork(NULL, NULL, forget_parent);
	}
	if (dns.anchor == NULL)
		validate = false;
	if (dns.ctx[validate] == NULL)
		dns.ctx[validate] = ctx_make(validate);
	return dns.ctx[validate];
}

/* ---- one question ------------------------------------------------------------------------- */

static void log_odd(const struct query *q, unsigned dropped, unsigned bad)
{
	if (dropped)
		ph_log(PH_LOG_WARNING, "DNS record count limit (%d) exceeded -- dropping %u records of type %d for %.200s",
		       PH_DNS_RR_MAX, dropped, q->type, q->name);
	if (bad)
		ph_log(PH_LOG_WARNING, "malformed domain name in resource data of %u records of type %d for %.200s", bad, q->type, q->name);
}

/* libunbound has an answer.  In the loop, or within ub_resolve_event when the cache had it. */
static void on_answer(void *arg, int rcode, void *packet, int n, int sec, char *why_bogus, int ratelimited)
{
	struct query *q = arg;
	unsigned dropped = 0, bad = 0;

	if (packet && n > 0 && (rcode == 0 || rcode == 3) && sec != 1)
		ph_dns_wire_parse(packet, (size_t)n, q->name, q->type, q->arena, q->answer, &dropped, &bad);
	else
		q->answer->status = PH_DNS_TEMPFAIL;
	if (q->answer->owner == NULL)
		q->answer->owner = q->name;
	q->answer->secure = sec == 2;
	q->answer->text = ph_dns_status_text(q->answer->status);
	q->done = true;
	log_odd(q, dropped, bad);
	if (q->waiter)
		ph_co_wake(q->waiter, 0);
}

static void query_fail(struct query *q, enum ph_dns_status status)
{
	q->answer->status = status;
	q->answer->text = ph_dns_status_text(status);
	q->done = true;
}

/* The name as the DNS knows it (A-labels); what cannot be converted stays, and is refused as a name. */
static const char *a_label(struct ph_arena *arena, const char *name)
{
	uint8_t *out = NULL;

	if (ph_str_ascii(name))
		return name;
	if (idn2_lookup_u8((const uint8_t *)name, &out, IDN2_NFC_INPUT | (dns.idna2003 ? IDN2_TRANSITIONAL : IDN2_NONTRANSITIONAL)) == IDN2_OK)
		name = ph_arena_strdup(arena, (const char *)out);
	idn2_free(out);
	return name;
}

static void query_start(struct query *q, bool validate)
{
	q->answer = ph_arena_alloc(q->arena, sizeof(*q->answer));
	q->name = a_label(q->arena, q->name);
	q->answer->owner = q->name;
	q->done = false;
	q->waiter = NULL;
	q->id = 0;
	if (!ph_dns_name_ok(q->name)) {
		query_fail(q, PH_DNS_BADNAME);
		return;
	}
	q->ctx = ctx_get(validate);
	if (q->ctx == NULL || ub_resolve_event(q->ctx, q->name, q->type, 1, q, on_answer, &q->id) != 0) {
		if (!q->done)
			query_fail(q, PH_DNS_TEMPFAIL);
	}
}

/* Wait for all of q[0..n).  What is not there in time is given up as TEMPFAIL. */
static void queries_wait(struct query *q, size_t n, int64_t deadline_ms)
{
	int64_t limit = ph_now_ms() + dns.limit_ms;
	size_t i;
	int r = 0;

	if (deadline_ms > limit)
		deadline_ms = limit;
	for (i = 0; i < n; i++) {
		while (!q[i].done && r == 0) {
			q[i].waiter = ph_co_self();
			r = ph_co_park("DNS", deadline_ms);
			q[i].waiter = NULL;
		}
		if (q[i].done)
			continue;
		(void)ub_cancel(q[i].ctx, q[i].id);     /* no call-back comes any more */
		query_fail(&q[i], PH_DNS_TEMPFAIL);
	}
}

static void query_all(struct ph_arena *arena, struct ph_dns_question *question, size_t n, bool validate, int64_t deadline_ms)
{
	struct query *q = ph_arena_alloc(arena, n * sizeof(*q));
	size_t i;

	for (i = 0; i < n; i++) {
		q[i].arena = arena;
		q[i].name = question[i].name;
		q[i].type = question[i].type;
		query_start(&q[i], validate);
	}
	queries_wait(q, n, deadline_ms);
	for (i = 0; i < n; i++)
		question[i].answer = q[i].answer;
}

void ph_dns_query_all(struct ph_arena *arena, struct ph_dns_question *question, size_t n, int64_t deadline_ms)
{
	query_all(arena, question, n, false, deadline_ms);
}

void ph_dns_query_all_secure(struct ph_arena *arena, struct ph_dns_question *question, size_t n, int64_t deadline_ms)
{
	query_all(arena, question, n, true, deadline_ms);
}

static enum ph_dns_status query_one(struct ph_arena *arena, const char *name, int type, bool validate, int64_t deadline_ms,
				    struct ph_dns_answer **ret)
{
	struct query q = { .arena = arena, .name = name, .type = type };

	query_start(&q, validate);
	queries_wait(&q, 1, deadline_ms);
	*ret = q.answer;
	return q.answer->status;
}

enum ph_dns_status ph_dns_query(struct ph_arena *arena, const char *name, int type, int64_t deadline_ms, struct ph_dns_answer **ret)
{
	return query_one(arena, name, type, false, deadline_ms, ret);
}

enum ph_dns_status ph_dns_query_secure(struct ph_arena *arena, const char *name, int type, int64_t deadline_ms, struct ph_dns_answer **ret)
{
	return query_one(arena, name, type, true, deadline_ms, ret);
}
