/* addr.c: which addresses to try for a destination, and in which order.
 *
 * RFC 5321 section 5.1: MX by preference, equal ones in random order, ourselves and what is less preferred than us left out; RFC 7505: the null MX; no MX: the name's own
 * addresses.  Yields. */
#include "smtp.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define LOOKUP_MS PH_SECONDS(60)
#define NATIVE_MAX 32

struct list {
	struct smtp_addr **at;
	size_t n, cap;
	struct ph_arena *arena;
};

static void list_add(struct list *l, const char *host, const struct ph_endpoint *e, int pref)
{
	struct smtp_addr *a = ph_arena_alloc(l->arena, sizeof(*a)), **more;

	if (l->n == l->cap) {
		more = ph_arena_alloc(l->arena, (l->cap * 2 + 8) * sizeof(*more));
		if (l->n)
			memcpy(more, l->at, l->n * sizeof(*more));
		l->at = more;
		l->cap = l->cap * 2 + 8;
	}
	a->host = host;
	a->e = *e;
	a->pref = pref;
	l->at[l->n++] = a;
}

/* ---- one host ----------------------------------------------------------------------------- */

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

/* Through the system's own name service (hosts file and whatever nsswitch.conf says). */
static void host_native(struct smtp_state *st, const char *host, int family, int pref, struct list *l)
{
	struct native n = { .host = host, .family = family };
	struct ph_endpoint e;
	struct addrinfo *i;
	size_t got = 0;

	ph_offload(native_lookup, &n);
	if (n.result != 0) {
		smtp_why_set(st, n.result == EAI_AGAIN || n.result == EAI_SYSTEM || n.result == EAI_MEMORY ? "4.4.3" : "5.4.4",
			     "unable to look up host %s: %s", host, gai_strerror(n.result));
		return;
	}
	for (i = n.all; i && got < NATIVE_MAX; i = i->ai_next) {
		if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
			continue;
		memset(&e, 0, sizeof(e));
		memcpy(&e.addr, i->ai_addr, i->ai_addrlen);
		e.len = i->ai_addrlen;
		list_add(l, host, &e, pref);
		got++;
	}
	freeaddrinfo(n.all);
}

static int family_wanted(const struct smtp_service *svc)
{
	return svc->ipv4 && svc->ipv6 ? AF_UNSPEC : svc->ipv6 ? AF_INET6 : AF_INET;
}

static void why_dns(struct smtp_state *st, enum ph_dns_status status, const char *name, const char *type, const char *text)
{
	if (status == PH_DNS_BADNAME)
		smtp_why_set(st, "5.4.4", "Name service error for %s: invalid host or domain name", name);
	else
		smtp_why_set(st, status == PH_DNS_TEMPFAIL ? "4.4.3" : "5.4.4",
			     "Host or domain name not found. Name service error for name=%s type=%s: %s", name, type, text);
}

/* Addresses of one host; st->why is set when there are none. */
static void host_find(struct smtp_state *st, const char *host, int pref, struct list *l)
{
	struct smtp_service *svc = st->service;
	int family = family_wanted(svc);
	struct ph_endpoint *e;
	enum ph_dns_status status;
	size_t n, i, before = l->n;
	struct ph_endpoint number;
	const char *text;

	if (svc->dns_first || ph_endpoint_ip(&number, host, 1) == 0) {
		status = ph_dns_addresses(st->arena, host, family, false, ph_now_ms() + LOOKUP_MS, &e, &n, &text);
		for (i = 0; i < n; i++)
			list_add(l, host, &e[i], pref);
		if (n == 0)
			why_dns(st, status, host, family == AF_INET ? "A" : "AAAA", text);
		if (status == PH_DNS_TEMPFAIL)
			return;
	}
	if (l->n == before && svc->native)
		host_native(st, host, family, pref, l);
}

/* ---- ourselves ---------------------------------------------------------------------------- */

static bool is_self(struct smtp_state *st, const struct ph_endpoint *e)
{
	const struct sockaddr_in *in = (const void *)&e->addr;

	if (e->addr.sa.sa_family == AF_INET && in->sin_addr.s_addr == INADDR_ANY)
		return true;            /* the system takes 0.0.0.0 for itself */
	return ph_conf_own_address(st->service->conf, e);
}

/* The best preference at which one of our own addresses stands; INT32_MAX: none does. */
static int self_pref(struct smtp_state *st, const struct list *l)
{
	int best = INT32_MAX;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->at[i]->pref < best && is_self(st, &l->at[i]->e))
			best = l->at[i]->pref;
	}
	return best;
}

static void cut(struct list *l, int pref)
{
	size_t i, n = 0;

	for (i = 0; i < l->n; i++) {
		if (l->at[i]->pref < pref)
			l->at[n++] = l->at[i];
	}
	l->n = n;
}

/* ---- the order ---------------------------------------------------------------------------- */

static void shuffle(struct list *l)
{
	struct smtp_addr *t;
	uint32_t r;
	size_t i, k;

	for (i = l->n; i > 1; i--) {
		if (getrandom(&r, sizeof(r), 0) != sizeof(r))
			r = (uint32_t)rand();
		k = r % i;
		t = l->at[i - 1];
		l->at[i - 1] = l->at[k];
		l->at[k] = t;
	}
}

