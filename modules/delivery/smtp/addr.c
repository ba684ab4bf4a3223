/* addr.c: which addresses to try for a destination, and in which order.
 *
 * RFC 5321 section 5.1: MX by preference, equal ones in random order, ourselves and what is less preferred than us left out; RFC 7505: the null MX; no MX: the name's own
 * addresses.  RFC 2782: SRV where use_srv_lookup names the service.  Yields. */
#include "smtp.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define LOOKUP_MS PH_SECONDS(60)
#define ADDRS_MAX 1000

/* ---- ourselves ---------------------------------------------------------------------------- */

static bool is_self(struct smtp_state *st, const struct ph_endpoint *e)
{
	const struct sockaddr_in *in = (const void *)&e->addr;

	if (e->addr.sa.sa_family == AF_INET && in->sin_addr.s_addr == INADDR_ANY)
		return true;            /* the system takes 0.0.0.0 for itself */
	return ph_conf_own_address(st->service->conf, e);
}

/* The best preference at which one of our own addresses stands; INT32_MAX: none does. */
static int self_pref(struct smtp_state *st, const struct smtp_addr_list *l)
{
	int best = INT32_MAX;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->at[i]->pref < best && is_self(st, &l->at[i]->e))
			best = l->at[i]->pref;
	}
	return best;
}

static void cut(struct smtp_addr_list *l, int pref)
{
	size_t i, n = 0;

	for (i = 0; i < l->n; i++) {
		if (l->at[i]->pref < pref)
			l->at[n++] = l->at[i];
	}
	l->n = n;
}

/* ---- the order ---------------------------------------------------------------------------- */

static void shuffle(struct smtp_addr_list *l)
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

static void sort(const struct smtp_service *svc, struct smtp_addr_list *l)
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
static void balance(const struct smtp_service *svc, struct smtp_addr_list *l)
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

static struct smtp_addr *chain(struct smtp_state *st, struct smtp_addr_list *l)
{
	size_t i;

	if (st->service->set->randomize && !st->keep_order && l->n > 1)
		shuffle(l);
	sort(st->service, l);
	balance(st->service, l);
	for (i = 0; i + 1 < l->n; i++)
		l->at[i]->next = l->at[i + 1];
	return l->n ? l->at[0] : NULL;
}

/* ---- destinations ------------------------------------------------------------------------- */

/* No host is better than this one. */
static void why_loop(struct smtp_state *st, const char *name)
{
	smtp_why_set(st, "5.4.6", "mail for %s loops back to myself", name);
	st->why.loops = true;
}

static struct smtp_addr *find_host(struct smtp_state *st, const char *host)
{
	struct smtp_addr_list l = { .arena = st->arena };
	struct smtp_host h = { .name = host };

	smtp_hosts_ask(st, &h, 1);
	smtp_host_add(st, &h, &l);
	if (l.n && st->loop_detect && self_pref(st, &l) != INT32_MAX) {
		why_loop(st, host);
		return NULL;
	}
	return chain(st, &l);
}

static int by_pref(const void *a, const void *b)
{
	return (int)((const struct ph_dns_rr *)a)->pref - (int)((const struct ph_dns_rr *)b)->pref;
}

/* The addresses of all hosts that the records name, each host once. */
static void add_hosts(struct smtp_state *st, const struct ph_dns_answer *ans, struct smtp_addr_list *l)
{
	struct smtp_host *hosts = ph_arena_alloc(st->arena, (ans->n + 1) * sizeof(*hosts));
	struct ph_endpoint number;
	size_t i, n = 0, before;

	for (i = 0; i < ans->n; i++) {
		if (ph_endpoint_ip(&number, ans->rr[i].name, 1) == 0)
			ph_log(PH_LOG_WARNING, "numeric domain name in resource data of %s record for %s: %s", ans->rr[i].type == PH_DNS_MX ? "MX" : "SRV", ans->owner, ans->rr[i].name);
		if (ans->rr[i].name[0])
			hosts[n++] = (struct smtp_host){ .name = ans->rr[i].name, .pref = ans->rr[i].pref, .port = ans->rr[i].port };
	}
	smtp_hosts_ask(st, hosts, n);
	for (i = 0; i < n; i++) {
		before = l->n;
		if (l->n < ADDRS_MAX)
			smtp_host_add(st, &hosts[i], l);
		for (; before < l->n; before++) {
			l->at[before]->mx_secure = ans->secure;
			l->at[before]->mx = ans->owner;
		}
	}
}

