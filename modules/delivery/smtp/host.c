/* host.c: the addresses of hosts: from the DNS, asked for all hosts of a destination at once, or from the system's name service; and the DNS reply filter.
 *
 * Yields. */
#include "smtp.h"

#include <netdb.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LOOKUP_MS PH_SECONDS(60)
#define NATIVE_MAX 32

static void list_add(struct smtp_addr_list *l, const struct smtp_host *h, const struct ph_endpoint *e)
{
	struct smtp_addr *a = ph_arena_alloc(l->arena, sizeof(*a)), **more;

	if (l->n == l->cap) {
		more = ph_arena_alloc(l->arena, (l->cap * 2 + 8) * sizeof(*more));
		if (l->n)
			memcpy(more, l->at, l->n * sizeof(*more));
		l->at = more;
		l->cap = l->cap * 2 + 8;
	}
	a->host = a->owner = h->name;
	a->e = *e;
	a->pref = h->pref;
	a->port = h->port;
	l->at[l->n++] = a;
}

const char *smtp_dns_text(enum ph_dns_status status)
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

void smtp_dns_filter(struct smtp_state *st, struct ph_dns_answer *ans)
{
	ph_dns_answer_filter(st->service->dns_filter, SMTP_PREFIX "dns_reply_filter", st->arena, ans);
}

/* ---- the system's name service ------------------------------------------------------------ */

struct native {
	const char *host;
	int family, result;
	struct addrinfo *all;
};

static void native_lookup(void *arg)
{
	struct native *n = arg;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = n->family };

	n->result = getaddrinfo(n->host, NULL, &hints, &n->all);
}

/* hosts file and whatever nsswitch.conf says. */
static void host_native(struct smtp_state *st, const struct smtp_host *h, struct smtp_addr_list *l)
{
	const struct smtp_service *svc = st->service;
	struct native n = { .host = h->name, .family = svc->ipv4 && svc->ipv6 ? AF_UNSPEC : svc->ipv6 ? AF_INET6 : AF_INET };
	struct ph_endpoint e;
	struct addrinfo *i;
	size_t got = 0;

	ph_offload(native_lookup, &n);
	if (n.result != 0) {
		smtp_why_set(st, n.result == EAI_AGAIN || n.result == EAI_SYSTEM || n.result == EAI_MEMORY ? "4.4.3" : "5.4.4",
			     "unable to look up host %s: %s", h->name, gai_strerror(n.result));
		return;
	}
	for (i = n.all; i && got < NATIVE_MAX; i = i->ai_next) {
		if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
			continue;
		memset(&e, 0, sizeof(e));
		memcpy(&e.addr, i->ai_addr, i->ai_addrlen);
		e.len = i->ai_addrlen;
		list_add(l, h, &e);
		got++;
	}
	freeaddrinfo(n.all);
}

/* ---- what the DNS says about hosts -------------------------------------------------------- */

void smtp_why_dns(struct smtp_state *st, enum ph_dns_status status, const char *name, const char *type, const char *text)
{
	bool dropped = strcmp(text, PH_DNS_FILTER_DROPPED) == 0;

	if (dropped || strcmp(text, PH_DNS_FILTER_BAD) == 0)
		smtp_why_set(st, dropped ? "4.7.0" : "4.4.3", "Error looking up name=%s type=%s: %s", name, type, text);
	else if (status == PH_DNS_BADNAME)
		smtp_why_set(st, "5.4.4", "Name service error for %s: invalid host or domain name", name);
	else
		smtp_why_set(st, status == PH_DNS_TEMPFAIL ? "4.4.3" : "5.4.4",
			     "Host or domain name not found. Name service error for name=%s type=%s: %s", name, type, text);
}

static size_t questions_of(const struct smtp_service *svc, struct smtp_host *h, struct ph_dns_question *q)
{
	size_t n = 0;

	h->numeric = ph_endpoint_ip(&h->number, h->name, 1) == 0;
	h->q = q;
	if (h->numeric || !svc->dns_first)
		return 0;
	if (svc->ipv4)
		q[n++] = (struct ph_dns_question){ h->name, PH_DNS_A, NULL };
	if (svc->ipv6)
		q[n++] = (struct ph_dns_question){ h->name, PH_DNS_AAAA, NULL };
	return n;
}

