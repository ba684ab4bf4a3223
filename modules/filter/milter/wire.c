/* wire.c: packets of the milter protocol, built and taken apart.  Pure; does not yield. */
#include "wire.h"

#include <errno.h>
#include <string.h>

/* ---- building ---- */

void milter_put_u32(struct ph_buf *b, uint32_t v)
{
	char c[4] = { (char)(v >> 24), (char)(v >> 16), (char)(v >> 8), (char)v };

	ph_buf_append(b, c, 4);
}

void milter_put_str(struct ph_buf *b, const char *s)
{
	ph_buf_append(b, s, strlen(s) + 1);
}

size_t milter_begin(struct ph_buf *b, char command)
{
	size_t at = b->len;

	milter_put_u32(b, 0);
	ph_buf_append(b, &command, 1);
	return at;
}

void milter_end(struct ph_buf *b, size_t begun)
{
	uint32_t n = (uint32_t)(b->len - begun - MILTER_HEAD);
	char c[4] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n };

	memcpy(b->data + begun, c, 4);
}

/* Runs without LF are copied whole; a packet may end between CR and LF. */
size_t milter_put_body(struct ph_buf *b, size_t begun, const char *p, size_t n, bool *cr_done)
{
	size_t full = begun + MILTER_HEAD + 1 + MILTER_CHUNK_SIZE, done = 0;

	if (ph_buf_reserve(b, full - b->len) < 0)
		return 0;
	while (done < n && b->len < full) {
		const char *lf = memchr(p + done, '\n', n - done);
		size_t run = (lf ? (size_t)(lf - p) : n) - done;

		if (run > full - b->len)
			run = full - b->len;
		ph_buf_append(b, p + done, run);
		done += run;
		if (done == n || p[done] != '\n' || b->len == full)
			continue;
		if (!*cr_done) {
			ph_buf_append(b, "\r", 1);
			*cr_done = true;
		}
		if (b->len < full) {
			ph_buf_append(b, "\n", 1);
			*cr_done = false;
			done++;
		}
	}
	return done;
}

/* ---- taking apart ---- */

struct cursor { const char *p; size_t n; };

