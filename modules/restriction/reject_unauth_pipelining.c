/* reject_unauth_pipelining.c: refuse clients that send commands before they may (RFC 2920). */
#include <posthouse/module.h>
#include <posthouse/restriction.h>

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	if (!ph_session_improper_pipelining(s))
		return ph_verdict_dunno();
	return ph_verdict_reject(s, 503, "5.5.0", "Improper use of SMTP command pipelining");
}

static const struct ph_restriction_ops ops = {
	.size = sizeof(ops),
	.check = check,
};

PH_MODULE(PH_KIND_RESTRICTION, "reject_unauth_pipelining", "1.0", "refuse clients that send commands before they may (RFC 2920)", .ops.restriction = &ops);
