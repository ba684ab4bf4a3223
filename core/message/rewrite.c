/* rewrite.c: carry out edits of headers and body on the content that was collected.
 *
 * The content is set aside (in memory, or in an unlinked file when it is large) and written anew: its headers as the edits leave them, then the body; offsets of
 * line edits are those of the content before.  Yields where the store does. */
#include "message/edit_header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define ASIDE_MEMORY (1024 * 1024)
#define PIECE 16384
#define BLOCK_MAX (16 * 1024 * 1024)      /* headers that can be edited; what is behind them stays as it is */

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

/* Is there a line edit at this offset of what the filter saw? */
static const struct ph_edit *line_edit(const struct ph_mail *m, int64_t at)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->edits[i].type == PH_EDIT_LINE && at >= m->edits[i].offset && at < m->edits[i].offset + m->edits[i].len)
			return &m->edits[i];
	return NULL;
}

static bool any_line_edit(const struct ph_mail *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->edits[i].type == PH_EDIT_LINE)
			return true;
	return false;
}

static int64_t seen_at(const struct ph_intake *in, int64_t at)
{
	return at - (at >= in->hide_at + in->hide_bytes ? in->hide_bytes : 0);
}

/* ---- headers ---- */

struct headers {
	char *block;                    /* heap; from the start of the content on */
	struct ph_header_list list;
	int64_t end;                    /* where in the content they end */
};

/* The headers at the start of what was set aside: a larger block until it holds something that is none. */
static int read_headers(struct headers *h, const struct aside *a, const struct ph_intake *in)
{
	size_t size = 0, want = 64 * 1024;

	h->list.arena = in->arena;
	for (;;) {
		ssize_t n = 1;

		if ((int64_t)want > a->bytes)
			want = (size_t)a->bytes;
		h->block = ph_realloc(h->block, want + 1);
		while (size < want && (n = aside_read(a, (int64_t)size, h->block + size, want - size)) > 0)
			size += (size_t)n;
		if (n <= 0 && size < want)
			return -EIO;
		ph_header_list_done(&h->list);
		h->end = (int64_t)ph_header_list_parse(&h->list, h->block, size, in->hide_at, in->hide_bytes);
		/* What follows the last header must be a whole line: else it may be the start of one more, or go on with this one. */
		if ((int64_t)size == a->bytes || memchr(h->block + h->end, '\n', size - (size_t)h->end))
			return 0;
		if (want >= BLOCK_MAX) {
			h->end = h->list.n ? h->end - (int64_t)h->list.l[h->list.n - 1].n : h->end;
			h->list.n -= h->list.n > 0;
			return 0;
		}
		want = 4 * want < BLOCK_MAX ? 4 * want : BLOCK_MAX;
	}
}

static int put_headers(struct ph_mail *m, const struct headers *h)
{
	struct ph_intake *in = m->in;
	int64_t hide_at = 0, hide_bytes = 0;
	int r = 0;

	for (size_t i = 0; i < h->list.n && r == 0; i++) {
		const struct ph_header_line *l = &h->list.l[i];
		bool old = l->p >= h->block && l->p < h->block + h->end;
		const struct ph_edit *e = old && !l->hidden ? line_edit(m, seen_at(in, l->p - h->block)) : NULL;

		if (l->hidden) {
			if (!hide_bytes)
				hide_at = ph_store_bytes(in->msg);
			hide_bytes += (int64_t)l->n;
		}
		if (e)
			r = ph_content_out(in, e->value, strlen(e->value));
		else
			r = ph_content_out(in, l->p, l->n);
		if (r == 0 && !e && l->n && l->p[l->n - 1] != '\n')
			r = ph_content_out(in, "\n", 1);
	}
	in->hide_at = hide_at;
	in->hide_bytes = hide_bytes;
	return r;
}

/* ---- body ---- */

