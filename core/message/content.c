/* content.c: the lines of a message, from the wire to the store.
 *
 * Owns nothing beyond struct ph_intake.  Lines of a plain body go straight to the store's buffer; header lines are collected into logical
 * lines (bounded by header_size_limit, the rest is dropped).  May yield where the store or a check does.  RFC 5322 section 2.2.3, RFC 2046. */
#include "message/cleanup.h"
#include "message/filter_mail.h"
#include "message/qp.h"
#include "message/received.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DETAIL_MAX 100          /* bytes of what is wrong that a log line shows */
#define CONTENT_MAX 200         /* bytes of a line that is refused, likewise */

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

/* A header that became too long ends at the limit.  A line that would keep little of itself goes as a whole, as in Postfix. */
int ph_content_out_header(struct ph_intake *in, const char *p, size_t n)
{
	const char *start = p, *end = p + n;
	size_t limit = (size_t)in->c->s.header_limit;
	int r = 0;

	while (r == 0) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t at = (size_t)(p - start), len = (size_t)((nl ? nl : end) - p);
		bool cut = at + len > limit;

		if (cut)
			len = at < limit ? limit - at : 0;
		if (cut && at > 0 && len < limit / 10)
			break;
		if (at > 0 && *p != ' ' && *p != '\t')  /* a fold of our own writing */
			r = ph_content_out(in, "\t", 1);
		if (r == 0)
			r = ph_content_out_line(in, p, len);
		if (cut || !nl)
			break;
		p = nl + 1;
	}
	return r;
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
	if (in->c->checks && !(in->p.flags & PH_INTAKE_NO_CHECKS) && !in->refused)
		return ph_checks_header(in, line, n);
	return in->mime.state == PH_MIME_PRIMARY ? ph_cleanup_header(in, line, n) : ph_content_out_header(in, line, n);
}

/* force_mime_input_conversion: how is the entity whose headers are being read declared instead?  NULL: it stays as it is. */
static const char *new_encoding(const struct ph_intake *in)
{
	return in->c->s.force_7bit ? ph_mime_new_encoding(&in->mime) : NULL;
}

/* Its declaration was left out: here is the new one.  *ret: the encoding, or NULL. */
static int declare_encoding(struct ph_intake *in, const char **ret)
{
	const char *encoding = in->encoding_dropped ? new_encoding(in) : NULL;
	char line[64];

	*ret = encoding;
	in->encoding_dropped = false;
	if (!encoding)
		return 0;
	in->qp = strcmp(encoding, "quoted-printable") == 0;
	return take_header(in, line, (size_t)snprintf(line, sizeof(line), "Content-Transfer-Encoding: %s", encoding));
}

/* What strict_* settings say about an error in the structure; NULL: it does not matter here. */
static const char *mime_complaint(const struct ph_intake *in, unsigned error)
{
	const struct ph_cleanup_settings *s = &in->c->s;

	switch (error) {
	case PH_MIME_E_8BIT_IN_HEADER:
		return s->strict_7bit_hdr || s->strict_8bitmime ? "improper use of 8-bit data in message header" : NULL;
	case PH_MIME_E_8BIT_IN_7BIT:
		return s->strict_8bit_body || s->strict_8bitmime ? "improper use of 8-bit data in message body" : NULL;
	case PH_MIME_E_ENCODING:
		return s->strict_domain ? "invalid message/* or multipart/* encoding domain" : NULL;
	case PH_MIME_E_NESTING:
		return "MIME nesting exceeds safety limit";
	default:
		return NULL;
	}
}

/* The structure is wrong, with detail.  The first such error counts; it is told at once, and the message is refused at its end. */
static void refuse_mime(struct ph_intake *in, const char *text, const char *detail, size_t n)
{
	const char *to = "";

	if (in->mime_text || in->lost || in->refused || (in->p.flags & PH_INTAKE_BOUNCE))
		return;
	in->mime_text = text;
	if (in->n_rcpts)
		to = ph_mail_clean_recipient(ph_mail_of(in), in->n_rcpts - 1);
	ph_log_as("cleanup", PH_LOG_INFO, "%s: reject: mime-error %s: %s from %s; from=<%s> to=<%s>", in->queue_id, text,
		  ph_str_printable(in->arena, detail, n < DETAIL_MAX ? n : DETAIL_MAX, true), in->p.origin ? in->p.origin : "local",
		  ph_mail_clean_sender(ph_mail_of(in)), to);
}

static void mime_error(struct ph_intake *in, unsigned error, const char *detail, size_t n)
{
	const char *text = in->mime_told & error ? NULL : mime_complaint(in, error);

	in->mime_told |= error;
	if (text)
		refuse_mime(in, text, detail, n);
}