/* Does a come before b?  Equal ones keep their order. */
static bool before(const struct smtp_service *svc, const struct smtp_addr *a, const struct smtp_addr *b)
{
	int first = strcasecmp(svc->set->address_preference, "ipv6") == 0 ? AF_INET6 :
		    strcasecmp(svc->set->address_preference, "ipv4") == 0 ? AF_INET : 0;

	if (a->pref != b->pref)
		return a->pref < b->pref;
	return first && a->e.addr.sa.sa_family == first && b->e.addr.sa.sa_family != first;
}

static void sort(const struct smtp_service *svc, struct list *l)
{
	struct smtp_addr *a;
	size_t i, k;

	for (i = 1; i < l->n; i++) {            /* few, and stable */
		a = l->at[i];
		for (k = i; k > 0 && before(svc, a, l->at[k - 1]); k--)
			l->at[k] = l->at[k - 1];
		l->at[k] = a;
	}
}

/* Both address families must have a chance among the first smtp_mx_address_limit addresses. */
static void balance(const struct smtp_service *svc, struct list *l)
{
	size_t limit = (size_t)svc->set->mx_address_limit, i;
	struct smtp_addr *other;

	if (!svc->set->balance_protocols || limit < 2 || l->n <= limit)
		return;
	for (i = 1; i < limit; i++) {
		if (l->at[i]->e.addr.sa.sa_family != l->at[0]->e.addr.sa.sa_family)
			return;
	}
	for (; i < l->n && l->at[i]->e.addr.sa.sa_family == l->at[0]->e.addr.sa.sa_family; i++)
		;
	if (i == l->n)
		return;
	other = l->at[i];
	memmove(&l->at[limit], &l->at[limit - 1], (i - limit + 1) * sizeof(l->at[0]));
	l->at[limit - 1] = other;
}

static struct smtp_addr *chain(struct smtp_state *st, struct list *l)
{
	size_t i;

	if (st->service->set->randomize && l->n > 1)
		shuffle(l);
	sort(st->service, l);
	balance(st->service, l);
	for (i = 0; i + 1 < l->n; i++)
		l->at[i]->next = l->at[i + 1];
	return l->n ? l->at[0] : NULL;
}

/* ---- destinations ------------------------------------------------------------------------- */

static struct smtp_addr *find_host(struct smtp_state *st, const char *host)
{
	struct list l = { .arena = st->arena };

	host_find(st, host, 0, &l);
	if (l.n && st->loop_detect && self_pref(st, &l) != INT32_MAX) {
		smtp_why_set(st, "5.4.6", "mail for %s loops back to myself", host);
		return NULL;
	}
	return chain(st, &l);
}

static int by_pref(const void *a, const void *b)
{
	return (int)((const struct ph_dns_rr *)a)->pref - (int)((const struct ph_dns_rr *)b)->pref;
}

static struct smtp_addr *find_mx(struct smtp_state *st, const char *domain, struct ph_dns_answer *mx, bool *ret_self)
{
	struct list l = { .arena = st->arena };
	int best_mx, best_found = INT32_MAX, self;
	size_t i;

	if (mx->n == 1 && mx->rr[0].name[0] == '\0') {
		smtp_why_set(st, "5.1.0", "Domain %s does not accept mail (nullMX)", domain);
		return NULL;
	}
	qsort(mx->rr, mx->n, sizeof(mx->rr[0]), by_pref);
	best_mx = mx->rr[0].pref;
	for (i = 0; i < mx->n; i++) {
		if (mx->rr[i].name[0] && l.n < 1000)
			host_find(st, mx->rr[i].name, mx->rr[i].pref, &l);
	}
	if (l.n == 0) {
		if (st->service->set->defer_no_mx_address && st->why.dsn[0] == '5')
			st->why.dsn[0] = '4';
		ph_log(PH_LOG_WARNING, "no MX host for %s has a valid address record", domain);
		return NULL;
	}
	for (i = 0; i < l.n; i++)
		best_found = l.at[i]->pref < best_found ? l.at[i]->pref : best_found;
	self = self_pref(st, &l);
	if (self != INT32_MAX) {
		*ret_self = true;
		cut(&l, self);
		if (l.n == 0 && best_mx != best_found)
			smtp_why_set(st, "4.4.4", "unable to find primary relay for %s", domain);
		else if (l.n == 0)
			smtp_why_set(st, "5.4.6", "mail for %s loops back to myself", domain);
	}
	return chain(st, &l);
}

static struct smtp_addr *find_domain(struct smtp_state *st, const char *domain, bool *ret_self)
{
	struct ph_dns_answer *mx;

	switch (ph_dns_query(st->arena, domain, PH_DNS_MX, ph_now_ms() + LOOKUP_MS, &mx)) {
	case PH_DNS_OK:
		return find_mx(st, domain, mx, ret_self);
	case PH_DNS_NXDOMAIN:
	case PH_DNS_NODATA:
		return find_host(st, domain);
	case PH_DNS_TEMPFAIL:
	case PH_DNS_BADNAME:
		break;
	}
	if (st->service->shared.ignore_mx_error)
		return find_host(st, domain);
	why_dns(st, mx->status, domain, "MX", mx->text);
	return NULL;
}

struct smtp_addr *smtp_addr_find(struct smtp_state *st, const struct smtp_dest *dest, bool *ret_self)
{
	struct ph_endpoint number;

	*ret_self = false;
	if (dest->no_mx || st->service->shared.disable_dns || ph_endpoint_ip(&number, dest->host, 1) == 0 || SMTP_IS_LMTP)
		return find_host(st, dest->host);
	return find_domain(st, dest->host, ret_self);
}
