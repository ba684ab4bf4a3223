/* screen_engine.c: postscreen's own SMTP server: it listens to clients that failed a test, or are still under test, and takes no mail.
 *
 * Owns nothing; the session is the caller's.  Yields.  RFC 5321. */
#include <errno.h>
#include <posthouse/co.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "smtpd/expand.h"
#include "smtpd/screen.h"

#define LINE_MAX_BYTES 2048

struct engine {
	struct ph_screen_client *c;
	struct ph_session *s;
	struct ph_arena *arena;         /* of one command */
	const char *where;              /* the last command, for log lines */
	char *helo, *sender;            /* heap; NULL */
	const char *proto;
	unsigned ehlo_discard;
	int commands;
	int64_t start_ms;
	bool over;
};

/* ---- replies ---- */

static void footer(struct engine *e, struct ph_buf *b)
{
	struct ph_screen *ps = e->c->ps;
	const char *tmpl = ps->set.reject_footer, *value, *text;
	char code[5];

	if (!ph_maps_empty(ps->footer_maps) && ph_maps_find(ps->footer_maps, ph_buf_str(b), false, e->arena, &value, NULL) == PH_LOOKUP_FOUND)
		tmpl = value;
	if (strcmp(tmpl, "$smtpd_reject_footer") == 0)  /* not expanded: other $names in it are the session's */
		tmpl = e->s->set->reject_footer;
	if (!*tmpl)
		return;
	text = ph_smtpd_expand(e->s, e->arena, tmpl, NULL, 0);
	if (strncmp(text, "\\c", 2) == 0) {
		ph_buf_puts(b, text + 2);
		return;
	}
	snprintf(code, sizeof(code), "%.3s ", b->data);
	b->data[3] = '-';
	ph_buf_printf(b, "\r\n%s%s", code, text);
}

PH_PRINTF(2, 3)
static int reply(struct engine *e, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(8192);
	int64_t deadline = ph_now_ms() + e->c->ps->set.command_time_ms;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (r == 0 && (b.data[0] == '4' || b.data[0] == '5'))
		footer(e, &b);
	if (r == 0)
		r = ph_stream_write(e->s->io, b.data, b.len, deadline);
	if (r == 0)
		r = ph_stream_puts(e->s->io, "\r\n", deadline);
	if (r == 0)
		r = ph_stream_flush(e->s->io, deadline);
	ph_buf_done(&b);
	return r;
}

/* The last words. */
#define say_goodbye(e, ...) ((e)->over = true, reply((e), __VA_ARGS__))

/* ---- tests that fail ---- */

/* What the action of test says.  Negative or over: the session ends. */
static int fail(struct engine *e, enum ph_screen_test test, const char *drop)
{
	struct ph_screen_client *c = e->c;

	c->todo[test] = false;
	c->failed = true;
	switch (c->ps->actions[test]) {
	case PH_SCREEN_IGNORE:
		return 0;
	case PH_SCREEN_ENFORCE:
		if (!c->reject)
			c->reject = "550 5.5.1 Protocol error";
		return 0;
	case PH_SCREEN_DROP:
		break;
	}
	return say_goodbye(e, "%s", drop);
}

