/* proto.c: the dialogue: one command after the other, until QUIT or until one side has had enough.
 *
 * Owns nothing; the session is the caller's.  Yields.  RFC 5321 sections 3 and 4, RFC 2920. */
#include <errno.h>
#include <posthouse/co.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "message/notice.h"
#include "net/stream.h"
#include "smtpd/filters.h"
#include "smtpd/limits.h"
#include "smtpd/history.h"
#include "smtpd/session.h"

/* How much of a line that is too long is read and thrown away before the session ends. */
#define LINE_SWALLOW_MAX (256 * 1024)

enum {
	LIMIT = 1,              /* counts as junk when there are many */
	PRE_TLS = 2,            /* allowed before STARTTLS when TLS is required */
	LAST = 4,               /* nothing may be pipelined behind it, */
	LAST_STRICT = 8,        /* only if that ends the session (smtpd_forbid_unauth_pipelining) */
};

static const struct smtpd_command {
	const char *name;
	enum ph_smtpd_cmd id;
	ph_smtpd_cmd_fn *fn;
	unsigned flags;
} commands[] = {
	{ "HELO", PH_CMD_HELO, ph_smtpd_cmd_helo, LIMIT | PRE_TLS | LAST },
	{ "EHLO", PH_CMD_EHLO, ph_smtpd_cmd_ehlo, LIMIT | PRE_TLS | LAST },
	{ "XCLIENT", PH_CMD_XCLIENT, ph_smtpd_cmd_xclient, PRE_TLS },
	{ "XFORWARD", PH_CMD_XFORWARD, ph_smtpd_cmd_xforward, 0 },
	{ "STARTTLS", PH_CMD_STARTTLS, ph_smtpd_cmd_starttls, PRE_TLS | LAST_STRICT },
	{ "AUTH", PH_CMD_AUTH, ph_smtpd_cmd_auth, LAST_STRICT },
	{ "MAIL", PH_CMD_MAIL, ph_smtpd_cmd_mail, 0 },
	{ "RCPT", PH_CMD_RCPT, ph_smtpd_cmd_rcpt, 0 },
	{ "DATA", PH_CMD_DATA, ph_smtpd_cmd_data, LAST },
	{ "BDAT", PH_CMD_BDAT, ph_smtpd_cmd_bdat, 0 },
	{ "RSET", PH_CMD_RSET, ph_smtpd_cmd_rset, LIMIT },
	{ "NOOP", PH_CMD_NOOP, ph_smtpd_cmd_noop, LIMIT | PRE_TLS | LAST },
	{ "VRFY", PH_CMD_VRFY, ph_smtpd_cmd_vrfy, LIMIT | LAST },
	{ "ETRN", PH_CMD_ETRN, ph_smtpd_cmd_etrn, LIMIT },
	{ "QUIT", PH_CMD_QUIT, ph_smtpd_cmd_quit, PRE_TLS },
};
static const struct smtpd_command unknown_command = { "UNKNOWN", PH_CMD_UNKNOWN, NULL, PRE_TLS };

static const struct smtpd_command *find_command(struct ph_slice verb)
{
	for (size_t i = 0; i < PH_ARRAY_LEN(commands); i++)
		if (ph_smtpd_slice_ieq(verb, commands[i].name))
			return &commands[i];
	return &unknown_command;
}

/* ---- pipelining ---- */

/* Bytes of input that the client has sent already, for the log: control characters as escapes. */
static void log_pipelined(struct ph_session *s, const char *after, const char *p, size_t n)
{
	struct ph_buf b = PH_BUF_INIT(600);

	for (size_t i = 0; i < n && i < 100; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '\r' || c == '\n' || c == '\t')
			ph_buf_puts(&b, c == '\r' ? "\\r" : c == '\n' ? "\\n" : "\\t");
		else if (c < 32 || c >= 127)
			ph_buf_printf(&b, "\\%03o", c);
		else if (c == '\\')
			ph_buf_puts(&b, "\\\\");
		else
			ph_buf_putc(&b, c);
	}
	ph_log(PH_LOG_INFO, "improper command pipelining after %s from %s: %s", after, s->namaddr, ph_buf_str(&b));
	ph_buf_done(&b);
}

