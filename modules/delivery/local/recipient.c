/* recipient.c: one address of ours: loop check, alias, .forward file, mailbox, or nobody. */
#include "local.h"

#include <string.h>

static void split_address(struct local_state *st)
{
	const char *at = strrchr(st->address, '@'), *delims = ph_conf_get(st->svc->conf, "recipient_delimiter");
	size_t n = at ? (size_t)(at - st->address) : strlen(st->address), cut;
	bool special = st->svc->owner_special;

	st->domain = at ? at + 1 : "";
	st->local = ph_str_fold(st->arena, ph_arena_strndup(st->arena, st->address, n), st->svc->utf8);
	n = cut = strlen(st->local);            /* folding can make it shorter or longer */
	st->extension = NULL;
	st->delimiter = '\0';
	if (delims && *delims && n > 1 && !(special && strchr(delims, '-') && strncmp(st->local, "owner-", 6) == 0) &&
	    strcmp(st->local, "double-bounce") != 0 && strcmp(st->local, "mailer-daemon") != 0) {
		cut = 1 + strcspn(st->local + 1, delims);
		if (special && n > 8 && strchr(delims, '-') && strcmp(st->local + n - 8, "-request") == 0)
			cut = n;
	}
	st->user = ph_arena_strndup(st->arena, st->local, cut);
	if (cut < n) {
		st->delimiter = st->local[cut];
		st->extension = ph_arena_strdup(st->arena, st->local + cut + 1);
	}
}

/* Was it here before?  The report goes to the list's owner, if it has one. */
static bool loops(struct local_state *st)
{
	struct local_shared *sh = st->shared;

	for (size_t i = 0; i < sh->n_delivered_to; i++) {
		if (ph_str_ieq(sh->delivered_to[i], st->address)) {
			local_result(st, PH_BOUNCED, "5.4.6", "mail forwarding loop for %s", st->address);
			return true;
		}
	}
	return false;
}

static void account(struct local_state *st)
{
	if (!local_forward(st) && !local_mailbox(st))
		local_unknown(st);
}

void local_recipient(struct local_state *st)
{
	bool direct = st->address[0] == '\\';

	/* "\user": neither alias nor .forward file.  In lists the backslash is only quoting, as the address parser has it. */
	st->address += direct;
	if (local_seen(st, "recipient %d %s", st->depth, st->address))
		return;
	if (st->depth > LOCAL_DEPTH_MAX) {
		ph_log(PH_LOG_WARNING, "possible alias database loop for %s", st->address);
		local_result(st, PH_BOUNCED, "5.4.6", "possible alias database loop for %s", st->address);
		return;
	}
	split_address(st);
	if (!st->delivered || !st->svc->set->frozen_delivered_to)
		st->delivered = st->address;
	if (loops(st))
		return;
	if (direct) {
		if (!local_mailbox(st))
			local_unknown(st);
		return;
	}
	st->unmatched = NULL;
	if (local_alias(st, st->local))
		return;
	st->unmatched = st->extension;
	if (st->extension && local_alias(st, st->user))
		return;
	/* Members of a list with an owner, and those of .forward and :include: files, become recipients of their own in a new message: each then
	 * has its own state, and what goes wrong is told to the owner. */
	if (st->context == LOCAL_INCLUDE || (st->owner && !ph_str_ieq(st->owner, st->user)))
		local_leave(st);
	else
		account(st);
}
