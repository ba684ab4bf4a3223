/* bounce_template_file.c: the syntax of bounce_template_file: "name = <<WORD", headers, an empty line, text, WORD.
 *
 * Pure but for its log lines.  A template that cannot be used leaves the one that was there; what a template does not say (its subject, its author)
 * is as built in.  Source: bounce(5). */
#include "message/bounce_template.h"

#include "message/header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const names[PH_BOUNCE_KINDS] = {
	[PH_BOUNCE_FAILURE] = "failure", [PH_BOUNCE_DELAY] = "delay", [PH_BOUNCE_SUCCESS] = "success", [PH_BOUNCE_TRACE] = "verify",
};

const char *ph_bounce_template_name(int kind)
{
	return names[kind];
}

struct reader {
	const char *p, *path;
	int line;                       /* of the last line that was read */
	struct ph_arena *arena;
};

/* The next line without its end, in arena; NULL: no more. */
static const char *next_line(struct reader *r)
{
	size_t n = strcspn(r->p, "\n");
	const char *line = r->p;

	if (!*line)
		return NULL;
	r->line++;
	r->p += n + (line[n] == '\n');
	return ph_arena_strndup(r->arena, line, n - (n > 0 && line[n - 1] == '\r'));
}

static const char *trimmed(struct ph_arena *a, const char *s, size_t n)
{
	while (n > 0 && strchr(" \t\r", s[0]))
		s++, n--;
	while (n > 0 && strchr(" \t\r", s[n - 1]))
		n--;
	return ph_arena_strndup(a, s, n);
}

/* What stands between "<<WORD" and WORD, or on the line itself.  0, or an error. */
static int read_value(struct reader *r, const char *value, const char **ret, struct ph_err *err)
{
	const char *start = r->p, *word, *at, *line;

	if (strncmp(value, "<<", 2) != 0) {
		*ret = ph_arena_printf(r->arena, "%s\n", value);
		return 0;
	}
	word = trimmed(r->arena, value + 2, strlen(value + 2));
	if (!*word)
		return ph_err_set(err, -EINVAL, "%s, line %d: missing end marker after <<", r->path, r->line);
	for (at = r->p; (line = next_line(r)); at = r->p) {
		if (strcmp(trimmed(r->arena, line, strlen(line)), word) != 0 || line[0] != word[0])
			continue;
		*ret = ph_arena_strndup(r->arena, start, (size_t)(at - start));
		return 0;
	}
	return ph_err_set(err, -EINVAL, "%s, line %d: missing \"%s\" end marker", r->path, r->line, word);
}

static void ignore(const struct reader *r, enum ph_bounce_kind kind, const char *what)
{
	ph_log_as("bounce", PH_LOG_WARNING, "%s: %s in %s template -- ignoring this template", r->path, what, names[kind]);
}

static bool take_header(const struct reader *r, enum ph_bounce_kind kind, struct ph_bounce_template *t, const char *line, size_t n)
{
	static const struct { const char *name; size_t field; } fields[] = {
		{ "Charset", offsetof(struct ph_bounce_template, charset) }, { "From", offsetof(struct ph_bounce_template, from) },
		{ "Subject", offsetof(struct ph_bounce_template, subject) }, { "Postmaster-Subject", offsetof(struct ph_bounce_template, postmaster_subject) },
	};
	size_t name = ph_header_name(line, n), value = ph_header_value(line, n);
	const char *label = ph_str_printable(r->arena, line, name, true);

	for (size_t i = 0; i < PH_ARRAY_LEN(fields); i++) {
		if (strcasecmp(fields[i].name, label) != 0)
			continue;
		if (value == n) {
			ignore(r, kind, ph_arena_printf(r->arena, "empty \"%s\" header value", label));
			return false;
		}
		for (size_t k = value; k < n; k++)
			if ((unsigned char)line[k] > 127) {
				ignore(r, kind, ph_arena_printf(r->arena, "non-ASCII \"%s\" header value", fields[i].name));
				return false;
			}
		*(const char **)((char *)t + fields[i].field) = ph_str_printable(r->arena, line + value, n - value, true);
		if (fields[i].field == offsetof(struct ph_bounce_template, from))
			t->builtin = false;
		return true;
	}
	ignore(r, kind, ph_arena_printf(r->arena, "unknown \"%s\" header label", label));
	return false;
}

/* Headers end at the first line that is none; empty lines between them and the text are no text. */
static void take(const struct reader *r, enum ph_bounce_kind kind, const char *text, struct ph_bounce_template *ret)
{
	struct ph_bounce_template t = *ret;

	for (size_t n; *text; text += n + 1) {
		n = strcspn(text, "\n");
		if (!ph_header_name(text, n)) {
			text += strspn(text, "\n");
			break;
		}
		if (!take_header(r, kind, &t, text, n - (text[n - 1] == '\r')))
			return;
	}
	if (!*text) {
		ignore(r, kind, "missing message text");
		return;
	}
	t.body = text;
	t.origin = r->path;
	*ret = t;
}

static int kind_of(const char *name)
{
	for (int i = 0; i < PH_BOUNCE_KINDS; i++) {
		size_t n = strlen(names[i]);

		if (strncmp(name, names[i], n) == 0 && strcmp(name + n, "_template") == 0)
			return i;
	}
	return -1;
}

static int statement(struct reader *r, const char *line, const struct ph_bounce_template *defaults, struct ph_bounce_template *t, struct ph_err *err)
{
	const char *eq = strchr(line, '='), *name, *text = NULL;
	int rc, kind;

	if (!eq)
		return ph_err_set(err, -EINVAL, "%s, line %d: missing '=' after attribute name: \"%s\"", r->path, r->line,
				  ph_str_printable(r->arena, line, strlen(line), true));
	name = trimmed(r->arena, line, (size_t)(eq - line));
	if (!*name)
		return ph_err_set(err, -EINVAL, "%s, line %d: missing attribute name: \"%s\"", r->path, r->line,
				  ph_str_printable(r->arena, line, strlen(line), true));
	rc = read_value(r, trimmed(r->arena, eq + 1, strlen(eq + 1)), &text, err);
	if (rc < 0)
		return rc;
	kind = kind_of(name);
	if (kind < 0) {
		ph_log_as("bounce", PH_LOG_WARNING, "%s, line %d: unknown template name: %s -- ignoring this template", r->path, r->line,
			  ph_str_printable(r->arena, name, strlen(name), true));
		return 0;
	}
	t[kind] = defaults[kind];
	take(r, (enum ph_bounce_kind)kind, text, &t[kind]);
	return 0;
}

int ph_bounce_template_parse(const char *text, const char *path, struct ph_arena *arena, struct ph_bounce_template ret[PH_BOUNCE_KINDS], struct ph_err *err)
{
	struct reader r = { .p = text, .path = path, .arena = arena };
	struct ph_bounce_template t[PH_BOUNCE_KINDS];
	const char *line;

	memcpy(t, ret, sizeof(t));
	while ((line = next_line(&r))) {
		line += strspn(line, " \t");
		if (!*line || *line == '#')
			continue;
		int rc = statement(&r, line, ret, t, err);

		if (rc < 0)
			return rc;
	}
	memcpy(ret, t, sizeof(t));
	return 0;
}