static int get_u32(struct cursor *c, uint32_t *ret, struct ph_err *err)
{
	const unsigned char *u = (const unsigned char *)c->p;

	if (c->n < 4)
		return ph_err_set(err, -EBADMSG, "input packet too short for network long");
	*ret = (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
	c->p += 4;
	c->n -= 4;
	return 0;
}

static int get_str(struct cursor *c, const char **ret, struct ph_err *err)
{
	const char *end = c->n ? memchr(c->p, '\0', c->n) : NULL;

	if (!c->n)
		return ph_err_set(err, -EBADMSG, "packet too short for string");
	if (!end)
		return ph_err_set(err, -EBADMSG, "missing string null terminator");
	*ret = c->p;
	c->n -= (size_t)(end + 1 - c->p);
	c->p = end + 1;
	return 0;
}

/* The last string may stand alone, or be missing. */
static int get_rest(struct cursor *c, const char **ret, struct ph_err *err)
{
	return c->n ? get_str(c, ret, err) : 0;
}

int milter_reply_decode(const char *p, size_t n, struct milter_reply *ret, struct ph_err *err)
{
	struct cursor c = { p + 1, n - 1 };
	int r = 0;

	*ret = (struct milter_reply){ .command = p[0] };
	switch (p[0]) {
	case SMFIR_ADDHEADER:
	case SMFIR_ADDRCPT_PAR:
	case SMFIR_CHGFROM:
		r = get_str(&c, &ret->s1, err);
		if (r == 0)
			r = p[0] == SMFIR_ADDHEADER ? get_str(&c, &ret->s2, err) : get_rest(&c, &ret->s2, err);
		break;
	case SMFIR_INSHEADER:
	case SMFIR_CHGHEADER:
		r = get_u32(&c, &ret->index, err);
		if (r == 0)
			r = get_str(&c, &ret->s1, err);
		if (r == 0)
			r = get_str(&c, &ret->s2, err);
		break;
	case SMFIR_ADDRCPT:
	case SMFIR_DELRCPT:
	case SMFIR_QUARANTINE:
		r = get_str(&c, &ret->s1, err);
		break;
	case SMFIR_REPLYCODE:           /* what has no end, or two, is no reply text: milter_smtp_parse refuses "" */
		ret->s1 = c.n && memchr(c.p, '\0', c.n) == c.p + c.n - 1 ? c.p : "";
		return 0;
	case SMFIR_REPLBODY:
		ret->data = c.p;
		ret->n = c.n;
		return 0;
	default:                        /* replies without data, and unknown ones: the caller tells them apart */
		break;
	}
	if (r == 0 && c.n)
		r = ph_err_set(err, -EBADMSG, "reply %s was followed by %zu data bytes", milter_reply_name(p[0]), c.n);
	return r;
}

int milter_offer_decode(const char *p, size_t n, struct milter_offer *ret, struct ph_err *err)
{
	struct cursor c = { p, n };
	uint32_t stage = 0;
	const char *list;
	int r;

	*ret = (struct milter_offer){ .unknown_stage = -1 };
	r = get_u32(&c, &ret->version, err);
	if (r == 0)
		r = get_u32(&c, &ret->actions, err);
	if (r == 0)
		r = get_u32(&c, &ret->protocol, err);
	while (r == 0 && c.n) {
		r = get_u32(&c, &stage, err);
		if (r == 0)
			r = get_str(&c, &list, err);
		if (r == 0 && stage < MILTER_STAGES)
			ret->macros[stage] = list;
		else if (r == 0 && ret->unknown_stage < 0)
			ret->unknown_stage = stage;
	}
	return r;
}

bool milter_reply_bare(char c)
{
	return c && strchr((const char[]){ SMFIR_CONTINUE, SMFIR_ACCEPT, SMFIR_DISCARD, SMFIR_REJECT, SMFIR_TEMPFAIL, SMFIR_CONN_FAIL, SMFIR_SHUTDOWN,
					   SMFIR_SKIP, SMFIR_PROGRESS, '\0' }, c);
}

/* ---- names ---- */

const char *milter_command_name(char c)
{
	static const struct { char c; const char *name; } names[] = {
		{ SMFIC_CONNECT, "SMFIC_CONNECT" }, { SMFIC_HELO, "SMFIC_HELO" }, { SMFIC_MAIL, "SMFIC_MAIL" }, { SMFIC_RCPT, "SMFIC_RCPT" },
		{ SMFIC_DATA, "SMFIC_DATA" }, { SMFIC_HEADER, "SMFIC_HEADER" }, { SMFIC_EOH, "SMFIC_EOH" }, { SMFIC_BODY, "SMFIC_BODY" },
		{ SMFIC_BODYEOB, "SMFIC_BODYEOB" }, { SMFIC_ABORT, "SMFIC_ABORT" }, { SMFIC_QUIT, "SMFIC_QUIT" },
		{ SMFIC_OPTNEG, "SMFIC_OPTNEG" }, { SMFIC_UNKNOWN, "SMFIC_UNKNOWN" }, { SMFIC_MACRO, "SMFIC_MACRO" },
	};

	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++)
		if (names[i].c == c)
			return names[i].name;
	return "(unknown MTA event)";
}

const char *milter_reply_name(char c)
{
	static const struct { char c; const char *name; } names[] = {
		{ SMFIR_ADDRCPT, "SMFIR_ADDRCPT" }, { SMFIR_DELRCPT, "SMFIR_DELRCPT" }, { SMFIR_ADDRCPT_PAR, "SMFIR_ADDRCPT_PAR" },
		{ SMFIR_SHUTDOWN, "SMFIR_SHUTDOWN" }, { SMFIR_ACCEPT, "SMFIR_ACCEPT" }, { SMFIR_REPLBODY, "SMFIR_REPLBODY" },
		{ SMFIR_CONTINUE, "SMFIR_CONTINUE" }, { SMFIR_DISCARD, "SMFIR_DISCARD" }, { SMFIR_CHGFROM, "SMFIR_CHGFROM" },
		{ SMFIR_CONN_FAIL, "SMFIR_CONN_FAIL" }, { SMFIR_ADDHEADER, "SMFIR_ADDHEADER" }, { SMFIR_INSHEADER, "SMFIR_INSHEADER" },
		{ SMFIR_CHGHEADER, "SMFIR_CHGHEADER" }, { SMFIR_PROGRESS, "SMFIR_PROGRESS" }, { SMFIR_QUARANTINE, "SMFIR_QUARANTINE" },
		{ SMFIR_REJECT, "SMFIR_REJECT" }, { SMFIR_SKIP, "SMFIR_SKIP" }, { SMFIR_TEMPFAIL, "SMFIR_TEMPFAIL" },
		{ SMFIR_REPLYCODE, "SMFIR_REPLYCODE" },
	};

	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++)
		if (names[i].c == c)
			return names[i].name;
	return "(unknown filter reply)";
}
