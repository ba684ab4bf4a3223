/* reject_non_fqdn_helo_hostname.c: HELO must give a full host name or an address literal. */
#include "common/code.h"
#include "common/hostname.h"

CODE_PARAM("non_fqdn_reject_code", "504", "reply code for names that are not fully qualified");

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct code_settings *st = settings;
	const char *helo = ph_session_helo(s);
	size_t n = helo ? strlen(helo) : 0;
	char *name;

	if (!helo || *helo == '[')
		return ph_verdict_dunno();
	name = ph_arena_strndup(ph_session_arena(s), helo, n && helo[n - 1] == '.' ? n - 1 : n);
	if (host_fqdn(name))
		return ph_verdict_dunno();
	return ph_verdict_text(s, code_class(st->code), st->code, code_dsn(s, st->code, "5.2"),
			       "<%s>: Helo command rejected: need fully-qualified hostname", helo);
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "reject_non_fqdn_helo_hostname", "1.0", "refuse HELO names that are not fully qualified",
	  PH_MODULE_PARAMS(params, struct code_settings), .ops.restriction = &ops);
