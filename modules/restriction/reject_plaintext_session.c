/* reject_plaintext_session.c: refuse what comes without TLS. */
#include "common/code.h"

CODE_PARAM("plaintext_reject_code", "450", "reply code for sessions without TLS");

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct code_settings *st = settings;

	if (ph_session_tls(s))
		return ph_verdict_dunno();
	return ph_verdict_text(s, code_class(st->code), st->code, code_dsn(s, st->code, "7.1"), "Session encryption is required");
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "reject_plaintext_session", "1.0", "refuse sessions without TLS",
	  PH_MODULE_PARAMS(params, struct code_settings), .ops.restriction = &ops);
