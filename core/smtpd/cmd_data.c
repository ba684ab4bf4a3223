/* cmd_data.c: DATA.  Yields.  RFC 5321 4.1.1.4. */
#include "smtpd/filters.h"
#include "smtpd/proxy.h"
#include "smtpd/session.h"

int ph_smtpd_cmd_data(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	const char *refused;
	int r;

	s->stage = PH_STAGE_DATA;
	if (s->t && s->t->bdat)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: DATA after BDAT");
	if (!s->t)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: need RCPT command");
	if (s->t->rcpt_count == 0)
		return ph_smtpd_refuse(s, "554 5.5.1 Error: no valid recipients");
	if (c->n != 1)
		return ph_smtpd_refuse(s, "501 5.5.4 Syntax: DATA");
	refused = s->svc->standalone ? NULL : ph_smtpd_check_data(s);
	if (!refused)
		refused = ph_smtpd_filters_data(s);
	if (!refused && s->t->proxy)
		refused = ph_smtpd_proxy_data(s);
	if (refused)
		return ph_smtpd_refuse(s, "%s", refused);
	r = ph_smtpd_reply(s, "354 End data with <CR><LF>.<CR><LF>");
	if (r < 0)
		return r;
	s->t->in_content = true;
	ph_smtpd_received_header(s);
	r = ph_smtpd_content_data(s);
	return r < 0 ? r : ph_smtpd_finish(s, false);
}
