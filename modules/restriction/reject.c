/* reject.c: refuse. */
#include <posthouse/module.h>
#include <posthouse/restriction.h>

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	return ph_verdict_reject(s, 0, "5.7.1", "Access denied");
}

static const struct ph_restriction_ops ops = {
	.size = sizeof(ops),
	.check = check,
	.blocks_relay = true,
};

PH_MODULE(PH_KIND_RESTRICTION, "reject", "1.0", "refuse", .ops.restriction = &ops);
