/* unknown_domain.h: reject_unknown_sender_domain and reject_unknown_recipient_domain. */
#ifndef MODULES_RESTRICTION_COMMON_UNKNOWN_DOMAIN_H
#define MODULES_RESTRICTION_COMMON_UNKNOWN_DOMAIN_H

#include "common/code.h"
#include "common/hostname.h"
#include "common/mailhost.h"

struct unknown_domain_settings {
	int code;
	const char *tempfail;
};
static const struct ph_param unknown_domain_params[] = {
	PH_P_INT(struct unknown_domain_settings, code, "unknown_address_reject_code", "450", 200, 599, "reply code for domains that DNS does not know"),
	PH_P_STR(struct unknown_domain_settings, tempfail, "unknown_address_tempfail_action", "$reject_tempfail_action", "what to do when DNS does not answer"),
};

/* Domains whose mail ends here need no DNS. */
struct unknown_domain_use {
	struct ph_match *ours[3];
};

static inline int unknown_domain_prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	static const char *const names[] = { "mydestination", "virtual_alias_domains", "virtual_mailbox_domains" };
	const struct unknown_domain_settings *st = settings;
	struct unknown_domain_use *u;
	const char *text;

	if (mailhost_tempfail_valid("unknown_address_tempfail_action", st->tempfail, err) < 0)
		return -EINVAL;
	u = ph_alloc(sizeof(*u));
	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++) {
		text = ph_conf_get(conf, names[i]);
		u->ours[i] = text && *text ? ph_match_open(conf, names[i], text, PH_MATCH_DOMAIN) : NULL;
	}
	*ret = u;
	return 0;
}

static inline struct ph_verdict unknown_domain_check(const struct unknown_domain_use *u, const struct unknown_domain_settings *st,
						     struct ph_session *s, const char *address, bool sender)
{
	const char *domain = domain_of(address), *what = sender ? "Sender address" : "Recipient address";
	const char *detail = sender ? "1.8" : "1.2";

	if (!address || !*domain || *domain == '[' || *domain == '#')
		return ph_verdict_dunno();
	for (size_t i = 0; i < PH_ARRAY_LEN(u->ours); i++) {
		struct ph_err err = { 0, "" };
		enum ph_lookup r = u->ours[i] ? ph_match_find(u->ours[i], domain, NULL, &err) : PH_LOOKUP_NOTFOUND;

		if (r == PH_LOOKUP_FOUND)
			return ph_verdict_dunno();
		if (r != PH_LOOKUP_NOTFOUND)
			return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, address, &err);
	}
	switch (mailhost_ask(s, domain, true)) {
	case MAILHOST_OK:
		break;
	case MAILHOST_NONE:
		return ph_verdict_text(s, code_class(st->code), st->code, code_dsn(s, st->code, detail), "<%s>: %s rejected: Domain not found", address, what);
	case MAILHOST_NULLMX:
		return ph_verdict_text(s, PH_REJECT, sender ? 550 : 556, sender ? "5.7.27" : "5.1.10",
				       "<%s>: %s rejected: Domain %s does not accept mail (nullMX)", address, what, domain);
	case MAILHOST_TEMPFAIL:
		if (mailhost_tempfail_class(st->tempfail) == PH_DUNNO)
			break;
		return ph_verdict_text(s, mailhost_tempfail_class(st->tempfail), 450, code_dsn(s, 450, detail), "<%s>: %s rejected: Domain not found",
				       address, what);
	}
	return ph_verdict_dunno();
}

#endif
