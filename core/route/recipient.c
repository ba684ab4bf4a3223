/* recipient.c: may a stranger send to this address, and is there such a user?
 *
 * Owns nothing.  Look-ups may yield.  Sources: smtpd(8) on *_recipient_maps, LOCAL_RECIPIENT_README, ADDRESS_CLASS_README. */
#include "route/internal.h"

#include <string.h>
#include <strings.h>

enum ph_lookup ph_route_is_authorized(struct ph_route *r, const char *recipient, struct ph_arena *arena, struct ph_err *err)
{
	struct ph_resolved res;
	const char *full;
	enum ph_lookup l;

	ph_route_rewrite(r, true, recipient, arena, &full);
	l = ph_route_resolve(r, "", full, arena, &res, err);
	if (l < 0)
		return l;
	if (res.bad_syntax || res.routed)
		return PH_LOOKUP_NOTFOUND;
	return res.cls == PH_CLASS_DEFAULT ? PH_LOOKUP_NOTFOUND : PH_LOOKUP_FOUND;
}

static enum ph_lookup in_maps(struct ph_route *r, struct ph_maps *maps, const char *recipient, struct ph_arena *arena, struct ph_err *err)
{
	const char *value, *ext;

	if (!maps)
		return PH_LOOKUP_NOTFOUND;
	return ph_maps_find_address(maps, r->conf, recipient, PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_LOCALPART | PH_ADDR_AT_DOMAIN, NULL, arena,
				    &value, &ext, err);
}

/* Addresses that clean-up rewrites exist by that alone. */
static enum ph_lookup is_mapped(struct ph_route *r, const char *recipient, struct ph_arena *arena, struct ph_err *err)
{
	struct ph_maps *const maps[] = { r->rcpt_canonical, r->canonical, r->alias };
	enum ph_lookup l = PH_LOOKUP_NOTFOUND;

	for (size_t i = 0; i < PH_ARRAY_LEN(maps) && l == PH_LOOKUP_NOTFOUND; i++)
		l = in_maps(r, maps[i], recipient, arena, err);
	return l;
}

/* Which table of the class knows the users; NULL: all are valid. */
static struct ph_maps *class_maps(const struct ph_route *r, enum ph_address_class cls, const char **name, int *code)
{
	switch (cls) {
	case PH_CLASS_LOCAL:
		*name = "local recipient table";
		*code = r->s.code_local;
		return r->local_rcpt;
	case PH_CLASS_VIRTUAL_MAILBOX:
		*name = "virtual mailbox table";
		*code = r->s.code_mailbox;
		return r->mailbox;
	case PH_CLASS_RELAY:
		*name = "relay recipient table";
		*code = r->s.code_relay;
		return r->relay_rcpt;
	case PH_CLASS_VIRTUAL_ALIAS:
	case PH_CLASS_DEFAULT:
		break;
	}
	return NULL;
}

/* Names that every local domain has, whatever the tables say (RFC 5321 section 4.5.1). */
static bool always_known(const struct ph_route *r, const char *recipient)
{
	const char *at = strrchr(recipient, '@'), *bounce = ph_conf_get(r->conf, "double_bounce_sender");
	const char *const names[] = { "postmaster", "mailer-daemon", bounce ? bounce : "double-bounce" };
	size_t n = at ? (size_t)(at - recipient) : strlen(recipient);

	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++)
		if (strlen(names[i]) == n && strncasecmp(recipient, names[i], n) == 0)
			return true;
	return false;
}

enum ph_lookup ph_route_recipient_known(struct ph_route *r, const char *sender, const char *recipient, struct ph_arena *arena, const char **ret_text,
					int *ret_code, struct ph_err *err)
{
	const char *full, *name = NULL;
	struct ph_resolved res;
	struct ph_maps *maps;
	enum ph_lookup l;

	ph_route_rewrite(r, true, recipient, arena, &full);
	l = ph_route_resolve(r, sender, full, arena, &res, err);
	if (l < 0)
		return l;
	if (res.bad_syntax) {
		*ret_text = "5.1.3 bad address syntax";
		*ret_code = 501;
		return PH_LOOKUP_NOTFOUND;
	}
	/* Tables that do not fold are asked in lower case here, unlike in clean-up: so does Postfix. */
	res.recipient = ph_str_fold(arena, res.recipient, r->s.smtputf8);
	l = is_mapped(r, res.recipient, arena, err);
	if (l != PH_LOOKUP_NOTFOUND)
		return l;
	if (res.cls == PH_CLASS_VIRTUAL_ALIAS && res.error) {
		*ret_text = r->s.show_table ? "5.1.1 User unknown in virtual alias table" : "5.1.1 User unknown";
		*ret_code = r->s.code_alias;
		return PH_LOOKUP_NOTFOUND;
	}
	if (res.error || strcmp(res.transport, "retry") == 0) {
		*ret_text = res.nexthop;
		*ret_code = res.error ? 550 : 450;
		return PH_LOOKUP_NOTFOUND;
	}
	maps = class_maps(r, res.cls, &name, ret_code);
	if (!maps || (res.cls == PH_CLASS_LOCAL && always_known(r, res.recipient)))
		return PH_LOOKUP_FOUND;
	l = in_maps(r, maps, res.recipient, arena, err);
	if (l == PH_LOOKUP_NOTFOUND)
		*ret_text = r->s.show_table ? ph_arena_printf(arena, "User unknown in %s", name) : "User unknown";
	return l;
}
