/* cmd_bdat.c: BDAT.  Whatever is answered, the chunk's bytes are taken off the wire first: they are never commands.
 * Yields.  RFC 3030 section 2. */
#include <errno.h>
#include <stdio.h>

#include "smtpd/filters.h"
#include "smtpd/proxy.h"
#include "smtpd/session.h"

static const char *line_text(struct ph_session *s, const struct ph_smtpd_cmdline *c)
{
	const struct ph_slice last = c->w[c->n - 1].text;

	return ph_str_printable(ph_session_arena(s), c->w[0].text.p, (size_t)(last.p + last.n - c->w[0].text.p), false);
}

static const char *queue_id(const struct ph_session *s)
{
	return s->t && s->t->queue_id ? s->t->queue_id : "NOQUEUE";
}

/* Throw the chunk away and answer.  A client that streams on without LAST stays in error until it sends LAST or RSET. */
static int discard(struct ph_session *s, int64_t n, bool last, const char *reply)
{
	int r = ph_smtpd_content_chunk(s, n, false, false);

	if (r < 0)
		return r;
	r = ph_smtpd_refuse(s, "%s", reply);
	if (!s->t && !last)
		ph_smtpd_trans_begin(s);
	if (s->t) {
		if (last) {
			ph_smtpd_trans_end(s);
		} else {
			s->t->bdat = s->t->bdat_error = true;
		}
	}
	return r;
}

/* More than the limit.  Up to half as much again is read so that the client sees the reply; then the connection ends. */
static int too_large(struct ph_session *s, int64_t n, bool last)
{
	int64_t limit = s->set->message_size_limit, have = s->t->content;
	int r;

	ph_log(PH_LOG_WARNING, "%s: BDAT request from %s exceeds message size limit", queue_id(s), s->namaddr);
	if (n > limit / 2 + limit - (have < limit ? have : limit)) {
		r = ph_smtpd_reply(s, "552 5.3.4 Chunk exceeds message size limit");
		return r < 0 ? r : -EPROTO;
	}
	return discard(s, n, last, "552 5.3.4 Chunk exceeds message size limit");
}

/* First chunk of a message: what DATA would have asked.  NULL: fine. */
static const char *first_chunk(struct ph_session *s)
{
	const char *refused;

	refused = s->svc->standalone ? NULL : ph_smtpd_check_data(s);
	if (!refused)
		refused = ph_smtpd_filters_data(s);
	if (!refused && s->t->proxy)
		refused = ph_smtpd_proxy_data(s);
	if (!refused) {
		s->t->bdat = true;
		ph_smtpd_received_header(s);
	}
	return refused;
}

static int store(struct ph_session *s, int64_t n, bool last)
{
	int r = ph_smtpd_content_chunk(s, n, true, last);

	if (r < 0)
		return r;
	if (last)
		return ph_smtpd_finish(s, true);
	return ph_smtpd_reply(s, "250 2.0.0 Ok: %lld bytes", (long long)n);
}

int ph_smtpd_cmd_bdat(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	int64_t n, limit = s->set->message_size_limit;
	const char *refused;
	bool last;
	int r;

	s->stage = PH_STAGE_DATA;
	if (s->ehlo_discard & PH_EHLO_CHUNKING) {
		r = ph_smtpd_reply(s, "521 5.5.1 Error: command not implemented");
		return r < 0 ? r : -EPROTO;
	}
	if (ph_smtpd_bdat_parse(c, &n, &last) < 0) {
		/* Where the next command begins is anybody's guess. */
		ph_log(PH_LOG_WARNING, "%s: malformed BDAT command syntax from %s: %.100s", queue_id(s), s->namaddr, line_text(s, c));
		r = ph_smtpd_reply(s, "521 5.5.4 Syntax: BDAT count [LAST]");
		return r < 0 ? r : -EPROTO;
	}
	if (limit == 0)
		limit = INT64_MAX / 4;
	if (s->t && s->t->bdat_error) {
		char text[80];

		snprintf(text, sizeof(text), "551 5.0.0 Discarded %lld bytes after earlier error", (long long)n);
		s->t->content = s->t->content > INT64_MAX - n ? INT64_MAX : s->t->content + n;
		return s->t->content > limit + limit / 2 ? too_large(s, INT64_MAX, last) : discard(s, n, last, text);
	}
	if (!s->t || !s->t->sender)
		return n > limit ? -EPROTO : discard(s, n, last, "503 5.5.1 Error: need RCPT command");
	if (n > limit - s->t->content)
		return too_large(s, n, last);
	if (s->t->rcpt_count == 0)
		return discard(s, n, last, "554 5.5.1 Error: no valid recipients");
	if (n == 0 && !last) {
		ph_log(PH_LOG_WARNING, "%s: null BDAT request from %s", queue_id(s), s->namaddr);
		return discard(s, 0, last, "551 5.7.1 Null BDAT request");
	}
	if (!s->t->bdat && (refused = first_chunk(s)))
		return discard(s, n, last, refused);
	s->t->in_content = true;
	return store(s, n, last);
}
