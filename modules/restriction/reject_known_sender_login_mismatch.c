/* reject_known_sender_login_mismatch.c: refuse sender addresses that somebody else owns (smtpd_sender_login_maps). */
#include "common/login.h"

static struct ph_verdict known(struct login_use *u, struct ph_session *s)
{
	return ph_session_sasl_user(s) ? login_owned(u, s, true) : login_missing(u, s);
}

LOGIN_MODULE("reject_known_sender_login_mismatch", "refuse sender addresses that somebody else owns", known(u, s));
