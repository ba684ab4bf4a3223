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

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

struct expansion { struct local_state *st; const struct local_user *u; const char *filter; struct ph_buf *out; bool undefined; };

static void put_all(struct expansion *x, const char *p, size_t n);

static void put_value(struct expansion *x, const char *v)
{
	if (!v || !*v)
		x->undefined = true;
	for (; v && *v; v++)
		ph_buf_putc(x->out, x->filter && !strchr(x->filter, *v) ? '_' : *v);
}

static const char *named(struct expansion *x, const char *p, size_t n)
{
	return value_of(x->st, x->u, ph_arena_strndup(x->st->arena, p, n));
}

/* "${" has been read; p is behind it.  Returns the place behind the closing brace. */
static const char *put_braced(struct expansion *x, const char *p, const char *end, char open, char close)
{
	const char *name = p, *text, *v;
	int depth = 1;
	char op;

	while (p < end && strchr(NAME_CHARS, *p))
		p++;
	v = named(x, name, (size_t)(p - name));
	op = p < end ? *p : close;
	text = p + (op != close);
	for (p = text; p < end; p++) {
		depth += *p == open ? 1 : *p == close ? -1 : 0;
		if (depth == 0)
			break;
	}
	if (op == '?') {
		if (v && *v)
			put_all(x, text, (size_t)(p - text));
	} else if (op == ':' && !(v && *v)) {
		put_all(x, text, (size_t)(p - text));
	} else {
		put_value(x, v);
	}
	return p < end ? p + 1 : end;
}

static void put_all(struct expansion *x, const char *p, size_t n)
{
	const char *end = p + n;

	while (p < end) {
		if (*p != '$' || p + 1 == end) {
			ph_buf_putc(x->out, *p++);
		} else if (p[1] == '$') {
			ph_buf_putc(x->out, '$');
			p += 2;
		} else if (p[1] == '{' || p[1] == '(') {
			p = put_braced(x, p + 2, end, p[1], p[1] == '{' ? '}' : ')');
		} else {
			size_t len = 0;

			while (p + 1 + len < end && strchr(NAME_CHARS, p[1 + len]))
				len++;
			if (len == 0)
				ph_buf_putc(x->out, '$');
			else
				put_value(x, named(x, p + 1, len));
			p += len + 1;
		}
	}
}

char *local_expand(struct local_state *st, const struct local_user *user, const char *text, const char *filter, bool *ret_undefined)
{
	struct ph_buf out = PH_BUF_INIT(64 * 1024);
	struct expansion x = { st, user, filter, &out, false };
	char *r;

	put_all(&x, text, strlen(text));
	r = ph_arena_strdup(st->arena, ph_buf_str(&out));
	ph_buf_done(&out);
	if (ret_undefined)
		*ret_undefined = x.undefined;
	return r;
}
