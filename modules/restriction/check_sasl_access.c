/* check_sasl_access.c: look the client's login name up in an access table. */
#include "common/access.h"

struct settings { bool sasl; };

static const struct ph_param params[] = {
	PH_P_BOOL(struct settings, sasl, "smtpd_sasl_auth_enable", "no", "offer AUTH"),
};

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct settings *set = settings;
	const char *user = ph_session_sasl_user(s), *action;
	struct access_use *u = use;
	struct ph_err err = { 0, "" };
	enum ph_lookup r;

	if (!set->sasl) {               /* there may be a login all the same: XCLIENT LOGIN= */
		ph_log(PH_LOG_WARNING, "restriction `check_sasl_access' ignored: no SASL support");
		return ph_verdict_dunno();
	}
	if (!user)
		return ph_verdict_dunno();
	user = ph_str_printable(ph_session_arena(s), user, strlen(user), true);
	r = ph_maps_find(u->maps, user, false, ph_session_arena(s), &action, &err);
	return access_answer(u, s, r, action, user, PH_ACCESS_SASL, &err);
}

static const struct ph_restriction_ops ops = {
	.size = sizeof(ops), .n_args = 1, .prepare = access_prepare, .check = check, .release = access_release,
};
PH_MODULE(PH_KIND_RESTRICTION, "check_sasl_access", "1.0", "look the client's login name up in an access table",
	  PH_MODULE_PARAMS(params, struct settings), .ops.restriction = &ops);
