/* postmap_message.c: postmap -h, -b, -m: the headers and body lines of a message as keys, to try header_checks and body_checks.
 *
 * Yields where the tables do.  Source: postmap(1). */
#include "cmd.h"
#include "maptool.h"

#include "message/mime.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER ((size_t)1 << 20)
#define NESTING_LIMIT 100       /* mime_nesting_limit and mime_boundary_length_limit: their defaults do for a test */
#define BOUNDARY_LIMIT 2048

struct reader {
	struct ph_maptool *t;
	struct ph_table **tables;
	struct ph_mime mime;
	struct ph_buf header;           /* a logical header that may go on */
	bool in_headers, found;
};

static void ask(struct reader *r, const char *key)
{
	r->found |= ph_maptool_query(r->t, r->tables, key, true);
}

/* Length of the name in "name: value", or 0: no header. */
static size_t name_length(const char *line)
{
	size_t n = 0, end;

	while (line[n] > ' ' && line[n] < 0x7f && line[n] != ':')
		n++;
	for (end = n; line[end] == ' ' || line[end] == '\t'; end++)
		;
	return line[end] == ':' ? n : 0;
}

static void header_done(struct reader *r)
{
	const char *text = ph_buf_str(&r->header), *colon = strchr(text, ':');

	if (r->header.len == 0)
		return;
	if (r->t->mime)
		ph_mime_header(&r->mime, text, name_length(text), colon + 1, strlen(colon + 1));
	if (r->t->headers)
		ask(r, text);
	ph_buf_clear(&r->header);
}

static void body_line(struct reader *r, const char *line)
{
	if (r->t->body)
		ask(r, line);
	if (r->t->mime && ph_mime_is_boundary(&r->mime, line, strlen(line)) && r->mime.state == PH_MIME_PART)
		r->in_headers = true;
}

/* A line where headers are expected; false: it is body. */
static bool header_line(struct reader *r, const char *line)
{
	if ((line[0] == ' ' || line[0] == '\t') && r->header.len > 0) {
		ph_buf_printf(&r->header, "\n%s", line);
		return true;
	}
	header_done(r);
	if (name_length(line) > 0) {
		ph_buf_puts(&r->header, line);
		return true;
	}
	r->in_headers = false;
	if (r->t->mime) {
		ph_mime_headers_end(&r->mime);
		r->in_headers = r->mime.state == PH_MIME_NESTED;
	}
	if (r->t->body)
		ask(r, "");             /* the empty line, there or not */
	return line[0] == '\0';
}

bool ph_postmap_message(struct ph_maptool *t, struct ph_table **tables)
{
	struct reader r = { .t = t, .tables = tables, .in_headers = true };
	struct ph_arena *arena = ph_arena_new();
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	ph_buf_init(&r.header, MAX_HEADER);
	ph_mime_init(&r.mime, arena, t->mime, NESTING_LIMIT, BOUNDARY_LIMIT);
	while ((n = getline(&line, &cap, stdin)) >= 0) {
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = '\0';
		if (r.in_headers && header_line(&r, line))
			continue;
		if (r.in_headers && header_line(&r, line))      /* an attached message begins without an empty line */
			continue;
		body_line(&r, line);
	}
	header_done(&r);
	free(line);
	ph_buf_done(&r.header);
	ph_arena_free(&arena);
	return r.found;
}
