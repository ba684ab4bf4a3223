/* permit_inet_interfaces.c: accept clients that come from an address of this machine (inet_interfaces). */
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <posthouse/module.h>
#include <posthouse/restriction.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ADDRESSES_MAX 4096

struct own {
	size_t n;
	char (*addr)[48];
};

static void add(struct own *o, const char *addr)
{
	if (o->n == ADDRESSES_MAX || strlen(addr) >= sizeof(o->addr[0]))
		return;
	o->addr = ph_realloc(o->addr, (o->n + 1) * sizeof(o->addr[0]));
	strcpy(o->addr[o->n++], addr);
}

static void add_sockaddr(struct own *o, const struct sockaddr *sa)
{
	struct ph_endpoint e = { .len = sizeof(struct sockaddr_in) };
	char text[108];

	if (!sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return;
	e.len = sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	memcpy(&e.addr.ss, sa, e.len);
	add(o, ph_endpoint_addr(&e, text, sizeof(text)));
}

static void add_all(struct own *o)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0)
		return;
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		add_sockaddr(o, i->ifa_addr);
	freeifaddrs(list);
}

/* A name or an address of inet_interfaces.  Names are looked up once, when the configuration is read. */
static void add_host(struct own *o, const char *host)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
	struct ph_endpoint e;
	char text[108];

	if (ph_endpoint_ip(&e, host, 25) == 0) {
		add(o, ph_endpoint_addr(&e, text, sizeof(text)));
		return;
	}
	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return;
	for (struct addrinfo *i = list; i; i = i->ai_next)
		add_sockaddr(o, i->ai_addr);
	freeaddrinfo(list);
}

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const char *text = ph_conf_get(conf, "inet_interfaces");
	char *copy = ph_strdup(text && *text ? text : "all"), *cursor = copy, *w;
	struct own *o = ph_alloc(sizeof(*o));

	while ((w = ph_str_token(&cursor, PH_SEP_LIST))) {
		if (strcasecmp(w, "all") == 0) {
			add_all(o);
		} else if (strcasecmp(w, "loopback-only") == 0) {
			add(o, "127.0.0.1");
			add(o, "::1");
		} else {
			add_host(o, w);
		}
	}
	free(copy);
	*ret = o;
	return 0;
}

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct own *o = use;

	for (size_t i = 0; i < o->n; i++)
		if (strcmp(o->addr[i], ph_session_client_addr(s)) == 0)
			return ph_verdict_permit();
	return ph_verdict_dunno();
}

static void release(void *use)
{
	struct own *o = use;

	free(o->addr);
	free(o);
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .prepare = prepare, .check = check, .release = release };

PH_MODULE(PH_KIND_RESTRICTION, "permit_inet_interfaces", "1.0", "accept clients at our own addresses", .ops.restriction = &ops);
