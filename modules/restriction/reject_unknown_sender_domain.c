/* reject_unknown_sender_domain.c: refuse senders whose domain has neither MX nor address records. */
#include <stdlib.h>

#include "common/unknown_domain.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	return unknown_domain_check(use, settings, s, ph_session_sender(s), true);
}

static const struct ph_restriction_ops ops = {
	.size = sizeof(ops), .prepare = unknown_domain_prepare, .check = check, .release = free,
};

PH_MODULE(PH_KIND_RESTRICTION, "reject_unknown_sender_domain", "1.0", "refuse senders whose domain DNS does not know",
	  PH_MODULE_PARAMS(unknown_domain_params, struct unknown_domain_settings), .ops.restriction = &ops);