/* Without what is not better than ourselves. */
static void cut_self(struct smtp_state *st, const char *domain, int best_mx, struct smtp_addr_list *l, bool *ret_self)
{
	int best_found = INT32_MAX, self;
	size_t i;

	for (i = 0; i < l->n; i++)
		best_found = l->at[i]->pref < best_found ? l->at[i]->pref : best_found;
	self = self_pref(st, l);
	if (self == INT32_MAX)
		return;
	*ret_self = true;
	cut(l, self);
	if (l->n == 0 && best_mx != best_found)
		smtp_why_set(st, "4.4.4", "unable to find primary relay for %s", domain);
	else if (l->n == 0)
		why_loop(st, domain);
}

/* RFC 7505: who has a null MX must have no other record; whoever has both means the null MX. */
static bool null_mx(const struct ph_dns_answer *mx)
{
	size_t i;

	for (i = 0; i < mx->n; i++) {
		if (mx->rr[i].name[0] == '\0')
			return true;
	}
	return false;
}

static struct smtp_addr *find_mx(struct smtp_state *st, const char *domain, struct ph_dns_answer *mx, bool *ret_self)
{
	struct smtp_addr_list l = { .arena = st->arena };

	if (null_mx(mx)) {
		smtp_why_set(st, "5.1.0", "Domain %s does not accept mail (nullMX)", domain);
		return NULL;
	}
	qsort(mx->rr, mx->n, sizeof(mx->rr[0]), by_pref);
	add_hosts(st, mx, &l);
	if (l.n == 0) {
		if (st->service->set->defer_no_mx_address && st->why.dsn[0] == '5')
			st->why.dsn[0] = '4';
		ph_log(PH_LOG_WARNING, "no MX host for %s has a valid address record", domain);
		return NULL;
	}
	cut_self(st, domain, mx->rr[0].pref, &l, ret_self);
	return chain(st, &l);
}

static enum ph_dns_status ask(struct smtp_state *st, const char *name, int type, struct ph_dns_answer **ret)
{
	if (st->service->dnssec) {
		ph_dns_query_secure(st->arena, name, type, ph_now_ms() + LOOKUP_MS, ret);
		smtp_dnssec_note(st, *ret);
	} else {
		ph_dns_query(st->arena, name, type, ph_now_ms() + LOOKUP_MS, ret);
	}
	smtp_dns_filter(st, *ret);
	return (*ret)->status;
}

static struct smtp_addr *find_domain(struct smtp_state *st, const char *domain, bool *ret_self)
{
	struct ph_dns_answer *mx;

	switch (ask(st, domain, PH_DNS_MX, &mx)) {
	case PH_DNS_OK:
		return find_mx(st, domain, mx, ret_self);
	case PH_DNS_NXDOMAIN:
	case PH_DNS_NODATA:
		return find_host(st, domain);
	case PH_DNS_TEMPFAIL:
	case PH_DNS_BADNAME:
		break;
	}
	if (st->service->set->ignore_mx_error)
		return find_host(st, domain);
	smtp_why_dns(st, mx->status, domain, "MX", mx->text);
	return NULL;
}

/* ---- SRV (RFC 2782) ----------------------------------------------------------------------- */

