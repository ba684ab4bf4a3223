/* route.c: the resolver's context, address classes and rewriting to standard form.
 *
 * Owns one struct ph_route per configuration view, attached to it.  Match lists may yield.  Sources: trivial-rewrite(8),
 * ADDRESS_REWRITING_README, ADDRESS_CLASS_README. */
#include "route/internal.h"
#include "route/hostname.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S struct ph_route_settings
static const struct ph_param route_params[] = {
	PH_P_STR(S, myhostname, "myhostname", "", "the internet hostname of this mail system"),
	PH_P_STR(S, mydomain, "mydomain", "", "the internet domain name of this mail system"),
	PH_P_STR1(S, myorigin, "myorigin", "$myhostname", "the domain that is appended to addresses without one"),
	PH_P_STR(S, remote_domain, "remote_header_rewrite_domain", "", "the domain that is appended to incomplete header addresses of remote clients"),
	PH_P_STR(S, mydestination, "mydestination", "$myhostname, localhost.$mydomain, localhost", "domains that are delivered by local_transport"),
	PH_P_STR(S, inet_interfaces, "inet_interfaces", "all", "the network interface addresses that this mail system receives mail on"),
	PH_P_STR(S, proxy_interfaces, "proxy_interfaces", "", "addresses of this mail system on the far side of a proxy or NAT"),
	PH_P_STR(S, virtual_alias_domains, "virtual_alias_domains", "$virtual_alias_maps", "domains whose addresses are all aliases"),
	PH_P_STR(S, virtual_mailbox_domains, "virtual_mailbox_domains", "$virtual_mailbox_maps", "domains that are delivered by virtual_transport"),
	PH_P_STR(S, relay_domains, "relay_domains", "${{$compatibility_level} <level {2} ? {$mydestination} : {}}", "domains that are relayed by relay_transport"),
	PH_P_STR(S, parent_domains, "parent_domain_matches_subdomains",
		 "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
		 "lists in which \"domain\" also matches its subdomains"),
	PH_P_STR1(S, local_transport, "local_transport", "local:$myhostname", "transport for mydestination"),
	PH_P_STR1(S, virtual_transport, "virtual_transport", "virtual", "transport for virtual_mailbox_domains"),
	PH_P_STR1(S, relay_transport, "relay_transport", "relay", "transport for relay_domains"),
	PH_P_STR1(S, default_transport, "default_transport", "smtp", "transport for all other domains"),
	PH_P_STR(S, relayhost, "relayhost", "", "the next hop for mail to other sites"),
	PH_P_STR(S, transport_maps, "transport_maps", "", "tables from recipient or domain to transport:nexthop"),
	PH_P_STR(S, relocated_maps, "relocated_maps", "", "tables of users and domains that have moved"),
	PH_P_STR(S, sender_relayhost_maps, "sender_dependent_relayhost_maps", "", "tables from sender to relayhost"),
	PH_P_STR(S, sender_transport_maps, "sender_dependent_default_transport_maps", "", "tables from sender to default_transport"),
	PH_P_STR1(S, empty_recipient, "empty_address_recipient", "MAILER-DAEMON", "who receives mail for <>"),
	PH_P_STR1(S, empty_relayhost_key, "empty_address_relayhost_maps_lookup_key", "<>", "key of <> in sender_dependent_relayhost_maps"),
	PH_P_STR1(S, empty_transport_key, "empty_address_default_transport_maps_lookup_key", "<>", "key of <> in sender_dependent_default_transport_maps"),
	PH_P_STR(S, delimiter, "recipient_delimiter", "", "characters between a user name and its extension"),
	PH_P_STR(S, local_recipient_maps, "local_recipient_maps", "proxy:unix:passwd.byname $alias_maps", "valid users of mydestination; empty: all"),
	PH_P_STR(S, relay_recipient_maps, "relay_recipient_maps", "", "valid addresses of relay_domains; empty: all"),
	PH_P_STR(S, virtual_mailbox_maps, "virtual_mailbox_maps", "", "valid addresses of virtual_mailbox_domains and their mailboxes"),
	PH_P_STR(S, virtual_alias_maps, "virtual_alias_maps", "$virtual_maps", "tables of aliases for any domain"),
	PH_P_STR(S, canonical_maps, "canonical_maps", "", "tables that rewrite addresses in headers and envelopes"),
	PH_P_STR(S, recipient_canonical_maps, "recipient_canonical_maps", "", "tables that rewrite recipient addresses"),
	PH_P_BOOL(S, untrusted_routing, "allow_untrusted_routing", "no", "let strangers route mail onwards from destinations of ours (user%elsewhere@ours)"),
	PH_P_BOOL(S, relocated_prefix, "relocated_prefix_enable", "yes", "put \"5.1.6 User has moved to\" in front of what relocated_maps say"),
	PH_P_BOOL(S, append_at_myorigin, "append_at_myorigin", "yes", "append @myorigin to addresses without a domain"),
	PH_P_BOOL(S, append_dot_mydomain, "append_dot_mydomain", "${{$compatibility_level} <level {1} ? {yes} : {no}}", "append .mydomain to domains without a dot"),
	PH_P_BOOL(S, swap_bangpath, "swap_bangpath", "yes", "rewrite site!user to user@site"),
	PH_P_BOOL(S, percent_hack, "allow_percent_hack", "yes", "rewrite user%domain to user@domain"),
	PH_P_BOOL(S, dequoted, "resolve_dequoted_address", "yes", "look for routing inside a quoted local part too"),
	PH_P_BOOL(S, null_domain, "resolve_null_domain", "no", "take user@ as local"),
	PH_P_BOOL(S, numeric_domain, "resolve_numeric_domain", "no", "take user@1.2.3.4 as user@[1.2.3.4]"),
	PH_P_BOOL(S, allow_min_user, "allow_min_user", "no", "allow addresses that begin with -"),
	PH_P_BOOL(S, show_table, "show_user_unknown_table_name", "yes", "name the table in \"User unknown in ... table\""),
	PH_P_BOOL(S, smtputf8, "smtputf8_enable", "${{$compatibility_level} <level {1} ? {no} : {yes}}", "support internationalised addresses"),
	PH_P_INT(S, code_local, "unknown_local_recipient_reject_code", "550", 400, 599, "reply code for unknown users of mydestination"),
	PH_P_INT(S, code_relay, "unknown_relay_recipient_reject_code", "550", 400, 599, "reply code for unknown users of relay_domains"),
	PH_P_INT(S, code_alias, "unknown_virtual_alias_reject_code", "550", 400, 599, "reply code for unknown users of virtual_alias_domains"),
	PH_P_INT(S, code_mailbox, "unknown_virtual_mailbox_reject_code", "550", 400, 599, "reply code for unknown users of virtual_mailbox_domains"),
};
#undef S
PH_SETTINGS_TABLE("route", route_params)

