/* server_access.h: look the servers of a domain (its addresses, mail exchangers or name servers) up in an access table: check_*_{a,mx,ns}_access. */
#ifndef MODULES_RESTRICTION_COMMON_SERVER_ACCESS_H
#define MODULES_RESTRICTION_COMMON_SERVER_ACCESS_H

#include <posthouse/dns.h>

#include "common/access.h"

/* name: a host name, "[address]" or an address with a domain; NULL, "" or "unknown": no opinion.  type: PH_DNS_A, PH_DNS_MX, PH_DNS_NS.  restriction: its
 * name, for the log.  A table must not permit: whoever controls the domain's DNS would permit himself.  Yields. */
struct ph_verdict server_access(struct access_use *u, struct ph_session *s, const char *restriction, const char *name, int type, const char *what,
				enum ph_access_class cls);

static inline const char *server_access_client_what(struct ph_session *s)
{
	return ph_arena_printf(ph_session_arena(s), "%s[%s]", ph_session_client_name(s), ph_session_client_addr(s));
}

/* name_, what_: expressions with s. */
#define SERVER_ACCESS_MODULE(module_, summary_, type_, name_, what_, class_) \
	static struct ph_verdict check(void *use, const void *settings, struct ph_session *s) \
	{ \
		return server_access(use, s, module_, name_, type_, what_, class_); \
	} \
	ACCESS_MODULE(module_, summary_)
#endif
