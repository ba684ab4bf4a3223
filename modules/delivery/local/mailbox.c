/* mailbox.c: what an account's mail goes to: another transport, a command, or a mailbox. */
#include "local.h"

#include <string.h>

static bool try_command(struct local_state *st, const struct local_user *u)
{
	const struct local_settings *set = st->svc->set;
	const char *command = set->mailbox_command;
	struct ph_err err;

	switch (ph_maps_empty(st->svc->mailbox_commands) ? PH_LOOKUP_NOTFOUND :
		ph_maps_find(st->svc->mailbox_commands, st->user, false, st->arena, &command, &err)) {
	case PH_LOOKUP_FOUND:
	case PH_LOOKUP_NOTFOUND:
		break;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		ph_log(PH_LOG_WARNING, "mailbox_command_maps lookup of %s failed: %s", st->user, err.text);
		local_result(st, PH_DEFERRED, "4.3.0", "table lookup failure");
		return true;
	}
	if (!*command)
		return false;
	local_command(st, command, u);
	return true;
}

bool local_mailbox(struct local_state *st)
{
	const struct local_user *u;
	int rc = local_pass(st, st->svc->mailbox_transports, st->svc->set->mailbox_transport);

	if (rc != 0)
		return true;
	rc = local_account(st->arena, st->user, &u);
	if (rc < 0) {
		ph_log(PH_LOG_WARNING, "error looking up passwd info for %s: %s", st->user, strerror(-rc));
		local_result(st, PH_DEFERRED, "4.0.0", "user lookup error");
		return true;
	}
	if (rc == 0)
		return false;
	/* With the extension: a command may file by it, and Postfix delivers once for each, too. */
	if (local_seen(st, "mailbox %s", st->local))
		return true;
	if (!try_command(st, u))
		local_spool(st, u);
	return true;
}
