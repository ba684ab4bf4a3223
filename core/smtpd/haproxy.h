/* haproxy.h: the PROXY protocol header of a load balancer, versions 1 and 2.  Pure. */
#ifndef CORE_SMTPD_HAPROXY_H
#define CORE_SMTPD_HAPROXY_H

#include <posthouse/base.h>

#define PH_PROXY_HEADER_MAX 536 /* version 1: 107; version 2: 16 plus what we are ready to read */

struct ph_proxy_info {
	bool local;                     /* version 2 LOCAL: the balancer itself; the addresses of the socket hold */
	char client[48], server[48];
	int client_port, server_port;
};
/* Bytes used (> 0), 0: more is needed, -EBADMSG with *ret_why: no valid header. */
ssize_t ph_proxy_parse(struct ph_slice in, struct ph_proxy_info *ret, const char **ret_why);
#endif
