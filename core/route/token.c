/* token.c: one scanner for every address text: envelope paths, header lists, transport results.
 *
 * Pure: bytes in, slices into them out; nothing is copied, nothing nests on the stack.  RFC 5322 sections 3.2 to 3.4 and 4.4
 * (obsolete forms), with the leniency of Postfix: control bytes and unbalanced quotes do not fail here. */
#include "route/token.h"

#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_op(char c)
{
	return c && strchr(".@%!<>,;:", c) != NULL;
}

/* Ends an atom. */
static bool is_break(char c)
{
	return is_space(c) || is_op(c) || c == '(' || c == '"' || c == '[';
}

/* Behind the closing byte of a quoted string or a literal; *open when there is none. */
static const char *skip_quoted(const char *p, const char *end, char close, bool *open)
{
	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == close)
			return p + 1;
	}
	*open = true;
	return end;
}

static const char *skip_comment(const char *p, const char *end, bool *open)
{
	size_t depth = 1;

	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		else if (*p == '(')
			depth++;
		else if (*p == ')' && --depth == 0)
			return p + 1;
	}
	*open = true;
	return end;
}

void ph_tok_next(const char **pp, const char *end, struct ph_tok *t)
{
	const char *p = *pp, *start;

	while (p < end && is_space(*p))
		p++;
	*t = (struct ph_tok){ .type = PH_TOK_END, .text = { p, 0 } };
	start = p;
	if (p == end)
		goto out;
	if (*p == '"') {
		t->type = PH_TOK_QUOTED;
		start++;
		p = skip_quoted(p + 1, end, '"', &t->open);
		t->text = (struct ph_slice){ start, (size_t)(p - start) - (t->open ? 0 : 1) };
		goto out;
	}
	if (*p == '(') {
		t->type = PH_TOK_COMMENT;
		p = skip_comment(p + 1, end, &t->open);
	} else if (*p == '[') {
		t->type = PH_TOK_DOMLIT;
		p = skip_quoted(p + 1, end, ']', &t->open);
	} else if (is_op(*p)) {
		t->type = PH_TOK_OP;
		t->op = *p++;
	} else {
		t->type = PH_TOK_ATOM;          /* an unbalanced ")" or "]" is text like any other */
		for (; p < end && !is_break(*p); p++)
			if (*p == '\\' && p + 1 < end)
				p++;
	}
	t->text = (struct ph_slice){ start, (size_t)(p - start) };
out:
	*pp = p;
}

int ph_tok_internal(const struct ph_tok *t, struct ph_buf *out)
{
	const char *p = t->text.p, *end = p + t->text.n;

	if (t->type == PH_TOK_COMMENT)
		return ph_buf_append(out, p, t->text.n);
	while (p < end) {
		const char *q = memchr(p, '\\', (size_t)(end - p));
		int r = ph_buf_append(out, p, (size_t)((q ? q : end) - p));

		if (r < 0 || !q)
			return r;
		p = q + 1;
		if (p < end) {
			r = ph_buf_putc(out, *p++);
			if (r < 0)
				return r;
		}
	}
	return 0;
}
