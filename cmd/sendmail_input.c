/* sendmail_input.c: the message of sendmail(1), from standard input into the submission, in pieces of bounded size.
 *
 * The envelope is written before the content: with -t the header section is kept until its recipients are known.  Blocks. */
#include "cmd/sendmail.h"
#include "base/log.h"
#include "route/token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_MAX (4 * 1024 * 1024)
#define PIECE_BYTES 65536
#define RCPTS_MAX 1000000

/* ---- lines ---- */

struct lines {
	char buf[PIECE_BYTES];
	size_t at, len;
	bool eof;
};

/* The next line without its end, or a piece of one that is longer than the buffer (*ended false).  false: that was all. */
static bool next_piece(struct lines *l, const char **ret, size_t *n, bool *ended)
{
	const char *lf;
	ssize_t got;

	for (;;) {
		lf = memchr(l->buf + l->at, '\n', l->len - l->at);
		if (lf || l->eof || l->len - l->at == sizeof l->buf)
			break;
		memmove(l->buf, l->buf + l->at, l->len - l->at);
		l->len -= l->at;
		l->at = 0;
		got = read(STDIN_FILENO, l->buf + l->len, sizeof l->buf - l->len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			ph_sm_fatal("standard input: %s", strerrordesc_np(errno));
		l->eof = got == 0;
		l->len += (size_t)got;
	}
	*ret = l->buf + l->at;
	*n = lf ? (size_t)(lf - *ret) : l->len - l->at;
	*ended = lf != NULL;
	/* A CR at the end of a piece may belong to a CR LF: it comes with the next one. */
	if (!lf && !l->eof && *n > 1 && (*ret)[*n - 1] == '\r')
		--*n;
	l->at += *n + (lf != NULL);
	return *n > 0 || lf;
}

/* ---- the header section ---- */

struct input {
	struct ph_sendmail *m;
	struct ph_buf head;             /* the header section, until it is complete */
	struct ph_buf logical;          /* the header being collected */
	const char **resent;            /* recipients of Resent-*: they replace the others */
	size_t n_resent, n_given;       /* n_given: recipients of the command line */
	bool in_head, continued, any;
};

static const char *add_recipient(void *arg, const char *address)
{
	struct input *in = arg;

	ph_submit_rcpt(&in->m->s, in->m->arena, address);
	return NULL;
}

static const char *add_resent(void *arg, const char *address)
{
	struct input *in = arg;

	if ((in->n_resent & (in->n_resent - 1)) == 0)
		in->resent = ph_realloc(in->resent, (in->n_resent ? 2 * in->n_resent : 1) * sizeof *in->resent);
	in->resent[in->n_resent++] = ph_arena_strdup(in->m->arena, address);
	return NULL;
}

/* To, Cc, Bcc, with or without "Resent-". */
static bool is_recipient_header(const char *line, size_t n, bool *resent, const char **ret_value)
{
	static const char *const names[] = { "to", "cc", "bcc" };
	const char *colon = memchr(line, ':', n);
	size_t len = colon ? (size_t)(colon - line) : 0;

	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	*resent = len > 7 && strncasecmp(line, "resent-", 7) == 0;
	if (*resent) {
		line += 7;
		len -= 7;
	}
	for (size_t i = 0; colon && i < PH_ARRAY_LEN(names); i++) {
		if (strlen(names[i]) == len && strncasecmp(line, names[i], len) == 0) {
			*ret_value = colon + 1;
			return true;
		}
	}
	return false;
}

static void header_done(struct input *in)
{
	struct ph_buf *b = &in->logical;
	const char *value;
	bool resent;

	if (b->len > 0 && in->m->from_headers && is_recipient_header(b->data, b->len, &resent, &value))
		ph_addrlist_each(value, (size_t)(b->data + b->len - value), RCPTS_MAX, in->m->arena, resent ? add_resent : add_recipient, in);
	ph_buf_clear(b);
}

static void put(struct input *in, const char *p, size_t n)
{
	struct ph_submit *s = &in->m->s;
	int rc = ph_submit_content(s, p, n);

	if (rc == 0)
		return;
	if (rc == -EFBIG) {
		/* As if postdrop had run into its limit; with it the reader of the log finds what happened. */
		ph_log_as("postdrop", PH_LOG_WARNING, "uid=%ld: File too large", (long)getuid());
		ph_log(PH_LOG_WARNING, "mail_stream_cleanup: close error");
	}
	ph_submit_abort(s);
	ph_sm_fatal_message(in->m, s->err.text);
}

static void begin_content(struct input *in)
{
	struct ph_submit *s = &in->m->s;

	header_done(in);
	in->in_head = false;
	if (in->n_resent) {
		s->n_rcpts = in->n_given;
		for (size_t i = 0; i < in->n_resent; i++)
			ph_submit_rcpt(s, in->m->arena, in->resent[i]);
	}
	if (s->n_rcpts == 0)
		ph_sm_fatal_message(in->m, "No recipient addresses found in message header");
	if (ph_submit_open(s) < 0 || ph_submit_envelope(s) < 0) {
		ph_submit_abort(s);
		ph_sm_fatal_message(in->m, s->err.text);
	}
	put(in, in->head.data, in->head.len);
}

/* Is this line part of the header section?  "name:", or a fold. */
static bool header_line(const struct input *in, const char *line, size_t n)
{
	size_t i = 0;

	if (n == 0)
		return false;
	if (line[0] == ' ' || line[0] == '\t')
		return in->any;
	while (i < n && line[i] > ' ' && line[i] < 127 && line[i] != ':')
		i++;
	while (i < n && (line[i] == ' ' || line[i] == '\t'))
		i++;
	return i > 0 && i < n && line[i] == ':';
}

/* true: the piece was of the header section. */
static bool take_header(struct input *in, const char *line, size_t n, bool ended)
{
	bool header = in->continued || header_line(in, line, n);

	if (!header || in->head.len + n > HEADER_MAX) {
		begin_content(in);
		return false;
	}
	if (!in->continued && line[0] != ' ' && line[0] != '\t')
		header_done(in);
	ph_buf_append(&in->logical, line, n);
	ph_buf_append(&in->head, line, n);
	ph_buf_puts(&in->head, ended ? "\n" : "");
	in->any = true;
	return true;
}

static void take_line(struct input *in, const char *line, size_t n, bool ended)
{
	if (!in->in_head || !take_header(in, line, n, ended)) {
		put(in, line, n);
		if (ended)
			put(in, "\n", 1);
	}
	in->continued = !ended;
}

/* ---- the whole ---- */

/* mbox's separators in front of the headers: not part of the message. */
static bool is_from_line(const char *line, size_t n)
{
	while (n > 0 && *line == '>') {
		line++;
		n--;
	}
	return n >= 5 && memcmp(line, "From ", 5) == 0;
}

static void read_lines(struct input *in)
{
	struct lines *l = ph_alloc(sizeof *l);
	const char *endings = in->m->set.line_endings, *line;
	bool ended, first = true, top = true, skipping = false, strip = strcmp(endings, "always") == 0;
	size_t n;

	while (next_piece(l, &line, &n, &ended)) {
		bool continues = in->continued || skipping;

		if (first && strcmp(endings, "strict") == 0)
			strip = ended && n > 0 && line[n - 1] == '\r';
		first = false;
		if (ended && strip && n > 0 && line[n - 1] == '\r')
			n--;
		if (in->m->dot_ends && !continues && (ended || l->eof) && n == 1 && line[0] == '.')
			break;
		if (top && (skipping || is_from_line(line, n))) {
			skipping = !ended;
			continue;
		}
		top = false;
		take_line(in, line, n, ended || l->eof);
	}
	free(l);
}

void ph_sm_read_message(struct ph_sendmail *m)
{
	struct input in = { .m = m, .head = PH_BUF_INIT(HEADER_MAX + 2 * PIECE_BYTES), .logical = PH_BUF_INIT(HEADER_MAX + 2 * PIECE_BYTES), .in_head = true,
		.n_given = m->s.n_rcpts };

	read_lines(&in);
	if (in.in_head)
		begin_content(&in);
	free(in.resent);
	ph_buf_done(&in.head);
	ph_buf_done(&in.logical);
}

void ph_sm_write_probe(struct ph_sendmail *m)
{
	struct input in = { .m = m };
	struct ph_buf b = PH_BUF_INIT(HEADER_MAX);

	ph_buf_printf(&b, "From: %s\nSubject: probe\nTo:", m->sender_text);
	for (size_t i = 0; i < m->s.n_rcpts; i++)
		ph_buf_printf(&b, "%s\t%s", i ? ",\n" : "", m->s.rcpts[i]);
	ph_buf_puts(&b, "\n\n");
	begin_content(&in);
	put(&in, b.data, b.len);
	ph_buf_done(&b);
}
