/* alias.c: alias_maps: what a name stands for, owner- aliases, loops. */
#include "local.h"

#include <string.h>

static bool in_chain(const struct local_state *st, const char *name)
{
	for (size_t i = 0; i < st->n_chain; i++)
		if (ph_str_ieq(st->chain[i], name))
			return true;
	return false;
}

/* The owner of the alias: NULL none; "" on a failure that was reported. */
static const char *find_owner(struct local_state *st, const char *name)
{
	const char *owner = ph_arena_printf(st->arena, "owner-%s", name), *value;
	struct ph_err err;

	if (!st->svc->owner_special || ph_str_istarts(name, "owner-") || (strlen(name) > 8 && ph_str_ieq(name + strlen(name) - 8, "-request")))
		return NULL;
	switch (ph_maps_find(st->svc->aliases, owner, false, st->arena, &value, &err)) {
	case PH_LOOKUP_FOUND:
		if (st->svc->set->expand_owner_alias && !strpbrk(value, ",\"|/:"))
			owner = ph_arena_strdup(st->arena, value);
		if (!strchr(owner, '@') && *st->domain)
			owner = ph_arena_printf(st->arena, "%s@%s", owner, st->domain);
		return owner;
	case PH_LOOKUP_NOTFOUND:
		return NULL;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
	return "";
}

/* 1: an alias, *ret_name is the form that was found; 0: none; -1: deferred. */
static int find_alias(struct local_state *st, const char **ret_name, const char **ret_value)
{
	const char *forms[2] = { st->extension ? ph_str_lower(ph_arena_strdup(st->arena, st->local)) : NULL, st->user };
	struct ph_err err;

	for (int i = 0; i < 2; i++) {
		if (!forms[i])
			continue;
		switch (ph_maps_find(st->svc->aliases, forms[i], false, st->arena, ret_value, &err)) {
		case PH_LOOKUP_FOUND:
			*ret_name = forms[i];
			return 1;
		case PH_LOOKUP_NOTFOUND:
			continue;
		case PH_LOOKUP_TEMPFAIL:
		case PH_LOOKUP_PERMERR:
			local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
			return -1;
		}
	}
	return 0;
}

bool local_alias(struct local_state *st)
{
	const char *name, *value, *owner, **chain;
	struct local_state sub = *st;
	int rc = ph_maps_empty(st->svc->aliases) ? 0 : find_alias(st, &name, &value);

	if (rc <= 0)
		return rc < 0;
	if (in_chain(st, name)) {
		/* "self: self, alice": the name itself is then the account */
		if (st->n_chain > 0 && ph_str_ieq(st->chain[st->n_chain - 1], name))
			return false;
		ph_log(PH_LOG_WARNING, "alias database loop for %s", name);
		local_result(st, PH_BOUNCED, "5.4.6", "alias database loop for %s", name);
		return true;
	}
	owner = find_owner(st, name);
	if (owner && !*owner)
		return true;
	chain = ph_arena_alloc(st->arena, (st->n_chain + 1) * sizeof *chain);
	for (size_t i = 0; i < st->n_chain; i++)
		chain[i] = st->chain[i];
	chain[st->n_chain] = name;
	sub.chain = chain;
	sub.n_chain = st->n_chain + 1;
	sub.depth++;
	sub.context = LOCAL_ALIAS;
	sub.as = NULL;
	if (owner) {
		sub.sender = owner;
		sub.owned = true;
	} else if (st->svc->set->reset_owner_alias) {
		sub.sender = ph_delivery_sender(st->d);
		sub.owned = false;
	}
	local_destinations(&sub, value, NULL);
	return true;
}
