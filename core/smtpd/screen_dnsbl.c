/* screen_dnsbl.c: what DNS lists say about a client: all are asked at once, each in a coroutine of its own, while the client waits.
 * Owns struct ph_screen_dnsbl, counted: the client may be gone before the lists have answered.  RFC 5782. */
#include <arpa/inet.h>
#include <posthouse/co.h>
#include <stdlib.h>
#include <string.h>

#include "base/co_private.h"
#include "smtpd/screen.h"

struct ph_screen_dnsbl {
	unsigned refs;
	struct ph_screen *ps;
	char addr[48];
	struct ph_arena *arena;
	struct ph_dns_answer **answers; /* one per site: NULL: not there yet; a domain that stands twice is asked once */
	size_t pending;
	struct ph_waitq waiting;
};
struct ask {
	struct ph_screen_dnsbl *d;
	size_t site;
	const char *name;
};

/* "4.3.2.1" or nibbles, in arena; NULL: no address. */
static const char *reversed(struct ph_arena *a, const char *addr)
{
	unsigned char b[16];
	struct ph_buf out = PH_BUF_INIT(128);
	const char *text;

	if (inet_pton(AF_INET, addr, b) == 1) {
		ph_buf_printf(&out, "%d.%d.%d.%d", b[3], b[2], b[1], b[0]);
	} else if (inet_pton(AF_INET6, addr, b) == 1) {
		for (int i = 15; i >= 0; i--)
			ph_buf_printf(&out, "%s%x.%x", i == 15 ? "" : ".", b[i] & 15, b[i] >> 4);
	} else {
		return NULL;
	}
	text = ph_arena_strdup(a, ph_buf_str(&out));
	ph_buf_done(&out);
	return text;
}

static void log_answer(const struct ask *k, const struct ph_dns_answer *a)
{
	char text[INET_ADDRSTRLEN];

	if (a->status == PH_DNS_TEMPFAIL) {
		ph_log_as("dnsblog", PH_LOG_WARNING, "dnsblog_query: lookup error for DNS query %s: Host or domain name not found. Name service error for "
			  "name=%s type=A: %s", k->name, k->name, a->text ? a->text : "Host not found, try again");
		return;
	}
	for (size_t i = 0; a->status == PH_DNS_OK && i < a->n; i++)
		if (a->rr[i].type == PH_DNS_A && a->rr[i].data.n == 4 && inet_ntop(AF_INET, a->rr[i].data.p, text, sizeof(text)))
			ph_log_as("dnsblog", PH_LOG_INFO, "addr %s listed by domain %s as %s", k->d->addr, k->d->ps->sites[k->site].domain, text);
}

static void ask_main(void *arg)
{
	struct ask *k = arg;
	struct ph_screen_dnsbl *d = k->d;
	struct ph_dns_answer *a = NULL;

	ph_co_set_ident(d->ps->set.syslog_name, "postscreen");
	ph_dns_query(d->arena, k->name, PH_DNS_A, ph_now_ms() + d->ps->set.dnsbl_timeout_ms, &a);
	if (a)
		log_answer(k, a);
	d->answers[k->site] = a;
	if (--d->pending == 0)
		ph_waitq_wake_all(&d->waiting);
	ph_screen_dnsbl_unref(&d);
}

/* The site that asks for the domain of site i. */
static size_t first_of(const struct ph_screen *ps, size_t i)
{
	size_t k = 0;

	while (strcmp(ps->sites[k].domain, ps->sites[i].domain) != 0)
		k++;
	return k;
}

struct ph_screen_dnsbl *ph_screen_dnsbl_start(struct ph_screen *ps, const char *addr)
{
	struct ph_screen_dnsbl *d = ph_alloc(sizeof(*d));
	const char *key;
	struct ask *k;

	d->refs = 1;
	d->ps = ps;
	strncpy(d->addr, addr, sizeof(d->addr) - 1);
	d->arena = ph_arena_new();
	d->answers = ph_arena_alloc(d->arena, ps->n_sites * sizeof(*d->answers));
	key = reversed(d->arena, addr);
	for (size_t i = 0; key && i < ps->n_sites; i++) {
		if (first_of(ps, i) != i)
			continue;
		k = ph_arena_alloc(d->arena, sizeof(*k));
		*k = (struct ask){ d, i, ph_arena_printf(d->arena, "%s.%s", key, ps->sites[i].domain) };
		d->refs++;
		d->pending++;
		ph_co_spawn("postscreen dnsbl", ask_main, k);
	}
	return d;
}

void ph_screen_dnsbl_wait(struct ph_screen_dnsbl *d, int64_t deadline_ms)
{
	while (d->pending && ph_waitq_wait(&d->waiting, deadline_ms) == 0)
		;
}

static bool listed(const struct ph_screen_site *s, const struct ph_dns_answer *a)
{
	for (size_t k = 0; a && a->status == PH_DNS_OK && k < a->n; k++)
		if (a->rr[k].type == PH_DNS_A && a->rr[k].data.n == 4 &&
		    (!s->filtered || ph_dnslist_filter_match(&s->filter, (const unsigned char *)a->rr[k].data.p)))
			return true;
	return false;
}

int ph_screen_dnsbl_score(struct ph_screen_dnsbl *d, const char **ret_domain, int64_t *ret_ttl_ms)
{
	const struct ph_screen *ps = d->ps;
	const struct ph_dns_answer *a;
	int score = 0, heaviest = 0;

	*ret_domain = "";
	*ret_ttl_ms = ps->set.dnsbl_max_ttl_ms;
	for (size_t i = 0; i < ps->n_sites; i++) {
		a = d->answers[first_of(ps, i)];
		for (size_t k = 0; a && a->status == PH_DNS_OK && k < a->n; k++)
			if ((int64_t)a->rr[k].ttl * 1000 < *ret_ttl_ms)
				*ret_ttl_ms = (int64_t)a->rr[k].ttl * 1000;
		if (!listed(&ps->sites[i], a))
			continue;
		score += ps->sites[i].weight;
		if (ps->sites[i].weight >= heaviest && ps->sites[i].weight > 0) {
			heaviest = ps->sites[i].weight;
			*ret_domain = ps->sites[i].domain;
		}
	}
	if (*ret_ttl_ms < ps->set.dnsbl_min_ttl_ms)
		*ret_ttl_ms = ps->set.dnsbl_min_ttl_ms;
	return score;
}

void ph_screen_dnsbl_unref(struct ph_screen_dnsbl **dp)
{
	struct ph_screen_dnsbl *d = *dp;

	*dp = NULL;
	if (!d || --d->refs > 0)
		return;
	ph_arena_free(&d->arena);
	free(d);
}
