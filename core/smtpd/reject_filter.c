/* reject_filter.c: smtpd_reject_filter_maps: another text for a 4xx or 5xx reply, before its footer.  The tables see a reply as the client would:
 * "550 5.1.1 text", "550-5.7.1 one\r\n550 5.7.1 two".  Source: postconf(5), Postfix 3.11. */
#include <ctype.h>
#include <string.h>

#include "module/table.h"
#include "smtpd/session.h"

static bool is_refusal(const char *p)
{
	return (p[0] == '4' || p[0] == '5') && isdigit((unsigned char)p[1]) && isdigit((unsigned char)p[2]) && (p[3] == ' ' || p[3] == '-');
}

/* Pure.  Lines after the first may repeat the code, as on the wire, or stand alone. */
bool ph_smtpd_reply_from_wire(const char *wire, struct ph_buf *ret)
{
	const char *code = wire, *nl;
	size_t n;

	ph_buf_clear(ret);
	if (!is_refusal(wire) || !wire[4])
		return false;
	ph_buf_append(ret, wire, 3);
	for (;; wire = nl + 1) {
		bool first = wire == code;

		if (first || (strncmp(wire, code, 3) == 0 && (wire[3] == ' ' || wire[3] == '-')))
			wire += 4;
		nl = strchr(wire, '\n');
		n = nl ? (size_t)(nl - wire) : strlen(wire);
		n -= n && wire[n - 1] == '\r';
		if (ph_buf_putc(ret, first ? ' ' : '\n') < 0 || ph_buf_append(ret, wire, n) < 0)
			return false;
		if (!nl || !nl[1])
			return true;
	}
}

static const char *to_wire(struct ph_session *s, const char *reply)
{
	struct ph_buf b = PH_BUF_INIT(64 * 1024);
	const char *p = reply + 4, *nl;
	const char *wire;

	while ((nl = strchr(p, '\n'))) {
		ph_buf_printf(&b, "%.3s-%.*s\r\n", reply, (int)(nl - p), p);
		p = nl + 1;
	}
	ph_buf_printf(&b, "%.3s %s", reply, p);
	wire = ph_arena_strdup(ph_session_arena(s), ph_buf_str(&b));
	ph_buf_done(&b);
	return wire;
}

static void log_step(struct ph_session *s, const char *step, const char *text)
{
	ph_log(PH_LOG_INFO, "%s: reject filter %s: %.1500s", s->t && s->t->queue_id ? s->t->queue_id : "NOQUEUE", step, text);
}

/* What the table would have made of the reply is not known: it may have been a "try again". */
static void soften(struct ph_buf *b)
{
	b->data[0] = '4';
	if (b->data[4] == '5' && b->data[5] == '.')
		b->data[4] = '4';
}

void ph_smtpd_reject_filter(struct ph_session *s, struct ph_buf *b)
{
	struct ph_buf out = PH_BUF_INIT(b->max);
	struct ph_err err = { 0 };
	const char *in, *value;

	if (ph_maps_empty(s->svc->reject_filter))
		return;
	in = to_wire(s, b->data);
	switch (ph_maps_find(s->svc->reject_filter, in, false, ph_session_arena(s), &value, &err)) {
	case PH_LOOKUP_FOUND:
		if (!ph_smtpd_reply_from_wire(value, &out)) {
			ph_log(PH_LOG_WARNING, "smtpd_reject_filter_maps: \"%.200s\" is no 4XX or 5XX reply; the reply stays \"%.200s\"", value, in);
			break;
		}
		log_step(s, "in", in);
		log_step(s, "out", value);
		ph_buf_clear(b);
		ph_buf_append(b, out.data, out.len);
		break;
	case PH_LOOKUP_NOTFOUND:
		break;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		ph_log(PH_LOG_WARNING, "smtpd_reject_filter_maps: look-up of \"%.200s\" failed: %s", in, err.text);
		soften(b);
		break;
	}
	ph_buf_done(&out);
}