static void route_free(void *obj)
{
	struct ph_route *r = obj;

	ph_own_addrs_free(&r->own);
	free(r->star.value);
	free(r);
}

/* Does list (words) hold word? */
static bool has_word(const char *list, const char *word)
{
	char *copy = ph_strdup(list), *cursor = copy, *w;
	bool found = false;

	while (!found && (w = ph_str_token(&cursor, PH_SEP_LIST)))
		found = ph_str_ieq(w, word);
	free(copy);
	return found;
}

static struct ph_maps *maps_of(const struct ph_route *r, const char *title, const char *text)
{
	return *text ? ph_maps_open(r->conf, title, text) : NULL;
}

static void open_lists(struct ph_route *r)
{
	unsigned relay = PH_MATCH_DOMAIN | (has_word(r->s.parent_domains, "relay_domains") ? PH_MATCH_PARENT : 0);

	r->mydestination = ph_match_open(r->conf, "mydestination", r->s.mydestination, PH_MATCH_STRING);
	r->alias_domains = ph_match_open(r->conf, "virtual_alias_domains", r->s.virtual_alias_domains, PH_MATCH_STRING);
	r->mailbox_domains = ph_match_open(r->conf, "virtual_mailbox_domains", r->s.virtual_mailbox_domains, PH_MATCH_STRING);
	r->relay_domains = ph_match_open(r->conf, "relay_domains", r->s.relay_domains, relay);
	r->transport = maps_of(r, "transport_maps", r->s.transport_maps);
	r->relocated = maps_of(r, "relocated_maps", r->s.relocated_maps);
	r->sender_relayhost = maps_of(r, "sender_dependent_relayhost_maps", r->s.sender_relayhost_maps);
	r->sender_transport = maps_of(r, "sender_dependent_default_transport_maps", r->s.sender_transport_maps);
	r->local_rcpt = maps_of(r, "local_recipient_maps", r->s.local_recipient_maps);
	r->relay_rcpt = maps_of(r, "relay_recipient_maps", r->s.relay_recipient_maps);
	r->mailbox = maps_of(r, "virtual_mailbox_maps", r->s.virtual_mailbox_maps);
	r->alias = maps_of(r, "virtual_alias_maps", r->s.virtual_alias_maps);
	r->canonical = maps_of(r, "canonical_maps", r->s.canonical_maps);
	r->rcpt_canonical = maps_of(r, "recipient_canonical_maps", r->s.recipient_canonical_maps);
	r->own = ph_own_addrs_new(r->s.inet_interfaces, r->s.proxy_interfaces);
}

struct ph_route *ph_route_of(const struct ph_conf *conf)
{
	struct ph_route *r = ph_conf_attach_get(conf, "route");

	if (r)
		return r;
	r = ph_alloc(sizeof(*r));
	r->conf = conf;
	r->ok = ph_conf_settings(conf, route_params, PH_ARRAY_LEN(route_params), &r->s, &r->why) == 0;
	if (r->ok)
		open_lists(r);
	else
		ph_log(PH_LOG_ERROR, "%s", r->why.text);
	ph_conf_attach_set(conf, "route", r, route_free);
	return r;
}

