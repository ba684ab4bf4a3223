/* check_recipient_access.c: look the recipient up in an access table. */
#include "common/access.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const char *address = ph_session_recipient(s), *action;
	struct ph_err err = { 0, "" };
	enum ph_lookup r;

	if (!address)
		return ph_verdict_dunno();
	r = access_mail(use, s, address, &action, &err);
	return access_answer(use, s, r, action, address, PH_ACCESS_RECIPIENT, &err);
}

ACCESS_MODULE("check_recipient_access", "look the recipient up in an access table");