int ph_smtpd_pipelining_check(struct ph_session *s, const char *after)
{
	struct ph_slice in = ph_stream_peek(s->io);
	char peek[128];
	ssize_t n;

	if (s->ill_pipelining)
		return 0;
	if (in.n == 0) {
		if (ph_stream_tls(s->io))
			return 0;
		n = recv(ph_stream_fd(s->io), peek, sizeof(peek), MSG_PEEK | MSG_DONTWAIT);
		if (n <= 0)
			return 0;
		in.p = peek;
		in.n = (size_t)n;
	}
	log_pipelined(s, after, in.p, in.n);
	s->ill_pipelining = true;
	if (!s->set->forbid_unauth_pipelining)
		return 0;
	ph_smtpd_reply(s, "554 5.5.0 Error: SMTP protocol synchronization");
	return -EPROTO;
}

/* ---- the greeting ---- */

static int too_many(struct ph_session *s, const char *what, int n, const char *reply)
{
	ph_log(PH_LOG_WARNING, "%s limit exceeded: %d from %s for service %s", what, n, s->namaddr, s->svc->name);
	ph_smtpd_reply(s, "421 4.7.0 %s Error: %s from %s", s->set->myhostname, reply, s->addr);
	return -EUSERS;
}

static int count_connection(struct ph_session *s)
{
	struct ph_limit_counts c;
	int r;

	if (s->svc->standalone || s->limits_exempt)
		return 0;
	r = ph_limits_connect(s, s->set->client_count > 0 || s->set->client_conn_rate > 0, &c);
	s->counted = true;
	if (r < 0) {
		ph_smtpd_reply(s, "421 4.3.0 %s Error: cannot count, try again later", s->set->myhostname);
		return -EUSERS;
	}
	s->connections = c.connections;
	if (s->set->client_count > 0 && c.connections > (unsigned)s->set->client_count)
		return too_many(s, "Connection concurrency", (int)c.connections, "too many connections");
	if (s->set->client_conn_rate > 0 && c.connection_rate > (unsigned)s->set->client_conn_rate)
		return too_many(s, "Connection rate", (int)c.connection_rate, "too many connections");
	return 0;
}

static void ehlo_discard_for_client(struct ph_session *s)
{
	struct ph_err err;
	const char *value = NULL;

	s->ehlo_discard = s->svc->ehlo_discard;
	s->ehlo_unknown = false;
	if (ph_maps_empty(s->svc->ehlo_maps))
		return;
	switch (ph_maps_find(s->svc->ehlo_maps, s->addr, false, ph_session_arena(s), &value, &err)) {
	case PH_LOOKUP_FOUND:
		s->ehlo_discard = ph_smtpd_ehlo_mask(value);
		break;
	case PH_LOOKUP_NOTFOUND:
		break;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		ph_log(PH_LOG_WARNING, "%s", err.text);
		s->ehlo_unknown = true;
		break;
	}
}

int ph_smtpd_greet(struct ph_session *s)
{
	const char *refused;
	int r;

	s->where = "CONNECT";
	s->stage = PH_STAGE_CONNECT;
	s->xclient_ok = ph_smtpd_matches(s, s->svc->xclient_hosts, "smtpd_authorized_xclient_hosts");
	s->xforward_ok = ph_smtpd_matches(s, s->svc->xforward_hosts, "smtpd_authorized_xforward_hosts");
	ehlo_discard_for_client(s);
	if (ph_smtpd_sasl_possible(s) && ph_smtpd_sasl_mechs(s) < 0)
		return -EPROTO;         /* a service that cannot do what it is for; the client shall come again */
	r = ph_smtpd_filters_open(s);
	if (r)
		return r;
	if (!s->set->delay_reject && (refused = ph_smtpd_check_client(s))) {
		s->access_denied = true;
		return ph_smtpd_reply(s, "%s", refused);
	}
	if (ph_smtpd_filters_reject_all(s))
		return ph_smtpd_reply(s, "554 %s ESMTP not accepting connections", s->set->myhostname);
	return ph_smtpd_reply(s, "220 %s", s->set->banner);
}

