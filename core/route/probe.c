/* probe.c: the way of address probes: address_verify_*, which replace what ordinary mail uses, and the probes' sender.
 *
 * Owns one more struct ph_route per configuration view, attached to it.  Look-ups may yield as in resolve.c.  Source: ADDRESS_VERIFICATION_README. */
#include "route/internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct settings {
	const char *local_transport, *virtual_transport, *relay_transport, *default_transport, *relayhost;
	const char *transport_maps, *sender_relayhost_maps, *sender_transport_maps;
	const char *sender;
	int64_t sender_ttl_ms;
};
#define S struct settings
static const struct ph_param params[] = {
	PH_P_STR1(S, local_transport, "address_verify_local_transport", "$local_transport", "local_transport of address probes"),
	PH_P_STR1(S, virtual_transport, "address_verify_virtual_transport", "$virtual_transport", "virtual_transport of address probes"),
	PH_P_STR1(S, relay_transport, "address_verify_relay_transport", "$relay_transport", "relay_transport of address probes"),
	PH_P_STR1(S, default_transport, "address_verify_default_transport", "$default_transport", "default_transport of address probes"),
	PH_P_STR(S, relayhost, "address_verify_relayhost", "$relayhost", "relayhost of address probes"),
	PH_P_STR(S, transport_maps, "address_verify_transport_maps", "$transport_maps", "transport_maps of address probes"),
	PH_P_STR(S, sender_relayhost_maps, "address_verify_sender_dependent_relayhost_maps", "$sender_dependent_relayhost_maps",
		 "sender_dependent_relayhost_maps of address probes"),
	PH_P_STR(S, sender_transport_maps, "address_verify_sender_dependent_default_transport_maps", "$sender_dependent_default_transport_maps",
		 "sender_dependent_default_transport_maps of address probes"),
	PH_P_STR(S, sender, "address_verify_sender", "$double_bounce_sender", "sender of probes; empty or <>: the null sender"),
	PH_P_TIME(S, sender_ttl_ms, "address_verify_sender_ttl", "0s", 's', 0, 0, "how long probes have the same sender; 0: for ever"),
};
#undef S
PH_SETTINGS_TABLE("verify", params)

struct probe_route {
	struct ph_route route;          /* first: what is handed out */
	struct settings set;
};

static void probe_free(void *obj)
{
	struct probe_route *p = obj;    /* the tables belong to the configuration, the own addresses to its ordinary route */

	free(p->route.star.value);
	free(p);
}

static struct ph_maps *maps_of(const struct ph_route *r, const char *title, const char *text)
{
	return *text ? ph_maps_open(r->conf, title, text) : NULL;
}

static void override(struct ph_route *r, const struct settings *set)
{
	r->s.local_transport = set->local_transport;
	r->s.virtual_transport = set->virtual_transport;
	r->s.relay_transport = set->relay_transport;
	r->s.default_transport = set->default_transport;
	r->s.relayhost = set->relayhost;
	r->transport = maps_of(r, "address_verify_transport_maps", set->transport_maps);
	r->sender_relayhost = maps_of(r, "address_verify_sender_dependent_relayhost_maps", set->sender_relayhost_maps);
	r->sender_transport = maps_of(r, "address_verify_sender_dependent_default_transport_maps", set->sender_transport_maps);
}

static struct probe_route *probe_of(const struct ph_conf *conf)
{
	struct probe_route *p = ph_conf_attach_get(conf, "route-probes");

	if (p)
		return p;
	p = ph_alloc(sizeof(*p));
	p->route = *ph_route_of(conf);
	p->route.star = (struct ph_route_star){ 0, NULL };      /* of another table */
	if (p->route.ok) {
		p->route.ok = ph_conf_settings(conf, params, PH_ARRAY_LEN(params), &p->set, &p->route.why) == 0;
		if (p->route.ok)
			override(&p->route, &p->set);
		else
			ph_log(PH_LOG_ERROR, "%s", p->route.why.text);
	}
	ph_conf_attach_set(conf, "route-probes", p, probe_free);
	return p;
}

struct ph_route *ph_route_of_probes(const struct ph_conf *conf)
{
	return &probe_of(conf)->route;
}

/* ---- the sender ---- */

/* Base 31: digits, and capitals without vowels. */
static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZ";

static char *append_number(char *p, uint64_t n)
{
	if (n >= 31)
		p = append_number(p, n / 31);
	*p++ = digits[n % 31];
	*p = '\0';
	return p;
}

/* The sender of period: "double-bounce1A2B@domain". */
static const char *sender_of(struct ph_route *r, const char *base, uint64_t period, struct ph_arena *arena)
{
	const char *at = strrchr(base, '@'), *address;
	char number[24];

	append_number(number, period);
	address = ph_arena_printf(arena, "%.*s%s%s", at ? (int)(at - base) : (int)strlen(base), base, number, at ? at : "");
	ph_route_rewrite(r, true, address, arena, &address);
	return address;
}

const char *ph_route_probe_sender(const struct ph_conf *conf, struct ph_arena *arena)
{
	struct probe_route *p = probe_of(conf);
	const char *base = p->route.ok ? p->set.sender : "", *address;

	if (!*base || strcmp(base, "<>") == 0)
		return "";
	if (p->set.sender_ttl_ms > 0)
		return sender_of(&p->route, base, (uint64_t)(ph_wall_us() / 1000 / p->set.sender_ttl_ms), arena);
	ph_route_rewrite(&p->route, true, base, arena, &address);
	return address;
}

const char *ph_route_plain_probe_sender(const struct ph_conf *conf, const char *address, struct ph_arena *arena)
{
	struct probe_route *p = probe_of(conf);
	const char *base = p->route.ok ? p->set.sender : "", *plain;
	int64_t now, i;

	if (!*base || strcmp(base, "<>") == 0 || p->set.sender_ttl_ms <= 0)
		return NULL;
	if (strncasecmp(address, base, strcspn(base, "@")) != 0)
		return NULL;            /* nearly all */
	ph_route_rewrite(&p->route, true, base, arena, &plain);
	now = ph_wall_us() / 1000 / p->set.sender_ttl_ms;
	for (i = now > 0 ? now - 1 : now; i <= now + 1; i++)
		if (ph_str_ieq(address, sender_of(&p->route, base, (uint64_t)i, arena)))
			return plain;
	return NULL;
}
