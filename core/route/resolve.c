/* resolve.c: from a recipient to transport, next hop and the recipient as the transport sees it.
 *
 * Owns nothing.  Look-ups may yield.  Sources: trivial-rewrite(8), transport(5), relocated(5), ADDRESS_CLASS_README. */
#include "route/internal.h"
#include "route/hostname.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct plan {
	struct ph_route *r;
	struct ph_arena *arena;
	struct ph_err *err;
	const char *sender;
	char *text;                     /* the address while routing is stripped, writable */
	const char *saved;              /* last domain that was stripped because it is ours, or NULL */
	bool quoted;                    /* what is left is a local part in quotes, whatever it holds (resolve_dequoted_address = no) */
	const char *domain;             /* of the result */
};

/* The last @ that stands in front of a domain, not inside a literal. */
static char *last_at(char *text)
{
	return strrchr(text, '@');
}

/* Take off "@ours"; swap site!user and user%site; until what is left is foreign or a plain name. */
static enum ph_lookup strip_routing(struct plan *p)
{
	struct ph_route *r = p->r;

	for (;;) {
		size_t n = strlen(p->text);
		char *at, *op;

		if (n && p->text[n - 1] == '.' && (n < 2 || (p->text[n - 2] != '.' && p->text[n - 2] != '@')) && strchr(p->text, '@'))
			p->text[n - 1] = '\0';
		at = last_at(p->text);
		if (at) {
			if (at[1]) {
				enum ph_lookup l = ph_route_is_local(r, at + 1, p->err);

				if (l != PH_LOOKUP_FOUND)
					return l;
			}
			*at = '\0';
			p->saved = at + 1;
			if (!r->s.dequoted && ph_address_needs_quotes(p->text, strlen(p->text))) {
				p->quoted = true;
				return PH_LOOKUP_FOUND;
			}
			if (last_at(p->text))
				continue;
		}
		if (!r->s.dequoted && ph_address_needs_quotes(p->text, strlen(p->text)))
			return PH_LOOKUP_FOUND;
		if (r->s.swap_bangpath && (op = strchr(p->text, '!'))) {
			p->text = ph_arena_printf(p->arena, "%s@%.*s", op + 1, (int)(op - p->text), p->text);
			continue;
		}
		if (r->s.percent_hack && (op = strrchr(p->text, '%'))) {
			*op = '@';
			continue;
		}
		return PH_LOOKUP_FOUND;
	}
}

static void complain_ipv4(const char *text, int n)
{
	int value = 0, octets = 0;

	for (int i = 0; i < n; i++) {
		if (text[i] == '.') {
			value = 0;
		} else if (text[i] < '0' || text[i] > '9') {
			ph_log_as("trivial-rewrite", PH_LOG_WARNING, "valid_ipv4_hostaddr: invalid character %d(decimal): %.*s", (unsigned char)text[i], n, text);
			return;
		} else if ((value = value * 10 + text[i] - '0') > 255) {
			ph_log_as("trivial-rewrite", PH_LOG_WARNING, "valid_ipv4_hostaddr: invalid octet value: %.*s", n, text);
			return;
		} else {
			octets += i == 0 || text[i - 1] == '.';
		}
	}
	if (octets != 4)
		ph_log_as("trivial-rewrite", PH_LOG_WARNING, "valid_ipv4_hostaddr: invalid octet count: %.*s", n, text);
}

void ph_route_complain_literal(const char *domain)
{
	const char *text = domain + 1, *close = strrchr(text, ']');
	int n = close && close - text < 100 ? (int)(close - text) : (int)strnlen(text, 100), good;

	if (!ph_str_istarts(text, "IPv6:")) {
		complain_ipv4(text, n);
		return;
	}
	text += 5;
	n -= 5;
	good = (int)strspn(text, "0123456789abcdefABCDEF:.");
	if (good < n)
		ph_log_as("trivial-rewrite", PH_LOG_WARNING, "valid_ipv6_hostaddr: invalid character %d(decimal) in IPv6 address: %.*s", (unsigned char)text[good], n, text);
}

/* Put the recipient together again and check its domain.  false: it can never be routed. */
static bool finish_address(struct plan *p, struct ph_resolved *ret)
{
	struct ph_route *r = p->r;
	char *at = p->quoted ? NULL : last_at(p->text);
	const char *domain;

	if (at) {
		domain = at + 1;
		ret->recipient = p->text;
	} else {
		const char *user = *p->text ? p->text : r->s.empty_recipient;

		domain = p->saved ? p->saved : r->s.myhostname;
		if (!*domain && r->s.null_domain)
			domain = r->s.myhostname;
		ret->recipient = ph_arena_printf(p->arena, "%s@%s", user, domain);
	}
	p->domain = domain;
	if (*domain == '[') {
		if (!ph_literal_address(p->arena, domain)) {
			ph_route_complain_literal(domain);
			return false;
		}
	} else if (ph_hostname_numeric(domain)) {
		if (!r->s.numeric_domain || !ph_ipv4_valid(domain))
			return false;
		p->domain = ph_arena_printf(p->arena, "[%s]", domain);
		ret->recipient = ph_arena_printf(p->arena, "%.*s@%s", (int)(strrchr(ret->recipient, '@') - ret->recipient), ret->recipient, p->domain);
	} else if (!ph_hostname_valid(domain, r->s.smtputf8 ? PH_HOST_UTF8 : 0)) {
		return false;
	}
	return *ret->recipient != '-' || r->s.allow_min_user;
}

