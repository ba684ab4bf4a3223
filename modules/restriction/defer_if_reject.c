/* defer_if_reject.c: refuse for now if the outcome would be to reject. */
#include <posthouse/module.h>
#include <posthouse/restriction.h>

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	struct ph_verdict v = ph_verdict_defer(s, 450, "4.7.0", "defer_if_reject requested");

	v.cls = PH_DEFER_IF_REJECT;
	return v;
}

static const struct ph_restriction_ops ops = {
	.size = sizeof(ops),
	.check = check,
};

PH_MODULE(PH_KIND_RESTRICTION, "defer_if_reject", "1.0", "refuse for now if the outcome would be to reject", .ops.restriction = &ops);
