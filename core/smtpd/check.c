/* check.c: the stages: which lists are asked when, and what comes after them.  Yields.  Source: SMTPD_ACCESS_README, access(5). */
#include <string.h>
#include <stdio.h>

#include "queue/store.h"
#include "smtpd/restrict.h"

/* The end of a stage: the reply, or NULL. */
static const char *done(struct ph_session *s, enum ph_check r)
{
	return r == PH_CHECK_REJECT ? ph_check_reply(s) : NULL;
}

static void begin(struct ph_session *s, bool defer_if_permit)
{
	s->refusal = NULL;
	s->unlisted = false;
	s->recursion = s->warn_if_reject = 0;
	s->defer_if_permit.active = defer_if_permit;
	s->defer_if_reject.active = false;
}

static enum ph_check apply(struct ph_session *s, const struct ph_verdict *v)
{
	return ph_check_apply(s, v, "", "");
}

/* A permission is not sure as long as something that might have refused could not be asked. */
static enum ph_check permit_or_defer(struct ph_session *s, enum ph_check r)
{
	struct ph_verdict v;
	char *text;

	if (r == PH_CHECK_REJECT || !s->defer_if_permit.active)
		return r;
	text = s->defer_if_permit.text;         /* "450 4.7.1 ..." */
	memset(&v, 0, sizeof(v));
	v.cls = PH_DEFER;
	v.complete = true;
	v.code = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
	snprintf(v.dsn, sizeof(v.dsn), "%.*s", (int)strcspn(text + 4, " "), text + 4);
	v.text = strchr(text + 4, ' ') ? strchr(text + 4, ' ') + 1 : "";
	return apply(s, &v);
}

static enum ph_check unlisted(struct ph_session *s, const char *address, bool sender)
{
	const char *text = "", *cls = sender ? "Sender address" : "Recipient address";
	struct ph_verdict v = ph_verdict_dunno();
	struct ph_err err = { 0, "" };
	char dsn[12] = "5.1.1";
	int code = 550;
	size_t n;

	switch (ph_session_recipient_known(s, address, &text, &code, &err)) {
	case PH_LOOKUP_FOUND:
		return PH_CHECK_DUNNO;
	case PH_LOOKUP_NOTFOUND:
		n = strcspn(text, " ");
		if (n < sizeof(dsn) && text[0] >= '4' && text[0] <= '5' && text[1] == '.' && text[n] == ' ') {
			memcpy(dsn, text, n);
			dsn[n] = '\0';
			text += n + 1;
		} else if (sender) {
			strcpy(dsn, "5.1.0");
		}
		v = ph_verdict_text(s, code < 500 ? PH_DEFER : PH_REJECT, code, dsn, "<%s>: %s rejected: %s", address, cls, text);
		break;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		v = ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, address, &err);
		break;
	}
	return apply(s, &v);
}

const char *ph_smtpd_check_client(struct ph_session *s)
{
	enum ph_check r;

	begin(s, false);
	r = ph_rlist_run(s, s->svc->client, s->namaddr, "Client host", PH_ACCESS_CLIENT);
	s->dip_client = s->defer_if_permit.active;
	return done(s, r);
}

const char *ph_smtpd_check_helo(struct ph_session *s)
{
	enum ph_check r = PH_CHECK_DUNNO;

	begin(s, s->dip_client);
	if (s->helo)
		r = ph_rlist_run(s, s->svc->helo, s->helo, "Helo command", PH_ACCESS_HELO);
	s->dip_helo = s->defer_if_permit.active;
	return done(s, r);
}

const char *ph_smtpd_check_mail(struct ph_session *s)
{
	const char *sender = ph_session_sender(s);
	enum ph_check r = PH_CHECK_DUNNO;

	begin(s, s->dip_helo);
	s->sender_map_checked = false;
	if (sender) {
		r = ph_rlist_run(s, s->svc->sender, sender, "Sender address", PH_ACCESS_SENDER);
		if (r != PH_CHECK_REJECT && !(s->t && s->t->discard) && s->set->reject_unlisted_sender && !s->sender_map_checked && *sender && !s->svc->no_unknown_checks)
			r = unlisted(s, sender, true);
	}
	s->dip_sender = s->defer_if_permit.active;
	return done(s, r);
}

/* Client, HELO and sender, when smtpd_delay_reject has put them off. */
static const char *delayed(struct ph_session *s, bool sender)
{
	const char *refused;

	if (!s->set->delay_reject)
		return NULL;
	refused = ph_smtpd_check_client(s);
	if (!refused)
		refused = ph_smtpd_check_helo(s);
	if (!refused && sender)
		refused = ph_smtpd_check_mail(s);
	return refused;
}

