/* filters.c: the session's side of milters and native filters: when each stage is told, and what a refusal means for the client.
 * A filter that refuses the client or its HELO is believed from then on: the greeting goes well, the mail does not.  Yields. */
#include "smtpd/filters.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "message/filter_host.h"

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
	if (!*dsn)
		dsn = code < 500 ? "4.7.1" : "5.7.1";
	reply = ph_arena_printf(ph_session_arena(s), "%d %s %.1400s", code, dsn, text);
	ph_smtpd_log_whatsup(s, "milter-reject", reply);
	return reply;
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
	s->filters = s->svc->no_milters ? NULL : ph_filter_chain_new(s->svc->conf, s, milters_for_client(s));
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
	ph_smtpd_set(&s->filter_refusal, reply);
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
	ph_smtpd_set(&s->filter_refusal, NULL);
	s->filter_reject_all = s->filter_helo_reject = false;
}

void ph_smtpd_filters_abort(struct ph_session *s)
{
	ph_filter_chain_abort(s->filters);
}

const char *ph_smtpd_filters_helo(struct ph_session *s)
{
	struct ph_verdict v;
	const char *reply;

	if (!s->filters)
		return NULL;
	if (s->filter_refusal && !s->filter_of_helo) {
		ph_smtpd_log_whatsup(s, "milter-reject", s->filter_refusal);
		return NULL;
	}
	ph_smtpd_set(&s->filter_refusal, NULL);
	s->filter_of_helo = s->filter_helo_reject = false;
	v = ph_filter_chain_helo(s->filters);
	reply = refusal(s, &v);
	if (!reply)
		return NULL;
	if (v.cls == PH_DISCONNECT || strncmp(reply, "421", 3) == 0)
		return reply;
	ph_smtpd_set(&s->filter_refusal, reply);
	s->filter_of_helo = true;
	s->filter_helo_reject = reply[0] == '5';
	return NULL;
}

static const char *command(struct ph_session *s, struct ph_verdict (*fn)(struct ph_filter_chain *))
{
	struct ph_verdict v;

	if (!s->filters)
		return NULL;
	if (s->filter_refusal) {
		ph_smtpd_log_whatsup(s, "milter-reject", s->filter_refusal);
		return s->filter_refusal;
	}
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

const char *ph_smtpd_filters_data(struct ph_session *s)
{
	return command(s, ph_filter_chain_data);
}

const char *ph_smtpd_filters_unknown(struct ph_session *s, const char *line)
{
	struct ph_verdict v;

	if (!s->filters || s->filter_refusal)
		return NULL;
	v = ph_filter_chain_unknown(s->filters, line);
	return refusal(s, &v);
}
