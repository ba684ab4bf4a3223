/* check_sender_access.c: look the sender up in an access table. */
#include "common/access.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const char *address = ph_session_sender(s), *action;
	struct ph_err err = { 0, "" };
	enum ph_lookup r;

	if (!address)
		return ph_verdict_dunno();
	r = access_mail(use, s, address, &action, &err);
	return access_answer(use, s, r, action, address, PH_ACCESS_SENDER, &err);
}

ACCESS_MODULE("check_sender_access", "look the sender up in an access table");
