/* own_addr.c: the network addresses of this site: inet_interfaces and proxy_interfaces.
 *
 * Read once per configuration view (interfaces through getifaddrs).  Names in the lists are looked up when the list is read, at start-up,
 * as Postfix does.  Does not yield. */
#include "route/internal.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct ph_own_addrs {
	struct in6_addr *list;          /* IPv4 as mapped addresses */
	size_t n, cap;
};

static void add(struct ph_own_addrs *o, const struct sockaddr *sa)
{
	struct in6_addr a;

	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;

		memset(&a, 0, sizeof(a));
		a.s6_addr[10] = a.s6_addr[11] = 0xff;
		memcpy(&a.s6_addr[12], &in->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		a = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
	} else {
		return;
	}
	if (o->n == o->cap) {
		o->cap = o->cap ? 2 * o->cap : 16;
		o->list = ph_realloc(o->list, o->cap * sizeof(o->list[0]));
	}
	o->list[o->n++] = a;
}

static void add_interfaces(struct ph_own_addrs *o, bool loopback_only)
{
	struct ifaddrs *all, *i;

	if (getifaddrs(&all) < 0) {
		ph_log(PH_LOG_WARNING, "cannot list network interfaces: inet_interfaces is taken as loopback-only");
		all = NULL;
		loopback_only = true;
	}
	for (i = all; i; i = i->ifa_next)
		if (i->ifa_addr && (!loopback_only || (i->ifa_flags & IFF_LOOPBACK)))
			add(o, i->ifa_addr);
	if (all)
		freeifaddrs(all);
}

static void add_name(struct ph_own_addrs *o, char *name, const char *param)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all, *i;
	size_t n = strlen(name);

	if (name[0] == '[' && name[n - 1] == ']') {
		name[n - 1] = '\0';
		name++;
		if (ph_str_istarts(name, "IPv6:"))
			name += 5;
	}
	hints.ai_flags = AI_NUMERICHOST;
	if (getaddrinfo(name, NULL, &hints, &all) != 0) {
		hints.ai_flags = 0;
		if (getaddrinfo(name, NULL, &hints, &all) != 0) {
			ph_log(PH_LOG_WARNING, "%s: host not found: %s", param, name);
			return;
		}
	}
	for (i = all; i; i = i->ai_next)
		add(o, i->ai_addr);
	freeaddrinfo(all);
}

static void add_list(struct ph_own_addrs *o, const char *text, const char *param)
{
	char *copy = ph_strdup(text), *cursor = copy, *word;

	while ((word = ph_str_token(&cursor, PH_SEP_LIST))) {
		if (ph_str_ieq(word, "all") || ph_str_ieq(word, "loopback-only"))
			add_interfaces(o, !ph_str_ieq(word, "all"));
		else
			add_name(o, word, param);
	}
	free(copy);
}

struct ph_own_addrs *ph_own_addrs_new(const char *inet_interfaces, const char *proxy_interfaces)
{
	struct ph_own_addrs *o = ph_alloc(sizeof(*o));

	add_list(o, inet_interfaces, "inet_interfaces");
	add_list(o, proxy_interfaces, "proxy_interfaces");
	return o;
}

void ph_own_addrs_free(struct ph_own_addrs **o)
{
	if (!*o)
		return;
	free((*o)->list);
	free(*o);
	*o = NULL;
}

bool ph_own_addrs_has(const struct ph_own_addrs *o, const char *address)
{
	struct in6_addr a;

	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET, address, &a.s6_addr[12]) == 1)
		a.s6_addr[10] = a.s6_addr[11] = 0xff;
	else if (inet_pton(AF_INET6, address, &a) != 1)
		return false;
	for (size_t i = 0; i < o->n; i++)
		if (memcmp(&o->list[i], &a, sizeof(a)) == 0)
			return true;
	return false;
}
