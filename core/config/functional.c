/* functional.c: defaults that are worked out: myhostname, mydomain, mynetworks.
 *
 * Reads the system's host name and interfaces; names in inet_interfaces are resolved (which may block: only while a
 * configuration is loaded).  No yield.  Source: postconf(5). */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "config/private.h"

const char *ph_default_myhostname(const struct ph_conf *conf, struct ph_arena *a)
{
	const char *domain = NULL;
	char host[256];

	if (gethostname(host, sizeof(host) - 1) < 0)
		strcpy(host, "localhost");
	host[sizeof(host) - 1] = '\0';
	if (strchr(host, '.'))
		return ph_arena_strdup(a, host);
	if (ph_conf_setting(conf, "mydomain"))
		domain = ph_conf_get(conf, "mydomain");
	return ph_arena_printf(a, "%s.%s", host, domain && *domain ? domain : PH_DEFAULT_DOMAIN);
}

const char *ph_default_mydomain(const struct ph_conf *conf, struct ph_arena *a)
{
	const char *host = ph_conf_get(conf, "myhostname"), *dot = host ? strchr(host, '.') : NULL;

	return ph_arena_strdup(a, dot && dot[1] ? dot + 1 : PH_DEFAULT_DOMAIN);
}

/* ---- mynetworks ---- */

enum style { STYLE_HOST, STYLE_SUBNET, STYLE_CLASS };

struct networks {
	struct ifaddrs *ifs;
	enum style style;
	bool ipv4, ipv6;
	struct ph_buf text;
};

int ph_inet_protocols(const char *text, bool *ret_ipv4, bool *ret_ipv6)
{
	char copy[64], *cursor = copy, *word;
	bool v4 = false, v6 = false;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	while ((word = ph_str_token(&cursor, PH_SEP_LIST))) {
		if (!ph_str_ieq(word, "all") && !ph_str_ieq(word, "ipv4") && !ph_str_ieq(word, "ipv6"))
			return -EINVAL;
		v4 |= !ph_str_ieq(word, "ipv6");
		v6 |= !ph_str_ieq(word, "ipv4");
	}
	if (!v4 && !v6)
		v4 = v6 = true;         /* empty means all */
	*ret_ipv4 = v4;
	*ret_ipv6 = v6;
	return 0;
}

static const void *address_bytes(const struct sockaddr *sa, int family, size_t *ret_n)
{
	if (family == AF_INET) {
		*ret_n = 4;
		return &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	}
	*ret_n = 16;
	return &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
}

static bool wanted(const struct networks *w, const struct sockaddr *sa)
{
	return sa && ((sa->sa_family == AF_INET && w->ipv4) || (sa->sa_family == AF_INET6 && w->ipv6));
}

static unsigned count_bits(const unsigned char *mask, size_t n)
{
	unsigned bits = 0;
	size_t i;

	for (i = 0; i < n; i++)
		bits += (unsigned)__builtin_popcount(mask[i]);
	return bits;
}

static unsigned class_bits(unsigned first)
{
	return first < 128 ? 8 : first < 192 ? 16 : first < 224 ? 24 : 4;
}

static int add_network(struct networks *w, const struct ifaddrs *i)
{
	unsigned char net[16];
	char text[INET6_ADDRSTRLEN], entry[INET6_ADDRSTRLEN + 8];
	const void *addr;
	unsigned bits, b;
	size_t n, mask_n;

	addr = address_bytes(i->ifa_addr, i->ifa_addr->sa_family, &n);
	bits = (unsigned)n * 8;
	if (w->style == STYLE_CLASS && n == 4)
		bits = class_bits(*(const unsigned char *)addr);
	else if (w->style != STYLE_HOST && i->ifa_netmask)
		bits = count_bits(address_bytes(i->ifa_netmask, i->ifa_addr->sa_family, &mask_n), n);
	memcpy(net, addr, n);
	for (b = bits; b < n * 8; b++)
		net[b / 8] &= (unsigned char)~(0x80u >> b % 8);
	inet_ntop(n == 4 ? AF_INET : AF_INET6, net, text, sizeof(text));
	snprintf(entry, sizeof(entry), n == 4 ? "%s/%u" : "[%s]/%u", text, bits);
	if (w->text.len && (strstr(w->text.data, entry)))
		return 0;               /* several addresses in one network; a longer match is harmless */
	return ph_buf_printf(&w->text, "%s%s", w->text.len ? " " : "", entry);
}

