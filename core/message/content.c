/* content.c: the lines of a message, from the wire to the store.
 *
 * Owns nothing beyond struct ph_intake.  Lines of a plain body go straight to the store's buffer; header lines are collected into logical
 * lines (bounded by header_size_limit, the rest is dropped).  May yield where the store or a check does.  RFC 5322 section 2.2.3, RFC 2046. */
#include "message/cleanup.h"
#include "message/filter_host.h"
#include "message/received.h"

#include <errno.h>
#include <string.h>

int ph_content_out(struct ph_intake *in, const char *p, size_t n)
{
	int r;

	if (in->lost)
		return in->lost;
	r = ph_store_write(in->msg, p, n);
	if (r < 0) {
		if (r == -ENOSPC || r == -EDQUOT)
			ph_intake_fail(in, r, 452, "4.3.1", "Insufficient system storage");
		else
			ph_intake_fail(in, r, 451, "4.3.0", "Error: queue file write error");
	}
	return in->lost;
}

int ph_content_out_line(struct ph_intake *in, const char *p, size_t n)
{
	int r = ph_content_out(in, p, n);

	return r < 0 ? r : ph_content_out(in, "\n", 1);
}

/* Eight bytes at a time: every byte of every body passes here. */
static bool has_high(const char *p, size_t n)
{
	uint64_t all = 0, word;

	for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		all |= word;
	}
	for (; n > 0; p++, n--)
		all |= (unsigned char)*p;
	return all & 0x8080808080808080u;
}

/* "Subject : x": the blank before the colon goes, as in Postfix. */
static void normalise_name(struct ph_buf *h, size_t name)
{
	size_t i = name;

	while (i < h->len && h->data[i] != ':')
		i++;
	if (i > name) {
		memmove(h->data + name, h->data + i, h->len - i + 1);
		h->len -= i - name;
	}
}

/* Checks first, then what clean-up does to primary headers. */
static int take_header(struct ph_intake *in, const char *line, size_t n)
{
	if (in->c->checks && !(in->p.flags & PH_INTAKE_NO_CHECKS))
		return ph_checks_header(in, line, n);
	return in->mime.state == PH_MIME_PRIMARY ? ph_cleanup_header(in, line, n) : ph_content_out_line(in, line, n);
}

/* As Postfix: what a cut leaves of a folded line goes as well when it is less than a tenth of the limit. */
static void drop_fragment(struct ph_intake *in)
{
	const char *nl = memrchr(in->hdr.data, '\n', in->hdr.len);

	if (nl && in->hdr.len - (size_t)(nl + 1 - in->hdr.data) < (size_t)in->c->s.header_limit / 10)
		in->hdr.len = (size_t)(nl - in->hdr.data);
}

/* A logical header line is complete. */
static int flush_header(struct ph_intake *in)
{
	size_t name, value;
	int r;

	if (!in->hdr.len)
		return 0;
	if (in->hdr_cut)
		drop_fragment(in);
	name = ph_header_name(in->hdr.data, in->hdr.len);
	normalise_name(&in->hdr, name);
	value = ph_header_value(in->hdr.data, in->hdr.len);
	ph_mime_header(&in->mime, in->hdr.data, name, in->hdr.data + value, in->hdr.len - value);
	if (has_high(in->hdr.data, in->hdr.len) && !(in->env.flags & PH_ENV_SMTPUTF8))
		in->mime.errors |= PH_MIME_E_8BIT_IN_HEADER;
	r = take_header(in, in->hdr.data, in->hdr.len);
	ph_buf_clear(&in->hdr);
	in->hdr_cut = false;
	return r;
}

/* The headers of our own, before the first line of the client's. */
static int start(struct ph_intake *in)
{
	int r = 0;

	in->started = true;
	if (!in->n_on_top && !(in->p.flags & PH_INTAKE_RECEIVED_DONE))
		ph_intake_prepend(in, ph_received_local(in->p.conf, in->queue_id, -1, in->arena));
	for (size_t i = 0; r == 0 && i < in->n_prepends; i++)
		r = take_header(in, in->prepends[i], strlen(in->prepends[i]));
	in->hide_at = ph_store_bytes(in->msg);
	for (size_t i = 0; r == 0 && i < in->n_on_top; i++)
		r = take_header(in, in->headers_on_top[i], strlen(in->headers_on_top[i]));
	in->hide_bytes = ph_store_bytes(in->msg) - in->hide_at;
	return r;
}