const char *ph_smtpd_check_rcpt(struct ph_session *s)
{
	struct ph_rlist *lists[2] = { s->svc->relay, s->svc->recipient };
	const char *refused = delayed(s, true);
	enum ph_check r = PH_CHECK_DUNNO;

	if (refused)
		return refused;
	if (!s->set->relay_first) {
		lists[0] = s->svc->recipient;
		lists[1] = s->svc->relay;
	}
	begin(s, s->dip_sender);
	s->rcpt_map_checked = false;
	for (int i = 0; i < 2 && r != PH_CHECK_REJECT; i++)
		r = ph_rlist_run(s, lists[i], s->recipient, "Recipient address", PH_ACCESS_RECIPIENT);
	r = permit_or_defer(s, r);
	if (r != PH_CHECK_REJECT && !(s->t && s->t->discard) && s->set->reject_unlisted_recipient && !s->rcpt_map_checked && !s->svc->no_unknown_checks)
		r = unlisted(s, s->recipient, false);
	return done(s, r);
}

const char *ph_smtpd_check_vrfy(struct ph_session *s)
{
	return ph_smtpd_check_rcpt(s);
}

const char *ph_smtpd_check_etrn(struct ph_session *s)
{
	const char *refused = delayed(s, false);
	enum ph_check r;

	if (refused)
		return refused;
	begin(s, s->dip_helo);
	r = ph_rlist_run(s, s->svc->etrn, s->etrn_domain, "Etrn command", PH_ACCESS_ETRN);
	return done(s, permit_or_defer(s, r));
}

/* DATA and end of data.  The only recipient is shown; several would make it a matter of chance which one. */
static const char *check_message(struct ph_session *s, struct ph_rlist *l, const char *name, const char *cls, enum ph_access_class acl)
{
	enum ph_check r;

	if (ph_rlist_empty(l))
		return NULL;
	begin(s, false);
	s->recipient = s->t->n_rcpts == 1 ? s->t->rcpts[0] : NULL;
	r = permit_or_defer(s, ph_rlist_run(s, l, name, cls, acl));
	s->recipient = NULL;
	return done(s, r);
}

const char *ph_smtpd_check_data(struct ph_session *s)
{
	return check_message(s, s->svc->data, "DATA", "Data command", PH_ACCESS_DATA);
}

const char *ph_smtpd_check_eod(struct ph_session *s)
{
	return check_message(s, s->svc->eod, "END-OF-MESSAGE", "End-of-data", PH_ACCESS_EOD);
}

static const char *no_space(struct ph_session *s, int64_t free_bytes)
{
	struct ph_verdict v = ph_verdict_text(s, PH_DEFER, 452, "4.3.1", "Insufficient system storage");

	ph_log(PH_LOG_WARNING, "not enough free space in mail queue: %lld bytes < 1.5*message size limit", (long long)free_bytes);
	return done(s, apply(s, &v));
}

static int64_t queue_free(void)
{
	return ph_store_self() ? ph_store_free_bytes(ph_store_self()) : -1;
}

const char *ph_smtpd_check_queue(struct ph_session *s)
{
	int64_t n = queue_free();

	begin(s, false);
	if (n >= 0 && (n <= s->set->queue_minfree || n / 3 * 2 < s->set->message_size_limit))
		return no_space(s, n);
	return NULL;
}

const char *ph_smtpd_check_size(struct ph_session *s, int64_t size)
{
	int64_t limit = s->set->message_size_limit, n = queue_free();
	struct ph_verdict v;

	begin(s, false);
	if (limit > 0 && size > limit) {
		v = ph_verdict_text(s, PH_REJECT, 552, "5.3.4", "Message size exceeds fixed limit");
		return done(s, apply(s, &v));
	}
	if (n >= 0 && n / 3 * 2 < size)
		return no_space(s, n);
	return NULL;
}

static bool in_rewrite_tables(struct ph_session *s)
{
	const char *value;
	struct ph_err err = { 0, "" };

	if (!s->svc->rewrite_tables)
		return false;
	switch (ph_maps_find(s->svc->rewrite_tables, s->addr, false, ph_session_arena(s), &value, &err)) {
	case PH_LOOKUP_FOUND:
		return true;
	case PH_LOOKUP_NOTFOUND:
		return false;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		ph_log(PH_LOG_WARNING, "local_header_rewrite_clients: lookup error for \"%s\": %s", s->addr, err.text);
		return false;
	}
	return false;
}

bool ph_smtpd_rewrite_local(struct ph_session *s)
{
	if (s->svc->standalone)
		return true;
	if (!s->rewrite_local_known) {
		int warn = s->warn_if_reject, depth = s->recursion;

		s->quiet = true;
		s->rewrite_local = in_rewrite_tables(s) || ph_rlist_run(s, s->svc->rewrite_clients, s->namaddr, "Client host", PH_ACCESS_CLIENT) == PH_CHECK_OK;
		s->quiet = false;
		s->warn_if_reject = warn;
		s->recursion = depth;
		s->rewrite_local_known = true;
	}
	return s->rewrite_local;
}
