/* destinations.c: the right-hand side of an alias, a .forward or an :include: file: addresses, /files, |commands and :include:s.
 *
 * Addresses of an alias that are ours are delivered right here; others, those of .forward and :include: files, and those of an alias with an
 * owner- alias are collected and leave together as one new message. */
#include "local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DESTINATIONS_MAX 10000

struct dest_list { char **text; size_t n, cap; };

/* ---- reading: commas and line ends separate, quotes protect, # begins a comment line ---- */

static void list_add(struct dest_list *l, struct ph_arena *arena, const char *p, size_t n)
{
	while (n > 0 && (p[0] == ' ' || p[0] == '\t'))
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

static void read_list(struct dest_list *l, struct ph_arena *arena, const char *p)
{
	const char *start = p;
	bool quoted = false, comment = *p == '#';
	int paren = 0;

	for (;; p++) {
		if (comment) {
			if (*p == '\n' || !*p) {
				comment = p[0] && p[1] == '#';
				start = p + 1;
			}
		} else if (!*p || (!quoted && paren == 0 && (*p == ',' || *p == '\n'))) {
			list_add(l, arena, start, (size_t)(p - start));
			start = p + 1;
			comment = *p == '\n' && p[1] == '#';
		} else if (*p == '\\' && p[1]) {
			p++;
		} else if (*p == '"') {
			quoted = !quoted;
		} else if (!quoted && (*p == '(' || *p == ')')) {
			paren += *p == '(' ? 1 : paren > 0 ? -1 : 0;
		}
		if (!*p)
			return;
	}
}

/* Take the quotes off "|command" or "/file"; a quoted local part keeps its content. */
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

static const char *context_word(enum local_context c)
{
	return c == LOCAL_ALIAS ? "alias" : c == LOCAL_FORWARD ? "forward" : c == LOCAL_INCLUDE ? "include" : "none";
}

static bool allowed_in(struct local_state *st, const char *list)
{
	char *copy = ph_arena_strdup(st->arena, list), *tok;

	while ((tok = ph_str_token(&copy, PH_SEP_LIST)))
		if (ph_str_ieq(tok, context_word(st->context)))
			return true;
	return false;
}

static bool word_in(struct local_state *st, const char *list, const char *word)
{
	char *copy = ph_arena_strdup(st->arena, list), *tok;

	while ((tok = ph_str_token(&copy, PH_SEP_LIST)))
		if (ph_str_ieq(tok, word))
			return true;
	return false;
}

static void do_command(struct local_state *st, const char *command)
{
	while (*command == ' ' || *command == '\t')
		command++;
	if (!allowed_in(st, st->svc->set->allow_mail_to_commands))
		local_result(st, PH_BOUNCED, "5.7.1", "mail to command is restricted");
	else if (!local_seen(st, "command", command))
		local_command(st, command, st->as);
}

static void do_file(struct local_state *st, const char *path)
{
	if (!allowed_in(st, st->svc->set->allow_mail_to_files))
		local_result(st, PH_BOUNCED, "5.7.1", "mail to file is restricted");
	else if (!local_seen(st, "file", path))
		local_file(st, path);
}

struct forward { const char **rcpts; size_t n, cap; };

static void forward_add(struct forward *f, const char *address)
{
	if (f->n == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 8;
		f->rcpts = ph_realloc(f->rcpts, f->cap * sizeof *f->rcpts);
	}
	f->rcpts[f->n++] = address;
}

static void do_address(struct local_state *st, const char *text, struct forward *fwd)
{
	const char *address;
	bool same, direct = text[0] == '\\';
	struct ph_err err;

	switch (ph_delivery_resolve(st->d, unquote(st->arena, text + direct), &address, &same, &err)) {
	case PH_LOOKUP_FOUND:
		break;
	case PH_LOOKUP_NOTFOUND:
		local_result(st, PH_BOUNCED, "5.1.3", "bad address syntax: %s", text);
		return;
	default:
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
		return;
	}
	if (same && (direct || (st->context == LOCAL_ALIAS && !st->owned) || st->context == LOCAL_RCPT)) {
		struct local_state sub = *st;

		sub.address = address;
		sub.direct = direct;
		sub.depth++;
		local_deliver_address(&sub);
	} else if (!local_seen(st, "forward", address)) {
		forward_add(fwd, address);
	}
}

static void do_forward(struct local_state *st, struct forward *fwd)
{
	const struct ph_rcpt *r = ph_delivery_rcpt(st->d, st->rcpt);
	const char *id, *top = "";
	struct ph_err err;

	if (fwd->n == 0)
		return;
	if (ph_delivery_probe(st->d)) {
		for (size_t i = 0; i < fwd->n; i++)
			local_result(st, PH_SENT, "2.0.0", "forwards to %s", fwd->rcpts[i]);
		return;
	}
	if (word_in(st, st->svc->set->prepend_delivered_header, "forward"))
		top = ph_arena_printf(st->arena, "Delivered-To: %s\n", r->address);
	if (ph_delivery_forward(st->d, st->sender, fwd->rcpts, fwd->n, st->owned || !*r->original ? NULL : r->original, top, &id, &err) < 0)
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
	else
		local_result(st, PH_SENT, "2.0.0", "forwarded as %s", id);
}

void local_destinations(struct local_state *st, const char *text, const char *const *delivered_to)
{
	struct dest_list l = { 0 };
	struct forward fwd = { 0 };

	read_list(&l, st->arena, text);
	st->shared->expanded = true;
	if (l.n == 0)
		local_result(st, PH_BOUNCED, "5.1.0", "no destinations for %s", st->address);
	for (size_t i = 0; i < l.n; i++) {
		char *plain = unquote(st->arena, l.text[i]);

		if (plain[0] == '|')
			do_command(st, plain + 1);
		else if (plain[0] == '/')
			do_file(st, plain);
		else if (ph_str_istarts(plain, ":include:"))
			local_include(st, plain + 9);
		else
			do_address(st, l.text[i], &fwd);
	}
	do_forward(st, &fwd);
	free(fwd.rcpts);
	free(l.text);
}
