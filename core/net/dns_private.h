/* dns_private.h: what the files of the resolver share. */
#ifndef PH_NET_DNS_PRIVATE_H
#define PH_NET_DNS_PRIVATE_H

#include <posthouse/dns.h>

/* 0 is allowed, unlike in ph_endpoint_ip.  Unix-domain endpoints stay as they are. */
void ph_endpoint_set_port(struct ph_endpoint *e, int port);

/* DNSSEC: a file with trust anchors (unbound's or zone format), or NULL: no validation.  Before the first query of the process. */
void ph_dns_set_trust_anchor(const char *file);

/* enable_idna2003_compatibility. */
void ph_dns_set_idna2003(bool on);
/* What a status is called in Postfix's words. */
const char *ph_dns_status_text(enum ph_dns_status status);
#endif