/* The encoding that the headers declare, where the client said nothing (detect_8bit_encoding_header). */
static void note_encoding(struct ph_intake *in)
{
	if (!in->c->s.detect_8bit || !(in->seen & (1ull << PH_HDR_CONTENT_ENCODING)))
		return;
	if (in->mime.encoding == PH_MIME_8BIT || in->mime.encoding == PH_MIME_BINARY)
		in->env.encoding = "8bit";
	else if (in->mime.encoding == PH_MIME_7BIT && !*in->env.encoding)
		in->env.encoding = "7bit";
}

static int end_headers(struct ph_intake *in)
{
	bool primary = in->mime.state == PH_MIME_PRIMARY;
	int r = flush_header(in);

	if (r == 0 && primary) {
		note_encoding(in);
		r = ph_cleanup_headers_end(in);
		if (r == 0 && in->c->checks && !(in->p.flags & PH_INTAKE_NO_CHECKS))
			r = ph_checks_end_of_headers(in);
	}
	ph_mime_headers_end(&in->mime);
	in->in_headers = in->mime.state != PH_MIME_BODY;
	return r;
}

static int body_line(struct ph_intake *in, const char *line, size_t n, bool cont)
{
	bool whole = !in->partial;
	int r;

	if (has_high(line, n)) {
		in->high_bytes = true;
		if (in->mime.domain == PH_MIME_7BIT && in->mime.encoding != PH_MIME_8BIT && in->mime.encoding != PH_MIME_BINARY)
			in->mime.errors |= PH_MIME_E_8BIT_IN_7BIT;
	}
	if (whole && ph_mime_is_boundary(&in->mime, line, n))
		in->in_headers = in->mime.state != PH_MIME_BODY;
	if (in->c->checks && !(in->p.flags & PH_INTAKE_NO_CHECKS) && ph_checks_want_body(in))
		return ph_checks_body(in, line, n, cont);
	r = ph_content_out(in, line, n);
	return r < 0 || cont ? r : ph_content_out(in, "\n", 1);
}

/* Append to the logical header; what is over the limit is dropped. */
static void header_append(struct ph_intake *in, const char *p, size_t n)
{
	size_t room = in->hdr.len < (size_t)in->c->s.header_limit ? (size_t)in->c->s.header_limit - in->hdr.len : 0;

	ph_buf_append(&in->hdr, p, n < room ? n : room);
	in->hdr_cut |= n > room;
}

static int header_line(struct ph_intake *in, const char *line, size_t n, bool cont)
{
	int r = 0;

	if (in->partial) {
		header_append(in, line, n);
		return 0;
	}
	if (n && (line[0] == ' ' || line[0] == '\t') && in->hdr.len) {
		header_append(in, "\n", 1);
		header_append(in, line, n);
		return 0;
	}
	if (n && ph_header_name(line, n)) {
		r = flush_header(in);
		if (r == 0)
			header_append(in, line, n);
		return r;
	}
	/* The end, by an empty line or by text that is no header.  Only the primary headers get an empty line that was not there: parts may be
	 * signed. */
	if (in->mime.state == PH_MIME_PRIMARY) {
		r = end_headers(in);
		if (r == 0)
			r = ph_content_out(in, "\n", 1);
	} else {
		r = end_headers(in);
		if (r == 0 && n == 0)
			r = ph_content_out(in, "\n", 1);
	}
	if (r == 0 && n && !in->in_headers)
		r = body_line(in, line, n, cont);
	else if (r == 0 && n)
		r = header_line(in, line, n, cont);
	return r;
}