/* ---- reading commands ---- */

enum { GOT_LINE, GOT_LONG_LINE /* no command that we know */, GOT_LONG_COMMAND };

/* A line that does not fit: remember nothing of it, but stay in step as long as its length is bearable. */
static int swallow_line(struct ph_session *s)
{
	struct ph_slice in;
	const char *lf;
	size_t total = 0;
	ssize_t n;

	for (;;) {
		in = ph_stream_peek(s->io);
		lf = in.n ? memchr(in.p, '\n', in.n) : NULL;
		if (lf) {
			ph_stream_consume(s->io, (size_t)(lf + 1 - in.p));
			return GOT_LONG_LINE;
		}
		total += in.n;
		ph_stream_consume(s->io, in.n);
		if (total > LINE_SWALLOW_MAX) {
			ph_smtpd_reply(s, "500 5.5.2 %s Error: command too long", s->set->myhostname);
			return -EMSGSIZE;
		}
		n = ph_smtpd_fill(s);
		if (n <= 0)
			return n == 0 ? -ENODATA : (int)n;
	}
}

/* The next line, not consumed yet: *ret without its end, *ret_take bytes to consume.  GOT_LINE, GOT_LONG_LINE (consumed; *ret is its
 * beginning), or negative.  Yields. */
static __attribute__((noinline)) int long_line(struct ph_session *s, struct ph_slice in)
{
	struct ph_smtpd_cmdline c;
	bool known;
	int r;

	ph_log(PH_LOG_WARNING, "%s: request longer than %d: %.30s...", s->namaddr, s->set->line_length_limit,
	       ph_str_printable(ph_session_arena(s), in.p, 30, false));
	ph_smtpd_cmdline_split(&c, in.p, 32);
	known = c.n && find_command(c.w[0].text) != &unknown_command;
	r = swallow_line(s);
	return r == GOT_LONG_LINE && known ? GOT_LONG_COMMAND : r;
}

static int read_line(struct ph_session *s, struct ph_slice *ret, size_t *ret_take)
{
	size_t max = (size_t)s->set->line_length_limit;
	struct ph_slice in;
	const char *lf;
	ssize_t n;

	for (;;) {
		in = ph_stream_peek(s->io);
		lf = in.n ? memchr(in.p, '\n', in.n < max + 2 ? in.n : max + 2) : NULL;
		if (lf)
			break;
		if (in.n > max)
			return long_line(s, in);
		n = ph_smtpd_fill(s);
		if (n <= 0)
			return n == 0 ? -ENODATA : (int)n;
	}
	*ret_take = (size_t)(lf + 1 - in.p);
	ret->p = in.p;
	ret->n = (size_t)(lf - in.p);
	s->last_line_bare_lf = !(ret->n && ret->p[ret->n - 1] == '\r');
	while (ret->n && ret->p[ret->n - 1] == '\r')
		ret->n--;
	return GOT_LINE;
}

/* A command line that ends in LF alone, from a client that may not do that. */
static int bare_lf_in_command(struct ph_session *s)
{
	if (!s->last_line_bare_lf || s->svc->bare_lf == PH_BARE_LF_NO || s->svc->standalone)
		return 0;
	if (ph_smtpd_matches(s, s->svc->bare_lf_exclusions, "smtpd_forbid_bare_newline_exclusions"))
		return 0;
	if (s->svc->bare_lf == PH_BARE_LF_NOTE)
		s->bare_lf_noted = true;
	if (s->svc->bare_lf != PH_BARE_LF_REJECT)
		return 0;
	ph_smtpd_log_whatsup(s, "reject", "bare <LF> received");
	ph_smtpd_reply(s, "%d %s %s Error: bare <LF> received", s->set->bare_newline_code,
		       s->set->bare_newline_code / 100 == 4 ? "4.5.2" : "5.5.2", s->set->myhostname);
	return -EPROTO;
}

