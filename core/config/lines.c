/* lines.c: logical lines, the common base of main.cf and master.cf.
 *
 * A line that starts with white space continues the one before; empty lines and lines whose first
 * visible character is '#' are passed over, also between a line and its continuation.  Carriage
 * returns count as white space.  Pure; no yield.  Source: postconf(5), master(5). */
#include <errno.h>
#include <string.h>

#include "config/private.h"

static bool is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

void ph_lines_init(struct ph_lines *l, const char *file, const char *text, size_t n)
{
	l->file = file;
	l->p = text;
	l->end = text + n;
	l->line = 1;
	ph_buf_init(&l->text, PH_MAX_VALUE_BYTES);
}

void ph_lines_done(struct ph_lines *l)
{
	ph_buf_done(&l->text);
}

/* The physical line at l->p: its end, and whether there is anything in it. */
static const char *line_end(const struct ph_lines *l, bool *ret_blank)
{
	const char *end = memchr(l->p, '\n', (size_t)(l->end - l->p));
	const char *p;

	if (end == NULL)
		end = l->end;
	for (p = l->p; p < end && is_space((unsigned char)*p); p++)
		;
	*ret_blank = p == end || *p == '#';
	return end;
}

static void trim_end(struct ph_buf *b)
{
	while (b->len > 0 && is_space((unsigned char)b->data[b->len - 1]))
		b->data[--b->len] = '\0';
}

static int add_line(struct ph_lines *l, const char *end, int first, struct ph_err *err)
{
	size_t n = (size_t)(end - l->p);

	if (memchr(l->p, '\0', n))
		return ph_err_set(err, -EINVAL, "%s, line %d: there is a NUL byte in this line; remove it", l->file, l->line);
	if (first == l->line && is_space((unsigned char)*l->p)) {
		while (is_space((unsigned char)*l->p))
			l->p++;         /* the line is not blank, so this stops before end */
		return ph_err_set(err, -EINVAL, "%s, line %d: a setting must not start with white space (that is how a "
				  "continuation line starts); remove the space in front of \"%.*s\"", l->file, l->line,
				  (int)(end - l->p < 40 ? end - l->p : 40), l->p);
	}
	if (l->line == 1 && n >= 3 && memcmp(l->p, "\xef\xbb\xbf", 3) == 0)
		return ph_err_set(err, -EINVAL, "%s, line 1: the file starts with a UTF-8 byte order mark; save it without", l->file);
	if (ph_buf_append(&l->text, l->p, n) < 0)
		return ph_err_set(err, -ENOBUFS, "%s, line %d: the setting that starts here is longer than %d bytes", l->file,
				  first, PH_MAX_VALUE_BYTES);
	return 0;
}

int ph_lines_next(struct ph_lines *l, char **ret_text, int *ret_line, struct ph_err *err)
{
	const char *end;
	bool blank, open = false;
	int rc;

	ph_buf_clear(&l->text);
	for (; l->p < l->end; l->p = end < l->end ? end + 1 : end, l->line++) {
		end = line_end(l, &blank);
		if (blank)
			continue;
		if (open && !is_space((unsigned char)*l->p))
			break;
		if (!open) {
			open = true;
			*ret_line = l->line;
		}
		rc = add_line(l, end, *ret_line, err);
		if (rc < 0)
			return rc;
	}
	if (!open)
		return 0;
	trim_end(&l->text);
	*ret_text = l->text.data;
	return 1;
}
