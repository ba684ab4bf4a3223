/* cmd_vrfy.c: VRFY: the answer that RCPT would get.  Yields.  RFC 5321 4.1.1.6, RFC 6531 3.7.4. */
#include "smtpd/limits.h"
#include "smtpd/session.h"

int ph_smtpd_cmd_vrfy(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	const char *refused, *address, *text;
	struct ph_smtpd_word all;
	bool utf8 = false;
	int r;

	s->stage = PH_STAGE_VRFY;
	if (s->set->disable_vrfy)
		return ph_smtpd_refuse(s, "502 5.5.1 VRFY command is disabled");
	if (c->n < 2)
		return ph_smtpd_refuse(s, "501 5.5.4 Syntax: VRFY address%s", s->set->smtputf8_enable ? " [SMTPUTF8]" : "");
	r = ph_limits_refused(s, PH_LIMIT_RECIPIENT, s->set->client_recipient_rate, "Recipient address", "450 4.7.1 Error: too many recipients from");
	if (r)
		return r;
	if (c->n > 2 && s->set->smtputf8_enable && ph_smtpd_slice_ieq(c->w[c->n - 1].text, "SMTPUTF8")) {
		utf8 = true;
		c->n--;
	}
	/* Words that belong to no address make it a bad one. */
	all = c->w[1];
	all.text.n = (size_t)(c->w[c->n - 1].text.p + c->w[c->n - 1].text.n - all.text.p);
	r = ph_smtpd_address(s, "VRFY", &all, false, false, utf8, ph_session_arena(s), &address);
	if (r)
		return r;
	text = ph_str_printable(ph_session_arena(s), all.text.p, all.text.n, utf8);
	s->recipient = address;
	refused = ph_smtpd_check_vrfy(s);
	s->recipient = NULL;
	if (refused)
		return ph_smtpd_refuse(s, "%s", refused);
	return ph_smtpd_reply(s, "252 2.0.0 %s", text);
}
