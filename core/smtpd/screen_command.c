/* screen_command.c: the commands of postscreen's own SMTP server.
 *
 * Owns nothing.  Yields.  RFC 5321. */
#include "smtpd/screen_engine.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "smtpd/screen_text.h"

static int check_pipelining(struct ph_screen_engine *e, const char *command)
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
	ph_log(PH_LOG_INFO, "COMMAND PIPELINING from %s after %s: %s", e->c->who, command, ph_screen_escaped(e->arena, in.p, in.n));
	return ph_screen_fail(e, PH_SCREEN_PIPELINING, "521 5.5.1 Protocol error");
}

/* ---- commands ---- */

static void reset(struct ph_screen_engine *e)
{
	ph_smtpd_set(&e->sender, NULL);
}

static int helo(struct ph_screen_engine *e, struct ph_smtpd_cmdline *c)
{
	if (c->n < 2)
		return ph_screen_reply(e, "501 Syntax: HELO hostname");
	reset(e);
	ph_smtpd_set(&e->helo, ph_str_printable(e->arena, c->w[1].text.p, c->w[1].text.n, true));
	e->proto = "SMTP";
	return ph_screen_reply(e, "250 %s", e->s->set->myhostname);
}

static int ehlo(struct ph_screen_engine *e, struct ph_smtpd_cmdline *c)
{
	const struct ph_smtpd_settings *set_ = e->s->set;
	struct ph_screen *ps = e->c->ps;
	struct ph_buf b = PH_BUF_INIT(4096);
	unsigned off = e->ehlo_discard;
	int r;

	if (c->n < 2)
		return ph_screen_reply(e, "501 Syntax: EHLO hostname");
	if (off && !(off & PH_EHLO_SILENT))
		ph_log(PH_LOG_INFO, "[%s]%d: discarding EHLO keywords: %s", e->s->addr, e->s->port, ph_smtpd_ehlo_names(off, e->arena));
	reset(e);
	ph_smtpd_set(&e->helo, ph_str_printable(e->arena, c->w[1].text.p, c->w[1].text.n, true));
	e->proto = "ESMTP";
	ph_buf_printf(&b, "250 %s", set_->myhostname);
	if (!(off & PH_EHLO_SIZE) && set_->message_size_limit > 0)
		ph_buf_printf(&b, "\nSIZE %lld", (long long)set_->message_size_limit);
	else if (!(off & PH_EHLO_SIZE))
		ph_buf_puts(&b, "\nSIZE");
	if (!(off & PH_EHLO_VRFY) && !ps->set.disable_vrfy)
		ph_buf_puts(&b, "\nVRFY");
	if (!(off & PH_EHLO_ETRN))
		ph_buf_puts(&b, "\nETRN");
	if (!(off & PH_EHLO_STARTTLS) && ps->tls && !ph_stream_tls(e->s->io))
		ph_buf_puts(&b, "\nSTARTTLS");
	if (!(off & PH_EHLO_ENHANCED))
		ph_buf_puts(&b, "\nENHANCEDSTATUSCODES");
	if (!(off & PH_EHLO_8BITMIME))
		ph_buf_puts(&b, "\n8BITMIME");
	if (!(off & PH_EHLO_DSN))
		ph_buf_puts(&b, "\nDSN");
	if (!(off & PH_EHLO_SMTPUTF8) && set_->smtputf8_enable)
		ph_buf_puts(&b, "\nSMTPUTF8");
	if (!(off & PH_EHLO_CHUNKING))
		ph_buf_puts(&b, "\nCHUNKING");
	r = ph_screen_reply(e, "%s", ph_buf_str(&b));
	ph_buf_done(&b);
	return r;
}

/* The address of MAIL or RCPT, as it is logged. */
static const char *address(struct ph_screen_engine *e, struct ph_smtpd_cmdline *c)
{
	struct ph_slice w = { "", 0 };

	if (c->n > 2)
		w = c->w[2].text;
	return ph_screen_address(e->arena, w);
}

static int mail(struct ph_screen_engine *e, struct ph_smtpd_cmdline *c)
{
	if (e->c->ps->set.helo_required && !e->helo)
		return ph_screen_reply(e, "503 5.5.1 Error: send HELO/EHLO first");
	if (e->sender)
		return ph_screen_reply(e, "503 5.5.1 Error: nested MAIL command");
	if (c->n < 2 || !ph_smtpd_slice_ieq(c->w[1].text, "FROM:"))
		return ph_screen_reply(e, "501 5.5.4 Syntax: MAIL FROM:<address>");
	ph_smtpd_set(&e->sender, address(e, c));
	return ph_screen_reply(e, "250 2.1.0 Ok");
}

static int rcpt(struct ph_screen_engine *e, struct ph_smtpd_cmdline *c)
{
	const char *text = e->c->reject ? e->c->reject : "450 4.3.2 Service currently unavailable";

	if (!e->sender)
		return ph_screen_reply(e, "503 5.5.1 Error: need MAIL command");
	if (c->n < 2 || !ph_smtpd_slice_ieq(c->w[1].text, "TO:"))
		return ph_screen_reply(e, "501 5.5.4 Syntax: RCPT TO:<address>");
	ph_log(PH_LOG_INFO, "NOQUEUE: reject: RCPT from %s: %.400s; from=<%s>, to=<%s>, proto=%s, helo=<%s>", e->c->who, text, e->sender, address(e, c),
	       e->proto, e->helo ? e->helo : "");
	e->heard_all = true;
	return ph_screen_reply(e, "%s", text);
}

