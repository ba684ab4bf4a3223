/* check_sender_access.c: look the sender up in an access table. */
#include "common/access.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const char *address = ph_session_sender(s);

	return address ? access_check_mail(use, s, address, PH_ACCESS_SENDER) : ph_verdict_dunno();
}

ACCESS_MODULE("check_sender_access", "look the sender up in an access table");
