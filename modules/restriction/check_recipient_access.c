/* check_recipient_access.c: look the recipient up in an access table. */
#include "common/access.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const char *address = ph_session_recipient(s);

	return address ? access_check_mail(use, s, address, PH_ACCESS_RECIPIENT) : ph_verdict_dunno();
}

ACCESS_MODULE("check_recipient_access", "look the recipient up in an access table");