/* ---- carrying out commands ---- */

/* "Subject:" where a command should be: a message, or an HTTP request's header. */
bool ph_smtpd_looks_like_header(struct ph_slice verb)
{
	const char *colon = memchr(verb.p, ':', verb.n);

	return colon && colon > verb.p;
}

bool ph_smtpd_word_matches(struct ph_session *s, const struct ph_smtpd_words *list, struct ph_slice verb)
{
	struct ph_arena *a = ph_session_arena(s);
	const char *value;

	for (size_t i = 0; i < list->n; i++) {
		if (!list->w[i].map) {
			if (ph_smtpd_slice_ieq(verb, list->w[i].word))
				return true;
		} else if (ph_maps_find(list->w[i].map, ph_arena_strndup(a, verb.p, verb.n), false, a, &value, NULL) == PH_LOOKUP_FOUND) {
			return true;
		}
	}
	return false;
}

static int unknown(struct ph_session *s, struct ph_slice line, struct ph_slice verb)
{
	const char *text;

	s->where = "UNKNOWN";
	if (ph_smtpd_looks_like_header(verb) || ph_smtpd_word_matches(s, &s->svc->forbidden, verb)) {
		ph_log(PH_LOG_WARNING, "non-SMTP command from %s: %.100s", s->namaddr, ph_str_printable(ph_session_arena(s), line.p, line.n, false));
		s->cmd_all[PH_CMD_UNKNOWN]++;
		ph_smtpd_reply(s, "221 2.7.0 Error: I can break rules, too. Goodbye.");
		return -EPROTO;
	}
	text = ph_smtpd_filters_unknown(s, ph_arena_strndup(ph_session_arena(s), line.p, line.n));
	s->cmd_all[PH_CMD_UNKNOWN]++;
	s->errors++;
	return ph_smtpd_reply(s, "%s", text ? text : "500 5.5.2 Error: command not recognized");
}

