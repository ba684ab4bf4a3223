/* defer.c: refuse for now. */
#include <posthouse/module.h>
#include <posthouse/restriction.h>

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	return ph_verdict_defer(s, 0, "4.3.2", "Try again later");
}

static const struct ph_restriction_ops ops = {
	.size = sizeof(ops),
	.check = check,
	.blocks_relay = true,
};

PH_MODULE(PH_KIND_RESTRICTION, "defer", "1.0", "refuse for now", .ops.restriction = &ops);
