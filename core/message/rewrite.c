/* rewrite.c: carry out edits of headers and body on the content that was collected.
 *
 * The content is set aside (in memory, or in an unlinked file when it is large) and written anew, line by line; offsets of line edits are
 * those of the content before.  Yields where the store does. */
#include "message/filter_mail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define ASIDE_MEMORY (1024 * 1024)
#define PIECE 16384

struct aside {
	char *mem;
	int fd;
	int64_t bytes;
};

static int aside_open(struct aside *a, struct ph_intake *in)
{
	char *piece;
	int64_t at = 0;
	int r = 0;

	*a = (struct aside){ .fd = -1, .bytes = ph_store_bytes(in->msg) };
	if (a->bytes <= ASIDE_MEMORY) {
		a->mem = ph_alloc((size_t)a->bytes + 1);
	} else {
		a->fd = open("incoming", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (a->fd < 0)
			a->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (a->fd < 0)
			return -errno;
	}
	piece = ph_alloc(PIECE);
	while (at < a->bytes && r == 0) {
		ssize_t n = ph_store_read(in->msg, at, a->mem ? a->mem + at : piece, a->mem ? (size_t)(a->bytes - at) : PIECE);

		if (n <= 0)
			r = n < 0 ? (int)n : -EIO;
		else if (!a->mem && pwrite(a->fd, piece, (size_t)n, at) != n)
			r = errno ? -errno : -EIO;
		else
			at += n;
	}
	free(piece);
	return r;
}

static void aside_close(struct aside *a)
{
	free(a->mem);
	if (a->fd >= 0)
		close(a->fd);
}

static ssize_t aside_read(const struct aside *a, int64_t at, char *buf, size_t n)
{
	if (at >= a->bytes)
		return 0;
	if (!a->mem)
		return pread(a->fd, buf, n, at);
	n = (int64_t)n < a->bytes - at ? n : (size_t)(a->bytes - at);
	memcpy(buf, a->mem + at, n);
	return (ssize_t)n;
}

/* Line by line over what was set aside. */
struct reader {
	const struct aside *a;
	char *buf;
	size_t len, pos;                /* of buf */
	int64_t at;                     /* offset in the old content of buf + pos */
};

/* The next line with its LF (without one at the end, or when it is longer than a piece).  0 at the end. */
static ssize_t next_line(struct reader *rd, const char **ret)
{
	for (;;) {
		char *nl = memchr(rd->buf + rd->pos, '\n', rd->len - rd->pos);
		size_t n = nl ? (size_t)(nl + 1 - (rd->buf + rd->pos)) : rd->len - rd->pos;
		ssize_t got;

		if (nl || n == PIECE) {
			*ret = rd->buf + rd->pos;
			rd->pos += n;
			rd->at += (int64_t)n;
			return (ssize_t)n;
		}
		memmove(rd->buf, rd->buf + rd->pos, n);
		rd->pos = 0;
		rd->len = n;
		got = aside_read(rd->a, rd->at + (int64_t)n, rd->buf + n, PIECE - n);
		if (got < 0)
			return -EIO;
		if (got == 0) {
			*ret = rd->buf;
			rd->pos = rd->len;
			rd->at += (int64_t)n;
			return (ssize_t)n;
		}
		rd->len += (size_t)got;
	}
}

static int put_header(struct ph_mail *m, const char *name, const char *value)
{
	const char *line = ph_arena_printf(m->in->arena, "%s: %s", name, value);

	return ph_checks_added_header(m, line, strlen(line));
}

/* How far the n-th header of this name was counted: edits with that number. */
struct counter { char name[100]; unsigned n; };

struct job {
	struct ph_mail *m;
	struct counter *seen;
	size_t n_seen, cap_seen;
	unsigned index;                 /* headers so far, our own on top included */
	int64_t new_hide;               /* where our own Received: goes */
	bool skip;                      /* the header that is being copied is deleted or replaced: its folds go, too */
};

static unsigned count_header(struct job *j, const char *line, size_t name)
{
	struct counter *c;

	for (size_t i = 0; i < j->n_seen; i++)
		if (strlen(j->seen[i].name) == name && strncasecmp(j->seen[i].name, line, name) == 0)
			return ++j->seen[i].n;
	if (name >= sizeof(c->name) || j->n_seen >= 500)
		return 0;
	if (j->n_seen == j->cap_seen) {
		j->cap_seen = j->cap_seen ? 2 * j->cap_seen : 32;
		j->seen = ph_realloc(j->seen, j->cap_seen * sizeof(*j->seen));
	}
	c = &j->seen[j->n_seen++];
	memcpy(c->name, line, name);
	c->name[name] = '\0';
	return c->n = 1;
}

static int inserted(struct job *j, unsigned index, bool rest)
{
	int r = 0;

	for (size_t i = 0; i < j->m->n && r == 0; i++) {
		struct ph_edit *e = &j->m->edits[i];

		if (e->type != PH_EDIT_INSERT_HEADER || e->done || (!rest && e->nth != index))
			continue;
		e->done = true;
		r = put_header(j->m, e->name, e->value);        /* may add edits: e is stale now */
	}
	return r;
}

static int header_start(struct job *j, const char *line, size_t n, bool hidden)
{
	size_t name = ph_header_name(line, n);
	unsigned nth = hidden ? 0 : count_header(j, line, name);
	struct ph_edit *last = NULL;
	int r = inserted(j, j->index++, false);

	for (size_t i = 0; i < j->m->n && nth; i++) {
		struct ph_edit *e = &j->m->edits[i];

		if (e->type == PH_EDIT_CHANGE_HEADER && e->nth == nth && strlen(e->name) == name && strncasecmp(e->name, line, name) == 0) {
			e->done = true;
			last = e;
		}
	}
	j->skip = last != NULL;
	if (r == 0 && last && last->value)
		r = put_header(j->m, last->name, last->value);
	return r;
}

/* What goes behind the headers: added ones, and changes of headers that were not there. */
static int headers_done(struct job *j)
{
	int r = inserted(j, 0, true);

	for (size_t i = 0; i < j->m->n && r == 0; i++) {
		struct ph_edit *e = &j->m->edits[i];

		if (e->type == PH_EDIT_ADD_HEADER || (e->type == PH_EDIT_CHANGE_HEADER && !e->done && e->value))
			r = put_header(j->m, e->name, e->value);
	}
	return r;
}

/* Is there a line edit at this offset? */
static const struct ph_edit *line_edit(const struct ph_mail *m, int64_t at)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->edits[i].type == PH_EDIT_LINE && at >= m->edits[i].offset && at < m->edits[i].offset + m->edits[i].len)
			return &m->edits[i];
	return NULL;
}

