/* sender_acl.c: see sender_acl.h.  Source: local_login_sender_maps of postconf(5). */
#include "cmd/sender_acl.h"
#include "cmd/cmd.h"
#include "cmd/params.h"
#include "base/loop.h"
#include "config/general.h"
#include "route/route.h"
#include <posthouse/lookup.h>

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The sender without its extension, or NULL when it has none. */
static char *without_extension(const char *sender, const char *delimiter)
{
	const char *at = strrchr(sender, '@'), *ext;
	size_t n = at ? (size_t)(at - sender) : strlen(sender);
	char *out;

	ext = *delimiter ? ph_address_extension(sender, n, delimiter) : NULL;
	if (!ext)
		return NULL;
	out = ph_strdup(sender);
	memmove(out + (ext - sender), sender + n, strlen(sender + n) + 1);
	return out;
}

bool ph_sender_pattern(const char *pattern, const char *sender, const char *delimiter)
{
	const char *at = strrchr(sender, '@');
	char *base;
	bool ok;

	if (strcmp(pattern, "*") == 0)
		return true;
	if (*pattern == '@')
		return at && ph_str_ieq(pattern, at);
	/* The extension is no part of who somebody is: a pattern that has one matches nothing. */
	base = without_extension(sender, delimiter);
	ok = ph_str_ieq(pattern, base ? base : sender);
	free(base);
	return ok;
}

struct question {
	struct ph_maps *maps;
	const char *login, *by_uid, *value;
	struct ph_arena *arena;
	enum ph_lookup answer;
	struct ph_err err;
};

static void ask(void *arg)
{
	struct question *q = arg;

	q->answer = ph_maps_find(q->maps, q->login ? q->login : q->by_uid, false, q->arena, &q->value, &q->err);
}

static bool any_pattern(const char *list, const char *sender, const char *delimiter, struct ph_arena *arena)
{
	char *cursor = ph_arena_strdup(arena, list), *pattern;

	while ((pattern = ph_str_token(&cursor, PH_SEP_LIST)))
		if (ph_sender_pattern(pattern, sender, delimiter))
			return true;
	return false;
}

static int decide(const struct ph_conf *conf, const struct ph_cmd_settings *set, const char *sender, struct question *q, struct ph_err *err)
{
	struct passwd *pw = getpwuid(getuid());

	q->maps = ph_maps_open(conf, "local_login_sender_maps", set->login_sender_maps);
	q->by_uid = ph_arena_printf(q->arena, "uid:%ld", (long)getuid());
	q->login = pw ? pw->pw_name : NULL;
	if (ph_run_blocking(ask, q) < 0)
		return ph_err_set(err, -EIO, "local_login_sender_maps: cannot be looked up");
	if (q->answer == PH_LOOKUP_TEMPFAIL || q->answer == PH_LOOKUP_PERMERR)
		return ph_err_set(err, -EAGAIN, "local_login_sender_maps: %s", q->err.text);
	if (q->answer == PH_LOOKUP_FOUND &&
	    any_pattern(q->value, *sender ? sender : set->empty_sender, ph_conf_general(conf)->recipient_delimiter, q->arena))
		return 1;
	return ph_err_set(err, -EPERM, "not authorized to use sender='%s'", sender);
}

int ph_sender_allowed(const struct ph_conf *conf, const char *sender, struct ph_err *err)
{
	struct ph_cmd_settings set;
	struct question q = { 0 };
	int rc = ph_cmd_settings(conf, &set, err);

	if (rc < 0 || ph_cmd_anybody(conf, "local_login_sender_maps", NULL))
		return rc < 0 ? rc : 1;
	q.arena = ph_arena_new();
	rc = decide(conf, &set, sender, &q, err);
	ph_arena_free(&q.arena);
	return rc;
}
