/* content.c: a complete message, shown to the filter: headers, body, end; and what the filter wants changed.
 *
 * Owns the walk over the content.  Edits are handed to the core, which carries them out only when this returns without a failure.  Yields. */
#include "milter.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define PIECE 65536
#define HEADER_MAX (32 * 1024 * 1024)

enum next { NEXT_GO, NEXT_SKIP, NEXT_STOP };

/* ---- replies ---- */

static void unexpected(struct milter *c, const struct milter_reply *r)
{
	milter_broken(c, "milter %s: unexpected filter response %s after event %s", c->svc->name, milter_reply_name(r->command),
		      milter_command_name(c->command));
}

static enum next answer(struct milter *c)
{
	struct milter_reply r;

	while (milter_read(c, &r) == 0) {
		if (r.command == SMFIR_PROGRESS)
			continue;
		if (r.command == SMFIR_SKIP)
			return NEXT_SKIP;
		if (r.command == SMFIR_CONTINUE)
			return NEXT_GO;
		if (r.command == SMFIR_QUARANTINE) {
			ph_edit_hold(c->m, "milter triggers HOLD action");
			continue;
		}
		if (!milter_take_common(c, &r))
			unexpected(c, &r);
		break;
	}
	return NEXT_STOP;
}

/* A packet is complete.  Where no answer is due the next ones may join it. */
static enum next sent(struct milter *c, size_t packet, uint32_t unanswered, bool join)
{
	milter_end(&c->out, packet);
	if ((c->protocol & unanswered) && join && c->out.len < PIECE)
		return NEXT_GO;
	if (milter_flush(c) < 0)
		return NEXT_STOP;
	return c->protocol & unanswered ? NEXT_GO : answer(c);
}

static void ignored(struct milter *c, const struct milter_reply *r, const char *what)
{
	const char *shown = ph_str_printable(ph_mail_arena(c->m), r->s1, strnlen(r->s1, 100), true);

	ph_log_as("cleanup", PH_LOG_WARNING, "%s: milter %s: %s in %s request: \"%s\": ignored", ph_mail_queue_id(c->m), c->svc->name, what,
		  milter_reply_name(r->command), shown);
}

static int edit_header(struct milter *c, const struct milter_reply *r)
{
	uint32_t index = r->index;
	int e;

	if (r->command != SMFIR_ADDHEADER && index > INT32_MAX) {
		ph_log_as("cleanup", PH_LOG_WARNING, "%s: bad header index %d", ph_mail_queue_id(c->m), (int)index);
		return 0;
	}
	if (r->command == SMFIR_ADDHEADER)
		e = ph_edit_add_header(c->m, r->s1, r->s2);
	else if (r->command == SMFIR_INSHEADER)
		e = ph_edit_insert_header(c->m, index, r->s1, r->s2);
	else
		e = ph_edit_change_header(c->m, index ? index : 1, r->s1, *r->s2 ? r->s2 : NULL);
	if (e == -EINVAL) {
		ignored(c, r, "bad header name");
		return 0;
	}
	return e;
}

static int too_large(struct milter *c)
{
	milter_hangup(c, false);
	milter_decide_reply(c, 552, "5.3.4", "Error: message file too big", false, true);
	return -EFBIG;
}

/* 1: an edit; 0: no edit; negative: it ended here. */
static int edit(struct milter *c, const struct milter_reply *r)
{
	int e = 0;

	switch (r->command) {
	case SMFIR_ADDHEADER:
	case SMFIR_INSHEADER:
	case SMFIR_CHGHEADER:
		e = edit_header(c, r);
		break;
	case SMFIR_REPLBODY:
		if (ph_edit_replace_body(c->m, r->data, r->n) < 0)
			return too_large(c);
		break;
	case SMFIR_ADDRCPT:
	case SMFIR_ADDRCPT_PAR:
		e = ph_edit_add_recipient(c->m, r->s1, r->s2);
		break;
	case SMFIR_DELRCPT:
		e = ph_edit_delete_recipient(c->m, r->s1);
		break;
	case SMFIR_CHGFROM:
		e = ph_edit_change_sender(c->m, r->s1, r->s2);
		break;
	case SMFIR_QUARANTINE:
		e = ph_edit_hold(c->m, "milter triggers HOLD action");
		break;
	case SMFIR_PROGRESS:
		break;
	default:
		return 0;
	}
	if (e < 0)
		return milter_broken(c, "milter %s: too many changes of one message", c->svc->name);
	return 1;
}

