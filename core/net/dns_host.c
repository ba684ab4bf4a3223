/* dns_host.c: host names and addresses: hosts(5), then A, AAAA and PTR.  No state of its own.  Yields. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "net/dns_conf.h"
#include "net/dns_private.h"
#include "net/dns_wire.h"

#define HOSTS_MAX 16            /* addresses of a name that /etc/hosts may give */

void ph_endpoint_set_port(struct ph_endpoint *e, int port)
{
	if (e->addr.sa.sa_family == AF_INET)
		((struct sockaddr_in *)(void *)&e->addr)->sin_port = htons((uint16_t)port);
	else if (e->addr.sa.sa_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)&e->addr)->sin6_port = htons((uint16_t)port);
}

static void endpoint_of(struct ph_endpoint *e, const struct ph_dns_rr *rr)
{
	struct sockaddr_in *in = (void *)&e->addr;
	struct sockaddr_in6 *in6 = (void *)&e->addr;

	memset(e, 0, sizeof(*e));
	if (rr->type == PH_DNS_A) {
		in->sin_family = AF_INET;
		memcpy(&in->sin_addr, rr->data.p, 4);
		e->len = sizeof(*in);
	} else {
		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, rr->data.p, 16);
		e->len = sizeof(*in6);
	}
}

/* The worst of two failures: what may be there later wins, then what exists. */
static enum ph_dns_status worse(enum ph_dns_status a, enum ph_dns_status b)
{
	if (a == PH_DNS_TEMPFAIL || b == PH_DNS_TEMPFAIL)
		return PH_DNS_TEMPFAIL;
	if (a == PH_DNS_NODATA || b == PH_DNS_NODATA)
		return PH_DNS_NODATA;
	return a;
}

static enum ph_dns_status ask_dns(struct ph_arena *arena, const char *host, int want, int64_t deadline_ms,
				  struct ph_endpoint **ret, size_t *ret_n)
{
	struct ph_dns_question q[2];
	enum ph_dns_status status = PH_DNS_NXDOMAIN;
	struct ph_endpoint *list;
	size_t n = 0, i, k, got = 0;

	if (want != AF_INET6)
		q[n++] = (struct ph_dns_question){ host, PH_DNS_A, NULL };
	if (want != AF_INET)
		q[n++] = (struct ph_dns_question){ host, PH_DNS_AAAA, NULL };
	ph_dns_query_all(arena, q, n, deadline_ms);
	for (i = 0; i < n; i++)
		got += q[i].answer->n;
	*ret = list = ph_arena_alloc(arena, (got + 1) * sizeof(*list));
	for (i = 0, got = 0; i < n; i++) {
		for (k = 0; k < q[i].answer->n; k++)
			endpoint_of(&list[got++], &q[i].answer->rr[k]);
		status = i == 0 ? q[i].answer->status : worse(status, q[i].answer->status);
	}
	*ret_n = got;
	return got ? PH_DNS_OK : status;
}

enum ph_dns_status ph_dns_addresses(struct ph_arena *arena, const char *host, int want, bool use_hosts, int64_t deadline_ms,
				    struct ph_endpoint **ret, size_t *ret_n, const char **ret_text)
{
	enum ph_dns_status status = PH_DNS_OK;
	struct ph_endpoint numeric_addr;
	size_t n = 0;

	if (ph_endpoint_ip(&numeric_addr, host, 1) == 0) {
		ph_endpoint_set_port(&numeric_addr, 0);
		*ret = ph_arena_alloc(arena, sizeof(**ret));
		**ret = numeric_addr;
		n = want == AF_UNSPEC || numeric_addr.addr.sa.sa_family == want;
		status = n ? PH_DNS_OK : PH_DNS_NODATA;
	} else {
		if (use_hosts) {
			*ret = ph_arena_alloc(arena, HOSTS_MAX * sizeof(**ret));
			n = ph_hosts_find(host, want, *ret, HOSTS_MAX);
		}
		if (n == 0)
			status = ask_dns(arena, host, want, deadline_ms, ret, &n);
	}
	*ret_n = n;
	if (ret_text)
		*ret_text = ph_dns_status_text(status);
	return status;
}

static void reverse_name(const struct ph_endpoint *e, char out[80])
{
	const struct sockaddr_in *in = (const void *)&e->addr;
	const struct sockaddr_in6 *in6 = (const void *)&e->addr;
	const uint8_t *a;
	size_t n = 0;
	int i;

	if (e->addr.sa.sa_family == AF_INET) {
		a = (const uint8_t *)&in->sin_addr;
		snprintf(out, 80, "%d.%d.%d.%d.in-addr.arpa", a[3], a[2], a[1], a[0]);
		return;
	}
	a = in6->sin6_addr.s6_addr;
	for (i = 15; i >= 0; i--)
		n += (size_t)snprintf(out + n, 80 - n, "%x.%x.", a[i] & 15, a[i] >> 4);
	snprintf(out + n, 80 - n, "ip6.arpa");
}

/* "1.2.3.4" is no name, whatever the reverse zone says. */
static bool numeric(const char *name)
{
	return name[strspn(name, "0123456789.")] == '\0';
}

enum ph_dns_status ph_dns_name_of(struct ph_arena *arena, const struct ph_endpoint *e, int64_t deadline_ms, const char **ret_name)
{
	struct ph_dns_answer *ans;
	const char *known;
	char name[80];
	size_t i;

	*ret_name = NULL;
	if (e->addr.sa.sa_family != AF_INET && e->addr.sa.sa_family != AF_INET6)
		return PH_DNS_NXDOMAIN;
	known = ph_hosts_name_of(e);
	if (known) {
		*ret_name = ph_arena_strdup(arena, known);
		return PH_DNS_OK;
	}
	reverse_name(e, name);
	if (ph_dns_query(arena, name, PH_DNS_PTR, deadline_ms, &ans) != PH_DNS_OK)
		return ans->status;
	for (i = 0; i < ans->n; i++) {
		if (!numeric(ans->rr[i].name)) {
			*ret_name = ans->rr[i].name;
			return PH_DNS_OK;
		}
	}
	return PH_DNS_BADNAME;
}
