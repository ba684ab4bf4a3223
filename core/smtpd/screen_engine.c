/* screen_engine.c: postscreen's own SMTP server: it listens to clients that failed a test, or are still under test, and takes no mail.
 * Here: lines, replies and tests; commands are in screen_command.c.
 *
 * Owns nothing; the session is the caller's.  Yields.  RFC 5321. */
#include "smtpd/screen_engine.h"

#include <errno.h>
#include <string.h>

#include "smtpd/screen_text.h"

#define LINE_MAX_BYTES 2048

/* ---- replies ---- */

static int write_lines(struct ph_screen_engine *e, struct ph_buf *b)
{
	int64_t deadline = ph_now_ms() + e->c->ps->set.command_time_ms;
	char *p = b->data, *nl;
	char code[5] = { p[0], p[1], p[2], '-', '\0' };
	int r = 0;

	for (p += 4; r == 0 && p; p = nl) {
		nl = strchr(p, '\n');
		if (nl)
			*nl++ = '\0';
		else
			code[3] = ' ';
		r = ph_stream_printf(e->s->io, deadline, "%s%s\r\n", code, p);
	}
	return r == 0 ? ph_stream_flush(e->s->io, deadline) : r;
}

int ph_screen_reply(struct ph_screen_engine *e, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(8192);
	struct ph_screen *ps = e->c->ps;
	const char *tmpl = ps->set.reject_footer;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	ph_assert(r < 0 || b.len >= 4);
	if (strcmp(tmpl, "$smtpd_reject_footer") == 0)  /* not expanded: other $names in it are the session's */
		tmpl = e->s->set->reject_footer;
	if (r == 0 && (b.data[0] == '4' || b.data[0] == '5'))
		ph_smtpd_footer(e->s, ps->footer_maps, tmpl, &b);
	if (r == 0)
		r = write_lines(e, &b);
	ph_buf_done(&b);
	return r;
}

/* ---- tests ---- */

int ph_screen_fail(struct ph_screen_engine *e, enum ph_screen_test test, const char *drop)
{
	struct ph_screen_client *c = e->c;

	c->todo[test] = false;
	if (c->ps->actions[test] == PH_SCREEN_IGNORE) { /* counts as passed: it is not asked again next time */
		ph_screen_pass(c, test, c->ps->ttl_ms[test]);
		return 0;
	}
	c->failed = true;
	if (c->ps->actions[test] == PH_SCREEN_DROP)
		return ph_screen_goodbye(e, "%s", drop);
	if (!c->reject)
		c->reject = "550 5.5.1 Protocol error";
	return 0;
}

static int bare_lf(struct ph_screen_engine *e, const char *text)
{
	if (!e->c->todo[PH_SCREEN_BARE_LF])
		return 0;
	ph_log(PH_LOG_INFO, "BARE NEWLINE from %s after %.100s", e->c->who, text);
	return ph_screen_fail(e, PH_SCREEN_BARE_LF, "521 5.5.1 Protocol error");
}

/* ---- lines ---- */

static const char *filtered(struct ph_screen_engine *e, const char *text)
{
	struct ph_screen *ps = e->c->ps;
	const char *value;

	if (ph_maps_empty(ps->command_filter) || ph_maps_find(ps->command_filter, text, false, e->arena, &value, NULL) != PH_LOOKUP_FOUND)
		return text;
	ph_log(PH_LOG_INFO, "%s: replacing command \"%.100s\" with \"%.100s\"", e->c->who, ph_str_printable(e->arena, text, strlen(text), true), value);
	return value;
}

static int one_line(struct ph_screen_engine *e, struct ph_slice line)
{
	bool bare = !(line.n && line.p[line.n - 1] == '\r');
	const char *text;
	int r = 0;

	while (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	text = ph_arena_strndup(e->arena, line.p, line.n);
	ph_stream_consume(e->s->io, (size_t)((const char *)memchr(line.p, '\n', LINE_MAX_BYTES + 2) + 1 - line.p));
	if (e->commands++ >= e->c->ps->set.command_count) {
		ph_log(PH_LOG_INFO, "COMMAND COUNT LIMIT from %s after %s", e->c->who, e->where);
		return ph_screen_goodbye(e, "421 %s Service unavailable - try again later", e->s->set->myhostname);
	}
	if (bare)
		r = bare_lf(e, ph_str_printable(e->arena, text, strlen(text), true));
	if (r < 0 || e->over)
		return r;
	return ph_screen_command(e, filtered(e, text));
}

static int read_and_answer(struct ph_screen_engine *e)
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
			return ph_screen_goodbye(e, "421 %s Service unavailable - try again later", e->s->set->myhostname);
		}
		n = ph_stream_fill(e->s->io, deadline);
		if (n <= 0)
			return n == 0 ? -ENODATA : (int)n;
	}
}

static void discard_for_client(struct ph_screen_engine *e)
{
	struct ph_screen *ps = e->c->ps;
	const char *value;

	e->ehlo_discard = ps->ehlo_discard;
	if (!ph_maps_empty(ps->ehlo_maps) && ph_maps_find(ps->ehlo_maps, e->s->addr, false, e->arena, &value, NULL) == PH_LOOKUP_FOUND)
		e->ehlo_discard = ph_smtpd_ehlo_mask(value);
}

void ph_screen_engine(struct ph_screen_client *c)
{
	struct ph_screen_engine e = { .c = c, .s = c->s, .arena = ph_arena_new(), .where = "CONNECT", .proto = "SMTP", .start_ms = ph_now_ms() };
	char age[24];
	int r = 0;

	discard_for_client(&e);
	if (!c->pregreeted)
		r = ph_screen_reply(&e, "220 %s", c->s->set->banner);
	while (r == 0 && !e.over) {
		r = read_and_answer(&e);
		ph_arena_reset(e.arena);
	}
	if (r == -ETIMEDOUT) {
		ph_log(PH_LOG_INFO, "COMMAND TIME LIMIT from %s after %s", c->who, e.where);
		ph_screen_reply(&e, "421 4.4.2 %s Error: timeout exceeded", c->s->set->myhostname);
	} else if (r < 0 && !e.over) {
		ph_log(PH_LOG_INFO, "HANGUP after %s from %s in tests after SMTP handshake", ph_screen_age(ph_now_ms() - e.start_ms, age, sizeof(age)), c->who);
	}
	for (int t = PH_SCREEN_PIPELINING; e.heard_all && t < PH_SCREEN_TESTS; t++)
		if (c->todo[t])
			ph_screen_pass(c, (enum ph_screen_test)t, c->ps->ttl_ms[t]);
	ph_smtpd_set(&e.helo, NULL);
	ph_smtpd_set(&e.sender, NULL);
	ph_arena_free(&e.arena);
}
