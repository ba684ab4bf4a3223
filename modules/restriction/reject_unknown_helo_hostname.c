/* reject_unknown_helo_hostname.c: the HELO name must have an address or an MX record. */
#include "common/code.h"
#include "common/hostname.h"
#include "common/mailhost.h"

struct settings {
	int code;
	const char *tempfail;
};
static const struct ph_param params[] = {
	PH_P_INT(struct settings, code, "unknown_hostname_reject_code", "450", 200, 599, "reply code for HELO names that DNS does not know"),
	PH_P_STR(struct settings, tempfail, "unknown_helo_hostname_tempfail_action", "$reject_tempfail_action", "what to do when DNS does not answer"),
};

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const struct settings *st = settings;

	return mailhost_tempfail_valid("unknown_helo_hostname_tempfail_action", st->tempfail, err);
}

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct settings *st = settings;
	const char *helo = ph_session_helo(s);
	enum mailhost m;

	if (!helo || *helo == '[')
		return ph_verdict_dunno();
	m = host_name_valid(helo) ? mailhost_ask(s, helo, false) : MAILHOST_NONE;
	if (m == MAILHOST_OK || (m == MAILHOST_TEMPFAIL && mailhost_tempfail_class(st->tempfail) == PH_DUNNO))
		return ph_verdict_dunno();
	if (m == MAILHOST_TEMPFAIL)
		return ph_verdict_text(s, mailhost_tempfail_class(st->tempfail), 450, "4.7.1", "<%s>: Helo command rejected: Host not found", helo);
	return ph_verdict_text(s, code_class(st->code), st->code, code_dsn(s, st->code, "7.1"), "<%s>: Helo command rejected: Host not found", helo);
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .prepare = prepare, .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "reject_unknown_helo_hostname", "1.0", "refuse HELO names that DNS does not know",
	  PH_MODULE_PARAMS(params, struct settings), .ops.restriction = &ops);
