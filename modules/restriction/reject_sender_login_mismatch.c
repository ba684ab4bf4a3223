/* reject_sender_login_mismatch.c: refuse sender addresses that are not the client's (smtpd_sender_login_maps). */
#include "common/login.h"

static struct ph_verdict either(struct login_use *u, struct ph_session *s)
{
	return ph_session_sasl_user(s) ? login_owned(u, s, false) : login_missing(u, s);
}

LOGIN_MODULE("reject_sender_login_mismatch", "refuse sender addresses that are not the client's", either(u, s));
