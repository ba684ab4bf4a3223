/* check_helo_access.c: look the HELO name up in an access table. */
#include "common/access.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const char *domain = ph_session_helo(s), *action;
	struct ph_err err = { 0, "" };
	enum ph_lookup r;

	if (!domain)
		return ph_verdict_dunno();
	r = access_domain(use, s, domain, &action, &err);
	return access_answer(use, s, r, action, domain, PH_ACCESS_HELO, &err);
}

ACCESS_MODULE("check_helo_access", "look the HELO name up in an access table");
