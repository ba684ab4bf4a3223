/* cmd_etrn.c: ETRN: try the mail for a site now.  Yields.  RFC 1985. */
#include <string.h>

#include "route/hostname.h"
#include "smtpd/flush.h"
#include "smtpd/session.h"

/* "@domain" and "#queue" are taken as "domain" and "queue". */
static const char *site_name(struct ph_session *s, struct ph_slice w)
{
	if (w.n && (*w.p == '@' || *w.p == '#')) {
		w.p++;
		w.n--;
	}
	return ph_arena_strndup(ph_session_arena(s), w.p, w.n);
}

static bool valid_site(struct ph_session *s, const char *site)
{
	size_t n = strlen(site);

	if (n > 2 && *site == '[' && site[n - 1] == ']')
		return ph_hostliteral_valid(ph_arena_strndup(ph_session_arena(s), site + 1, n - 2));
	return ph_hostname_valid(site, PH_HOST_NUMERIC);
}

static int start(struct ph_session *s, const char *site)
{
	struct ph_err err;

	/* The name is tried as it is, and an address literal is never in the list. */
	switch (*site == '[' || !s->svc->fast_flush ? PH_LOOKUP_NOTFOUND : ph_match_find(s->svc->fast_flush, site, NULL, &err)) {
	case PH_LOOKUP_FOUND:
		if (ph_smtpd_flush_site(s->svc->conf, site, &err) == 0)
			return ph_smtpd_reply(s, "250 Queuing started");
		ph_log(PH_LOG_WARNING, "bad ETRN %.100s... from %s: %s", site, s->namaddr, err.text);
		return ph_smtpd_refuse(s, "458 Unable to queue messages");
	case PH_LOOKUP_NOTFOUND:
		ph_log(PH_LOG_WARNING, "reject: ETRN %.100s... from %s", site, s->namaddr);
		return ph_smtpd_refuse(s, "459 <%s>: service unavailable", site);
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	ph_log(PH_LOG_WARNING, "bad ETRN %.100s... from %s: %s", site, s->namaddr, err.text);
	return ph_smtpd_refuse(s, "458 Unable to queue messages");
}

int ph_smtpd_cmd_etrn(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	const char *site, *refused;

	s->stage = PH_STAGE_ETRN;
	if (s->set->helo_required && !s->helo)
		return ph_smtpd_refuse(s, "503 Error: send HELO/EHLO first");
	if (s->t)
		return ph_smtpd_refuse(s, "503 Error: MAIL transaction in progress");
	if (c->n != 2)
		return ph_smtpd_refuse(s, "500 Syntax: ETRN domain");
	site = site_name(s, c->w[1].text);
	if (!valid_site(s, site))
		return ph_smtpd_refuse(s, "501 Error: invalid parameter syntax");
	s->etrn_domain = site;
	refused = s->svc->standalone ? "458 Unable to queue messages" : ph_smtpd_check_etrn(s);
	s->etrn_domain = NULL;
	if (refused)
		return ph_smtpd_refuse(s, "%s", refused);
	return start(s, site);
}
