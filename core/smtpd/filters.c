/* filters.c: the session's side of milters and native filters: when each stage is told, and what a refusal means for the client.
 * A filter that refuses the client or its HELO is believed from then on: the greeting goes well, the mail does not.  Yields. */
#include "smtpd/filters.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "message/filter_host.h"

/* The lines of a reply as they stand in the log: "550-5.7.1 one\r\n550 5.7.1 two". */
static const char *shown(struct ph_session *s, int code, const char *text)
{
	struct ph_buf b = PH_BUF_INIT(8192);
	const char *nl, *ret;

	for (; (nl = strchr(text, '\n')); text = nl + 1)
		ph_buf_printf(&b, "%d-%.*s\r\n", code, (int)(nl - text), text);
	ph_buf_printf(&b, "%d %s", code, text);
	ret = ph_arena_strdup(ph_session_arena(s), ph_buf_str(&b));
	ph_buf_done(&b);
	return ret;
}

/* "550 5.7.1 text"; logged.  NULL: the verdict lets the command through. */
static const char *refusal(struct ph_session *s, const struct ph_verdict *v)
{
	const char *reply, *dsn = v->dsn, *text = v->text;
	int code = v->code;

	switch (v->cls) {
	case PH_DUNNO:
	case PH_PERMIT:
		return NULL;
	case PH_REJECT:
		code = code ? code : 550;
		text = text && *text ? text : "Command rejected";
		break;
	case PH_DEFER:
	case PH_DEFER_IF_PERMIT:
	case PH_DEFER_IF_REJECT:
		code = code ? code : 451;
		text = text && *text ? text : "Service unavailable - try again later";
		break;
	case PH_DISCONNECT:
		code = code ? code : 421;
		text = text && *text ? text : "Service unavailable - try again later";
		break;
	}
	if (v->verbatim) {
		reply = ph_arena_printf(ph_session_arena(s), "%d %.4000s", code, text);
		ph_smtpd_log_whatsup(s, "milter-reject", shown(s, code, text));
		return reply;
	}
	if (!*dsn)
		dsn = code < 500 ? "4.7.1" : "5.7.1";
	reply = ph_arena_printf(ph_session_arena(s), "%d %s %.1400s", code, dsn, text);
	ph_smtpd_log_whatsup(s, "milter-reject", reply);
	return reply;
}

void ph_session_hold(struct ph_session *s, const char *text)
{
	ph_smtpd_log_whatsup(s, "milter-hold", text);
	ph_smtpd_message_action(s, "HOLD", text);
}

void ph_session_discard(struct ph_session *s, const char *text)
{
	ph_smtpd_log_whatsup(s, "milter-discard", text);
	ph_smtpd_message_action(s, "DISCARD", text);
	s->filter_discard = s->t != NULL;
}

/* smtpd_milter_maps: what this client gets instead of smtpd_milters; NULL: nothing else. */
static const char *milters_for_client(struct ph_session *s)
{
	struct ph_err err;
	const char *value;

	if (ph_maps_empty(s->svc->milter_maps))
		return NULL;
	switch (ph_maps_find(s->svc->milter_maps, s->addr, false, ph_session_arena(s), &value, &err)) {
	case PH_LOOKUP_FOUND:
		return value;
	case PH_LOOKUP_NOTFOUND:
		return NULL;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	ph_log(PH_LOG_WARNING, "smtpd_milter_maps: lookup error for %s: %s", s->addr, err.text);
	return NULL;
}

int ph_smtpd_filters_open(struct ph_session *s)
{
	struct ph_verdict v;
	const char *reply;

	ph_smtpd_filters_close(s);
	s->filters = s->svc->no_milters || s->svc->standalone ? NULL : ph_filter_chain_new(s->svc->conf, s, milters_for_client(s));
	if (!s->filters)
		return 0;
	v = ph_filter_chain_connect(s->filters);
	reply = refusal(s, &v);
	if (!reply)
		return 0;
	if (v.cls == PH_DISCONNECT || strncmp(reply, "421", 3) == 0) {
		ph_smtpd_reply(s, "421 %s Service unavailable - try again later", s->set->myhostname);
		return -EPROTO;
	}
	s->filter_reject_all = reply[0] == '5';
	return 0;
}

bool ph_smtpd_filters_reject_all(const struct ph_session *s)
{
	return s->filter_reject_all || s->filter_helo_reject;
}

void ph_smtpd_filters_close(struct ph_session *s)
{
	ph_filter_chain_free(&s->filters);
	s->filter_reject_all = s->filter_helo_reject = s->filter_discard = false;
}

void ph_smtpd_filters_abort(struct ph_session *s)
{
	s->filter_discard = false;
	ph_filter_chain_abort(s->filters);
}

void ph_smtpd_filters_restart(struct ph_session *s)
{
	ph_filter_chain_restart(s->filters);
}

/* A refused greeting goes well all the same, unless the connection is to end: what is refused is the mail. */
const char *ph_smtpd_filters_helo(struct ph_session *s)
{
	struct ph_verdict v;
	const char *reply;

	s->filter_helo_reject = false;
	if (!s->filters)
		return NULL;
	v = ph_filter_chain_helo(s->filters);
	reply = refusal(s, &v);
	if (!reply || v.cls == PH_DISCONNECT || strncmp(reply, "421", 3) == 0)
		return reply;
	s->filter_helo_reject = reply[0] == '5';
	return NULL;
}

static const char *command(struct ph_session *s, struct ph_verdict (*fn)(struct ph_filter_chain *))
{
	struct ph_verdict v;

	if (!s->filters || s->filter_discard)
		return NULL;
	v = fn(s->filters);
	return refusal(s, &v);
}

const char *ph_smtpd_filters_mail(struct ph_session *s)
{
	return command(s, ph_filter_chain_mail);
}

const char *ph_smtpd_filters_rcpt(struct ph_session *s)
{
	return command(s, ph_filter_chain_rcpt);
}

void ph_smtpd_filters_rcpt_rejected(struct ph_session *s, const char *reply)
{
	if (!s->filter_discard)
		ph_filter_chain_rcpt_rejected(s->filters, reply);
}

/* The log names the first recipient here. */
const char *ph_smtpd_filters_data(struct ph_session *s)
{
	const char *reply;

	s->recipient = s->t->n_rcpts ? s->t->rcpts[0] : NULL;
	reply = command(s, ph_filter_chain_data);
	s->recipient = NULL;
	return reply;
}

const char *ph_smtpd_filters_unknown(struct ph_session *s, const char *line)
{
	struct ph_verdict v;

	if (!s->filters)
		return NULL;
	v = ph_filter_chain_unknown(s->filters, line);
	return refusal(s, &v);
}
