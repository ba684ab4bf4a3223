/* copy.c: the message on its way into a command, line by line: dots, "From " and line ends as the flags and eol= say; and the look for our own Delivered-To:.  Pure. */
#include "pipe.h"

#include <string.h>
#include <strings.h>

void pipe_copy_init(struct pipe_copy *c, const struct pipe_attr *attr)
{
	*c = (struct pipe_copy){ .flags = attr->flags, .eol = attr->eol };
}

static const char from[] = "From ";

/* Bytes that begin a line: held back as long as they may become "From ". */
static int line_start(struct pipe_copy *c, char byte, struct ph_buf *out)
{
	int rc = 0;

	if (c->n_head == 0 && byte == '.' && (c->flags & PIPE_DOT))
		rc = ph_buf_putc(out, '.');
	if ((c->flags & PIPE_GREATER) && byte == from[c->n_head]) {
		c->head[c->n_head++] = byte;
		if (c->n_head < sizeof from - 1)
			return rc;
		rc = ph_buf_putc(out, '>');
	} else if (rc == 0) {
		rc = ph_buf_append(out, c->head, c->n_head);
		c->n_head = 0;
		c->in_line = true;
		return rc < 0 ? rc : ph_buf_putc(out, byte);
	}
	if (rc == 0)
		rc = ph_buf_append(out, c->head, c->n_head);
	c->n_head = 0;
	c->in_line = true;
	return rc;
}

static int line_end(struct pipe_copy *c, struct ph_buf *out)
{
	int rc = ph_buf_append(out, c->head, c->n_head);

	c->n_head = 0;
	c->in_line = false;
	return rc < 0 ? rc : ph_buf_puts(out, c->eol);
}

int pipe_copy_add(struct pipe_copy *c, const char *p, size_t n, struct ph_buf *out)
{
	const char *end = p + n, *nl;
	int rc = 0;

	if (!(c->flags & (PIPE_DOT | PIPE_GREATER)) && strcmp(c->eol, "\n") == 0) {
		c->in_line = n ? p[n - 1] != '\n' : c->in_line;
		return ph_buf_append(out, p, n);
	}
	while (p < end && rc == 0) {
		if (*p == '\n') {
			rc = line_end(c, out);
			p++;
		} else if (!c->in_line) {
			rc = line_start(c, *p++, out);
		} else {
			nl = memchr(p, '\n', (size_t)(end - p));
			nl = nl ? nl : end;
			rc = ph_buf_append(out, p, (size_t)(nl - p));
			p = nl;
		}
	}
	return rc;
}

int pipe_copy_end(struct pipe_copy *c, struct ph_buf *out)
{
	int rc = 0;

	if (c->in_line || c->n_head)
		rc = line_end(c, out);
	if (rc == 0 && (c->flags & PIPE_BLANK))
		rc = ph_buf_puts(out, c->eol);
	return rc;
}

/* ---- the loop check ---- */

static bool says_delivered(const struct pipe_loop *l)
{
	static const char name[] = "Delivered-To:";
	const char *v = l->line + sizeof name - 1, *end = l->line + l->n;

	if (l->n < sizeof name - 1 || l->n == sizeof l->line || strncasecmp(l->line, name, sizeof name - 1) != 0)
		return false;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	return (size_t)(end - v) == strlen(l->address) && strncasecmp(v, l->address, (size_t)(end - v)) == 0;
}

void pipe_loop_add(struct pipe_loop *l, const char *p, size_t n)
{
	const char *end = p + n;

	while (p < end && !l->done) {
		const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
		size_t room = sizeof l->line - l->n, take = (size_t)(stop - p);

		memcpy(l->line + l->n, p, take < room ? take : room);
		l->n += take < room ? take : room;
		if (!nl)
			return;
		l->found = l->found || says_delivered(l);
		l->done = l->n == 0 || l->found;
		l->n = 0;
		p = nl + 1;
	}
}
