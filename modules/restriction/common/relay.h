/* relay.h: reject_unauth_destination and defer_unauth_destination. */
#ifndef MODULES_RESTRICTION_COMMON_RELAY_H
#define MODULES_RESTRICTION_COMMON_RELAY_H

#include <posthouse/module.h>
#include <posthouse/restriction.h>

struct relay_settings { int code; };
static const struct ph_param relay_params[] = {
	PH_P_INT(struct relay_settings, code, "relay_domains_reject_code", "554", 200, 599, "reply code for mail to foreign destinations"),
};

/* Refuse unless the recipient is ours.  Yields. */
static inline struct ph_verdict relay_check(struct ph_session *s, const struct relay_settings *st, bool defer)
{
	const char *rcpt = ph_session_recipient(s);
	struct ph_err err = { 0, "" };
	int code = defer && st->code >= 500 ? st->code - 100 : st->code;

	if (!rcpt)
		return ph_verdict_dunno();
	switch (ph_session_is_authorized_destination(s, rcpt, &err)) {
	case PH_LOOKUP_FOUND:
		return ph_verdict_dunno();
	case PH_LOOKUP_NOTFOUND:
		return ph_verdict_text(s, defer ? PH_DEFER : PH_REJECT, code, code < 500 ? "4.7.1" : "5.7.1", "<%s>: Relay access denied", rcpt);
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, rcpt, &err);
}

#endif