static void answer_end(struct milter *c)
{
	struct milter_reply r;
	int e;

	while (milter_read(c, &r) == 0) {
		e = edit(c, &r);
		if (e > 0)
			continue;
		if (e == 0 && !milter_take_common(c, &r))
			unexpected(c, &r);
		return;
	}
}

/* ---- the walk over the content ---- */

struct reader {
	struct ph_mail *m;
	struct ph_buf buf;
	int64_t at;                     /* offset in the message of the end of buf */
	size_t pos;                     /* in buf */
	bool eof;
};

/* More bytes behind what buf holds; what is before pos goes.  0, or negative. */
static int fill(struct reader *rd)
{
	ssize_t n;

	ph_buf_consume(&rd->buf, rd->pos);
	rd->pos = 0;
	if (ph_buf_reserve(&rd->buf, PIECE) < 0)
		return -ENOBUFS;
	n = ph_mail_read(rd->m, rd->at, rd->buf.data + rd->buf.len, PIECE);
	if (n < 0)
		return (int)n;
	rd->eof = n == 0;
	rd->at += n;
	rd->buf.len += (size_t)n;
	rd->buf.data[rd->buf.len] = '\0';
	return 0;
}

/* The logical header at pos: its length without the last LF; 0: the headers end here; negative.  It is one when a name and a colon are in front. */
static ssize_t header_at(struct reader *rd)
{
	size_t from = 0;
	int r = 0;

	for (;;) {
		const char *p = rd->buf.data + rd->pos, *nl = NULL;
		size_t n = rd->buf.len - rd->pos;

		if (n > from)
			nl = memchr(p + from, '\n', n - from);
		if ((!nl || nl + 1 == p + n) && !rd->eof) {
			from = nl ? (size_t)(nl - p) : n;
			r = fill(rd);
			if (r < 0)
				return r;
			continue;
		}
		if (nl && nl + 1 < p + n && (nl[1] == ' ' || nl[1] == '\t') && nl != p) {
			from = (size_t)(nl + 1 - p);
			continue;
		}
		n = nl ? (size_t)(nl - p) : n;
		return n && memchr(p, ':', n) && *p != ':' && *p != ' ' && *p != '\t' ? (ssize_t)n : 0;
	}
}

static enum next tell_header(struct milter *c, const char *p, size_t n)
{
	const char *colon = memchr(p, ':', n), *value = colon + 1;
	size_t packet, name = (size_t)(colon - p), at;

	if (value < p + n && *value == ' ' && !(c->protocol & SMFIP_HDR_LEADSPC))
		value++;
	milter_put_macros(c, MILTER_EOH, SMFIC_HEADER);
	c->command = SMFIC_HEADER;
	packet = milter_begin(&c->out, SMFIC_HEADER);
	at = c->out.len;
	ph_buf_append(&c->out, p, name);
	ph_buf_append(&c->out, "", 1);
	ph_buf_append(&c->out, value, (size_t)(p + n - value));
	ph_buf_append(&c->out, "", 1);
	/* A NUL in the text would end it. */
	for (size_t i = at; i + 1 < c->out.len; i++)
		if (!c->out.data[i] && i != at + name)
			c->out.data[i] = ' ';
	return sent(c, packet, SMFIP_NR_HDR, true);
}

