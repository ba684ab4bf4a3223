/* recipient.c: one address: alias, account, or nobody; and what a result is. */
#include "local.h"

#include <posthouse/co.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void local_result(struct local_state *st, enum ph_delivery_status status, const char *dsn, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (st->shared->expanded)
		ph_delivery_part(st->d, st->rcpt, st->address, status, dsn, "local", "%s", text);
	else
		ph_delivery_result(st->d, st->rcpt, status, dsn, "local", "%s", text);
}

bool local_seen(struct local_state *st, const char *kind, const char *what)
{
	struct local_shared *sh = st->shared;
	const char *key = ph_arena_printf(st->arena, "%s %s", kind, what);
	int limit = st->svc->set->duplicate_filter_limit;

	for (size_t i = 0; i < sh->n_seen; i++)
		if (strcmp(sh->seen[i].key, key) == 0)
			return true;
	if (limit > 0 && sh->n_seen >= (size_t)limit)
		return false;
	if (sh->n_seen == sh->cap_seen) {
		sh->cap_seen = sh->cap_seen ? 2 * sh->cap_seen : 8;
		sh->seen = ph_realloc(sh->seen, sh->cap_seen * sizeof *sh->seen);
	}
	sh->seen[sh->n_seen++].key = key;
	return false;
}

/* ---- accounts: the name service may block ---- */

struct account_job { const char *name; struct passwd pw, *found; char *buf; size_t bytes; int rc; };

static void account_run(void *arg)
{
	struct account_job *j = arg;

	for (;;) {
		j->rc = getpwnam_r(j->name, &j->pw, j->buf, j->bytes, &j->found);
		if (j->rc != ERANGE || j->bytes > 1024 * 1024)
			return;
		j->bytes *= 2;
		j->buf = ph_realloc(j->buf, j->bytes);
	}
}

int local_account(struct ph_arena *arena, const char *name, const struct local_user **ret)
{
	struct account_job j = { .name = name, .bytes = 2048, .buf = ph_alloc(2048) };
	struct local_user *u;
	int rc = 0;

	if (!*name || strlen(name) > 255 || strchr(name, '/'))
		goto out;
	ph_offload(account_run, &j);
	/* ENOENT, ESRCH and the like also mean "not there" with some name services; anything else is a failure of theirs. */
	if (!j.found) {
		rc = j.rc == 0 || j.rc == ENOENT || j.rc == ESRCH || j.rc == EBADF || j.rc == EPERM ? 0 : -j.rc;
		goto out;
	}
	u = ph_arena_alloc(arena, sizeof *u);
	*u = (struct local_user){ ph_arena_strdup(arena, j.pw.pw_name), ph_arena_strdup(arena, j.pw.pw_dir), ph_arena_strdup(arena, j.pw.pw_shell),
		j.pw.pw_uid, j.pw.pw_gid };
	*ret = u;
	rc = 1;
out:
	free(j.buf);
	return rc;
}

/* ---- the way of an address ---- */

static void split_address(struct local_state *st)
{
	const char *at = strrchr(st->address, '@'), *delims = ph_conf_get(st->svc->conf, "recipient_delimiter");
	size_t n = at ? (size_t)(at - st->address) : strlen(st->address), cut = n;
	bool special = st->svc->owner_special;

	st->domain = at ? at + 1 : "";
	st->local = ph_arena_strndup(st->arena, st->address, n);
	st->extension = NULL;
	if (delims && *delims && n > 1 && !(special && ph_str_istarts(st->local, "owner-")) && strcmp(st->local, "double-bounce") != 0 &&
	    strcmp(st->local, "mailer-daemon") != 0) {
		cut = 1 + strcspn(st->local + 1, delims);
		if (special && n > 8 && ph_str_ieq(st->local + n - 8, "-request") && strchr(delims, '-') && cut >= n - 8)
			cut = n;
	}
	st->user = ph_str_lower(ph_arena_strndup(st->arena, st->local, cut));
	if (cut < n)
		st->extension = ph_arena_strdup(st->arena, st->local + cut + 1);
}

/* Hand over to another transport.  True when value names one. */
static bool pass_on(struct local_state *st, const char *transport)
{
	struct ph_err err;

	if (!transport || !*transport)
		return false;
	if (ph_delivery_pass(st->d, st->rcpt, st->address, transport, &err) < 0)
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
	return true;
}

/* 1: the table named a transport and took the mail; 0: no entry; -1: deferred. */
static int pass_by_map(struct local_state *st, struct ph_maps *maps)
{
	const char *value;
	struct ph_err err;

	if (ph_maps_empty(maps))
		return 0;
	switch (ph_maps_find(maps, st->user, false, st->arena, &value, &err)) {
	case PH_LOOKUP_FOUND:
		return pass_on(st, value);
	case PH_LOOKUP_NOTFOUND:
		return 0;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
	return -1;
}

static void nobody(struct local_state *st)
{
	const char *relay = st->svc->set->luser_relay;

	if (pass_by_map(st, st->svc->fallback_transports) != 0)
		return;
	if (pass_on(st, ph_conf_expand(st->svc->conf, st->arena, st->svc->set->fallback_transport, NULL)))
		return;
	if (*relay) {
		local_destinations(st, local_expand(st, NULL, relay, NULL), NULL);
		return;
	}
	local_result(st, PH_BOUNCED, "5.1.1", "unknown user: \"%s\"", st->user);
}

static void to_account(struct local_state *st, const struct local_user *u)
{
	const char *command = NULL;
	struct stat sb;
	struct ph_err err;

	if (st->svc->set->require_home_directory && (stat(u->home, &sb) < 0 || !S_ISDIR(sb.st_mode))) {
		local_result(st, PH_DEFERRED, "4.3.0", "home directory %s is not there", u->home);
		return;
	}
	if (!st->direct && local_forward(st, u))
		return;
	if (local_seen(st, "mailbox", u->name)) {
		if (!st->shared->expanded)
			local_result(st, PH_SENT, "2.0.0", "delivered to mailbox");
		return;
	}
	if (pass_by_map(st, st->svc->mailbox_transports) != 0 || pass_on(st, st->svc->set->mailbox_transport))
		return;
	switch (ph_maps_empty(st->svc->mailbox_commands) ? PH_LOOKUP_NOTFOUND :
		ph_maps_find(st->svc->mailbox_commands, u->name, false, st->arena, &command, &err)) {
	case PH_LOOKUP_FOUND:
		break;
	case PH_LOOKUP_NOTFOUND:
		command = st->svc->set->mailbox_command;
		break;
	default:
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
		return;
	}
	if (*command)
		local_command(st, local_expand(st, u, command, st->svc->set->command_expansion_filter), u);
	else
		local_mailbox(st, u);
}

void local_deliver_address(struct local_state *st)
{
	const struct local_user *u;
	int rc;

	if (st->depth > LOCAL_DEPTH_MAX) {
		ph_log(PH_LOG_WARNING, "possible alias database loop for %s", st->address);
		local_result(st, PH_BOUNCED, "5.4.6", "possible alias database loop for %s", st->address);
		return;
	}
	split_address(st);
	if (!st->direct && local_alias(st))
		return;
	rc = local_account(st->arena, st->user, &u);
	if (rc < 0)
		local_result(st, PH_DEFERRED, "4.3.5", "cannot look up user %s: %s", st->user, strerror(-rc));
	else if (rc == 0)
		nobody(st);
	else if (u->uid == 0)
		local_result(st, PH_BOUNCED, "5.7.0", "mail for root must be aliased: nothing is delivered with the rights of root");
	else
		to_account(st, u);
}
