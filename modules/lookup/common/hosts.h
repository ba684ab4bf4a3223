/* hosts.h: the setting "hosts" of mysql and pgsql tables, as a pool of servers. */
#ifndef LOOKUP_COMMON_HOSTS_H
#define LOOKUP_COMMON_HOSTS_H

#include "cfg.h"
#include "pool.h"

/* Add each of "hosts" ("unix:/path", "inet:host:port", "host", a URI) to p, sockets of this machine first, as they are tried first.
 * def: when the setting is absent.  0 or negative with err. */
int lhosts_add(struct lpool *p, struct lcfg *cfg, const char *table, const char *def, struct ph_err *err);
/* Take a server's name apart: *ret_host without "inet:" or "unix:" (a path begins with '/'), *ret_port 0 when not given.  The host is the
 * caller's to free. */
int lhosts_split(const char *server, char **ret_host, int *ret_port, struct ph_err *err);
#endif
