/* reject_unknown_reverse_client_hostname.c: refuse clients whose address has no name. */
#include "common/code.h"

CODE_PARAM("unknown_client_reject_code", "450", "reply code for clients without a name");

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct code_settings *st = settings;
	int status = ph_session_client_reverse_name_status(s);
	int code = status == 4 ? 450 : st->code;        /* 4: the name server did not answer */

	if (status == 2)
		return ph_verdict_dunno();
	return ph_verdict_text(s, code_class(code), code, code_dsn(s, code, "7.1"), "Client host rejected: cannot find your reverse hostname, [%s]",
			       ph_session_client_addr(s));
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "reject_unknown_reverse_client_hostname", "1.0", "refuse clients without a name",
	  PH_MODULE_PARAMS(params, struct code_settings), .ops.restriction = &ops);
