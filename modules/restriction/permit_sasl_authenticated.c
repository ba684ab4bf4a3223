/* permit_sasl_authenticated.c: accept clients that have logged in. */
#include <posthouse/module.h>
#include <posthouse/restriction.h>

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	return ph_session_sasl_user(s) ? ph_verdict_permit() : ph_verdict_dunno();
}

static const struct ph_restriction_ops ops = {
	.size = sizeof(ops),
	.check = check,
};

PH_MODULE(PH_KIND_RESTRICTION, "permit_sasl_authenticated", "1.0", "accept clients that have logged in", .ops.restriction = &ops);