/* Ask about all of them, in parallel. */
void smtp_hosts_ask(struct smtp_state *st, struct smtp_host *hosts, size_t n)
{
	const struct smtp_service *svc = st->service;
	struct ph_dns_question *q = ph_arena_alloc(st->arena, (n * 2 + 1) * sizeof(*q));
	size_t i, used = 0;

	for (i = 0; i < n; i++)
		used += questions_of(svc, &hosts[i], q + used);
	if (svc->dnssec) {
		ph_dns_query_all_secure(st->arena, q, used, ph_now_ms() + LOOKUP_MS);
		for (i = 0; i < used; i++)
			smtp_dnssec_note(st, q[i].answer);
	} else {
		ph_dns_query_all(st->arena, q, used, ph_now_ms() + LOOKUP_MS);
	}
	for (i = 0; i < used; i++)
		smtp_dns_filter(st, q[i].answer);
}

static struct ph_endpoint endpoint_of(const struct ph_dns_rr *rr)
{
	struct ph_endpoint e = { .len = rr->type == PH_DNS_A ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6) };
	struct sockaddr_in *in = (void *)&e.addr;
	struct sockaddr_in6 *in6 = (void *)&e.addr;

	e.addr.sa.sa_family = rr->type == PH_DNS_A ? AF_INET : AF_INET6;
	if (rr->type == PH_DNS_A)
		memcpy(&in->sin_addr, rr->data.p, 4);
	else
		memcpy(&in6->sin6_addr, rr->data.p, 16);
	return e;
}

/* cname_counts: the server is called what its CNAMEs lead to. */
static void answer_add(const struct smtp_host *h, const struct ph_dns_answer *ans, bool cname_counts, struct smtp_addr_list *l)
{
	struct ph_endpoint e;
	size_t i;

	for (i = 0; i < ans->n; i++) {
		e = endpoint_of(&ans->rr[i]);
		list_add(l, h, &e);
		l->at[l->n - 1]->secure = ans->secure;
		l->at[l->n - 1]->owner = ans->owner;
		if (cname_counts)
			l->at[l->n - 1]->host = ans->owner;
	}
}

/* The worst of two failures: what may be there later wins, then what exists. */
static enum ph_dns_status worse(enum ph_dns_status a, enum ph_dns_status b)
{
	if (a == PH_DNS_TEMPFAIL || b == PH_DNS_TEMPFAIL)
		return PH_DNS_TEMPFAIL;
	return a == PH_DNS_NODATA || b == PH_DNS_NODATA ? PH_DNS_NODATA : a;
}

/* The addresses of one host, from the answers; st->why is set when there are none. */
void smtp_host_add(struct smtp_state *st, const struct smtp_host *h, struct smtp_addr_list *l)
{
	const struct smtp_service *svc = st->service;
	size_t before = l->n, i, n = (size_t)(svc->ipv4 + svc->ipv6);
	enum ph_dns_status status = PH_DNS_NXDOMAIN;
	const char *text = NULL;
	int family;

	if (h->numeric) {
		family = h->number.addr.sa.sa_family;
		if (family == AF_INET ? svc->ipv4 : svc->ipv6)
			list_add(l, h, &h->number);
		else
			smtp_why_dns(st, PH_DNS_NODATA, h->name, svc->ipv6 ? "AAAA" : "A", "Host found but no data record of requested type");
		return;
	}
	for (i = 0; i < n && svc->dns_first; i++) {
		answer_add(h, h->q[i].answer, svc->set->cname_overrides, l);
		status = i ? worse(status, h->q[i].answer->status) : h->q[i].answer->status;
		if (h->q[i].answer->status == status)
			text = h->q[i].answer->text;
	}
	if (l->n > before)
		return;
	if (svc->dns_first)
		smtp_why_dns(st, status, h->name, svc->ipv6 ? "AAAA" : "A", text);
	if (svc->native && !(svc->dns_first && status == PH_DNS_TEMPFAIL))
		host_native(st, h, l);
}

