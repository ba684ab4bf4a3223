/* reject_unlisted_recipient.c: refuse recipients in our domains that do not exist. */
#include "common/unlisted.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const char *address = ph_session_recipient(s);

	return address && *address ? unlisted_check(s, address, PH_ACCESS_RECIPIENT, "5.1.1") : ph_verdict_dunno();
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "reject_unlisted_recipient", "1.0", "refuse recipients in our domains that do not exist", .ops.restriction = &ops);