/* From offset at on, as it is. */
static int copy_plain(struct ph_intake *in, const struct aside *a, int64_t at, char *buf)
{
	ssize_t n = 0;
	int r = 0;

	while (r == 0 && (n = aside_read(a, at, buf, PIECE)) > 0) {
		r = ph_content_out(in, buf, (size_t)n);
		at += n;
	}
	return r == 0 && n < 0 ? -EIO : r;
}

/* With line edits: piece by piece up to the next edit. */
static int copy_edited(struct ph_mail *m, const struct aside *a, int64_t at, int64_t hidden, char *buf)
{
	int r = 0;

	while (r == 0 && at < a->bytes) {
		const struct ph_edit *e = line_edit(m, at - hidden);
		int64_t stop = at + PIECE;
		ssize_t n;

		if (e) {
			r = ph_content_out(m->in, e->value, strlen(e->value));
			at = e->offset + e->len + hidden;
			continue;
		}
		for (size_t i = 0; i < m->n; i++)
			if (m->edits[i].type == PH_EDIT_LINE && m->edits[i].offset + hidden > at && m->edits[i].offset + hidden < stop)
				stop = m->edits[i].offset + hidden;
		n = aside_read(a, at, buf, (size_t)(stop - at));
		if (n <= 0)
			return -EIO;
		r = ph_content_out(m->in, buf, (size_t)n);
		at += n;
	}
	return r;
}

/* A new body, as filters send it: with CR LF.  A CR that ends no line becomes a blank where stray ones do. */
static int put_body(struct ph_mail *m)
{
	const char *p = ph_buf_str(&m->body), *end = p + m->body.len;
	struct ph_intake *in = m->in;
	int r = 0;

	while (p < end && r == 0) {
		const char *cr = memchr(p, '\r', (size_t)(end - p));
		size_t n = (size_t)((cr ? cr : end) - p);

		r = ph_content_out(in, p, n);
		p += n + (cr != NULL);
		if (r == 0 && cr && (p == end || *p != '\n'))
			r = ph_content_out(in, in->c->s.replace_stray ? " " : "\r", 1);
	}
	if (r == 0 && m->body.len && m->body.data[m->body.len - 1] != '\n')
		r = ph_content_out(in, "\n", 1);
	return r;
}

static int put_all(struct ph_mail *m, struct headers *h, const struct aside *a, int64_t hidden)
{
	char *buf = ph_alloc(PIECE);
	int r = put_headers(m, h);

	if (r == 0 && m->new_body) {
		r = ph_content_out(m->in, "\n", 1);
		if (r == 0)
			r = put_body(m);
	} else if (r == 0 && any_line_edit(m)) {
		r = copy_edited(m, a, h->end, hidden, buf);
	} else if (r == 0) {
		r = copy_plain(m->in, a, h->end, buf);
	}
	free(buf);
	return r;
}

int ph_mail_rewrite(struct ph_mail *m)
{
	struct ph_intake *in = m->in;
	struct headers h = { 0 };
	int64_t hidden = in->hide_bytes;
	struct aside a;
	int r = aside_open(&a, in);

	if (r == 0)
		r = read_headers(&h, &a, in);
	for (size_t i = 0; i < m->n && r == 0; i++)
		ph_header_list_edit(&h.list, &m->edits[i]);
	if (r == 0)
		r = ph_store_rewrite(in->msg);
	if (r == 0)
		r = put_all(m, &h, &a, hidden);
	if (r == 0 && in->p.size_limit > 0 && ph_store_bytes(in->msg) > in->p.size_limit)
		ph_intake_fail(in, -EFBIG, 552, "5.3.4", "Error: message file too big");
	if (r < 0 && !in->lost) {
		ph_log_as("cleanup", PH_LOG_WARNING, "%s: cannot apply the changes of filters: %s", in->queue_id, strerrordesc_np(-r));
		ph_intake_fail(in, r, 451, "4.3.0", "Error: queue file write error");
	}
	ph_header_list_done(&h.list);
	free(h.block);
	aside_close(&a);
	return in->lost ? in->lost : r;
}
