/* route.h: addresses of this site: classes, rewriting, and transport:nexthop.  May yield where tables do. */
#ifndef CORE_ROUTE_ROUTE_H
#define CORE_ROUTE_ROUTE_H

#include <posthouse/lookup.h>

/* Everything below is per configuration view; opened on first use, cached in it. */
struct ph_route;
struct ph_route *ph_route_of(const struct ph_conf *conf);

/* The same for address probes: address_verify_transport_maps and its kind in the place of transport_maps and its kind. */
struct ph_route *ph_route_of_probes(const struct ph_conf *conf);
/* The sender of probes, complete, as of now (address_verify_sender, address_verify_sender_ttl); "": the null sender. */
const char *ph_route_probe_sender(const struct ph_conf *conf, struct ph_arena *arena);
/* Is this complete address a sender that probes have, or have in the period before or after this one?  Then what it would be without
 * address_verify_sender_ttl, else NULL. */
const char *ph_route_plain_probe_sender(const struct ph_conf *conf, const char *address, struct ph_arena *arena);

enum ph_address_class { PH_CLASS_LOCAL, PH_CLASS_VIRTUAL_ALIAS, PH_CLASS_VIRTUAL_MAILBOX, PH_CLASS_RELAY, PH_CLASS_DEFAULT };
/* Class of a domain (mydestination and inet/proxy_interfaces, virtual_alias_domains, virtual_mailbox_domains, relay_domains).  FOUND, or TEMPFAIL with err. */
enum ph_lookup ph_route_class(struct ph_route *r, const char *domain, enum ph_address_class *ret, struct ph_err *err);
/* trivial-rewrite(8): complete and normalise an envelope or header address (internal form).  local: with myorigin and mydomain;
 * else with remote_header_rewrite_domain (and not at all when that is empty). */
int ph_route_rewrite(struct ph_route *r, bool local, const char *address, struct ph_arena *arena, const char **ret);

struct ph_resolved {
	const char *transport, *nexthop, *recipient;    /* recipient: as the transport shall see it */
	enum ph_address_class cls;
	bool error;                     /* transport is "error": nexthop holds "5.1.1 text" */
	bool bad_syntax;                /* the address can never be routed: smtpd says "501 5.1.3 Bad recipient address syntax" */
	bool routed;                    /* holds sender-specified routing (% ! @ in the local part of a remote address): not for strangers.  Never with allow_untrusted_routing */
};
/* FOUND with *ret; TEMPFAIL (err: what failed): defer.  sender for sender-dependent routing. */
enum ph_lookup ph_route_resolve(struct ph_route *r, const char *sender, const char *recipient, struct ph_arena *arena, struct ph_resolved *ret, struct ph_err *err);
/* Log what is wrong with "[literal]", which must be no valid one: without "IPv6:" it was meant to be IPv4. */
void ph_route_complain_literal(const char *domain);
/* Is the recipient valid when the sender sends to it (canonical and virtual alias maps, then local_recipient_maps & co)?  NOTFOUND: *ret_text
 * "User unknown in ... table", *ret_code 550.
 * Where transport_maps or relocated_maps answer with error:, the text may begin with an enhanced code of its own ("5.1.6 User has moved to x"). */
enum ph_lookup ph_route_recipient_known(struct ph_route *r, const char *sender, const char *recipient, struct ph_arena *arena, const char **ret_text, int *ret_code,
					struct ph_err *err);
/* reject_unauth_destination's question. */
enum ph_lookup ph_route_is_authorized(struct ph_route *r, const char *recipient, struct ph_arena *arena, struct ph_err *err);

/* Is this numeric address (no brackets) one of ours: inet_interfaces, proxy_interfaces? */
bool ph_route_own_address(struct ph_route *r, const char *address);
/* Is domain in mydestination, or "[address]" of ours?  FOUND, NOTFOUND, TEMPFAIL. */
enum ph_lookup ph_route_is_local(struct ph_route *r, const char *domain, struct ph_err *err);

/* ---- address text: pure ---- */
/* "user@dom" -> local part and domain; domain NULL when there is none.  Splits at the last @. */
void ph_address_split(const char *address, struct ph_slice *local, const char **domain);
/* RFC 5321 forms: "<a@b>" or bare; external (quoted) -> internal; source routes and comments are dropped.  *ret_rest (may be NULL): what follows
 * the path (" SIZE=1 ...").  0 (*ret "" for "<>"), or -EINVAL (syntax), -EILSEQ (not ASCII and !utf8: "Must declare SMTPUTF8"), -EBADMSG (bad UTF-8), with a
 * reason in err. */
int ph_address_parse_path(const char *text, size_t n, bool utf8, struct ph_arena *arena, const char **ret, const char **ret_rest, struct ph_err *err);
/* internal -> external: quotes the local part when needed. */
const char *ph_address_quote(struct ph_arena *arena, const char *internal);
bool ph_address_needs_quotes(const char *local, size_t n);
/* The extension: cuts at recipient_delimiter; owner- and -request forms protected.  NULL: none. */
const char *ph_address_extension(const char *localpart, size_t n, const char *delimiters);
#endif