/* Content was never asked for. */
static int data(struct ph_screen_engine *e)
{
	ph_log(PH_LOG_INFO, "DATA without valid RCPT from %s", e->c->who);
	return e->sender ? ph_screen_goodbye(e, "554 5.5.1 Error: no valid recipients") : ph_screen_goodbye(e, "503 5.5.1 Error: need RCPT command");
}

static int bdat(struct ph_screen_engine *e)
{
	ph_log(PH_LOG_INFO, "BDAT without valid RCPT from %s", e->c->who);
	return ph_screen_goodbye(e, "554 5.5.1 Error: %s", e->sender ? "no valid recipients" : "need MAIL command");
}

static int starttls(struct ph_screen_engine *e, struct ph_smtpd_cmdline *c)
{
	struct ph_err err;
	int r;

	if (c->n != 1)
		return ph_screen_reply(e, "501 5.5.4 Syntax: STARTTLS");
	if (ph_stream_tls(e->s->io))
		return ph_screen_reply(e, "554 5.5.1 Error: TLS already active");
	if (!e->c->ps->tls || (e->ehlo_discard & PH_EHLO_STARTTLS))
		return ph_screen_reply(e, "502 5.5.1 Error: command not implemented");
	r = ph_screen_reply(e, "220 2.0.0 Ready to start TLS");
	if (r == 0)
		r = ph_stream_tls_accept(e->s->io, e->s->svc->tls, ph_now_ms() + e->s->set->starttls_timeout_ms, &err);
	reset(e);
	ph_smtpd_set(&e->helo, NULL);
	return r;
}

static int vrfy(struct ph_screen_engine *e, struct ph_smtpd_cmdline *c)
{
	if (e->c->ps->set.disable_vrfy)
		return ph_screen_reply(e, "502 5.5.1 VRFY command is disabled");
	if (c->n < 2)
		return ph_screen_reply(e, "501 5.5.4 Syntax: VRFY address");
	return ph_screen_reply(e, "%s", e->c->reject ? e->c->reject : "450 4.3.2 Service currently unavailable");
}

static int non_smtp(struct ph_screen_engine *e, const char *verb, const char *rest)
{
	int r;

	/* A test that is over says nothing more; one that is switched off is made all the same, as in Postfix. */
	if (e->c->ps->enabled[PH_SCREEN_NON_SMTP] && !e->c->todo[PH_SCREEN_NON_SMTP]) {
		e->where = "UNIMPLEMENTED";
		return ph_screen_reply(e, "502 5.5.2 Error: command not recognized");
	}
	ph_log(PH_LOG_INFO, "NON-SMTP COMMAND from %s after %s: %s %.100s", e->c->who, e->where, verb, rest);
	r = ph_screen_fail(e, PH_SCREEN_NON_SMTP, "521 5.7.0 Error: I can break rules, too. Goodbye.");
	if (r < 0 || e->over)
		return r;
	e->where = "UNIMPLEMENTED";
	return ph_screen_reply(e, "502 5.5.2 Error: command not recognized");
}

static int unknown(struct ph_screen_engine *e, struct ph_smtpd_cmdline *c, struct ph_slice line)
{
	struct ph_slice verb = c->w[0].text;
	const char *rest = c->n > 1 ? c->w[1].text.p : "";

	if (ph_smtpd_looks_like_header(verb) || ph_smtpd_word_matches(e->s, &e->c->ps->forbidden, verb))
		return non_smtp(e, ph_str_printable(e->arena, verb.p, verb.n, true),
				ph_str_printable(e->arena, rest, c->n > 1 ? (size_t)(line.p + line.n - rest) : 0, true));
	e->where = "UNIMPLEMENTED";
	return ph_screen_reply(e, "502 5.5.2 Error: command not recognized");
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

static int carry_out(struct ph_screen_engine *e, struct ph_smtpd_cmdline *c, struct ph_slice line)
{
	enum verb v = find_verb(c->w[0].text);
	int r;

	if (v != NONE) {
		r = check_pipelining(e, verbs[v]);
		if (r < 0 || e->over)
			return r;
		if (e->c->ps->tls && e->c->ps->enforce_tls && !ph_stream_tls(e->s->io) && v > EHLO && v != NOOP && v != STARTTLS && v != QUIT)
			return ph_screen_reply(e, "530 5.7.0 Must issue a STARTTLS command first");
		e->where = verbs[v];
	}
	switch (v) {
	case HELO: return helo(e, c);
	case EHLO: return ehlo(e, c);
	case MAIL: return mail(e, c);
	case RCPT: return rcpt(e, c);
	case DATA: return data(e);
	case BDAT: return bdat(e);
	case RSET:
		reset(e);
		return ph_screen_reply(e, "250 2.0.0 Ok");
	case NOOP: return ph_screen_reply(e, "250 2.0.0 Ok");
	case VRFY: return vrfy(e, c);
	case ETRN: return ph_screen_reply(e, c->n < 2 ? "500 Syntax: ETRN domain" : "458 Unable to queue messages");
	case STARTTLS: return starttls(e, c);
	case QUIT: return ph_screen_goodbye(e, "221 2.0.0 Bye");
	case NONE: break;
	}
	return unknown(e, c, line);
}

int ph_screen_command(struct ph_screen_engine *e, const char *line)
{
	struct ph_slice text = { line, strlen(line) };
	struct ph_smtpd_cmdline c;

	ph_smtpd_cmdline_split(&c, text.p, text.n);
	if (c.n > 0)
		return carry_out(e, &c, text);
	e->where = "UNIMPLEMENTED";
	return ph_screen_reply(e, "502 5.5.2 Error: command not recognized");
}
