/* hostname.h: is this text a host name, a numeric address, an address literal?  Pure. */
#ifndef CORE_ROUTE_HOSTNAME_H
#define CORE_ROUTE_HOSTNAME_H

#include <posthouse/base.h>

enum {  /* flags of ph_hostname_valid */
	PH_HOST_UTF8 = 1,       /* U-labels are allowed */
	PH_HOST_NUMERIC = 2,    /* an all-numeric name ("1.2.3.4", "127") is allowed */
};
/* RFC 1035 section 2.3.1 with the relaxations of RFC 1123 and underscores, as Postfix: labels of 1..63 bytes, 255 in all, no
 * hyphen at a label's ends, no empty label, no trailing dot. */
bool ph_hostname_valid(const char *name, unsigned flags);
bool ph_ipv4_valid(const char *addr);           /* strict dotted quad, not 0.x.x.x unless 0.0.0.0 */
bool ph_ipv6_valid(const char *addr);           /* RFC 4291 text without scope */
bool ph_hostaddr_valid(const char *addr);       /* one of the two */
/* What may stand between [ and ]: a dotted quad, or "IPv6:" (any case) and an IPv6 address. */
bool ph_hostliteral_valid(const char *literal);
/* The address in "[1.2.3.4]" or "[IPv6:::1]" without brackets and tag; NULL when text is no valid literal.  In arena. */
const char *ph_literal_address(struct ph_arena *arena, const char *bracketed);
/* All digits and dots, as in "127.0.0.1" or "300.1": what must not be taken for a name. */
bool ph_hostname_numeric(const char *name);
#endif