/* "transport:nexthop" with either part empty.  An empty nexthop leaves *nexthop alone. */
static void split_transport(struct ph_arena *arena, const char *spec, const char **transport, const char **nexthop)
{
	const char *colon = strchr(spec, ':');

	if (!colon) {
		*transport = spec;
		return;
	}
	if (colon > spec)
		*transport = ph_arena_strndup(arena, spec, (size_t)(colon - spec));
	if (colon[1])
		*nexthop = colon + 1;
}

/* Sender-dependent tables: the sender, without extension, then @domain. */
static enum ph_lookup by_sender(struct plan *p, struct ph_maps *maps, const char *empty_key, const char **ret)
{
	const char *key = p->sender && *p->sender ? p->sender : empty_key;
	const char *value, *ext;
	enum ph_lookup l;

	if (!maps)
		return PH_LOOKUP_NOTFOUND;
	if (key == empty_key)
		l = ph_maps_find(maps, key, false, p->arena, &value, p->err);
	else
		l = ph_maps_find_address(maps, p->r->conf, key, PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_AT_DOMAIN, NULL, p->arena, &value, &ext, p->err);
	if (l != PH_LOOKUP_FOUND)
		return l;
	if (ph_str_ieq(value, "DUNNO"))
		return PH_LOOKUP_NOTFOUND;
	*ret = value;
	return l;
}

/* relay and default class: the next hop is the relay host of the sender, relayhost, or the domain; and the class's own transport. */
static enum ph_lookup off_site(struct plan *p, struct ph_resolved *ret)
{
	struct ph_route *r = p->r;
	const char *spec = ret->cls == PH_CLASS_RELAY ? r->s.relay_transport : r->s.default_transport;
	enum ph_lookup l = by_sender(p, r->sender_relayhost, r->s.empty_relayhost_key, &ret->nexthop);

	if (l < 0)
		return l;
	if (l == PH_LOOKUP_NOTFOUND && *r->s.relayhost)
		ret->nexthop = r->s.relayhost;
	if (ret->cls == PH_CLASS_DEFAULT) {
		const char *mine;

		l = by_sender(p, r->sender_transport, r->s.empty_transport_key, &mine);
		if (l < 0)
			return l;
		if (l == PH_LOOKUP_FOUND && *mine == ':') {
			ph_err_set(p->err, -EINVAL, "sender_dependent_default_transport_maps: no transport in \"%s\" for %s", mine, p->sender);
			return PH_LOOKUP_TEMPFAIL;
		}
		if (l == PH_LOOKUP_FOUND)       /* in place of default_transport and its next hop */
			spec = mine;
	}
	split_transport(p->arena, spec, &ret->transport, &ret->nexthop);
	return PH_LOOKUP_FOUND;
}

static enum ph_lookup by_class(struct plan *p, struct ph_resolved *ret)
{
	struct ph_route *r = p->r;
	enum ph_lookup l = ph_route_class(r, p->domain, &ret->cls, p->err);

	if (l < 0)
		return l;
	ret->nexthop = p->domain;
	switch (ret->cls) {
	case PH_CLASS_LOCAL:
		split_transport(p->arena, r->s.local_transport, &ret->transport, &ret->nexthop);
		break;
	case PH_CLASS_VIRTUAL_ALIAS:
		ret->transport = "error";
		ret->nexthop = r->s.show_table ? "5.1.1 User unknown in virtual alias table" : "5.1.1 User unknown";
		break;
	case PH_CLASS_VIRTUAL_MAILBOX:
		split_transport(p->arena, r->s.virtual_transport, &ret->transport, &ret->nexthop);
		break;
	case PH_CLASS_RELAY:
	case PH_CLASS_DEFAULT:
		return off_site(p, ret);
	}
	return PH_LOOKUP_FOUND;
}

/* The entry of last resort, which every recipient without one of its own asks for: it is kept for as long as Postfix keeps it. */
static enum ph_lookup star_entry(struct plan *p, const char **ret)
{
	struct ph_route_star *star = &p->r->star;
	const char *value = NULL;
	enum ph_lookup l;

	if (star->until_ms <= ph_now_ms()) {
		l = ph_maps_find(p->r->transport, "*", false, p->arena, &value, p->err);
		if (l < 0)
			return l;
		free(star->value);
		star->value = l == PH_LOOKUP_FOUND ? ph_strdup(value) : NULL;
		star->until_ms = ph_now_ms() + PH_SECONDS(30);
	}
	if (!star->value)
		return PH_LOOKUP_NOTFOUND;
	*ret = ph_arena_strdup(p->arena, star->value);
	return PH_LOOKUP_FOUND;
}

