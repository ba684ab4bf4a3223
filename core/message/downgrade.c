/* downgrade.c: 8bit and binary parts -> quoted-printable.  See posthouse/message.h.
 *
 * State: struct ph_mime_downgrade.  Lines are put together from pieces (bounded), logical headers from lines (bounded), MIME structure is followed with mime.h.  RFC 2045
 * section 6.7. */
#include <posthouse/message.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message/header.h"
#include "message/mime.h"
#include "message/qp.h"

#define LINE_BYTES 65536                /* longer lines are taken in parts */
#define HEADER_BYTES 131072             /* of a logical header; longer ones pass unchanged, unread */
#define NESTING_MAX 100
#define BOUNDARY_MAX 2048

struct ph_mime_downgrade {
	void (*put_line)(void *arg, const char *line, size_t n);
	void *arg;
	struct ph_arena *arena;
	struct ph_mime mime;
	struct ph_buf line;             /* a line whose end has not come yet */
	struct ph_buf header;           /* the logical header that is being collected; LF between its lines */
	bool too_long;                  /* the rest of this header passes unread */
	bool declared;                  /* this entity was declared 8bit or binary, and the header taken out */
	bool qp;                        /* the body that follows is encoded */
	const struct ph_mime_edit *edit;        /* NULL: lines stay as they are */
	bool keep;                      /* no downgrading, only edits */
};

struct ph_mime_downgrade *ph_mime_downgrade_new(void (*put_line)(void *arg, const char *line, size_t n), void *arg)
{
	struct ph_mime_downgrade *m = ph_alloc(sizeof(*m));

	m->put_line = put_line;
	m->arg = arg;
	m->arena = ph_arena_new();
	ph_mime_init(&m->mime, m->arena, true, NESTING_MAX, BOUNDARY_MAX);
	ph_buf_init(&m->line, LINE_BYTES);
	ph_buf_init(&m->header, HEADER_BYTES);
	return m;
}

void ph_mime_downgrade_edit(struct ph_mime_downgrade *m, const struct ph_mime_edit *edit, bool downgrade)
{
	m->edit = edit;
	m->keep = !downgrade;
}

/* ---- headers ------------------------------------------------------------------------------ */

static void put_lines(struct ph_mime_downgrade *m, const char *p, size_t n)
{
	const char *lf;

	while ((lf = memchr(p, '\n', n))) {
		m->put_line(m->arg, p, (size_t)(lf - p));
		n -= (size_t)(lf - p) + 1;
		p = lf + 1;
	}
	m->put_line(m->arg, p, n);
}

/* Put a line or a header, or what the editor makes of it. */
static void put_changed(struct ph_mime_downgrade *m, const struct ph_line_change *c, const char *p, size_t n)
{
	if (c->prepend)
		put_lines(m, c->prepend, strlen(c->prepend));
	if (c->drop)
		return;
	if (c->text)
		put_lines(m, c->text, strlen(c->text));
	else
		put_lines(m, p, n);
}

static enum ph_header_kind kind_of(const struct ph_mime_downgrade *m, const struct ph_header_info *h)
{
	if (m->mime.state == PH_MIME_NESTED)
		return h->flags & PH_HDRF_MIME ? PH_HEADER_MIME : PH_HEADER_NESTED;
	return m->mime.state == PH_MIME_PART || (h->flags & PH_HDRF_MIME) ? PH_HEADER_MIME : PH_HEADER_PRIMARY;
}

static void put_header(struct ph_mime_downgrade *m, const struct ph_header_info *h, const char *p, size_t n)
{
	struct ph_line_change change = { 0 };

	if (m->edit && m->edit->header)
		m->edit->header(m->arg, kind_of(m, h), p, n, &change);
	put_changed(m, &change, p, n);
}

static void put_body(struct ph_mime_downgrade *m, const char *p, size_t n)
{
	struct ph_line_change change = { 0 };

	if (m->edit && m->edit->body) {
		m->edit->body(m->arg, p, n, &change);
		put_changed(m, &change, p, n);
	} else {
		m->put_line(m->arg, p, n);
	}
}

