/* internal.h: what the files of route/ share: the resolver's context of one configuration view. */
#ifndef CORE_ROUTE_INTERNAL_H
#define CORE_ROUTE_INTERNAL_H

#include "route/route.h"
#include "config/config.h"

struct ph_route_settings {
	const char *myhostname, *mydomain, *myorigin, *remote_domain, *mydestination, *inet_interfaces, *proxy_interfaces;
	const char *virtual_alias_domains, *virtual_mailbox_domains, *relay_domains, *parent_domains;
	const char *local_transport, *virtual_transport, *relay_transport, *default_transport, *relayhost;
	const char *transport_maps, *relocated_maps, *sender_relayhost_maps, *sender_transport_maps;
	const char *empty_recipient, *empty_relayhost_key, *empty_transport_key, *delimiter;
	const char *local_recipient_maps, *relay_recipient_maps, *virtual_mailbox_maps, *virtual_alias_maps;
	const char *canonical_maps, *recipient_canonical_maps;
	bool untrusted_routing, relocated_prefix;
	bool append_at_myorigin, append_dot_mydomain, swap_bangpath, percent_hack;
	bool dequoted, null_domain, numeric_domain, allow_min_user, show_table, smtputf8;
	int code_local, code_relay, code_alias, code_mailbox;
};

struct ph_route {
	const struct ph_conf *conf;
	struct ph_route_settings s;
	struct ph_match *mydestination, *alias_domains, *mailbox_domains, *relay_domains;
	struct ph_maps *transport, *relocated, *sender_relayhost, *sender_transport;
	struct ph_maps *local_rcpt, *relay_rcpt, *mailbox, *alias, *canonical, *rcpt_canonical;
	bool ok;                        /* settings could be read; else everything answers TEMPFAIL with why */
	struct ph_err why;
	struct ph_own_addrs *own;
	struct ph_route_star { int64_t until_ms; char *value; } star;   /* "*" of transport_maps; NULL: there is none */
	struct ph_route_warned {        /* "in BOTH" is said of a domain once a minute at most */
		int64_t until_ms;
		const char *one, *two;
		char domain[64];
	} warned[16];
};

/* own_addr.c */
struct ph_own_addrs *ph_own_addrs_new(const char *inet_interfaces, const char *proxy_interfaces);
void ph_own_addrs_free(struct ph_own_addrs **o);
bool ph_own_addrs_has(const struct ph_own_addrs *o, const char *address);
#endif
