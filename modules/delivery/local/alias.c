/* alias.c: alias_maps: what a name stands for, owner- aliases, loops, and whose rights count. */
#include "local.h"

#include <string.h>

int local_owner_of(struct local_state *st, const char *name, const char **ret)
{
	const char *owner = ph_arena_printf(st->arena, "owner-%s", name), *value, *full;
	bool same;
	struct ph_err err;

	*ret = NULL;
	if (!st->svc->owner_special)
		return 0;
	switch (ph_maps_find(st->svc->aliases, owner, false, st->arena, &value, &err)) {
	case PH_LOOKUP_NOTFOUND:
		return 0;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		ph_log(PH_LOG_WARNING, "alias lookup of %s failed: %s", owner, err.text);
		local_result(st, PH_DEFERRED, "4.3.0", "alias database unavailable");
		return -1;
	case PH_LOOKUP_FOUND:
		break;
	}
	if (st->svc->set->expand_owner_alias) {
		const char *const *list;

		if (ph_address_list(st->arena, value, strlen(value), 2, &list) == 1)
			owner = list[0];
	}
	if (ph_delivery_resolve(st->d, owner, &full, &same, &err) == PH_LOOKUP_FOUND)
		owner = full;
	*ret = owner;
	return 0;
}

/* Commands and files of an alias have the rights of the one who owns the table, unless that is root.  0, or -1 after a result. */
static int rights(struct local_state *st, uid_t owner)
{
	int rc;

	st->as = NULL;
	if (owner == 0)
		return 0;
	rc = local_account_uid(st->arena, owner, &st->as);
	if (rc == 1)
		return 0;
	ph_log(PH_LOG_WARNING, "cannot find alias database owner for uid %ld", (long)owner);
	local_result(st, PH_DEFERRED, "4.3.0", "cannot find alias database owner");
	return -1;
}

bool local_alias(struct local_state *st, const char *name)
{
	const char *value, *owner;
	struct local_state sub = *st;
	uid_t uid = 0;
	struct ph_err err;

	if (ph_maps_empty(st->svc->aliases))
		return false;
	/* "alice: alice, bob": inside of itself the name is the account. */
	if (st->from && st->context != LOCAL_INCLUDE && ph_str_ieq(st->from, name))
		return false;
	switch (ph_maps_find_owned(st->svc->aliases, name, false, st->arena, &value, &uid, &err)) {
	case PH_LOOKUP_FOUND:
		break;
	case PH_LOOKUP_NOTFOUND:
		return false;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		ph_log(PH_LOG_WARNING, "alias lookup of %s failed: %s", name, err.text);
		local_result(st, PH_DEFERRED, "4.3.0", "alias database unavailable");
		return true;
	}
	if (st->depth >= LOCAL_DEPTH_MAX) {
		ph_log(PH_LOG_WARNING, "alias database loop for %s", name);
		local_result(st, PH_BOUNCED, "5.4.6", "alias database loop for %s", name);
		return true;
	}
	if (rights(&sub, uid) < 0 || local_owner_of(&sub, name, &owner) < 0)
		return true;
	sub.context = LOCAL_ALIAS;
	sub.from = name;
	if (owner)
		sub.sender = sub.owner = owner;
	else if (st->svc->set->reset_owner_alias)
		sub.owner = NULL;
	if (!(st->svc->propagate & LOCAL_PROPAGATE_ALIAS))
		sub.unmatched = NULL;
	if (local_list(&sub, value, false) == 0) {
		ph_log(PH_LOG_WARNING, "no recipient in alias lookup result for %s", name);
		local_result(st, PH_DEFERRED, "4.3.0", "alias database unavailable");
	}
	return true;
}
