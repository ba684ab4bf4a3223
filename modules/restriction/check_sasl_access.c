/* check_sasl_access.c: look the client's login name up in an access table. */
#include "common/access.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const char *user = ph_session_sasl_user(s), *action;
	struct access_use *u = use;
	struct ph_err err = { 0, "" };
	enum ph_lookup r;

	if (!user)
		return ph_verdict_dunno();
	user = ph_str_printable(ph_session_arena(s), user, strlen(user), true);
	r = ph_maps_find(u->maps, user, false, ph_session_arena(s), &action, &err);
	return access_answer(u, s, r, action, user, PH_ACCESS_SASL, &err);
}

ACCESS_MODULE("check_sasl_access", "look the client's login name up in an access table");
