/* reply.c: see reply.h.  No state but what the caller owns. */
#include "reply.h"

#include <stdio.h>
#include <string.h>

void smtp_reply_init(struct smtp_reply *r)
{
	memset(r, 0, sizeof(*r));
	ph_buf_init(&r->text, SMTP_REPLY_TEXT_MAX);
}

void smtp_reply_reset(struct smtp_reply *r)
{
	r->code = 0;
	r->lines = 0;
	r->has_dsn = false;
	r->dsn[0] = '\0';
	ph_buf_clear(&r->text);
}

void smtp_reply_done(struct smtp_reply *r)
{
	ph_buf_done(&r->text);
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

size_t smtp_dsn_length(const char *s, size_t n)
{
	size_t i = 1, part, digits;

	if (n < 5 || (s[0] != '2' && s[0] != '4' && s[0] != '5'))
		return 0;
	for (part = 0; part < 2; part++) {
		if (i >= n || s[i++] != '.')
			return 0;
		for (digits = 0; i < n && digit(s[i]); i++)
			digits++;
		if (digits < 1 || digits > 3)
			return 0;
	}
	return i == n || s[i] == ' ' || s[i] == '\t' ? i : 0;
}

/* Keep as much of the line as the bound allows. */
static void text_add(struct smtp_reply *r, const char *line, size_t n)
{
	size_t room = r->text.max - r->text.len;

	if (r->text.len && room) {
		ph_buf_putc(&r->text, '\n');
		room--;
	}
	ph_buf_append(&r->text, line, n < room ? n : room);
}

static void set_dsn(struct smtp_reply *r, const char *text, size_t n)
{
	size_t len = smtp_dsn_length(text, n);
	int cls = r->code / 100;

	r->has_dsn = len > 0 && text[0] - '0' == cls;
	if (r->has_dsn)
		snprintf(r->dsn, sizeof(r->dsn), "%.*s", (int)len, text);
	else if (cls == 2 || cls == 4 || cls == 5)
		snprintf(r->dsn, sizeof(r->dsn), "%d.0.0", cls);
	else
		strcpy(r->dsn, "5.5.0");
}

enum smtp_reply_state smtp_reply_line(struct smtp_reply *r, const char *line, size_t n)
{
	size_t skip = 4;

	if (n < 3 || !digit(line[0]) || !digit(line[1]) || !digit(line[2]) || (n > 3 && line[3] != ' ' && line[3] != '-'))
		goto garbage;
	r->code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
	if (++r->lines > SMTP_REPLY_LINES_MAX)
		return SMTP_REPLY_TOO_LONG;
	text_add(r, line, n);
	while (skip < n && line[skip] == ' ')
		skip++;
	set_dsn(r, skip < n ? line + skip : "", skip < n ? n - skip : 0);
	return n > 3 && line[3] == '-' ? SMTP_REPLY_MORE : SMTP_REPLY_DONE;
garbage:
	text_add(r, line, n);           /* whoever looks into it sees what the server said */
	return SMTP_REPLY_GARBAGE;
}

const char *smtp_reply_flat(const struct smtp_reply *r, struct ph_arena *arena)
{
	char *text = ph_arena_strndup(arena, ph_buf_str(&r->text), r->text.len), *s;

	for (s = text; *s; s++) {
		if (*s == '\n')
			*s = ' ';
	}
	return text;
}