/* The logical header is complete. */
static void header_end(struct ph_mime_downgrade *m)
{
	const char *p = m->header.data;
	size_t n = m->header.len, name, value;
	const struct ph_header_info *h;

	m->too_long = false;
	if (n == 0)
		return;
	name = ph_header_name(p, n);
	value = ph_header_value(p, n);
	ph_mime_header(&m->mime, p, name, p + value, n - value);
	h = ph_header_find(p, name);
	if (!m->keep && h->id == PH_HDR_CONTENT_ENCODING && ph_mime_new_encoding(&m->mime))
		m->declared = true;     /* left out: the new one follows at the end */
	else
		put_header(m, h, p, n);
	ph_buf_clear(&m->header);
}

static void put_encoding(struct ph_mime_downgrade *m, const char *encoding)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "Content-Transfer-Encoding: %s", encoding);

	m->put_line(m->arg, line, (size_t)n);
}

static void headers_end(struct ph_mime_downgrade *m)
{
	const char *encoding;

	header_end(m);
	encoding = m->declared ? ph_mime_new_encoding(&m->mime) : NULL;
	m->qp = encoding && strcmp(encoding, "quoted-printable") == 0;
	if (encoding)
		put_encoding(m, encoding);
	m->declared = false;
	ph_mime_headers_end(&m->mime);
}

static void header_line(struct ph_mime_downgrade *m, const char *p, size_t n)
{
	bool folded = n > 0 && (p[0] == ' ' || p[0] == '\t');

	if (folded && m->too_long) {
		m->put_line(m->arg, p, n);
		return;
	}
	if (folded && m->header.len > 0) {
		if (m->header.len + n + 1 <= HEADER_BYTES) {
			ph_buf_putc(&m->header, '\n');
			ph_buf_append(&m->header, p, n);
			return;
		}
		header_end(m);
		m->too_long = true;
		m->put_line(m->arg, p, n);
		return;
	}
	header_end(m);
	ph_buf_append(&m->header, p, n);
}

/* ---- lines -------------------------------------------------------------------------------- */

static void take_line(struct ph_mime_downgrade *m, const char *p, size_t n)
{
	if (m->mime.state != PH_MIME_BODY && n > 0 && (ph_header_name(p, n) > 0 || ((p[0] == ' ' || p[0] == '\t') && (m->header.len > 0 || m->too_long)))) {
		header_line(m, p, n);
		return;
	}
	if (m->mime.state != PH_MIME_BODY) {
		headers_end(m);
		if (n == 0) {
			m->put_line(m->arg, p, 0);
			return;
		}
	}
	if (ph_mime_is_boundary(&m->mime, p, n)) {
		m->qp = false;
		m->put_line(m->arg, p, n);
	} else if (m->qp) {
		ph_qp_encode(p, n, false, m->put_line, m->arg);
	} else {
		put_body(m, p, n);
	}
}

void ph_mime_downgrade_feed(struct ph_mime_downgrade *m, const char *p, size_t n)
{
	const char *end = p + n, *lf;
	size_t part, room;

	while (p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		part = (size_t)((lf ? lf : end) - p);
		if (lf && m->line.len == 0) {
			take_line(m, p, part);
			p = lf + 1;
			continue;
		}
		room = LINE_BYTES - m->line.len;
		part = part < room ? part : room;
		ph_buf_append(&m->line, p, part);
		p += part;
		if (p == lf || m->line.len == LINE_BYTES) {
			take_line(m, ph_buf_str(&m->line), m->line.len);
			ph_buf_clear(&m->line);
			p += p == lf;
		}
	}
}

void ph_mime_downgrade_end(struct ph_mime_downgrade **mp)
{
	struct ph_mime_downgrade *m = *mp;

	if (m == NULL)
		return;
	if (m->line.len)
		take_line(m, m->line.data, m->line.len);
	if (m->mime.state != PH_MIME_BODY)
		headers_end(m);
	ph_buf_done(&m->line);
	ph_buf_done(&m->header);
	ph_arena_free(&m->arena);
	free(m);
	*mp = NULL;
}
