/* unlisted.h: is an address in the tables of this site's users? */
#ifndef MODULES_RESTRICTION_COMMON_UNLISTED_H
#define MODULES_RESTRICTION_COMMON_UNLISTED_H

#include <posthouse/module.h>
#include <posthouse/restriction.h>
#include <string.h>

/* Takes an enhanced code off the front of a table's text ("5.1.6 User has moved"). */
static inline const char *unlisted_dsn(const char *text, char dsn[12])
{
	size_t n = strcspn(text, " ");

	if (n < 12 && (text[0] == '4' || text[0] == '5') && text[1] == '.' && text[n] == ' ') {
		memcpy(dsn, text, n);
		dsn[n] = '\0';
		return text + n + 1;
	}
	return text;
}

/* dsn: when the tables say nothing else.  Yields. */
static inline struct ph_verdict unlisted_check(struct ph_session *s, const char *address, enum ph_access_class cls, const char *def_dsn)
{
	const char *what = cls == PH_ACCESS_SENDER ? "Sender address" : "Recipient address", *rest;
	struct ph_err err = { 0, "" };
	const char *text = "";
	char dsn[12];
	int code = 550;

	switch (ph_session_recipient_known(s, address, &text, &code, &err)) {
	case PH_LOOKUP_FOUND:
		return ph_verdict_dunno();
	case PH_LOOKUP_NOTFOUND:
		memcpy(dsn, def_dsn, strlen(def_dsn) + 1);
		rest = unlisted_dsn(text, dsn);
		if (rest != text)
			ph_status_fit(dsn, cls);
		text = rest;
		return ph_verdict_text(s, code < 500 ? PH_DEFER : PH_REJECT, code, dsn, "<%s>: %s rejected: %s", address, what, text);
	case PH_LOOKUP_PERMERR:
		return ph_verdict_lookup_failed(s, PH_LOOKUP_PERMERR, address, &err);
	}
	return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, address, &err);
}

#endif
