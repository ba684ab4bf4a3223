/* expand.c: $name, ${name}, ${name?text}, ${name:text} with the recipient's values.  Pure. */
#include "local.h"

#include <string.h>

static const char *value_of(struct local_state *st, const struct local_user *u, const char *name)
{
	if (strcmp(name, "user") == 0)
		return u ? u->name : st->user;
	if (strcmp(name, "home") == 0)
		return u ? u->home : "";
	if (strcmp(name, "shell") == 0)
		return u ? u->shell : "";
	if (strcmp(name, "recipient") == 0)
		return st->address;
	if (strcmp(name, "local") == 0)
		return st->local;
	if (strcmp(name, "domain") == 0)
		return st->domain;
	if (strcmp(name, "extension") == 0)
		return st->extension ? st->extension : "";
	if (strcmp(name, "recipient_delimiter") == 0) {
		/* the one that stands in the address */
		if (st->extension)
			return ph_arena_strndup(st->arena, st->local + strlen(st->user), 1);
		return "";
	}
	return NULL;
}

static void put_filtered(struct ph_buf *out, const char *v, const char *filter)
{
	for (; *v; v++)
		ph_buf_putc(out, filter && !strchr(filter, *v) ? '_' : *v);
}

static void put_all(struct local_state *st, const struct local_user *u, const char *text, size_t n, const char *filter, struct ph_buf *out);

/* "${" has been read; p is behind it.  Returns the place behind the closing brace. */
static const char *put_braced(struct local_state *st, const struct local_user *u, const char *p, const char *end, const char *filter, struct ph_buf *out)
{
	const char *name = p, *text, *v;
	int depth = 1;
	char op;

	while (p < end && (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *p)))
		p++;
	v = value_of(st, u, ph_arena_strndup(st->arena, name, (size_t)(p - name)));
	op = p < end ? *p : '}';
	text = p + (op == '}' ? 0 : 1);
	for (p = text; p < end; p++) {
		depth += *p == '{' ? 1 : *p == '}' ? -1 : 0;
		if (depth == 0)
			break;
	}
	if (op == '?' && v && *v)
		put_all(st, u, text, (size_t)(p - text), filter, out);
	else if (op == ':' && !(v && *v))
		put_all(st, u, text, (size_t)(p - text), filter, out);
	else if (op != '?' && v)
		put_filtered(out, v, filter);
	return p < end ? p + 1 : end;
}

static void put_all(struct local_state *st, const struct local_user *u, const char *p, size_t n, const char *filter, struct ph_buf *out)
{
	const char *end = p + n;

	while (p < end) {
		if (*p != '$' || p + 1 == end) {
			ph_buf_putc(out, *p++);
		} else if (p[1] == '$') {
			ph_buf_putc(out, '$');
			p += 2;
		} else if (p[1] == '{' || p[1] == '(') {
			p = put_braced(st, u, p + 2, end, filter, out);
		} else {
			size_t len = strspn(p + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
			const char *v;

			if (len > (size_t)(end - p - 1))
				len = (size_t)(end - p - 1);
			v = value_of(st, u, ph_arena_strndup(st->arena, p + 1, len));
			if (v)
				put_filtered(out, v, filter);
			else
				ph_buf_append(out, p, len + 1);
			p += len + 1;
		}
	}
}

char *local_expand(struct local_state *st, const struct local_user *user, const char *text, const char *filter)
{
	struct ph_buf out = PH_BUF_INIT(64 * 1024);
	char *r;

	put_all(st, user, text, strlen(text), filter, &out);
	r = ph_arena_strdup(st->arena, ph_buf_str(&out));
	ph_buf_done(&out);
	return r;
}
