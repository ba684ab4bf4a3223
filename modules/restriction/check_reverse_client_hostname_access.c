/* check_reverse_client_hostname_access.c: look the client's unverified name and address up in an access table. */
#include "common/access.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const char *name = ph_session_client_reverse_name(s), *addr = ph_session_client_addr(s), *action;
	struct ph_err err = { 0, "" };
	enum ph_lookup r;

	r = access_domain(use, s, name, &action, &err);
	if (r == PH_LOOKUP_NOTFOUND)
		r = access_addr(use, s, addr, &action, &err);
	return access_answer(use, s, r, action, ph_session_client_reverse_name(s), PH_ACCESS_REVERSE_CLIENT, &err);
}

ACCESS_MODULE("check_reverse_client_hostname_access", "look the client's unverified name and address up in an access table");
