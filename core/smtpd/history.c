/* history.c: what was said in a session, and the mail to the postmaster when something of a class that he asked for went wrong.
 *
 * State: session.history, a buffer of "In: " and "Out: " lines, bounded.  Yields only when the notice is sent.  Source: smtpd(8). */
#include "smtpd/history.h"

#include <string.h>
#include <strings.h>

#include "message/notice.h"

#define TRANSCRIPT_MAX 65536    /* bytes; the client decides how much there is to say */
#define LINE_MAX_BYTES 2000
#define WIDTH 78
#define INDENT 4
#define ERRORS (PH_NOTICE_POLICY | PH_NOTICE_PROTOCOL | PH_NOTICE_RESOURCE | PH_NOTICE_SOFTWARE | PH_NOTICE_BOUNCE | PH_NOTICE_DATA)

static bool wanted(const struct ph_session *s)
{
	return (s->svc->notify_classes & ERRORS) && !s->svc->standalone;
}

/* Begin a line of up to n bytes.  false: it is not wanted. */
static bool begin(struct ph_session *s, const char *direction, size_t n)
{
	if (!wanted(s))
		return false;
	if (s->history.max == 0)
		ph_buf_init(&s->history, TRANSCRIPT_MAX + 4096);
	if (s->history.len > TRANSCRIPT_MAX)
		return false;
	ph_buf_puts(&s->history, s->history.len + n > TRANSCRIPT_MAX ? "(the transcript ends here: too long) " : direction);
	s->history_lines++;
	return true;
}

static void put(struct ph_session *s, struct ph_slice part)
{
	ph_buf_append(&s->history, part.p, part.n < LINE_MAX_BYTES ? part.n : LINE_MAX_BYTES);
}

/* Credentials are nobody else's business. */
static struct ph_slice without_secret(struct ph_slice line)
{
	const char *p = line.p, *end = line.p + line.n;

	if (line.n < 5 || strncasecmp(p, "AUTH ", 5) != 0)
		return line;
	for (p += 5; p < end && *p == ' '; p++)
		;
	while (p < end && *p != ' ')
		p++;
	line.n = (size_t)(p - line.p);
	return line;
}

void ph_smtpd_history_in(struct ph_session *s, struct ph_slice line)
{
	line = without_secret(line);
	if (!begin(s, "In:  ", line.n))
		return;
	put(s, line);
	ph_buf_putc(&s->history, '\n');
}

void ph_smtpd_history_out(struct ph_session *s, const char code[4], struct ph_slice dsn, struct ph_slice text)
{
	if (!begin(s, "Out: ", 4 + dsn.n + text.n))
		return;
	ph_buf_append(&s->history, code, 4);
	put(s, dsn);
	put(s, text);
	ph_buf_putc(&s->history, '\n');
}

void ph_smtpd_history_flush(struct ph_session *s)
{
	if (s->history_lines <= (unsigned)s->set->history_threshold)
		return;
	ph_buf_done(&s->history);
	s->history_lines = 0;
}

void ph_smtpd_history_error(struct ph_session *s, const char *reply)
{
	int code = (reply[0] - '0') * 100 + (reply[1] - '0') * 10 + (reply[2] - '0');

	if (strncmp(reply, "452 4.3.1", 9) == 0)
		s->trouble |= PH_NOTICE_RESOURCE;
	else if (strncmp(reply, "451 4.3.0 <", 11) == 0)        /* a look-up failed */
		s->trouble |= PH_NOTICE_DATA;
	else if (strncmp(reply, "451 4.3.0 Error: queue", 22) == 0)
		s->trouble |= PH_NOTICE_RESOURCE;
	else if (strncmp(reply, "451 4.3.5 <", 11) == 0)        /* the table of an access rule: Postfix counts that as its answer */
		s->trouble |= PH_NOTICE_POLICY;
	else if (strncmp(reply, "451 4.3.", 8) == 0 || strncmp(reply, "454 4.7.0 TLS not ", 18) == 0)
		s->trouble |= PH_NOTICE_SOFTWARE;
	else if (s->stage == PH_STAGE_EOD && (strncmp(reply, "552 5.3.4", 9) == 0 || strncmp(reply, "554 5.4.0", 9) == 0))
		s->trouble |= PH_NOTICE_BOUNCE;
	else if (s->refusal && strcmp(reply, s->refusal) == 0)
		s->trouble |= s->unlisted ? PH_NOTICE_BOUNCE : PH_NOTICE_POLICY;
	else if ((code >= 500 && code <= 504) || code == 555 || strncmp(reply, "554 5.5.", 8) == 0)
		s->trouble |= PH_NOTICE_PROTOCOL;
	else
		s->trouble |= PH_NOTICE_POLICY;
}

static void put_transcript(struct ph_session *s, struct ph_buf *b)
{
	const char *p = ph_buf_str(&s->history);

	while (*p) {
		size_t n = strcspn(p, "\n");

		ph_notice_wrap(b, " ", ph_str_printable(ph_session_arena(s), p, n, true), WIDTH, INDENT);
		p += n + (p[n] == '\n');
	}
}

void ph_smtpd_history_end(struct ph_session *s, const char *reason)
{
	struct ph_buf b = PH_BUF_INIT(4 * TRANSCRIPT_MAX);
	struct ph_err err;

	if (wanted(s) && (s->trouble & s->svc->notify_classes) && s->history.len > 0) {
		ph_buf_puts(&b, "\nTranscript of session follows.\n\n");
		put_transcript(s, &b);
		if (reason)
			ph_buf_printf(&b, "\nSession aborted, reason: %s\n", reason);
		else
			ph_buf_putc(&b, '\n');
		ph_buf_puts(&b, "\nFor other details, see the local mail logfile\n");
		if (ph_notice_send(s->svc->conf, s->trouble & s->svc->notify_classes, ph_arena_printf(ph_session_arena(s), "%s SMTP server: errors from %s", s->set->mail_name, s->namaddr),
				   ph_buf_str(&b) + 1, ph_session_arena(s), &err) < 0)
			ph_log(PH_LOG_WARNING, "postmaster notice about %s: %s", s->namaddr, err.text);
	}
	ph_buf_done(&b);
}