/* Control characters as escapes, as in Postfix's lines. */
static const char *escaped(struct engine *e, const char *p, size_t n)
{
	struct ph_buf b = PH_BUF_INIT(600);
	const char *text;

	for (size_t i = 0; i < n && i < 100; i++) {
		unsigned char ch = (unsigned char)p[i];

		if (ch == '\r' || ch == '\n' || ch == '\t')
			ph_buf_puts(&b, ch == '\r' ? "\\r" : ch == '\n' ? "\\n" : "\\t");
		else if (ch < 32 || ch >= 127)
			ph_buf_printf(&b, "\\%03o", ch);
		else if (ch == '\\')
			ph_buf_puts(&b, "\\\\");
		else
			ph_buf_putc(&b, ch);
	}
	text = ph_arena_strdup(e->arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return text;
}

static int check_pipelining(struct engine *e, const char *command)
{
	struct ph_slice in = ph_stream_peek(e->s->io);
	char peek[128];
	ssize_t n;

	if (!e->c->todo[PH_SCREEN_PIPELINING])
		return 0;
	if (in.n == 0) {
		if (ph_stream_tls(e->s->io))
			return 0;
		n = recv(ph_stream_fd(e->s->io), peek, sizeof(peek), MSG_PEEK | MSG_DONTWAIT);
		if (n <= 0)
			return 0;
		in = (struct ph_slice){ peek, (size_t)n };
	}
	ph_log(PH_LOG_INFO, "COMMAND PIPELINING from %s after %s: %s", e->c->who, command, escaped(e, in.p, in.n));
	return fail(e, PH_SCREEN_PIPELINING, "521 5.5.1 Protocol error");
}

/* ---- commands ---- */

static void set(char **field, const char *value)
{
	ph_smtpd_set(field, value);
}

static void reset(struct engine *e)
{
	set(&e->sender, NULL);
}

static int helo(struct engine *e, struct ph_smtpd_cmdline *c)
{
	if (c->n < 2)
		return reply(e, "501 Syntax: HELO hostname");
	reset(e);
	set(&e->helo, ph_str_printable(e->arena, c->w[1].text.p, c->w[1].text.n, true));
	e->proto = "SMTP";
	return reply(e, "250 %s", e->s->set->myhostname);
}

static void put_keyword(struct ph_buf *b, const char *word)
{
	ph_buf_printf(b, "250-%s\r\n", word);
}

static int ehlo(struct engine *e, struct ph_smtpd_cmdline *c)
{
	const struct ph_smtpd_settings *set_ = e->s->set;
	struct ph_screen *ps = e->c->ps;
	struct ph_buf b = PH_BUF_INIT(4096);
	unsigned off = e->ehlo_discard;
	size_t last = 0;
	int r;

	if (c->n < 2)
		return reply(e, "501 Syntax: EHLO hostname");
	reset(e);
	set(&e->helo, ph_str_printable(e->arena, c->w[1].text.p, c->w[1].text.n, true));
	e->proto = "ESMTP";
	put_keyword(&b, set_->myhostname);
	if (!(off & PH_EHLO_SIZE)) {
		if (set_->message_size_limit > 0)
			ph_buf_printf(&b, "250-SIZE %lld\r\n", (long long)set_->message_size_limit);
		else
			put_keyword(&b, "SIZE");
	}
	if (!(off & PH_EHLO_VRFY) && !ps->set.disable_vrfy)
		put_keyword(&b, "VRFY");
	if (!(off & PH_EHLO_ETRN))
		put_keyword(&b, "ETRN");
	if (!(off & PH_EHLO_STARTTLS) && ps->tls && !ph_stream_tls(e->s->io))
		put_keyword(&b, "STARTTLS");
	if (!(off & PH_EHLO_ENHANCED))
		put_keyword(&b, "ENHANCEDSTATUSCODES");
	if (!(off & PH_EHLO_8BITMIME))
		put_keyword(&b, "8BITMIME");
	if (!(off & PH_EHLO_DSN))
		put_keyword(&b, "DSN");
	if (!(off & PH_EHLO_SMTPUTF8) && set_->smtputf8_enable)
		put_keyword(&b, "SMTPUTF8");
	if (!(off & PH_EHLO_CHUNKING))
		put_keyword(&b, "CHUNKING");
	b.len -= 2;             /* the last line's end is reply's */
	b.data[b.len] = '\0';
	for (size_t i = 0; i + 2 < b.len; i++)
		if (b.data[i] == '\n')
			last = i + 1;
	b.data[last + 3] = ' ';
	r = reply(e, "%s", ph_buf_str(&b));
	ph_buf_done(&b);
	return r;
}

/* The address of MAIL or RCPT, as it is logged. */
static const char *address(struct engine *e, struct ph_smtpd_cmdline *c)
{
	struct ph_slice w = { "", 0 };
	const char *text;

	if (c->n > 2)
		w = c->w[2].text;
	if (w.n >= 2 && w.p[0] == '<' && w.p[w.n - 1] == '>')
		w = (struct ph_slice){ w.p + 1, w.n - 2 };
	text = ph_str_printable(e->arena, w.p, w.n, true);
	return *text ? ph_address_quote(e->arena, text) : text;
}

static int mail(struct engine *e, struct ph_smtpd_cmdline *c)
{
	if (e->c->ps->set.helo_required && !e->helo)
		return reply(e, "503 5.5.1 Error: send HELO/EHLO first");
	if (e->sender)
		return reply(e, "503 5.5.1 Error: nested MAIL command");
	if (c->n < 2 || !ph_smtpd_slice_ieq(c->w[1].text, "FROM:"))
		return reply(e, "501 5.5.4 Syntax: MAIL FROM:<address>");
	set(&e->sender, address(e, c));
	return reply(e, "250 2.1.0 Ok");
}

/* The client has come so far: that is all that the tests ask of it. */
static void passed(struct engine *e)
{
	struct ph_screen_client *c = e->c;

	if (c->failed)
		return;
	for (int t = PH_SCREEN_PIPELINING; t < PH_SCREEN_TESTS; t++)
		if (c->todo[t])
			c->stamps[t] = ph_wall_us() / 1000000 + c->ps->ttl_ms[t] / 1000;
	ph_log(PH_LOG_INFO, "PASS NEW %s", c->who);
	if (c->ps->cache)
		ph_screen_cache_put(c->ps->cache, c->s->addr, c->stamps);
	memset(c->todo, 0, sizeof(c->todo));
	c->failed = true;       /* said once */
}

static int rcpt(struct engine *e, struct ph_smtpd_cmdline *c)
{
	const char *text = e->c->reject ? e->c->reject : "450 4.3.2 Service currently unavailable";

	if (!e->sender)
		return reply(e, "503 5.5.1 Error: need MAIL command");
	if (c->n < 2 || !ph_smtpd_slice_ieq(c->w[1].text, "TO:"))
		return reply(e, "501 5.5.4 Syntax: RCPT TO:<address>");
	ph_log(PH_LOG_INFO, "NOQUEUE: reject: RCPT from %s: %.400s; from=<%s>, to=<%s>, proto=%s, helo=<%s>", e->c->who, text, e->sender, address(e, c),
	       e->proto, e->helo ? e->helo : "");
	passed(e);
	return reply(e, "%s", text);
}

static int data(struct engine *e, const char *word)
{
	ph_log(PH_LOG_INFO, "%s without valid RCPT from %s", word, e->c->who);
	return say_goodbye(e, "554 5.5.1 Error: %s", e->sender ? "no valid recipients" : "need MAIL command");
}

static int starttls(struct engine *e, struct ph_smtpd_cmdline *c)
{
	struct ph_err err;
	int r;

	if (c->n != 1)
		return reply(e, "501 5.5.4 Syntax: STARTTLS");
	if (ph_stream_tls(e->s->io))
		return reply(e, "554 5.5.1 Error: TLS already active");
	if (!e->c->ps->tls || (e->ehlo_discard & PH_EHLO_STARTTLS))
		return reply(e, "502 5.5.1 Error: command not implemented");
	r = reply(e, "220 2.0.0 Ready to start TLS");
	if (r == 0)
		r = ph_stream_tls_accept(e->s->io, e->s->svc->tls, ph_now_ms() + e->s->set->starttls_timeout_ms, &err);
	reset(e);
	set(&e->helo, NULL);
	return r;
}

static int vrfy(struct engine *e, struct ph_smtpd_cmdline *c)
{
	if (e->c->ps->set.disable_vrfy)
		return reply(e, "502 5.5.1 VRFY command is disabled");
	if (c->n < 2)
		return reply(e, "501 5.5.4 Syntax: VRFY address");
	return reply(e, "%s", e->c->reject ? e->c->reject : "450 4.3.2 Service currently unavailable");
}

static int non_smtp(struct engine *e, const char *verb, const char *rest)
{
	int r;

	ph_log(PH_LOG_INFO, "NON-SMTP COMMAND from %s after %s: %s %.100s", e->c->who, e->where, verb, rest);
	r = fail(e, PH_SCREEN_NON_SMTP, "521 5.7.0 Error: I can break rules, too. Goodbye.");
	if (r < 0 || e->over)
		return r;
	e->where = "UNIMPLEMENTED";
	return reply(e, "502 5.5.2 Error: command not recognized");
}

static int unknown(struct engine *e, struct ph_smtpd_cmdline *c, struct ph_slice line)
{
	struct ph_slice verb = c->w[0].text;
	const char *rest = c->n > 1 ? c->w[1].text.p : "";

	if (ph_smtpd_looks_like_header(verb) || ph_smtpd_word_matches(e->s, &e->c->ps->forbidden, verb))
		return non_smtp(e, ph_str_printable(e->arena, verb.p, verb.n, true),
				ph_str_printable(e->arena, rest, c->n > 1 ? (size_t)(line.p + line.n - rest) : 0, true));
	e->where = "UNIMPLEMENTED";
	return reply(e, "502 5.5.2 Error: command not recognized");
}

enum verb { HELO, EHLO, MAIL, RCPT, DATA, BDAT, RSET, NOOP, VRFY, ETRN, STARTTLS, QUIT, NONE };
static const char *const verbs[] = { "HELO", "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "VRFY", "ETRN", "STARTTLS", "QUIT" };

static enum verb find_verb(struct ph_slice w)
{
	int i = 0;

	while (i < NONE && !ph_smtpd_slice_ieq(w, verbs[i]))
		i++;
	return (enum verb)i;
}

static int carry_out(struct engine *e, struct ph_smtpd_cmdline *c, struct ph_slice line)
{
	enum verb v = find_verb(c->w[0].text);
	int r;

	if (v != NONE) {
		r = check_pipelining(e, verbs[v]);
		if (r < 0 || e->over)
			return r;
		if (e->c->ps->tls && e->c->ps->set.enforce_tls && !ph_stream_tls(e->s->io) && v > EHLO && v != NOOP && v != STARTTLS && v != QUIT)
			return reply(e, "530 5.7.0 Must issue a STARTTLS command first");
		e->where = verbs[v];
	}
	switch (v) {
	case HELO: return helo(e, c);
	case EHLO: return ehlo(e, c);
	case MAIL: return mail(e, c);
	case RCPT: return rcpt(e, c);
	case DATA: return data(e, "DATA");
	case BDAT: return data(e, "BDAT");
	case RSET:
		reset(e);
		return reply(e, "250 2.0.0 Ok");
	case NOOP: return reply(e, "250 2.0.0 Ok");
	case VRFY: return vrfy(e, c);
	case ETRN: return reply(e, "458 Unable to queue messages");
	case STARTTLS: return starttls(e, c);
	case QUIT: return say_goodbye(e, "221 2.0.0 Bye");
	case NONE: break;
	}
	return unknown(e, c, line);
}

/* ---- lines ---- */

static const char *filtered(struct engine *e, const char *text)
{
	struct ph_screen *ps = e->c->ps;
	const char *value;

	if (!ph_maps_empty(ps->command_filter) && ph_maps_find(ps->command_filter, text, false, e->arena, &value, NULL) == PH_LOOKUP_FOUND)
		return value;
	return text;
}

static int bare_lf(struct engine *e, const char *text)
{
	if (!e->c->todo[PH_SCREEN_BARE_LF])
		return 0;
	ph_log(PH_LOG_INFO, "BARE NEWLINE from %s after %.100s", e->c->who, text);
	return fail(e, PH_SCREEN_BARE_LF, "521 5.5.1 Protocol error");
}

static int one_line(struct engine *e, struct ph_slice line)
{
	struct ph_smtpd_cmdline c;
	bool bare = !(line.n && line.p[line.n - 1] == '\r');
	const char *text;
	int r = 0;

	while (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	text = ph_arena_strndup(e->arena, line.p, line.n);
	ph_stream_consume(e->s->io, (size_t)((const char *)memchr(line.p, '\n', LINE_MAX_BYTES + 2) + 1 - line.p));
	if (e->commands++ >= e->c->ps->set.command_count) {
		ph_log(PH_LOG_INFO, "COMMAND COUNT LIMIT from %s after %s", e->c->who, e->where);
		return say_goodbye(e, "421 %s Service unavailable - try again later", e->s->set->myhostname);
	}
	if (bare)
		r = bare_lf(e, ph_str_printable(e->arena, text, strlen(text), true));
	if (r < 0 || e->over)
		return r;
	text = filtered(e, text);
	ph_smtpd_cmdline_split(&c, text, strlen(text));
	if (c.n == 0)
		return reply(e, "500 5.5.2 Error: bad syntax");
	return carry_out(e, &c, (struct ph_slice){ text, strlen(text) });
}

static int read_and_answer(struct engine *e)
{
	int64_t deadline = ph_now_ms() + e->c->ps->set.command_time_ms;
	struct ph_slice in;
	const char *lf;
	ssize_t n;

	for (;;) {
		in = ph_stream_peek(e->s->io);
		lf = in.n ? memchr(in.p, '\n', in.n < LINE_MAX_BYTES + 2 ? in.n : LINE_MAX_BYTES + 2) : NULL;
		if (lf)
			return one_line(e, (struct ph_slice){ in.p, (size_t)(lf - in.p) });
		if (in.n > LINE_MAX_BYTES) {
			ph_log(PH_LOG_INFO, "COMMAND LENGTH LIMIT from %s after %s", e->c->who, e->where);
			return say_goodbye(e, "421 %s Service unavailable - try again later", e->s->set->myhostname);
		}
		n = ph_stream_fill(e->s->io, deadline);
		if (n <= 0)
			return n == 0 ? -ENODATA : (int)n;
	}
}

static void discard_for_client(struct engine *e)
{
	struct ph_screen *ps = e->c->ps;
	const char *value;

	e->ehlo_discard = ps->ehlo_discard;
	if (!ph_maps_empty(ps->ehlo_maps) && ph_maps_find(ps->ehlo_maps, e->s->addr, false, e->arena, &value, NULL) == PH_LOOKUP_FOUND)
		e->ehlo_discard = ph_smtpd_ehlo_mask(value);
}

void ph_screen_engine(struct ph_screen_client *c)
{
	struct engine e = { .c = c, .s = c->s, .arena = ph_arena_new(), .where = "CONNECT", .proto = "SMTP", .start_ms = ph_now_ms() };
	char age[24];
	int r = 0;

	discard_for_client(&e);
	if (!c->pregreeted)
		r = reply(&e, "220 %s", c->s->set->banner);
	while (r == 0 && !e.over) {
		r = read_and_answer(&e);
		ph_arena_reset(e.arena);
	}
	if (r == -ETIMEDOUT) {
		ph_log(PH_LOG_INFO, "COMMAND TIME LIMIT from %s after %s", c->who, e.where);
		reply(&e, "421 4.4.2 %s Error: timeout exceeded", c->s->set->myhostname);
	} else if (r < 0 && !e.over) {
		ph_log(PH_LOG_INFO, "HANGUP after %s from %s in tests after SMTP handshake", ph_screen_age(ph_now_ms() - e.start_ms, age, sizeof(age)), c->who);
	}
	set(&e.helo, NULL);
	set(&e.sender, NULL);
	ph_arena_free(&e.arena);
}
