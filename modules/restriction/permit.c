/* permit.c: accept; ends the list. */
#include <posthouse/module.h>
#include <posthouse/restriction.h>

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	return ph_verdict_permit();
}

static const struct ph_restriction_ops ops = {
	.size = sizeof(ops),
	.check = check,
};

PH_MODULE(PH_KIND_RESTRICTION, "permit", "1.0", "accept; ends the list", .ops.restriction = &ops);
