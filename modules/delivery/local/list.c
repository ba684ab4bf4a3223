/* list.c: the right-hand side of an alias, a .forward or an :include: file: addresses, /files, |commands and :include:s. */
#include "local.h"

#include <stdlib.h>
#include <string.h>

#define DESTINATIONS_MAX 100000

struct items { char **text; size_t n, cap; };

/* ---- reading: commas and line ends separate, quotes and comments protect ---- */

static void item_add(struct items *l, struct ph_arena *arena, const char *p, size_t n)
{
	while (n > 0 && (p[0] == ' ' || p[0] == '\t' || p[0] == '\r'))
		p++, n--;
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == '\r'))
		n--;
	if (n == 0 || l->n >= DESTINATIONS_MAX)
		return;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 8;
		l->text = ph_realloc(l->text, l->cap * sizeof *l->text);
	}
	l->text[l->n++] = ph_arena_strndup(arena, p, n);
}

/* One line (or all of an alias' value). */
static void read_line(struct items *l, struct ph_arena *arena, const char *p, const char *end)
{
	const char *start = p;
	bool quoted = false;
	int paren = 0;

	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end) {
			p++;
		} else if (*p == '"') {
			quoted = !quoted;
		} else if (!quoted && (*p == '(' || *p == ')')) {
			paren += *p == '(' ? 1 : paren > 0 ? -1 : 0;
		} else if (!quoted && paren == 0 && *p == ',') {
			item_add(l, arena, start, (size_t)(p - start));
			start = p + 1;
		}
	}
	item_add(l, arena, start, (size_t)(end - start));
}

static void read_items(struct items *l, struct ph_arena *arena, const char *p, bool comments)
{
	while (*p) {
		const char *end = p + strcspn(p, "\n");

		if (!comments || *p != '#')
			read_line(l, arena, p, end);
		p = *end ? end + 1 : end;
	}
}

/* Take the quotes off "|command" or "/file". */
static char *unquote(struct ph_arena *arena, const char *s)
{
	char *out = ph_arena_alloc(arena, strlen(s) + 1), *o = out;

	for (; *s; s++) {
		if (*s == '"')
			continue;
		if (*s == '\\' && s[1])
			s++;
		*o++ = *s;
	}
	return out;
}

/* ---- doing ---- */

static bool allowed(struct local_state *st, const char *list)
{
	return local_word_in(list, st->context == LOCAL_ALIAS ? "alias" : st->context == LOCAL_FORWARD ? "forward" : "include");
}

static void do_command(struct local_state *st, const char *command)
{
	if (!allowed(st, st->svc->set->allow_mail_to_commands))
		local_result(st, PH_BOUNCED, "5.7.1", "mail to command is restricted");
	else if (!local_seen(st, "command %s:%ld %s", st->user, st->as ? (long)st->as->uid : -1L, command))
		local_command(st, command, st->as);
}

static void do_file(struct local_state *st, const char *path)
{
	if (!allowed(st, st->svc->set->allow_mail_to_files))
		local_result(st, PH_BOUNCED, "5.7.1", "mail to file is restricted");
	else if (!local_seen(st, "file %ld %s", st->as ? (long)st->as->uid : -1L, path))
		local_file(st, path);
}

static void do_home(struct local_state *st, const char *path)
{
	if (st->as && *st->as->home && path[1] == '/' && st->context == LOCAL_FORWARD) {
		do_file(st, ph_arena_printf(st->arena, "%s%s", st->as->home, path + 1));
		return;
	}
	ph_log(PH_LOG_WARNING, "unknown home directory for: %s", path);
	local_config_error(st);
}

/* The extension that no table has matched goes along. */
static const char *with_extension(struct local_state *st, const char *address)
{
	const char *at = strrchr(address, '@');
	size_t n = at ? (size_t)(at - address) : strlen(address);

	if (!st->unmatched)
		return address;
	return ph_arena_printf(st->arena, "%.*s%c%s%s", (int)n, address, st->delimiter, st->unmatched, at ? at : "");
}

static void do_address(struct local_state *st, const char *internal)
{
	struct local_state sub = *st;
	const char *address;
	bool same;
	struct ph_err err;

	err.code = 0;
	switch (ph_delivery_resolve(st->d, internal, &address, &same, &err)) {
	case PH_LOOKUP_FOUND:
		break;
	case PH_LOOKUP_NOTFOUND:
		local_result(st, PH_BOUNCED, "5.1.3", "bad recipient address syntax: %s", err.code ? err.text : internal);
		return;
	default:
		local_result(st, PH_DEFERRED, "4.3.0", "address resolver failure");
		return;
	}
	sub.address = with_extension(st, address);
	sub.depth++;
	if (same)
		local_recipient(&sub);
	else
		local_leave(&sub);
}

void local_addresses(struct local_state *st, const char *text)
{
	const char *const *list;
	int n = ph_address_list(st->arena, text, strlen(text), 1000, &list);

	if (n < 0)
		local_result(st, PH_BOUNCED, "5.1.3", "bad recipient address syntax: %s", text);
	for (int i = 0; i < n; i++)
		do_address(st, list[i]);
}

static size_t do_item(struct local_state *st, const char *item)
{
	const char *plain = unquote(st->arena, item);
	const char *const *list;
	int n;

	if (plain[0] == '|') {
		do_command(st, plain + 1);
	} else if (plain[0] == '/') {
		do_file(st, plain);
	} else if (plain[0] == '~') {
		do_home(st, plain);
	} else if (ph_str_istarts(plain, ":include:")) {
		local_include(st, plain + 9);
	} else {
		n = ph_address_list(st->arena, item, strlen(item), 1000, &list);
		if (n == 0)
			return 0;
		local_addresses(st, item);
	}
	return 1;
}

size_t local_list(struct local_state *st, const char *text, bool comments)
{
	struct items l = { 0 };
	size_t n = 0;

	read_items(&l, st->arena, text, comments);
	if (l.n > 0)
		ph_delivery_expanded(st->d, st->rcpt);
	for (size_t i = 0; i < l.n; i++) {
		st->shared->expanded = true;
		n += do_item(st, l.text[i]);
	}
	free(l.text);
	return n;
}
