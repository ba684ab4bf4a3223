/* reject_non_fqdn_sender.c: refuse senders without a full domain name. */
#include "common/code.h"
#include "common/hostname.h"

CODE_PARAM("non_fqdn_reject_code", "504", "reply code for names that are not fully qualified");

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct code_settings *st = settings;
	const char *address = ph_session_sender(s), *domain = domain_of(address);

	if (!address || !*address || domain[0] == '[' || host_fqdn(domain))
		return ph_verdict_dunno();
	return ph_verdict_text(s, code_class(st->code), st->code, code_dsn(s, st->code, "5.2"),
			       "<%s>: Sender address rejected: need fully-qualified address", address);
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "reject_non_fqdn_sender", "1.0", "refuse senders without a full domain name",
	  PH_MODULE_PARAMS(params, struct code_settings), .ops.restriction = &ops);
