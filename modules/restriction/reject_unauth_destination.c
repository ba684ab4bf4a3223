/* reject_unauth_destination.c: no relaying for strangers. */
#include "common/relay.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	return relay_check(s, settings, false);
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .check = check, .blocks_relay = true };

PH_MODULE(PH_KIND_RESTRICTION, "reject_unauth_destination", "1.0", "refuse mail to destinations that are not ours",
	  PH_MODULE_PARAMS(relay_params, struct relay_settings), .ops.restriction = &ops);