/* A logical header line is complete. */
static int flush_header(struct ph_intake *in)
{
	size_t name, value;
	int r = 0;

	if (!in->hdr.len)
		return 0;
	name = ph_header_name(in->hdr.data, in->hdr.len);
	normalise_name(&in->hdr, name);
	value = ph_header_value(in->hdr.data, in->hdr.len);
	ph_mime_header(&in->mime, in->hdr.data, name, in->hdr.data + value, in->hdr.len - value);
	if (has_high(in->hdr.data, in->hdr.len) && !(in->env.flags & PH_ENV_SMTPUTF8))
		mime_error(in, PH_MIME_E_8BIT_IN_HEADER, in->hdr.data, in->hdr.len);
	in->utf8_header |= has_high(in->hdr.data, in->hdr.len);
	if (new_encoding(in) && ph_header_find(in->hdr.data, name)->id == PH_HDR_CONTENT_ENCODING)
		in->encoding_dropped = true;
	else
		r = take_header(in, in->hdr.data, in->hdr.len);
	ph_buf_clear(&in->hdr);
	return r;
}

/* The headers of our own, before the first line of the client's. */
static int start(struct ph_intake *in)
{
	int r;

	in->started = true;
	r = ph_cleanup_envelope_begin(in);
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

/* The encoding that the headers declare, where the client said nothing (detect_8bit_encoding_header).  converted: what they say now, or NULL. */
static void note_encoding(struct ph_intake *in, const char *converted)
{
	bool eight = in->mime.encoding == PH_MIME_8BIT || in->mime.encoding == PH_MIME_BINARY;
	bool seven = converted ? !in->qp : in->mime.encoding == PH_MIME_7BIT;

	if (!in->c->s.detect_8bit || !(in->seen & (1ull << PH_HDR_CONTENT_ENCODING)))
		return;
	if (eight && !converted)
		in->env.encoding = "8bit";
	else if (seven && !*in->env.encoding)
		in->env.encoding = "7bit";
}

static int end_headers(struct ph_intake *in)
{
	bool primary = in->mime.state == PH_MIME_PRIMARY, deep = in->mime.n_levels > in->mime.nesting_limit;
	const char *last = deep ? ph_arena_strndup(in->arena, ph_buf_str(&in->hdr), in->hdr.len) : "";
	const char *encoding = NULL;
	int r = flush_header(in);

	if (r == 0)
		r = declare_encoding(in, &encoding);
	if (r == 0 && primary) {
		note_encoding(in, encoding);
		r = ph_cleanup_headers_end(in);
		if (r == 0 && in->c->checks && !(in->p.flags & PH_INTAKE_NO_CHECKS) && !in->refused)
			r = ph_checks_end_of_headers(in);
	}
	ph_mime_headers_end(&in->mime);
	if (in->mime.errors & PH_MIME_E_ENCODING)
		mime_error(in, PH_MIME_E_ENCODING, in->mime.encoding_text, strlen(in->mime.encoding_text));
	if (in->mime.errors & PH_MIME_E_NESTING)
		mime_error(in, PH_MIME_E_NESTING, last, strlen(last));
	in->in_headers = in->mime.state != PH_MIME_BODY;
	return r;
}

static int put_body(struct ph_intake *in, const char *line, size_t n, bool cont)
{
	int r;

	if (in->refused)                /* what is returned are the headers */
		return 0;
	if (in->c->checks && !(in->p.flags & PH_INTAKE_NO_CHECKS) && ph_checks_want_body(in))
		return ph_checks_body(in, line, n, cont);
	r = ph_content_out(in, line, n);
	return r < 0 || cont ? r : ph_content_out(in, "\n", 1);
}

static void put_encoded(void *arg, const char *line, size_t n)
{
	put_body(arg, line, n, false);  /* what fails is in->lost */
}

static int body_line(struct ph_intake *in, const char *line, size_t n, bool cont)
{
	bool whole = !in->partial;
	bool high = has_high(line, n);

	if (high && in->mime.encoding == PH_MIME_7BIT)
		mime_error(in, PH_MIME_E_8BIT_IN_7BIT, line, n);
	if (whole && ph_mime_is_boundary(&in->mime, line, n)) {
		in->in_headers = in->mime.state != PH_MIME_BODY;
		in->qp = false;
	}
	if (!in->qp) {
		in->high_bytes |= high;
		return put_body(in, line, n, cont);
	}
	ph_qp_encode(line, n, cont, put_encoded, in);
	return in->lost;
}

/* Append to the logical header: what begins beyond the limit, or stands behind a NUL, is dropped. */
static void header_append(struct ph_intake *in, const char *lead, const char *p, size_t n)
{
	if (in->hdr.len >= (size_t)in->c->s.header_limit)
		return;
	n = strnlen(p, n);              /* what filters take for the end of a line is its end: nothing hides behind a NUL */
	ph_buf_puts(&in->hdr, lead);
	ph_buf_append(&in->hdr, p, n < PH_HEADER_SLACK - 16 ? n : PH_HEADER_SLACK - 16);
}

/* non_empty_end_of_header_action. */
static int not_terminated(struct ph_intake *in, const char *line, size_t n)
{
	static const char header[] = "MIME-Error: message header was not terminated by empty line";
	int r;

	switch (in->c->end_of_header) {
	case PH_EOH_FIX:
		break;
	case PH_EOH_ADD_HEADER:
		r = flush_header(in);
		return r < 0 ? r : take_header(in, header, sizeof(header) - 1);
	case PH_EOH_REJECT:
		refuse_mime(in, "primary header was terminated with non-empty line", line, n);
		break;
	}
	return 0;
}

static int header_line(struct ph_intake *in, const char *line, size_t n, bool cont)
{
	int r = 0;

	if (in->partial) {
		header_append(in, "", line, n);
		return 0;
	}
	if (n && (line[0] == ' ' || line[0] == '\t') && in->hdr.len) {
		header_append(in, "\n", line, n);
		return 0;
	}
	if (n && ph_header_name(line, n)) {
		r = flush_header(in);
		if (r == 0)
			header_append(in, "", line, n);
		return r;
	}
	if (n && in->mime.state == PH_MIME_PRIMARY)
		r = not_terminated(in, line, n);
	if (r < 0)
		return r;
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

/* message_reject_characters.  As a header check's REJECT: it is told once, and what is returned to a local sender lacks the line. */
static bool disallowed(struct ph_intake *in, const char *line, size_t n)
{
	const struct ph_cleanup *c = in->c;
	size_t i = 0;

	while (i < n && !c->reject[(unsigned char)line[i]])
		i++;
	if (i == n)
		return false;
	ph_mail_log_content(ph_mail_of(in), "reject", ph_str_printable(in->arena, line, n < CONTENT_MAX ? n : CONTENT_MAX, true), "5.7.1 disallowed character");
	ph_intake_fail(in, -EBADMSG, 550, "5.7.1", "disallowed character");
	return true;
}

static const char *strip(struct ph_intake *in, const char *line, size_t *n, bool stray, bool chars, struct ph_buf *copy)
{
	if (ph_buf_reserve(copy, *n + 1) < 0)
		return line;
	for (size_t i = 0; i < *n; i++) {
		unsigned char ch = (unsigned char)line[i];

		if (chars && in->c->strip[ch])
			continue;
		if (stray && (ch == '\r' || ch == '\n'))
			ch = ' ';
		ph_buf_putc(copy, ch);
	}
	*n = copy->len;
	return ph_buf_str(copy);
}

/* message_strip_characters, message_reject_characters, stray CR and LF.  The line, or a changed copy; NULL: it goes no further.
 * Our own notifications are content, as checks see it, only where internal_mail_filter_classes says so. */
static const char *filter_bytes(struct ph_intake *in, const char *line, size_t *n, struct ph_buf *copy)
{
	const struct ph_cleanup *c = in->c;
	bool look = !(in->p.flags & PH_INTAKE_NO_CHECKS) && !in->refused, chars = look && c->has_strip;
	bool stray = c->s.replace_stray && (memchr(line, '\r', *n) || memchr(line, '\n', *n));

	if (look && c->has_reject && disallowed(in, line, *n))
		return NULL;
	return stray || chars ? strip(in, line, n, stray, chars, copy) : line;
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
			header_append(in, "", ph_buf_str(&b), b.len);
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
		return in->lost;
	}
	if (r < 0)
		return r;
	line = filter_bytes(in, line, &n, &copy);
	if (!line)
		return in->lost;
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

/* The end: limits that are looked at when all is known. */
static void check_hops(struct ph_intake *in)
{
	if (in->hops < (unsigned)in->c->s.hop_limit || in->refused)
		return;
	ph_log_as("cleanup", PH_LOG_WARNING, "%s: message rejected: hopcount exceeded", in->queue_id);
	ph_intake_fail(in, -ELOOP, 554, "5.4.0", "Error: too many hops");
	in->partial_content = false;
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
	if (r == 0 && in->mime_text)
		ph_intake_fail(in, -EBADMSG, 550, "5.6.0", in->mime_text);
	if (r == 0 && !in->lost)
		check_hops(in);
	return in->lost;
}
