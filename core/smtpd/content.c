/* content.c: the content of a message, from the connection to the intake, line by line and without copying.
 *
 * What ends a line, and what ends the message, is decided here and nowhere else.  Only CR LF . CR LF ends DATA, unless the client may
 * send bare newlines (smtpd_forbid_bare_newline and its exclusions).  Yields.  RFC 5321 4.1.1.4, 4.5.2; RFC 3030 2. */
#include <errno.h>
#include <posthouse/co.h>
#include <string.h>

#include "smtpd/proxy.h"
#include "smtpd/session.h"

/* A message that has become this large gets a larger input buffer, for fewer reads; it is given back when the session is idle. */
#define LARGE_CONTENT (256 * 1024)
#define LARGE_INPUT (64 * 1024)

/* More input of a message.  As ph_smtpd_fill. */
static ssize_t fill(struct ph_session *s)
{
	if (s->t->content >= LARGE_CONTENT)
		(void)ph_stream_set_input_max(s->io, LARGE_INPUT);
	return ph_smtpd_fill(s);
}

/* With smtpd_per_request_deadline: each smtpd_min_data_rate bytes earn a second. */
static void extend_deadline(struct ph_session *s, size_t bytes)
{
	int64_t latest = ph_now_ms() + s->set->timeout_ms;

	if (!s->deadline_ms)
		return;
	s->deadline_ms += (int64_t)bytes * 1000 / s->set->min_data_rate;
	if (s->deadline_ms > latest)
		s->deadline_ms = latest;
}

/* Does a bare newline of this client matter? */
static bool strict_newlines(struct ph_session *s)
{
	return s->svc->bare_lf != PH_BARE_LF_NO && !s->svc->standalone &&
	       !ph_smtpd_matches(s, s->svc->bare_lf_exclusions, "smtpd_forbid_bare_newline_exclusions");
}

static void put(struct ph_session *s, const char *p, size_t n, bool cont)
{
	struct ph_smtpd_trans *t = s->t;

	if (t->proxy)
		ph_smtpd_proxy_line(s, p, n, cont);
	else if (!t->lost && ph_intake_line(t->intake, p, n, cont) < 0)
		t->lost = true;         /* ph_smtpd_finish hears why */
}

/* ---- DATA ---- */

struct data_state {
	size_t limit;           /* longest piece of a line */
	bool strict;
	bool line_start;        /* the next byte begins a line */
	bool prev_crlf;         /* the line before ended in CR LF */
	bool ended;
};

/* One whole line [p, lf).  true: it was the end of the message. */
static bool data_line(struct ph_session *s, struct data_state *d, const char *p, const char *lf)
{
	size_t n = (size_t)(lf - p);
	bool crlf = n && lf[-1] == '\r';

	if (crlf)
		n--;
	if (!d->strict)
		while (n && p[n - 1] == '\r')
			n--;
	s->t->content += (int64_t)n + 2;
	if (!crlf && d->strict)
		s->t->bare_lf = true;
	if (d->line_start && n && *p == '.') {
		if (n == 1) {
			if (!d->strict || (crlf && d->prev_crlf)) {
				s->t->content -= 3;
				return true;
			}
			/* A dot alone beside a bare newline: what another server might take for the end.  It is dropped. */
			d->prev_crlf = crlf;
			return false;
		}
		p++;
		n--;
	}
	put(s, p, n, false);
	d->line_start = true;
	d->prev_crlf = crlf;
	return false;
}

/* The first piece of a line that is longer than the limit.  Bytes used. */
static size_t data_piece(struct ph_session *s, struct data_state *d, const char *p)
{
	size_t n = d->limit, used;

	if (p[n - 1] == '\r')
		n--;                    /* it may be half of a CR LF */
	used = n;
	s->t->content += (int64_t)n;
	if (d->line_start && *p == '.') {
		p++;
		n--;
	}
	put(s, p, n, true);
	d->line_start = false;
	return used;
}

