/* dnslist_filter.h: "d.d.d.d" behind the "=" of a DNS list: which of its answers count.  Pure. */
#ifndef MODULES_RESTRICTION_COMMON_DNSLIST_FILTER_H
#define MODULES_RESTRICTION_COMMON_DNSLIST_FILTER_H

#include <posthouse/base.h>

/* One bit for each value that an octet may have. */
struct dnslist_filter {
	uint32_t octet[4][8];
};

/* Each d is a number, or "[" numbers and ranges "a..b" with ";" between them "]".  0, or -EINVAL with err. */
int dnslist_filter_parse(const char *text, struct dnslist_filter *ret, struct ph_err *err);
bool dnslist_filter_match(const struct dnslist_filter *f, const unsigned char addr[4]);
#endif
