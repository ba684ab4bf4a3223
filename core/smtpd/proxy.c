/* proxy.c: a session's mail goes through a before-queue filter.  See proxy.h.  Yields.
 *
 * State: struct ph_smtpd_proxy of the transaction.  With speed_adjust the message is collected first (in memory, beyond HELD_MAX in a file without a name) and the
 * whole dialogue follows at the end, so that a filter never waits for a slow client.
 * To the filter go CR LF line ends and no other CR or LF: two servers could see different ends of a message in them.  Source: SMTPD_PROXY_README. */
#include "smtpd/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <posthouse/co.h>
#include <string.h>
#include <unistd.h>

#define HELD_MAX (256 * 1024)
#define XFORWARD_LINE_MAX 512
#define XFORWARD_VALUE_MAX 255

struct ph_smtpd_proxy {
	struct ph_proxy_client c;
	const char *mail;               /* the client's MAIL line */
	struct rcpt { struct rcpt *next; const char *line; } *rcpts, **rcpts_tail;      /* speed_adjust */
	bool speed_adjust, tried, logged;
	bool failed;                    /* nothing more is sent */
	bool too_large;
	bool in_line, leading;          /* the last piece had no end; only mbox separators so far */
	int64_t bytes;
	struct ph_buf held;             /* speed_adjust: the content as it will be sent */
	int fd;                         /* where the rest of it is; -1 */
};

static const char broken[] = "451 4.3.0 Error: queue file write error";

bool ph_smtpd_proxied(const struct ph_session *s)
{
	return *s->set->proxy_filter && !s->svc->standalone;
}

/* The client's words, one blank for what parts them, without control characters.  A filter does not know REQUIRETLS: it gets a header instead. */
static const char *line_text(struct ph_session *s, const struct ph_smtpd_cmdline *c)
{
	const struct ph_slice last = c->w[c->n - 1].text;
	char *line = ph_arena_alloc(s->t->arena, (size_t)(last.p + last.n - c->w[0].text.p) + 1), *to = line;

	for (size_t i = 0; i < c->n; i++) {
		const struct ph_slice w = c->w[i].text;

		if (i >= 3 && s->t->requiretls && ph_smtpd_slice_ieq(w, "REQUIRETLS"))
			continue;
		if (i && w.p > c->w[i - 1].text.p + c->w[i - 1].text.n)        /* "TO:" and "<...>" are two words */
			*to++ = ' ';
		for (size_t k = 0; k < w.n; k++)
			*to++ = (unsigned char)w.p[k] < 32 || w.p[k] == 127 ? '?' : w.p[k];
	}
	return line;
}

void ph_smtpd_proxy_mail(struct ph_session *s, const struct ph_smtpd_cmdline *c)
{
	struct ph_smtpd_proxy *p = ph_arena_alloc(s->t->arena, sizeof *p);

	p->c.arena = s->t->arena;
	p->c.timeout_ms = s->set->proxy_timeout_ms;
	p->mail = line_text(s, c);
	p->rcpts_tail = &p->rcpts;
	p->speed_adjust = strstr(s->set->proxy_options, "speed_adjust") != NULL;
	p->leading = true;
	p->fd = -1;
	ph_buf_init(&p->held, HELD_MAX);
	s->t->proxy = p;
}

/* ---- XFORWARD ---- */

struct xforward { struct ph_smtpd_proxy *p; struct ph_buf line; int rc; };

static void xforward_send(struct xforward *x)
{
	if (x->line.len && x->rc >= 0)
		x->rc = ph_proxy_expect(&x->p->c, '2', ph_arena_printf(x->p->c.arena, "XFORWARD%s", ph_buf_str(&x->line)));
	ph_buf_clear(&x->line);
}

static void xforward_put(struct xforward *x, unsigned bit, const char *name, const char *value)
{
	struct ph_buf b = PH_BUF_INIT(4 * XFORWARD_VALUE_MAX);
	size_t n = 0;

	if (!(x->p->c.xforward & bit))
		return;
	ph_buf_printf(&b, " %s=", name);
	if (!value || !*value || strcmp(value, "unknown") == 0) {
		ph_buf_puts(&b, "[UNAVAILABLE]");
	} else {
		for (const unsigned char *v = (const unsigned char *)value; *v && n < XFORWARD_VALUE_MAX; v++, n++)
			if (*v <= 32 || *v > 126 || *v == '+' || *v == '=')
				ph_buf_printf(&b, "+%02X", *v);
			else
				ph_buf_putc(&b, *v);
	}
	if (x->line.len + b.len + sizeof "XFORWARD\r\n" > XFORWARD_LINE_MAX)
		xforward_send(x);
	ph_buf_append(&x->line, b.data, b.len);
	ph_buf_done(&b);
}

