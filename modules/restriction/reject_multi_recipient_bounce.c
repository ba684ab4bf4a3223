/* reject_multi_recipient_bounce.c: a bounce has one recipient. */
#include "common/code.h"

CODE_PARAM("multi_recipient_bounce_reject_code", "550", "reply code for bounces with several recipients");

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct code_settings *st = settings;
	const char *sender = ph_session_sender(s);
	size_t n = ph_session_recipient_count(s) + (ph_session_stage(s) == PH_STAGE_RCPT);      /* and the one that is asked for */
	struct ph_verdict v;

	if (!sender || *sender || n < 2)
		return ph_verdict_dunno();
	v = ph_verdict_reject(s, st->code, code_dsn(s, st->code, "5.3"), "Multi-recipient bounce");
	v.cls = code_class(st->code);
	return v;
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "reject_multi_recipient_bounce", "1.0", "refuse bounces with several recipients",
	  PH_MODULE_PARAMS(params, struct code_settings), .ops.restriction = &ops);