/* message_strip_characters, message_reject_characters, stray CR and LF.  The line, or a changed copy. */
static const char *filter_bytes(struct ph_intake *in, const char *line, size_t *n, struct ph_buf *copy)
{
	const struct ph_cleanup *c = in->c;
	bool stray = c->s.replace_stray && (memchr(line, '\r', *n) || memchr(line, '\n', *n));

	if (!stray && !c->has_strip && !c->has_reject)
		return line;
	if (ph_buf_reserve(copy, *n + 1) < 0)
		return line;
	for (size_t i = 0; i < *n; i++) {
		unsigned char ch = (unsigned char)line[i];

		if (c->has_reject && c->reject[ch])
			ph_intake_fail(in, -EBADMSG, 550, "5.7.1", "disallowed character");
		if (c->has_strip && c->strip[ch])
			continue;
		if (stray && (ch == '\r' || ch == '\n'))
			ch = ' ';
		ph_buf_putc(copy, ch);
	}
	*n = copy->len;
	return ph_buf_str(copy);
}

/* mbox separators in front of the headers become headers. */
static int leading_line(struct ph_intake *in, const char *line, size_t n, bool cont, bool *taken)
{
	size_t i = 0;
	int r;

	while (i < n && line[i] == '>')
		i++;
	if (n - i >= 5 && memcmp(line + i, "From ", 5) == 0 && !cont) {
		struct ph_buf b = PH_BUF_INIT(n + 32);

		ph_buf_puts(&b, "X-Mailbox-Line: ");
		ph_buf_append(&b, line, n);
		r = flush_header(in);
		if (r == 0)
			header_append(in, ph_buf_str(&b), b.len);
		ph_buf_done(&b);
		*taken = true;
		return r;
	}
	in->leading = false;
	if (n && (line[0] == ' ' || line[0] == '\t'))           /* no header can begin so: all is body */
		return header_line(in, "", 0, false);
	return 0;
}

int ph_content_line(struct ph_intake *in, const char *line, size_t n, bool cont)
{
	struct ph_buf copy = PH_BUF_INIT(n + 16);
	bool taken = false;
	int r = 0;

	if (!in->started)
		r = start(in);
	if (r == 0 && in->p.size_limit > 0 && ph_store_bytes(in->msg) + (int64_t)n > in->p.size_limit) {
		ph_intake_fail(in, -EFBIG, 552, "5.3.4", "Error: message file too big");
		r = in->lost;
	}
	if (r < 0)
		return r;
	line = filter_bytes(in, line, &n, &copy);
	if (in->leading)
		r = leading_line(in, line, n, cont, &taken);
	if (r == 0 && !taken) {
		if (in->in_headers)
			r = header_line(in, line, n, cont);
		else
			r = body_line(in, line, n, cont);
	}
	in->partial = cont;
	ph_buf_done(&copy);
	return r < 0 ? r : in->lost;
}

static void check_strict(struct ph_intake *in)
{
	const struct ph_cleanup_settings *s = &in->c->s;
	unsigned e = in->mime.errors;
	const char *text = NULL;

	if (!e || (in->p.flags & PH_INTAKE_BOUNCE))
		return;
	if ((e & PH_MIME_E_8BIT_IN_HEADER) && (s->strict_7bit_hdr || s->strict_8bitmime))
		text = "improper use of 8-bit data in message header";
	else if ((e & PH_MIME_E_8BIT_IN_7BIT) && (s->strict_8bit_body || s->strict_8bitmime))
		text = "improper use of 8-bit data in message body";
	else if ((e & PH_MIME_E_ENCODING) && s->strict_domain)
		text = "invalid message/* or multipart/* encoding domain";
	if (!text)
		return;
	ph_log_as("cleanup", PH_LOG_INFO, "%s: reject: mime-error %s from %s; from=<%s> to=<%s>", in->queue_id, text, in->p.origin ? in->p.origin : "local",
		  in->env.sender, in->n_rcpts ? in->rcpts[0].address : "");
	ph_intake_fail(in, -EBADMSG, 550, "5.6.0", text);
}

int ph_content_end(struct ph_intake *in)
{
	int r = 0;

	if (!in->started)
		r = start(in);
	while (r == 0 && in->in_headers)
		r = end_headers(in);
	if (r == 0 && in->partial)
		r = ph_content_out(in, "\n", 1);
	if (r == 0)
		check_strict(in);
	return in->lost;
}