static int copy_line(struct job *j, int64_t at, const char *line, size_t n)
{
	const struct ph_edit *e = line_edit(j->m, at - (at >= j->m->in->hide_at ? j->m->in->hide_bytes : 0));

	if (!e)
		return ph_content_out(j->m->in, line, n);
	if (at == e->offset && *e->value)
		return ph_content_out(j->m->in, e->value, strlen(e->value));
	return 0;
}

static int copy(struct job *j, struct reader *rd)
{
	struct ph_intake *in = j->m->in;
	bool headers = true, fresh = true;
	const char *line;
	ssize_t n;
	int r = 0;

	for (;;) {
		int64_t at = rd->at;

		n = next_line(rd, &line);
		if (n <= 0 || r < 0)
			break;
		if (headers && fresh && line[0] != ' ' && line[0] != '\t') {
			if (ph_header_name(line, (size_t)n)) {
				r = header_start(j, line, (size_t)n, at >= in->hide_at && at < in->hide_at + in->hide_bytes);
				if (at == in->hide_at)
					j->new_hide = ph_store_bytes(in->msg);
			} else {
				headers = false;
				j->skip = false;
				r = headers_done(j);
				if (r == 0 && j->m->new_body) {
					r = ph_content_out(in, "\n", 1);
					break;
				}
			}
		}
		if (r == 0 && !(headers && j->skip))
			r = copy_line(j, at, line, (size_t)n);
		fresh = line[n - 1] == '\n';
	}
	if (r == 0 && n < 0)
		ph_intake_fail(in, (int)n, 451, "4.3.0", "Error: queue file write error");
	if (r == 0 && headers)
		r = headers_done(j);
	if (r == 0 && headers && j->m->new_body)
		r = ph_content_out(in, "\n", 1);
	return r;
}

static int put_body(struct ph_mail *m)
{
	const char *p = ph_buf_str(&m->body), *end = p + m->body.len;
	int r = 0;

	/* Filters send CRLF. */
	while (p < end && r == 0) {
		const char *cr = memchr(p, '\r', (size_t)(end - p));

		if (!cr) {
			r = ph_content_out(m->in, p, (size_t)(end - p));
			p = end;
		} else if (cr + 1 < end && cr[1] == '\n') {
			r = ph_content_out(m->in, p, (size_t)(cr - p));
			p = cr + 1;
		} else {
			r = ph_content_out(m->in, p, (size_t)(cr + 1 - p));
			p = cr + 1;
		}
	}
	if (r == 0 && m->body.len && m->body.data[m->body.len - 1] != '\n')
		r = ph_content_out(m->in, "\n", 1);
	return r;
}

int ph_mail_rewrite(struct ph_mail *m)
{
	struct ph_intake *in = m->in;
	struct job j = { .m = m };
	struct reader rd = { 0 };
	struct aside a;
	int r = aside_open(&a, in);

	if (r == 0)
		r = ph_store_rewrite(in->msg);
	if (r < 0) {
		ph_log_as("cleanup", PH_LOG_WARNING, "%s: cannot apply the changes of filters: %s", in->queue_id, strerror(-r));
		ph_intake_fail(in, r, 451, "4.3.0", "Error: queue file write error");
		goto out;
	}
	rd.a = &a;
	rd.buf = ph_alloc(PIECE);
	r = copy(&j, &rd);
	in->hide_at = j.new_hide;
	if (r == 0 && m->new_body)
		r = put_body(m);
out:
	free(rd.buf);
	free(j.seen);
	aside_close(&a);
	return in->lost ? in->lost : r;
}
