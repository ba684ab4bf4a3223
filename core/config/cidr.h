/* cidr.h: address patterns and domain patterns as texts; pure. */
#ifndef CORE_CONFIG_CIDR_H
#define CORE_CONFIG_CIDR_H

#include <posthouse/base.h>

struct ph_ip {
	unsigned char bytes[16];
	int n;                          /* 4 or 16 */
};
struct ph_cidr {
	struct ph_ip net;
	int bits;
};

/* "192.0.2.1" or "2001:db8::1".  0 or -EINVAL. */
int ph_ip_parse(const char *text, struct ph_ip *ret);
/* "192.0.2.0/24", "[2001:db8::]/32", "[::1]", "192.0.2.1".  An IPv6 address must be in brackets.  Host bits must be 0.  0, or
 * -EINVAL with err that says how to write it. */
int ph_cidr_parse(const char *text, struct ph_cidr *ret, struct ph_err *err);
bool ph_cidr_match(const struct ph_cidr *c, const struct ph_ip *ip);
/* name against "example.com" or ".example.com", case ignored.  parents: "example.com" also matches its subdomains; otherwise
 * ".example.com" does. */
bool ph_domain_match(const char *pattern, const char *name, bool parents);

#endif