bool ph_route_own_address(struct ph_route *r, const char *address)
{
	return r->ok && ph_own_addrs_has(r->own, address);
}

enum ph_lookup ph_route_is_local(struct ph_route *r, const char *domain, struct ph_err *err)
{
	enum ph_lookup l;

	if (!r->ok) {
		ph_err_set(err, r->why.code, "%s", r->why.text);
		return PH_LOOKUP_TEMPFAIL;
	}
	l = ph_match_find(r->mydestination, domain, NULL, err);
	if (l == PH_LOOKUP_NOTFOUND && domain[0] == '[') {
		struct ph_arena *a = ph_arena_new();
		const char *addr = ph_literal_address(a, domain);

		if (addr && ph_own_addrs_has(r->own, addr))
			l = PH_LOOKUP_FOUND;
		ph_arena_free(&a);
	}
	return l;
}

static void warn_both(struct ph_route *r, const char *domain, const char *one, const char *two)
{
	struct ph_route_warned *w = &r->warned[(unsigned char)(one[0] ^ two[0] ^ two[8] ^ domain[0] ^ domain[strlen(domain) / 2]) % PH_ARRAY_LEN(r->warned)];

	if (w->until_ms > ph_now_ms() && w->one == one && w->two == two && strncmp(w->domain, domain, sizeof(w->domain) - 1) == 0)
		return;
	w->until_ms = ph_now_ms() + PH_SECONDS(60);
	w->one = one;
	w->two = two;
	snprintf(w->domain, sizeof(w->domain), "%s", domain);
	ph_log_as("trivial-rewrite", PH_LOG_WARNING, "do not list domain %s in BOTH %s and %s", domain, one, two);
}

enum ph_lookup ph_route_class(struct ph_route *r, const char *domain, enum ph_address_class *ret, struct ph_err *err)
{
	static const char *const names[] = { "mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains" };
	enum ph_address_class found = PH_CLASS_DEFAULT;
	enum ph_lookup l;

	for (enum ph_address_class c = PH_CLASS_LOCAL; c <= PH_CLASS_VIRTUAL_MAILBOX; c++) {
		if (c == PH_CLASS_LOCAL)
			l = ph_route_is_local(r, domain, err);
		else
			l = ph_match_find(c == PH_CLASS_VIRTUAL_ALIAS ? r->alias_domains : r->mailbox_domains, domain, NULL, err);
		if (l < 0 && found == PH_CLASS_DEFAULT)         /* else it is only about a warning */
			return l;
		if (l == PH_LOOKUP_FOUND && found == PH_CLASS_DEFAULT)
			found = c;
		else if (l == PH_LOOKUP_FOUND)
			warn_both(r, domain, names[found], names[c]);
	}
	if (found != PH_CLASS_LOCAL) {  /* a parent of mydestination's names in relay_domains is common, and right */
		l = ph_match_find(r->relay_domains, domain, NULL, err);
		if (l < 0 && found == PH_CLASS_DEFAULT)
			return l;
		if (l == PH_LOOKUP_FOUND && found == PH_CLASS_DEFAULT)
			found = PH_CLASS_RELAY;
		else if (l == PH_LOOKUP_FOUND)
			warn_both(r, domain, names[found], names[PH_CLASS_RELAY]);
	}
	*ret = found;
	return PH_LOOKUP_FOUND;
}

/* user%domain and site!user, where no domain is there and no quotes protect them. */
static const char *swap_routing(const struct ph_route *r, const char *address, struct ph_arena *arena)
{
	const char *p;

	if (ph_address_needs_quotes(address, strlen(address)))
		return address;
	if (r->s.swap_bangpath && (p = strchr(address, '!')))
		return ph_arena_printf(arena, "%s@%.*s", p + 1, (int)(p - address), address);
	if (r->s.percent_hack && (p = strrchr(address, '%')))
		return ph_arena_printf(arena, "%.*s@%s", (int)(p - address), address, p + 1);
	return address;
}

int ph_route_rewrite(struct ph_route *r, bool local, const char *address, struct ph_arena *arena, const char **ret)
{
	const char *at, *origin = local ? r->s.myorigin : r->s.remote_domain, *domain = local ? r->s.mydomain : r->s.remote_domain;
	size_t n;

	if (!*address || !r->ok) {
		*ret = address;
		return 0;
	}
	if (!strchr(address, '@'))
		address = swap_routing(r, address, arena);
	at = strrchr(address, '@');
	if (!at) {
		if (*origin && r->s.append_at_myorigin)
			address = ph_arena_printf(arena, "%s@%s", address, origin);
	} else if (at[1] && at[1] != '[') {
		if (*domain && r->s.append_dot_mydomain && !strchr(at, '.'))
			address = ph_arena_printf(arena, "%s.%s", address, domain);
		n = strlen(address);
		if (address[n - 1] == '.' && address[n - 2] != '.' && address[n - 2] != '@')
			address = ph_arena_strndup(arena, address, n - 1);
	}
	*ret = address;
	return 0;
}