/* All lines that are complete in the buffer; consumes them. */
static void data_buffer(struct ph_session *s, struct data_state *d, struct ph_slice in)
{
	const char *p = in.p, *end = in.p + in.n, *lf;
	size_t left, look;

	while (p < end && !d->ended) {
		left = (size_t)(end - p);
		look = left < d->limit + 2 ? left : d->limit + 2;
		lf = memchr(p, '\n', look);
		if (lf) {
			d->ended = data_line(s, d, p, lf);
			p = lf + 1;
		} else if (left >= d->limit + 2) {
			p += data_piece(s, d, p);
		} else {
			break;
		}
	}
	ph_stream_consume(s->io, (size_t)(p - in.p));
}

int ph_smtpd_content_data(struct ph_session *s)
{
	struct data_state d = { (size_t)s->set->line_length_limit, strict_newlines(s), true, !s->last_line_bare_lf, false };
	ssize_t n;

	for (;;) {
		data_buffer(s, &d, ph_stream_peek(s->io));
		if (d.ended)
			return 0;
		n = fill(s);
		if (n <= 0)
			return n == 0 ? -ENODATA : (int)n;
		extend_deadline(s, (size_t)n);
	}
}

/* ---- BDAT ---- */

static int skip_bytes(struct ph_session *s, int64_t left)
{
	struct ph_slice in;
	ssize_t n;

	while (left > 0) {
		in = ph_stream_peek(s->io);
		if (in.n == 0) {
			n = ph_smtpd_fill(s);         /* there may be no message */
			if (n <= 0)
				return n == 0 ? -ENODATA : (int)n;
			extend_deadline(s, (size_t)n);
			continue;
		}
		if ((int64_t)in.n > left)
			in.n = (size_t)left;
		ph_stream_consume(s->io, in.n);
		left -= (int64_t)in.n;
	}
	return 0;
}

static void chunk_line(struct ph_session *s, const char *p, size_t n)
{
	if (n && p[n - 1] == '\r')
		n--;
	else
		s->t->bare_lf = true;
	put(s, p, n, false);
}

/* The end of a line whose beginning came before: it stands in t->part. */
static void part_line(struct ph_session *s)
{
	struct ph_buf *part = &s->t->part;

	chunk_line(s, ph_buf_str(part), part->len);
	ph_buf_clear(part);
}

/* Bytes whose line end is not there yet. */
static void part_add(struct ph_session *s, const char *p, size_t n)
{
	struct ph_buf *part = &s->t->part;
	size_t limit = (size_t)s->set->line_length_limit, take;

	while (n) {
		take = limit + 1 - part->len;
		if (take > n)
			take = n;
		ph_buf_append(part, p, take);
		p += take;
		n -= take;
		if (part->len <= limit)
			continue;
		take = part->data[limit - 1] == '\r' ? limit - 1 : limit;
		put(s, part->data, take, true);
		ph_buf_consume(part, take);
	}
}

static void chunk_buffer(struct ph_session *s, const char *p, size_t n)
{
	const char *end = p + n, *lf;

	s->t->content += (int64_t)n;
	while (p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (!lf) {
			part_add(s, p, (size_t)(end - p));
			return;
		}
		if (s->t->part.len || (size_t)(lf - p) > (size_t)s->set->line_length_limit) {
			part_add(s, p, (size_t)(lf - p));
			part_line(s);
		} else {
			chunk_line(s, p, (size_t)(lf - p));
		}
		p = lf + 1;
	}
}

int ph_smtpd_content_chunk(struct ph_session *s, int64_t left, bool keep, bool last)
{
	struct ph_slice in;
	ssize_t n;

	if (!keep)
		return skip_bytes(s, left);
	while (left > 0) {
		in = ph_stream_peek(s->io);
		if (in.n == 0) {
			n = fill(s);
			if (n <= 0)
				return n == 0 ? -ENODATA : (int)n;
			extend_deadline(s, (size_t)n);
			continue;
		}
		if ((int64_t)in.n > left)
			in.n = (size_t)left;
		chunk_buffer(s, in.p, in.n);
		ph_stream_consume(s->io, in.n);
		left -= (int64_t)in.n;
	}
	if (last && s->t->part.len) {
		/* The content's last line has no end: it gets one. */
		s->t->content += 2;
		put(s, s->t->part.data, s->t->part.len, false);
		ph_buf_clear(&s->t->part);
	}
	if (last)
		s->t->bare_lf = s->t->bare_lf && strict_newlines(s);
	return 0;
}