static int xforward(struct ph_session *s, struct ph_smtpd_proxy *p)
{
	struct xforward x = { p, PH_BUF_INIT(2048), 0 };
	const struct ph_smtpd_xforward *f = s->xforward;
	const char *addr = f ? f->addr : s->addr, *port = f ? f->port : ph_arena_printf(p->c.arena, "%d", s->port);

	if (addr && strchr(addr, ':'))
		addr = ph_arena_printf(p->c.arena, "IPV6:%s", addr);
	xforward_put(&x, PH_XF_NAME, "NAME", f ? f->name : s->name);
	xforward_put(&x, PH_XF_ADDR, "ADDR", addr);
	xforward_put(&x, PH_XF_PORT, "PORT", port);
	xforward_put(&x, PH_XF_HELO, "HELO", f ? f->helo : s->helo);
	xforward_put(&x, PH_XF_IDENT, "IDENT", f ? f->ident : NULL);
	xforward_put(&x, PH_XF_PROTO, "PROTO", f ? f->proto : s->proto);
	xforward_put(&x, PH_XF_SOURCE, "SOURCE", ph_smtpd_rewrite_local(s) ? "LOCAL" : "REMOTE");
	xforward_send(&x);
	ph_buf_done(&x.line);
	return x.rc < 0 ? x.rc : 0;
}

/* ---- the envelope ---- */

/* A reply of the filter's that is no success, for our client. */
static const char *passed_back(const struct ph_smtpd_proxy *p, int code)
{
	return code >= 400 ? p->c.reply : broken;
}

/* Connect, greet, XFORWARD, MAIL.  NULL or the reply for the client. */
static const char *open_filter(struct ph_session *s, struct ph_smtpd_proxy *p)
{
	int code;

	if (p->tried && !p->c.io)
		return broken;
	if (p->tried)
		return NULL;
	p->tried = true;
	if (ph_proxy_connect(&p->c, s->set->proxy_filter, ph_conf_get(s->svc->conf, "queue_directory")) < 0 ||
	    ph_proxy_hello(&p->c, s->set->proxy_ehlo) < 0 || xforward(s, p) < 0) {
		ph_proxy_quit(&p->c);
		return broken;
	}
	code = ph_proxy_expect(&p->c, '2', p->mail);
	if (code / 100 == 2)
		return NULL;
	if (code >= 0)
		ph_proxy_quit(&p->c);
	p->tried = code < 0;            /* the next recipient gets the filter's own words again */
	return passed_back(p, code);
}

static const char *send_rcpt(struct ph_smtpd_proxy *p, const char *line)
{
	int code = ph_proxy_expect(&p->c, '2', line);

	return code / 100 == 2 ? NULL : passed_back(p, code);
}

const char *ph_smtpd_proxy_rcpt(struct ph_session *s, const struct ph_smtpd_cmdline *c)
{
	struct ph_smtpd_proxy *p = s->t->proxy;
	const char *line = line_text(s, c), *refused;

	refused = p->speed_adjust ? NULL : open_filter(s, p);
	if (refused)
		return refused;
	if (!p->logged)
		ph_log(PH_LOG_INFO, "NOQUEUE: client=%s", s->namaddr);
	p->logged = true;
	if (p->speed_adjust) {
		*p->rcpts_tail = ph_arena_alloc(s->t->arena, sizeof(struct rcpt));
		(*p->rcpts_tail)->line = line;
		p->rcpts_tail = &(*p->rcpts_tail)->next;
		return NULL;
	}
	return send_rcpt(p, line);
}

const char *ph_smtpd_proxy_data(struct ph_session *s)
{
	struct ph_smtpd_proxy *p = s->t->proxy;
	int code;

	if (p->speed_adjust)
		return NULL;
	if (!p->c.io)
		return broken;
	code = ph_proxy_expect(&p->c, '3', "DATA");
	return code / 100 == 3 ? NULL : passed_back(p, code);
}

/* ---- the content ---- */