static bool is_loopback(const struct sockaddr *sa)
{
	size_t n;
	const unsigned char *addr = address_bytes(sa, sa->sa_family, &n);

	return n == 4 ? addr[0] == 127 : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)addr);
}

static void add_all(struct networks *w, bool loopback_only)
{
	const struct ifaddrs *i;

	for (i = w->ifs; i; i = i->ifa_next) {
		if ((i->ifa_flags & IFF_UP) && wanted(w, i->ifa_addr) && (!loopback_only || is_loopback(i->ifa_addr)))
			add_network(w, i);
	}
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
	const void *x, *y;
	size_t n;

	if (a->sa_family != b->sa_family)
		return false;
	x = address_bytes(a, a->sa_family, &n);
	y = address_bytes(b, a->sa_family, &n);
	return memcmp(x, y, n) == 0;
}

static int add_local(struct networks *w, const char *host, const struct sockaddr *sa, struct ph_err *err)
{
	const struct ifaddrs *i;

	if (!wanted(w, sa))
		return 0;
	for (i = w->ifs; i; i = i->ifa_next) {
		if (wanted(w, i->ifa_addr) && same_address(i->ifa_addr, sa)) {
			add_network(w, i);
			return 1;
		}
	}
	return ph_err_set(err, -EADDRNOTAVAIL, "parameter inet_interfaces: no local interface found for %s", host);
}

/* A host name, an address, or an address in brackets. */
static int add_host(struct networks *w, char *host, struct ph_err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL, *ai;
	size_t n = strlen(host);
	int rc = 0;

	if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		host++;
	}
	hints.ai_family = w->ipv4 && w->ipv6 ? AF_UNSPEC : w->ipv4 ? AF_INET : AF_INET6;
	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return ph_err_set(err, -ENOENT, "parameter inet_interfaces: host not found: %s", host);
	for (ai = list; ai && rc >= 0; ai = ai->ai_next)
		rc = add_local(w, host, ai->ai_addr, err);
	freeaddrinfo(list);
	return rc < 0 ? rc : 0;
}

int ph_default_mynetworks(const char *style, const char *interfaces, const char *protocols, struct ph_arena *a,
			  const char **ret, struct ph_err *err)
{
	static const char *const styles[] = { "host", "subnet", "class" };
	struct networks w = { .ifs = NULL };
	char *list, *word;
	size_t i;
	int rc = 0;

	if (style == NULL || interfaces == NULL || protocols == NULL)
		return ph_err_set(err, -EINVAL, "mynetworks_style, inet_interfaces or inet_protocols cannot be expanded");
	list = ph_arena_strdup(a, interfaces);
	for (i = 0; i < PH_ARRAY_LEN(styles) && !ph_str_ieq(styles[i], style); i++)
		;
	if (i == PH_ARRAY_LEN(styles))
		return ph_err_set(err, -EINVAL, "unknown mynetworks_style value \"%s\"; expected host, subnet or class", style);
	w.style = (enum style)i;
	if (ph_inet_protocols(protocols, &w.ipv4, &w.ipv6) < 0)
		return ph_err_set(err, -EINVAL, "unknown inet_protocols value \"%s\"; expected all, ipv4 or ipv6", protocols);
	if (getifaddrs(&w.ifs) < 0)
		return ph_err_errno(err, -errno, "cannot list the network interfaces");
	ph_buf_init(&w.text, 65536);
	while (rc == 0 && (word = ph_str_token(&list, PH_SEP_LIST))) {
		if (ph_str_ieq(word, "all"))
			add_all(&w, false);
		else if (ph_str_ieq(word, "loopback-only"))
			add_all(&w, true);
		else
			rc = add_host(&w, word, err);
	}
	if (rc == 0)
		*ret = ph_arena_strdup(a, ph_buf_str(&w.text));
	freeifaddrs(w.ifs);
	ph_buf_done(&w.text);
	return rc;
}
