/* dns_wire.h: a DNS answer as bytes -> records.  Pure: no I/O, no yield; fuzzed. */
#ifndef PH_NET_DNS_WIRE_H
#define PH_NET_DNS_WIRE_H

#include <posthouse/dns.h>

#define PH_DNS_NAME_MAX 254             /* text without trailing dot, and the NUL: 253 + 1 */
#define PH_DNS_RR_MAX 100               /* records kept of one answer */
#define PH_DNS_CNAME_MAX 16             /* links of a chain that are followed */
#define PH_DNS_TXT_MAX 65535

/* The records of type qtype for qname in the answer section, CNAMEs followed.  ans->status: OK, NXDOMAIN, NODATA, TEMPFAIL (broken packet or another
 * rcode) or BADNAME (there were records, and every one held a name that no host can have).  ans->n is at most PH_DNS_RR_MAX; *ret_dropped: how many
 * were left out because of that; *ret_bad: how many because of their contents.  Strings live in arena. */
void ph_dns_wire_parse(const uint8_t *packet, size_t n, const char *qname, int qtype, struct ph_arena *arena,
		       struct ph_dns_answer *ans, unsigned *ret_dropped, unsigned *ret_bad);

/* Can DNS hold this name: labels of 1..63 bytes, 253 in all, printable ASCII without spaces? */
bool ph_dns_name_ok(const char *name);
/* Letters, digits, '-', '_' between the dots: a host's name. */
bool ph_dns_hostname_ok(const char *name);
#endif