/* All headers; pos ends up at the body. */
static int headers(struct milter *c, struct reader *rd)
{
	enum next next = c->protocol & SMFIP_NOHDRS ? NEXT_SKIP : NEXT_GO;
	ssize_t n;

	while ((n = header_at(rd)) > 0 && next != NEXT_STOP) {
		if (next == NEXT_GO)
			next = tell_header(c, rd->buf.data + rd->pos, (size_t)n);
		rd->pos += (size_t)n + (rd->pos + (size_t)n < rd->buf.len);
	}
	if (n < 0)
		return (int)n;
	if (rd->pos < rd->buf.len && rd->buf.data[rd->pos] == '\n')
		rd->pos++;
	return 0;
}

static void tell_end_of_headers(struct milter *c)
{
	if (c->protocol & SMFIP_NOEOH)
		return;
	milter_put_macros(c, MILTER_EOH, SMFIC_EOH);
	c->command = SMFIC_EOH;
	sent(c, milter_begin(&c->out, SMFIC_EOH), SMFIP_NR_EOH, true);
}

/* One packet of body from what buf holds. */
static enum next body(struct milter *c, struct reader *rd)
{
	enum next next = NEXT_GO;
	bool cr_done = false;
	size_t packet = 0;
	int r = 0;

	while (next == NEXT_GO && r == 0) {
		if (rd->pos == rd->buf.len && !rd->eof)
			r = fill(rd);
		if (r < 0 || (rd->eof && rd->pos == rd->buf.len && !packet))
			break;
		if (!packet) {
			milter_put_macros(c, MILTER_EOM, SMFIC_BODY);
			c->command = SMFIC_BODY;
			packet = milter_begin(&c->out, SMFIC_BODY) + 1;         /* 0 means none */
		}
		rd->pos += milter_put_body(&c->out, packet - 1, rd->buf.data + rd->pos, rd->buf.len - rd->pos, &cr_done);
		if (c->out.len < packet - 1 + MILTER_HEAD + 1 + MILTER_CHUNK_SIZE && !(rd->eof && rd->pos == rd->buf.len))
			continue;
		next = sent(c, packet - 1, SMFIP_NR_BODY, false);
		packet = 0;
	}
	return r < 0 ? (enum next)r : next;
}

static void tell_end(struct milter *c)
{
	milter_put_macros(c, MILTER_EOM, SMFIC_BODYEOB);
	c->command = SMFIC_BODYEOB;
	milter_end(&c->out, milter_begin(&c->out, SMFIC_BODYEOB));
	if (milter_flush(c) == 0)
		answer_end(c);
}

/* Is there more to tell? */
static bool go_on(const struct milter *c)
{
	return c->io && (c->outcome == MILTER_ASK || c->outcome == MILTER_HOLD);
}

static int show(struct milter *c)
{
	struct reader rd = { .m = c->m, .buf = PH_BUF_INIT(HEADER_MAX) };
	int r = 0;

	if (!(c->protocol & SMFIP_NOHDRS) || !(c->protocol & SMFIP_NOBODY))
		r = headers(c, &rd);
	if (r == 0 && go_on(c))
		tell_end_of_headers(c);
	if (r == 0 && go_on(c) && !(c->protocol & SMFIP_NOBODY) && (int)body(c, &rd) < 0)
		r = -EIO;
	ph_buf_done(&rd.buf);
	if (r == 0 && go_on(c))
		tell_end(c);
	return r;
}

struct ph_verdict milter_message(struct milter *c)
{
	struct ph_verdict v = ph_verdict_dunno();

	if (!c->s)
		v = milter_emulate(c);
	if (c->outcome != MILTER_ASK && c->outcome != MILTER_HOLD)
		return milter_verdict(c);
	if (v.cls != PH_DUNNO || !go_on(c))
		return milter_verdict(c);
	ph_mail_stage(c->m, "END-OF-MESSAGE");
	if (c->protocol & SMFIP_HDR_LEADSPC)
		ph_edit_raw_values(c->m);
	if (show(c) < 0)
		milter_broken(c, "milter %s: %s: cannot read the message", c->svc->name, ph_mail_queue_id(c->m));
	if (c->failed)
		ph_edit_forget(c->m);
	return milter_verdict(c);
}
