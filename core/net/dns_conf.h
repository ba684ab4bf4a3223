/* dns_conf.h: resolv.conf(5) and hosts(5).  File reads at first use; no yield. */
#ifndef PH_NET_DNS_CONF_H
#define PH_NET_DNS_CONF_H

#include <posthouse/dns.h>

#define PH_DNS_SERVERS_MAX 8

struct ph_dns_resolv {
	size_t n;
	char server[PH_DNS_SERVERS_MAX][80];    /* "192.0.2.1", "2001:db8::1", with "@port" when one was given */
	int timeout_s, attempts;                /* options; 0: not given */
};
/* Parse the text of a resolv.conf.  Pure.  Without a nameserver: 127.0.0.1, as resolv.conf(5) says. */
void ph_dns_resolv_parse(const char *text, struct ph_dns_resolv *ret);
/* /etc/resolv.conf, or the file that PH_RESOLV_CONF names (tests; ignored in setuid programs). */
void ph_dns_resolv_read(struct ph_dns_resolv *ret);

/* hosts(5): addresses of a name; number found, at most max.  want: AF_INET, AF_INET6 or AF_UNSPEC.  The file (/etc/hosts or
 * PH_HOSTS) is read anew when it has changed; it is looked at once in five seconds. */
size_t ph_hosts_find(const char *name, int want, struct ph_endpoint *ret, size_t max);
/* The first name of an address; NULL: not there.  Valid until the next call of either. */
const char *ph_hosts_name_of(const struct ph_endpoint *e);
#endif
