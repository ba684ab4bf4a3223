/* content.c: the message on the wire: CRLF, dots doubled, long lines broken, and nothing that a server could take for the end.
 *
 * One pass from the stored message into the output buffer.  Messages of up to 256 KiB come in one piece, larger ones in pieces of 256 KiB.  A stray CR becomes a space:
 * only CRLF leaves this house.  RFC 5321 section 4.5.2.  Yields. */
#include "smtp.h"
#include <posthouse/message.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OUT_BYTES 32768
#define PIECE_BYTES 262144
#define HEADER_BYTES 65536
#define KEPT_MAX 32

struct out {
	struct smtp_state *st;
	char *buf;
	size_t n;
	bool at_start;                  /* of a line */
	size_t column;                  /* in the line on the wire */
	size_t limit;                   /* of a line; 0: none */
	bool broke;                     /* a line was broken: logged once */
	int64_t deadline;               /* of the whole content; 0: each write has its own */
	int err;
};

/* Output buffers for those who send now: taken from here, so that a small message costs no allocation. */
static struct {
	char *kept[KEPT_MAX];
	size_t n;
} buffers;

static char *buffer_get(void)
{
	return buffers.n ? buffers.kept[--buffers.n] : ph_alloc(OUT_BYTES);
}

static void buffer_put(char *buf)
{
	if (buffers.n == KEPT_MAX)
		free(buf);
	else
		buffers.kept[buffers.n++] = buf;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void out_flush(struct out *o)
{
	int64_t deadline = o->deadline ? o->deadline : ph_now_ms() + o->st->service->set->data_xfer_ms;

	if (o->err == 0 && o->n > 0)
		o->err = ph_stream_write(o->st->session->stream, o->buf, o->n, deadline);
	o->n = 0;
}

static inline void put(struct out *o, const char *p, size_t n)
{
	size_t part;

	while (n > 0) {
		if (o->n == OUT_BYTES)
			out_flush(o);
		part = OUT_BYTES - o->n < n ? OUT_BYTES - o->n : n;
		memcpy(o->buf + o->n, p, part);
		o->n += part;
		p += part;
		n -= part;
	}
}

/* Text within a line; a CR that is not ours becomes a space. */
static void put_text(struct out *o, const char *p, size_t n)
{
	const char *cr;

	while ((cr = memchr(p, '\r', n))) {
		put(o, p, (size_t)(cr - p));
		put(o, " ", 1);
		n -= (size_t)(cr - p) + 1;
		p = cr + 1;
	}
	put(o, p, n);
}

/* Part of a line that is longer than a line may be. */
static void put_long(struct out *o, const char *p, size_t n)
{
	size_t room;

	while (o->column + n > o->limit) {
		room = o->limit - o->column;
		put_text(o, p, room);
		put(o, "\r\n ", 3);
		p += room;
		n -= room;
		o->column = 1;
		if (!o->broke)
			ph_log(PH_LOG_INFO, "%s: breaking line > %zu bytes with <CR><LF>SPACE", o->st->queue_id, o->limit);
		o->broke = true;
	}
	put_text(o, p, n);
	o->column += n;
}

/* A line, or a part of one. */
static inline void put_part(struct out *o, const char *p, size_t n)
{
	if (n == 0)
		return;
	if (o->at_start && *p == '.')
		put(o, ".", 1);
	o->at_start = false;
	if (o->limit && o->column + n > o->limit) {
		put_long(o, p, n);
	} else {
		put_text(o, p, n);
		o->column += n;
	}
}

static inline void put_end(struct out *o)
{
	put(o, "\r\n", 2);
	o->at_start = true;
	o->column = 0;
}

static void put_piece(struct out *o, const char *p, size_t n)
{
	const char *end = p + n, *lf;

	while (p < end && o->err == 0) {
		lf = memchr(p, '\n', (size_t)(end - p));
		put_part(o, p, (size_t)((lf ? lf : end) - p));
		if (lf == NULL)
			return;
		put_end(o);
		p = lf + 1;
	}
}

/* What the downgrader makes of the message comes line by line. */
static void put_line(void *arg, const char *line, size_t n)
{
	struct out *o = arg;

	put_part(o, line, n);
	put_end(o);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Call fn for the content piece by piece.  0, or -EBADMSG: it cannot be read. */
static int for_pieces(struct smtp_state *st, struct out *o, void (*fn)(struct out *, void *, const char *, size_t), void *arg)
{
	struct ph_slice all = ph_delivery_content(st->d);
	int64_t at = 0, total = ph_delivery_bytes(st->d);
	struct ph_err err;
	ssize_t r = 0;
	char *buf;

	if (all.p) {
		fn(o, arg, all.p, all.n);
		return o->err;
	}
	buf = ph_alloc(PIECE_BYTES);
	while (at < total && o->err == 0) {
		r = ph_delivery_read(st->d, at, buf, PIECE_BYTES, &err);
		if (r <= 0)
			break;
		fn(o, arg, buf, (size_t)r);
		at += r;
	}
	free(buf);
	if (o->err == 0 && at < total) {
		ph_log(PH_LOG_WARNING, "%s: message cannot be read: %s", st->queue_id, r < 0 ? err.text : "it ends too early");
		return -EBADMSG;
	}
	return o->err;
}

static void piece_plain(struct out *o, void *arg, const char *p, size_t n)
{
	put_piece(o, p, n);
}

static void piece_downgrade(struct out *o, void *arg, const char *p, size_t n)
{
	ph_mime_downgrade_feed(arg, p, n);
}

static int64_t whole_deadline(struct smtp_state *st)
{
	const struct smtp_settings *set = st->service->set;

	if (!set->per_request_deadline)
		return 0;
	return ph_now_ms() + set->data_xfer_ms + ph_delivery_bytes(st->d) / set->min_data_rate * 1000;
}

/* A firewall that wants the final dot in a packet of its own. */
static void pix_pause(struct out *o)
{
	struct smtp_state *st = o->st;

	out_flush(o);
	if (o->err == 0)
		o->err = ph_stream_flush(st->session->stream, ph_now_ms() + st->service->set->data_xfer_ms);
	(void)ph_co_sleep(st->service->set->pix_delay_ms);
}

int smtp_content_send(struct smtp_state *st, bool downgrade, bool then_quit)
{
	struct out o = { .st = st, .buf = buffer_get(), .at_start = true, .limit = (size_t)st->service->set->line_limit, .deadline = whole_deadline(st) };
	struct smtp_edit *edit = NULL;
	struct ph_mime_downgrade *dg = smtp_edit_content(st, downgrade, put_line, &o, &edit);
	int r, bad;

	if (dg) {
		r = for_pieces(st, &o, piece_downgrade, dg);
		ph_mime_downgrade_end(&dg);
		bad = smtp_edit_end(edit);
		r = bad < 0 ? bad : r;
	} else {
		r = for_pieces(st, &o, piece_plain, NULL);
	}
	if (r == 0 && !o.at_start)
		put_end(&o);
	if (r == 0 && (st->session->pix & PIX_DELAY_DOTCRLF))
		pix_pause(&o);
	if (r == 0) {
		put(&o, ".\r\n", 3);
		if (then_quit)
			put(&o, "QUIT\r\n", 6);
		out_flush(&o);
		r = o.err ? o.err : ph_stream_flush(st->session->stream, o.deadline ? o.deadline : ph_now_ms() + st->service->set->data_xfer_ms);
	}
	buffer_put(o.buf);
	return r;
}

/* Are there bytes that are not ASCII in the message's header? */
bool smtp_headers_utf8(struct smtp_state *st)
{
	char *buf = ph_arena_alloc(st->arena, HEADER_BYTES);
	struct ph_err err;
	ssize_t r, i;
	bool lf = true;

	r = ph_delivery_read(st->d, 0, buf, HEADER_BYTES, &err);
	for (i = 0; i < r; i++) {
		if ((unsigned char)buf[i] >= 0x80)
			return true;
		if (buf[i] == '\n' && lf)
			return false;
		lf = buf[i] == '\n';
	}
	return false;
}