/* smtpd_command_filter: the line to take instead, in scratch memory; NULL: the line as it is; *ret_fail: the reply. */
static const char *filter_line(struct ph_session *s, struct ph_slice line)
{
	struct ph_arena *a = ph_session_arena(s);
	const char *text = ph_arena_strndup(a, line.p, line.n), *value;
	struct ph_err err;

	switch (ph_maps_find(s->svc->command_filter, text, false, a, &value, &err)) {
	case PH_LOOKUP_FOUND:
		ph_log(PH_LOG_INFO, "%s: replacing command \"%.100s\" with \"%.100s\"", s->namaddr, text, value);
		return value;
	case PH_LOOKUP_NOTFOUND:
		return text;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	ph_log(PH_LOG_WARNING, "%s: smtpd_command_filter lookup error for \"%.100s\": %s", s->namaddr, text, err.text);
	return NULL;
}

static int dispatch(struct ph_session *s, const struct smtpd_command *cmd, struct ph_smtpd_cmdline *c)
{
	int r;

	s->where = cmd->name;
	if (s->access_denied && cmd->id != PH_CMD_QUIT) {
		s->cmd_all[cmd->id]++;
		s->errors++;
		return ph_smtpd_reply(s, "503 5.7.0 Error: access denied for %s", s->namaddr);
	}
	if (s->svc->tls_level == PH_SMTPD_TLS_ENCRYPT && !ph_stream_tls(s->io) && !(cmd->flags & PRE_TLS) && !s->svc->standalone) {
		s->cmd_all[cmd->id]++;
		s->errors++;
		return ph_smtpd_reply(s, "530 5.7.0 Must issue a STARTTLS command first");
	}
	r = cmd->fn(s, c);
	s->n_args = 0;
	s->cmd_all[cmd->id]++;
	if (r == 0 && cmd->id != PH_CMD_XCLIENT)        /* XCLIENT begins a new session, in Postfix's count */
		s->cmd_ok[cmd->id]++;
	else if (r > 0)
		s->errors++;
	if ((cmd->flags & LIMIT) && s->junk++ > s->set->junk_command_limit)
		s->errors++;
	return r < 0 ? r : 0;
}

/* What AUTH carries is nobody's business. */
static void log_line(struct ph_session *s, struct ph_slice line)
{
	struct ph_slice verb = { line.p, line.n < 5 ? line.n : 5 };

	if (verb.n == 5 && ph_smtpd_slice_istarts(verb, "AUTH "))
		ph_log(PH_LOG_DEBUG, "< %s: AUTH [data]", s->namaddr);
	else
		ph_log(PH_LOG_DEBUG, "< %s: %.*s", s->namaddr, (int)(line.n < 200 ? line.n : 200), line.p);
}

/* One command line.  Negative: the session ends. */
static __attribute__((noinline)) int one_command(struct ph_session *s, struct ph_slice line, size_t take)
{
	struct ph_smtpd_cmdline c;
	const struct smtpd_command *cmd;
	const char *text;
	int r;

	if (!ph_maps_empty(s->svc->command_filter)) {
		text = filter_line(s, line);
		ph_stream_consume(s->io, take);
		take = 0;
		if (!text)
			return ph_smtpd_reply(s, "451 4.3.0 Temporary lookup error");
		line.p = text;
		line.n = strlen(text);
	}
	ph_smtpd_history_in(s, line);
	if (ph_log_debug_on())
		log_line(s, line);
	ph_smtpd_cmdline_split(&c, line.p, line.n);
	if (c.n == 0 || (s->set->smtputf8_enable && !ph_utf8_valid(line.p, line.n))) {
		ph_stream_consume(s->io, take);
		s->errors++;
		return ph_smtpd_reply(s, c.n ? "500 5.5.2 Error: bad UTF-8 syntax" : "500 5.5.2 Error: bad syntax");
	}
	cmd = find_command(c.w[0].text);
	if (cmd == &unknown_command && ph_smtpd_word_matches(s, &s->svc->noop, c.w[0].text)) {
		ph_stream_consume(s->io, take);
		if (s->junk++ > s->set->junk_command_limit)
			s->errors++;
		return ph_smtpd_reply(s, "250 2.0.0 Ok");
	}
	if (take) {
		/* Commands look at their words while they wait for tables and servers: the buffer stays as it is until they are done, but
		 * the input behind this line must be visible now. */
		char *copy = ph_arena_strndup(ph_session_arena(s), line.p, line.n);
		ptrdiff_t moved = copy - line.p;

		for (size_t i = 0; i < c.n; i++)
			c.w[i].text.p += moved;
		line.p = copy;
		ph_stream_consume(s->io, take);
	}
	if (((cmd->flags & LAST) || ((cmd->flags & LAST_STRICT) && s->set->forbid_unauth_pipelining) || (s->helo && !s->ehlo && cmd->id != PH_CMD_QUIT && cmd != &unknown_command)) &&
	    !s->svc->standalone) {
		r = ph_smtpd_pipelining_check(s, cmd->name);
		if (r < 0) {
			s->where = cmd->name;
			return r;
		}
	}
	if (cmd == &unknown_command)
		return unknown(s, line, c.w[0].text);
	return dispatch(s, cmd, &c);
}

/* Where and why a session ended that the client did not end properly. */
static void log_end(struct ph_session *s, int r)
{
	const char *what = r == -ETIMEDOUT ? "timeout" : "lost connection";

	if (s->t && s->t->in_content && (strcmp(s->where, "DATA") == 0 || strcmp(s->where, "BDAT") == 0))
		ph_log(PH_LOG_INFO, "%s after %s (%lld bytes) from %s", what, s->where, (long long)s->t->content, s->namaddr);
	else
		ph_log(PH_LOG_INFO, "%s after %s from %s", what, s->where, s->namaddr);
}

static int command_loop(struct ph_session *s)
{
	struct ph_slice line;
	size_t take = 0;
	int r;

	for (;;) {
		if (s->errors >= s->set->hard_error_limit) {
			ph_smtpd_reply(s, "421 4.7.0 %s Error: too many errors", s->set->myhostname);
			s->trouble |= PH_NOTICE_PROTOCOL;
			ph_log(PH_LOG_INFO, "too many errors after %s from %s", s->where, s->namaddr);
			return -EPROTO;
		}
		s->deadline_ms = s->set->per_request_deadline ? ph_now_ms() + s->set->timeout_ms : 0;
		r = read_line(s, &line, &take);
		if (r == GOT_LONG_LINE || r == GOT_LONG_COMMAND) {
			/* Carrying out the first part of a command would be guessing. */
			s->where = "UNKNOWN";
			s->cmd_all[PH_CMD_UNKNOWN]++;
			s->errors++;
			r = ph_smtpd_reply(s, r == GOT_LONG_LINE ? "500 5.5.2 Error: command not recognized" : "500 5.5.2 Error: command too long");
		} else if (r == GOT_LINE) {
			r = bare_lf_in_command(s);
			if (r == 0)
				r = one_command(s, line, take);
		}
		if (!s->t && s->scratch) {
			s->refusal = NULL;
			ph_arena_reset(s->scratch);
		}
		if (r < 0 || s->closing)
			return r;
	}
}

/* Errors by which the client went away, as opposed to our ending the session. */
static bool client_gone(int r)
{
	return r == -ENODATA || r == -ECONNRESET || r == -EPIPE || r == -ETIMEDOUT || r == -EIO || r == -ENOTCONN;
}

static const char *cut_reason(const struct ph_session *s, int r)
{
	if (client_gone(r))
		return r == -ETIMEDOUT ? "timeout" : "lost connection";
	return s->errors >= s->set->hard_error_limit ? "too many errors" : NULL;
}

void ph_smtpd_proto(struct ph_session *s)
{
	unsigned trouble;
	int r = 0;

	if (!s->svc->standalone) {
		s->limits_exempt = ph_smtpd_matches(s, s->svc->limit_exceptions, "smtpd_client_event_limit_exceptions");
		if (s->set->tls_wrappermode)
			r = ph_smtpd_tls_start(s);
		if (r == 0)
			r = count_connection(s);
		if (r == 0 && !s->screened)
			r = ph_smtpd_pipelining_check(s, "CONNECT");
	}
	if (r == 0 && s->svc->sasl_fatal) {
		ph_log(PH_LOG_FATAL, "%s", s->svc->sasl_fatal);
		s->fatal = true;
		r = -EPROTO;
	}
	if (r == 0)
		r = ph_smtpd_greet(s);
	if (r == 0 && !s->closing)              /* 421, 521: that was all */
		r = command_loop(s);
	if (client_gone(r)) {
		if (r == -ETIMEDOUT) {
			s->errors = 0;
			trouble = s->trouble;
			ph_smtpd_reply(s, "421 4.4.2 %s Error: timeout exceeded", s->set->myhostname);
			s->trouble = trouble;   /* no trouble that the postmaster wants to hear of */
		}
		log_end(s, r);
	} else if (r == -ECANCELED) {
		ph_smtpd_reply(s, "421 4.3.2 %s Service shutting down", s->set->myhostname);
	}
	if (r == 0 && s->cmd_ok[PH_CMD_QUIT] && !s->svc->counters && !s->trouble)       /* nothing more is asked or written before the close */
		ph_stream_last(s->io);
	if (!client_gone(r) || r == -ETIMEDOUT)
		ph_stream_flush(s->io, ph_now_ms() + 5000);
	if (s->counted) {
		ph_limits_disconnect(s);
		s->counted = false;
	}
	if (r != -ECANCELED)
		ph_smtpd_history_end(s, cut_reason(s, r));
}
