/* cmd_misc.c: RSET, NOOP and QUIT.  RFC 5321 4.1.1.5, 4.1.1.9, 4.1.1.10. */
#include "smtpd/history.h"

int ph_smtpd_cmd_rset(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	if (c->n != 1)
		return ph_smtpd_refuse(s, "501 5.5.4 Syntax: RSET");
	ph_smtpd_history_flush(s);
	ph_smtpd_trans_end(s);
	return ph_smtpd_reply(s, "250 2.0.0 Ok");
}

int ph_smtpd_cmd_noop(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	return ph_smtpd_reply(s, "250 2.0.0 Ok");
}

int ph_smtpd_cmd_quit(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	s->closing = true;
	return ph_smtpd_reply(s, "221 2.0.0 Bye");
}
