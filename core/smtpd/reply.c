/* reply.c: replies to the client, and waiting for its input.  Replies gather in the stream's buffer and leave in one write when
 * the client has nothing more to say (RFC 2920).  Yields where session.h says so. */
#include <ctype.h>
#include <errno.h>
#include <posthouse/co.h>
#include <stdio.h>
#include <string.h>

#include "base/co_private.h"
#include "smtpd/expand.h"
#include "smtpd/history.h"
#include "smtpd/session.h"

int64_t ph_smtpd_deadline(struct ph_session *s)
{
	if (s->set->per_request_deadline && s->deadline_ms)
		return s->deadline_ms;
	return ph_now_ms() + s->set->timeout_ms;
}

int ph_smtpd_flush(struct ph_session *s)
{
	return ph_stream_flush(s->io, ph_now_ms() + s->set->timeout_ms);
}

/* A client that has been silent for this long is idle: what earlier commands needed is given back.  Not at once: that costs a system
 * call and page faults, which a busy session need not pay. */
#define IDLE_MS 2000

ssize_t ph_smtpd_fill(struct ph_session *s)
{
	int64_t deadline = ph_smtpd_deadline(s), soon = ph_now_ms() + IDLE_MS;
	ssize_t n;
	int r = ph_smtpd_flush(s);

	if (r < 0)
		return r;
	if (soon >= deadline)
		return ph_stream_fill(s->io, deadline);
	n = ph_stream_fill(s->io, soon);
	if (n != -ETIMEDOUT)
		return n;
	if (!s->t)
		ph_arena_free(&s->scratch);
	ph_stream_trim(s->io);
	ph_co_trim_stack();
	return ph_stream_fill(s->io, deadline);
}

/* A reply as the client shall see it: nothing that could begin a line of its own, no control characters. */
static void neutralise(char *p)
{
	for (; *p; p++)
		if (((unsigned char)*p < 32 && *p != '\n') || *p == 127)
			*p = '?';
}

static size_t dsn_length(const char *text)
{
	const char *p = text;

	if ((*p != '2' && *p != '4' && *p != '5') || p[1] != '.')
		return 0;
	for (p += 2; isdigit((unsigned char)*p); p++)
		;
	if (*p++ != '.' || !isdigit((unsigned char)*p))
		return 0;
	while (isdigit((unsigned char)*p))
		p++;
	return *p == ' ' || *p == '\0' ? (size_t)(p - text) : 0;
}

/* $recipient is the last one that was accepted, as in Postfix. */
static const char *footer_text(struct ph_session *s, const char *tmpl)
{
	const char *now = s->recipient, *text;

	s->recipient = s->t && s->t->n_rcpts ? s->t->rcpts[s->t->n_rcpts - 1] : NULL;
	text = ph_smtpd_expand(s, ph_session_arena(s), tmpl, NULL, 0);
	s->recipient = now;
	return text;
}

/* "\c" in front: the footer goes on in the reply's last line; else each of its lines is a line of the reply, with the same codes. */
void ph_smtpd_footer(struct ph_session *s, struct ph_maps *maps, const char *tmpl, struct ph_buf *b)
{
	struct ph_arena *a = ph_session_arena(s);
	const char *value, *text, *p, *nl;
	char prefix[24];
	size_t n;

	if (!ph_maps_empty(maps) && ph_maps_find(maps, ph_buf_str(b), false, a, &value, NULL) == PH_LOOKUP_FOUND)
		tmpl = value;
	if (!*tmpl)
		return;
	text = footer_text(s, tmpl);
	n = dsn_length(b->data + 4);
	snprintf(prefix, sizeof(prefix), "%.*s", (int)(4 + (n ? n + 1 : 0)), b->data);
	p = text;
	if (p[0] == '\\' && p[1] == 'c') {
		p += 2;
	} else {
		ph_buf_putc(b, '\n');
		ph_buf_puts(b, prefix + 4);
	}
	while ((nl = strstr(p, "\\n"))) {
		ph_buf_append(b, p, (size_t)(nl - p));
		ph_buf_putc(b, '\n');
		ph_buf_puts(b, prefix + 4);
		p = nl + 2;
	}
	ph_buf_puts(b, p);
}

/* Text "250 a\nb" leaves as "250-a", "250 b"; an enhanced code in the first line is repeated in those without one. */
static int send_lines(struct ph_session *s, const char *text, size_t n)
{
	size_t dsn_n = dsn_length(text + 4);
	int64_t deadline = ph_now_ms() + s->set->timeout_ms;
	const char *p = text + 4, *end = text + n, *nl;
	char code[4] = { text[0], text[1], text[2], '-' };
	struct ph_slice dsn, line;
	int r;

	for (;;) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			code[3] = ' ';
		dsn = (struct ph_slice){ text + 4, dsn_n && p > text + 4 && !dsn_length(p) ? dsn_n + 1 : 0 };
		line = (struct ph_slice){ p, (size_t)((nl ? nl : end) - p) };
		r = ph_stream_write(s->io, code, 4, deadline);
		if (r == 0)
			r = ph_stream_write(s->io, dsn.p, dsn.n, deadline);
		if (r == 0)
			r = ph_stream_write(s->io, line.p, line.n, deadline);
		ph_smtpd_history_out(s, code, dsn, line);
		if (r == 0)
			r = ph_stream_write(s->io, "\r\n", 2, deadline);
		if (r < 0 || !nl)
			return r;
		p = nl + 1;
	}
}

int ph_smtpd_reply(struct ph_session *s, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(8 * 1024);
	va_list ap;
	int r;

	if (s->hangup)
		return -EPROTO;
	va_start(ap, fmt);
	if (ph_buf_vprintf(&b, fmt, ap) < 0)
		ph_buf_puts(&b, "451 4.3.0 Error: reply too long");
	va_end(ap);
	ph_assert(b.len >= 4);
	neutralise(b.data);
	if (b.data[0] == '4' || b.data[0] == '5') {
		ph_smtpd_history_error(s, b.data);
		ph_smtpd_reject_filter(s, &b);
		neutralise(b.data);
		if (s->set->soft_bounce && b.data[0] == '5') {
			b.data[0] = '4';
			if (dsn_length(b.data + 4))
				b.data[4] = '4';
		}
		ph_smtpd_footer(s, s->svc->footer_maps, s->set->reject_footer, &b);
		neutralise(b.data);
		if (strncmp(b.data, "421", 3) == 0 || strncmp(b.data, "521", 3) == 0)
			s->closing = true;
	}
	if (ph_log_debug_on())
		ph_log(PH_LOG_DEBUG, "> %s: %s", s->namaddr, b.data);
	r = 0;
	if (s->errors >= s->set->soft_error_limit && s->set->error_sleep_ms > 0)
		r = ph_co_sleep(s->set->error_sleep_ms);
	if (r == 0)
		r = send_lines(s, b.data, b.len);
	ph_buf_done(&b);
	return r;
}