/* Records of one priority in an order drawn by weight. */
static void draw_by_weight(struct ph_dns_rr *rr, size_t n)
{
	struct ph_dns_rr t;
	uint32_t sum, draw;
	size_t i, k;

	for (i = 0; i + 1 < n; i++) {
		for (sum = 0, k = i; k < n; k++)
			sum += rr[k].weight;
		if (getrandom(&draw, sizeof(draw), 0) != sizeof(draw))
			draw = (uint32_t)rand();
		draw %= sum + 1;
		for (k = i; k + 1 < n && draw > rr[k].weight; k++)
			draw -= rr[k].weight;
		t = rr[k];
		memmove(&rr[i + 1], &rr[i], (k - i) * sizeof(rr[0]));
		rr[i] = t;
	}
}

static void srv_order(struct ph_dns_answer *srv)
{
	size_t i, k, n = 0;

	for (i = 0; i < srv->n; i++) {          /* port 0 is no place to go to */
		if (srv->rr[i].port)
			srv->rr[n++] = srv->rr[i];
	}
	srv->n = n;
	qsort(srv->rr, n, sizeof(srv->rr[0]), by_pref);
	for (i = 0; i < n; i = k) {
		for (k = i; k < n && srv->rr[k].pref == srv->rr[i].pref; k++)
			;
		draw_by_weight(&srv->rr[i], k - i);
	}
}

static struct smtp_addr *find_srv_hosts(struct smtp_state *st, const char *domain, struct ph_dns_answer *srv, bool *ret_self)
{
	struct smtp_addr_list l = { .arena = st->arena };

	if (srv->n == 1 && srv->rr[0].name[0] == '\0') {
		smtp_why_set(st, "5.1.0", "Service unavailable: domain %s offers no such service", domain);
		return NULL;
	}
	srv_order(srv);
	add_hosts(st, srv, &l);
	if (l.n == 0) {
		ph_log(PH_LOG_WARNING, "no SRV host for %s has a valid address record", domain);
		if (st->why.dsn[0] == '\0')
			smtp_why_set(st, "4.4.4", "no SRV record of %s names a usable host and port", domain);
		return NULL;
	}
	if (st->loop_detect)
		cut_self(st, domain, srv->rr[0].pref, &l, ret_self);
	st->keep_order = true;          /* of equal ones: weights have been used already */
	return chain(st, &l);
}

/* True: *ret is the answer.  False: go on with MX. */
static bool find_srv(struct smtp_state *st, const struct smtp_dest *dest, bool *ret_self, struct smtp_addr **ret)
{
	const struct smtp_service *svc = st->service;
	const char *name = ph_arena_printf(st->arena, "_%s._tcp.%s", dest->service, dest->host);
	struct ph_dns_answer *srv;

	switch (ask(st, name, PH_DNS_SRV, &srv)) {
	case PH_DNS_OK:
		*ret = find_srv_hosts(st, dest->host, srv, ret_self);
		return true;
	case PH_DNS_NXDOMAIN:
	case PH_DNS_NODATA:
		if (svc->set->srv_fallback)
			return false;
		break;
	case PH_DNS_TEMPFAIL:
	case PH_DNS_BADNAME:
		if (svc->set->ignore_srv_error)
			return false;
	}
	smtp_why_dns(st, srv->status, name, "SRV", srv->text);
	*ret = NULL;
	return true;
}

/* ---- all of it ---------------------------------------------------------------------------- */

struct smtp_addr *smtp_addr_find(struct smtp_state *st, const struct smtp_dest *dest, bool *ret_self)
{
	struct ph_endpoint number;
	struct smtp_addr *found;

	*ret_self = false;
	st->keep_order = false;
	if (dest->no_mx || st->service->shared.disable_dns || ph_endpoint_ip(&number, dest->host, 1) == 0)
		return find_host(st, dest->host);
	if (dest->service && ph_match_find(st->service->srv_services, dest->service, NULL, NULL) == PH_LOOKUP_FOUND && find_srv(st, dest, ret_self, &found))
		return found;
	return SMTP_IS_LMTP ? find_host(st, dest->host) : find_domain(st, dest->host, ret_self);
}
