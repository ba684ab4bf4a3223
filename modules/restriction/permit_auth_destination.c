/* permit_auth_destination.c: accept recipients that this system is responsible for. */
#include <posthouse/module.h>
#include <posthouse/restriction.h>

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const char *rcpt = ph_session_recipient(s);
	struct ph_err err = { 0, "" };

	if (!rcpt)
		return ph_verdict_dunno();
	switch (ph_session_is_authorized_destination(s, rcpt, &err)) {
	case PH_LOOKUP_FOUND:
		return ph_verdict_permit();
	case PH_LOOKUP_NOTFOUND:
		return ph_verdict_dunno();
	case PH_LOOKUP_PERMERR:
		return ph_verdict_lookup_failed(s, PH_LOOKUP_PERMERR, rcpt, &err);
	}
	return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, rcpt, &err);
}

static const struct ph_restriction_ops ops = {
	.size = sizeof(ops),
	.check = check,
};

PH_MODULE(PH_KIND_RESTRICTION, "permit_auth_destination", "1.0", "accept recipients that this system is responsible for", .ops.restriction = &ops);