/* transport(5): user+ext@domain, user@domain, domain, .parents, *. */
static enum ph_lookup transport_entry(struct plan *p, const char *recipient, const char **ret)
{
	struct ph_route *r = p->r;
	const char *ext, *dot, *domain = strrchr(recipient, '@') + 1;
	enum ph_lookup l;

	l = ph_maps_find_address(r->transport, r->conf, recipient, PH_ADDR_FULL | PH_ADDR_NOEXT, NULL, p->arena, ret, &ext, p->err);
	for (dot = domain; l == PH_LOOKUP_NOTFOUND && dot && *dot; dot = strchr(dot + 1, '.'))
		l = ph_maps_find(r->transport, dot, true, p->arena, ret, p->err);
	if (l == PH_LOOKUP_NOTFOUND)
		l = star_entry(p, ret);
	return l;
}

/* The next hop where the table gives none: for error and retry, it is the reason. */
static const char *default_nexthop(const struct plan *p, const char *transport)
{
	return strcmp(transport, "error") == 0 || strcmp(transport, "retry") == 0 ? "Address is undeliverable" : p->domain;
}

static enum ph_lookup by_transport_maps(struct plan *p, struct ph_resolved *ret)
{
	const char *value, *transport = NULL, *nexthop = NULL;
	enum ph_lookup l;

	if (!p->r->transport || ret->cls == PH_CLASS_VIRTUAL_ALIAS)     /* alias domains have no transport: error stays */
		return PH_LOOKUP_FOUND;
	l = transport_entry(p, ret->recipient, &value);
	if (l == PH_LOOKUP_NOTFOUND)
		return PH_LOOKUP_FOUND;
	if (l < 0)
		return l;
	split_transport(p->arena, value, &transport, &nexthop);
	if (transport) {
		ret->transport = transport;
		ret->nexthop = nexthop ? nexthop : default_nexthop(p, transport);
	} else if (nexthop) {
		ret->nexthop = nexthop;
	}
	return PH_LOOKUP_FOUND;
}

static enum ph_lookup by_relocated(struct plan *p, struct ph_resolved *ret)
{
	const char *value, *ext;
	enum ph_lookup l;

	if (!p->r->relocated)
		return PH_LOOKUP_FOUND;
	l = ph_maps_find_address(p->r->relocated, p->r->conf, ret->recipient,
				 PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_LOCALPART | PH_ADDR_AT_DOMAIN, NULL, p->arena, &value, &ext, p->err);
	if (l < 0)
		return l;
	if (l == PH_LOOKUP_FOUND) {
		ret->transport = "error";
		ret->nexthop = p->r->s.relocated_prefix ? ph_arena_printf(p->arena, "5.1.6 User has moved to %s", value) : value;
	}
	return PH_LOOKUP_FOUND;
}

static enum ph_lookup bad_syntax(const char *recipient, struct ph_resolved *ret)
{
	ret->bad_syntax = true;
	ret->recipient = recipient;
	ret->transport = "error";
	ret->nexthop = "5.1.3 bad address syntax";
	ret->error = true;
	return PH_LOOKUP_FOUND;
}

/* "-x@our.domain" and the like keep their class: it only matters that they are refused. */
enum ph_lookup ph_route_resolve(struct ph_route *r, const char *sender, const char *recipient, struct ph_arena *arena, struct ph_resolved *ret,
				struct ph_err *err)
{
	struct plan p = { .r = r, .arena = arena, .err = err, .sender = sender };
	struct ph_slice local;
	enum ph_lookup l;

	if (!r->ok) {
		ph_err_set(err, r->why.code, "%s", r->why.text);
		return PH_LOOKUP_TEMPFAIL;
	}
	*ret = (struct ph_resolved){ .cls = PH_CLASS_DEFAULT };
	p.text = *recipient ? ph_arena_strdup(arena, recipient)
			    : ph_arena_printf(arena, strchr(r->s.empty_recipient, '@') ? "%s" : "%s@%s", r->s.empty_recipient, r->s.myorigin);
	l = strip_routing(&p);
	if (l < 0)
		return l;
	if (!finish_address(&p, ret))
		return bad_syntax(recipient, ret);
	local.n = (size_t)(strrchr(ret->recipient, '@') - ret->recipient);
	l = by_class(&p, ret);
	if (l > 0 && ret->cls != PH_CLASS_LOCAL && !r->s.untrusted_routing)
		for (size_t i = 0; i < local.n; i++)
			ret->routed |= strchr("@%!", ret->recipient[i]) != NULL;
	if (l > 0)
		l = by_transport_maps(&p, ret);
	if (l > 0)
		l = by_relocated(&p, ret);
	if (l > 0)
		ret->error = strcmp(ret->transport, "error") == 0;
	return l;
}