static int spill(struct ph_session *s, struct ph_smtpd_proxy *p)
{
	const char *data = p->held.data;
	size_t n = p->held.len;

	if (p->fd < 0)
		p->fd = open(ph_arena_printf(p->c.arena, "%s/incoming", ph_conf_get(s->svc->conf, "queue_directory")), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (p->fd < 0)
		return -errno;
	while (n > 0) {
		ssize_t done = write(p->fd, data, n);

		if (done < 0 && errno != EINTR)
			return -errno;
		data += done > 0 ? done : 0;
		n -= done > 0 ? (size_t)done : 0;
	}
	ph_buf_clear(&p->held);
	return 0;
}

static void put(struct ph_session *s, const char *data, size_t n)
{
	struct ph_smtpd_proxy *p = s->t->proxy;
	int rc = 0;

	if (p->failed || n == 0)
		return;
	p->bytes += (int64_t)n;
	p->too_large = s->set->message_size_limit > 0 && p->bytes > s->set->message_size_limit;
	if (p->too_large) {
		p->failed = true;
		return;
	}
	if (!p->speed_adjust) {
		rc = ph_proxy_write(&p->c, data, n);
	} else {
		if (p->held.len + n > HELD_MAX)
			rc = spill(s, p);
		if (rc < 0)
			ph_log(PH_LOG_WARNING, "cannot keep a message for proxy %s: %s", s->set->proxy_filter, strerror(-rc));
		for (; rc == 0 && n > HELD_MAX; n -= HELD_MAX, data += HELD_MAX) {
			ph_buf_append(&p->held, data, HELD_MAX);
			rc = spill(s, p);
		}
		if (rc == 0)
			rc = ph_buf_append(&p->held, data, n);
	}
	p->failed = rc < 0;
}

/* A piece of a line: a CR in it is a blank. */
static void put_piece(struct ph_session *s, const char *data, size_t n)
{
	const char *cr;

	while ((cr = memchr(data, '\r', n))) {
		size_t before = (size_t)(cr - data);

		put(s, data, before);
		put(s, " ", 1);
		data += before + 1;
		n -= before + 1;
	}
	put(s, data, n);
}

static bool mbox_separator(const char *line, size_t n)
{
	while (n && *line == '>') {
		line++;
		n--;
	}
	return n >= 5 && memcmp(line, "From ", 5) == 0;
}

void ph_smtpd_proxy_line(struct ph_session *s, const char *line, size_t n, bool cont)
{
	struct ph_smtpd_proxy *p = s->t->proxy;

	if (!p->in_line && p->leading) {
		p->leading = mbox_separator(line, n);
		if (p->leading)
			put(s, "X-Mailbox-Line: ", 16);
	}
	if (!p->in_line && n && *line == '.')
		put(s, ".", 1);
	put_piece(s, line, n);
	if (!cont)
		put(s, "\r\n", 2);
	p->in_line = cont;
}

void ph_smtpd_proxy_header(struct ph_session *s, const char *text)
{
	bool leading = s->t->proxy->leading;
	const char *nl;

	s->t->proxy->leading = false;
	for (; (nl = strchr(text, '\n')); text = nl + 1)
		ph_smtpd_proxy_line(s, text, (size_t)(nl - text), false);
	ph_smtpd_proxy_line(s, text, strlen(text), false);
	s->t->proxy->leading = leading;
}

/* ---- the end ---- */

static int send_held(struct ph_smtpd_proxy *p)
{
	char buf[16384];
	ssize_t n = 0;
	off_t at = 0;
	int rc = 0;

	while (rc == 0 && p->fd >= 0 && (n = pread(p->fd, buf, sizeof buf, at)) > 0) {
		rc = ph_proxy_write(&p->c, buf, (size_t)n);
		at += n;
	}
	if (n < 0)
		return -EIO;
	return rc < 0 ? rc : ph_proxy_write(&p->c, p->held.data, p->held.len);
}

/* speed_adjust: all of the dialogue but the final dot.  NULL or the reply. */
static const char *replay(struct ph_session *s, struct ph_smtpd_proxy *p)
{
	const char *refused = open_filter(s, p);
	int code;

	for (struct rcpt *r = p->rcpts; r && !refused; r = r->next)
		refused = send_rcpt(p, r->line);
	if (refused)
		return refused;
	code = ph_proxy_expect(&p->c, '3', "DATA");
	if (code / 100 != 3)
		return passed_back(p, code);
	return send_held(p) < 0 ? broken : NULL;
}

static const char *finish(struct ph_session *s, struct ph_smtpd_proxy *p)
{
	const char *refused = NULL;
	int code;

	if (p->too_large) {
		ph_stream_close(&p->c.io);      /* no dot: the filter must not take what it has */
		return "552 5.3.4 Error: message file too big";
	}
	if (p->failed)
		return broken;
	if (p->speed_adjust)
		refused = replay(s, p);
	if (refused)
		return refused;
	code = ph_proxy_command(&p->c, ".");
	return code / 100 == 2 ? p->c.reply : passed_back(p, code);
}

const char *ph_smtpd_proxy_end(struct ph_session *s)
{
	struct ph_smtpd_proxy *p = s->t->proxy;
	const char *reply = finish(s, p);

	s->recipient = s->t->n_rcpts ? s->t->rcpts[0] : NULL;
	ph_smtpd_log_proxy(s, reply[0] == '2' ? "proxy-accept" : "proxy-reject", reply);
	if (p->failed && p->c.io)
		ph_stream_close(&p->c.io);
	return reply;
}

void ph_smtpd_proxy_close(struct ph_session *s)
{
	struct ph_smtpd_proxy *p = s->t->proxy;

	if (!p)
		return;
	/* In the middle of the content QUIT would be a line of it. */
	if (p->bytes > 0 && s->stage != PH_STAGE_EOD)
		ph_stream_close(&p->c.io);
	ph_proxy_quit(&p->c);
	if (p->fd >= 0)
		close(p->fd);
	ph_buf_done(&p->held);
	s->t->proxy = NULL;
}
