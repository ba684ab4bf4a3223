/* chat.c: one command, one reply.
 *
 * Replies are bounded: a line is cut at 2048 bytes, text and number of lines have limits (reply.h), and all of a reply must arrive before the deadline.  What is no
 * reply line at all is logged, and only its text is kept, as Postfix does.  Yields. */
#include "smtp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 2048
#define SKIP_MAX (256 * 1024)           /* of a line that does not end */

/* The rest of a line that was too long. */
static int skip_line(struct ph_stream *s, int64_t deadline_ms)
{
	struct ph_slice in;
	size_t skipped = 0;
	const char *lf;
	ssize_t r;

	while (skipped < SKIP_MAX) {
		in = ph_stream_peek(s);
		lf = in.n ? memchr(in.p, '\n', in.n) : NULL;
		if (lf) {
			ph_stream_consume(s, (size_t)(lf - in.p) + 1);
			return 0;
		}
		skipped += in.n;
		ph_stream_consume(s, in.n);
		r = ph_stream_fill(s, deadline_ms);
		if (r <= 0)
			return r < 0 ? (int)r : -ECONNRESET;
	}
	return -EMSGSIZE;
}

/* One line of at most LINE_MAX_BYTES into ret, which points into copy or the stream's buffer. */
static int read_line(struct smtp_session *s, char *copy, struct ph_slice *ret, int64_t deadline_ms)
{
	ssize_t r = ph_stream_getline(s->stream, LINE_MAX_BYTES, ret, deadline_ms);

	if (r >= 0)
		return 0;
	if (r != -EMSGSIZE)
		return r == -ENODATA ? -ECONNRESET : (int)r;
	memcpy(copy, ph_stream_peek(s->stream).p, LINE_MAX_BYTES);
	*ret = (struct ph_slice){ copy, LINE_MAX_BYTES };
	ph_log(PH_LOG_WARNING, "%s: response longer than %d: %.30s...", s->namaddrport, LINE_MAX_BYTES, copy);
	return skip_line(s->stream, deadline_ms);
}

/* smtp_reply_filter: the line, or what stands in its place. */
static struct ph_slice filter_line(struct smtp_state *st, struct ph_slice line)
{
	const char *key, *value;
	struct ph_err err;
	enum ph_lookup found;

	if (st->service->reply_filter == NULL)
		return line;
	key = ph_arena_strndup(st->arena, line.p, line.n);
	found = ph_maps_find(st->service->reply_filter, key, false, st->arena, &value, &err);
	if (found == PH_LOOKUP_FOUND) {
		ph_log(PH_LOG_INFO, "%s: replacing server reply \"%s\" with \"%s\"", st->session->namaddrport, key, value);
		return (struct ph_slice){ value, strlen(value) };
	}
	if (found != PH_LOOKUP_NOTFOUND)
		ph_log(PH_LOG_WARNING, "%sreply_filter: %s", SMTP_PREFIX, err.text);
	return line;                    /* not the key: that ends at a NUL byte */
}

static void complain(struct smtp_state *st, struct ph_slice line)
{
	struct smtp_session *s = st->session;

	if (!(s->features & EHLO_PIPELINING))
		return;                 /* some servers greet like that; with pipelining it means that replies are out of step */
	ph_log(PH_LOG_WARNING, "%s: non-%s response from %s: %.*s", st->queue_id, SMTP_IS_LMTP ? "LMTP" : s->esmtp ? "ESMTP" : "SMTP",
	       s->namaddrport, line.n > 100 ? 100 : (int)line.n, line.p);
	ph_log(PH_LOG_WARNING, "to prevent loss of mail, turn off command pipelining for %s with the %sdiscard_%s_keyword_address_maps parameter",
	       s->addr, SMTP_PREFIX, SMTP_IS_LMTP ? "lhlo" : "ehlo");
}

int smtp_read_reply_until(struct smtp_state *st, int64_t deadline_ms)
{
	struct smtp_session *s = st->session;
	char *copy = NULL;
	struct ph_slice line;
	int r, garbage = 0;

	smtp_reply_reset(&s->reply);
	for (;;) {
		if (copy == NULL && ph_stream_peek(s->stream).n >= LINE_MAX_BYTES)
			copy = ph_arena_alloc(st->arena, LINE_MAX_BYTES + 1);
		r = copy ? read_line(s, copy, &line, deadline_ms) : (int)ph_stream_getline(s->stream, LINE_MAX_BYTES, &line, deadline_ms);
		if (r == -EMSGSIZE && copy == NULL)
			continue;       /* now there is something to copy */
		if (r < 0)
			return r == -ENODATA ? -ECONNRESET : r;
		line = filter_line(st, line);
		switch (smtp_reply_line(&s->reply, line.p, line.n)) {
		case SMTP_REPLY_DONE:
			return 0;
		case SMTP_REPLY_TOO_LONG:
			return -EMSGSIZE;
		case SMTP_REPLY_GARBAGE:
			complain(st, line);
			if (++garbage > 100)
				return -EMSGSIZE;
			break;
		case SMTP_REPLY_MORE:
			break;
		}
	}
}

int smtp_read_reply(struct smtp_state *st, int64_t limit_ms)
{
	return smtp_read_reply_until(st, ph_now_ms() + limit_ms);
}

int smtp_command(struct smtp_state *st, int64_t limit_ms, const char *fmt, ...)
{
	struct ph_stream *s = st->session->stream;
	struct ph_buf b = PH_BUF_INIT(16384);
	int64_t deadline = ph_now_ms() + limit_ms;
	va_list ap;
	int r;

	va_start(ap, fmt);
	ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	ph_buf_puts(&b, "\r\n");
	r = ph_stream_write(s, b.data, b.len, deadline);
	if (r == 0)
		r = ph_stream_flush(s, deadline);
	ph_buf_done(&b);
	return r < 0 ? r : smtp_read_reply_until(st, deadline);
}

const char *smtp_reply_text(struct smtp_state *st)
{
	return smtp_reply_flat(&st->session->reply, st->arena);
}
