/* reject_invalid_helo_hostname.c: HELO must give a name or an address that can exist. */
#include "common/code.h"
#include "common/hostname.h"

CODE_PARAM("invalid_hostname_reject_code", "501", "reply code for malformed HELO names");

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct code_settings *st = settings;
	const char *helo = ph_session_helo(s), *why;
	size_t n = helo ? strlen(helo) : 0;
	char *name;

	if (!helo)
		return ph_verdict_dunno();
	if (*helo == '[') {
		if (host_literal_valid(helo))
			return ph_verdict_dunno();
		why = "invalid ip address";
	} else {
		name = ph_arena_strndup(ph_session_arena(s), helo, n && helo[n - 1] == '.' ? n - 1 : n);
		if (host_name_valid(name) || host_addr_valid(name))
			return ph_verdict_dunno();
		why = "Invalid name";
	}
	return ph_verdict_text(s, code_class(st->code), st->code, code_dsn(s, st->code, "5.2"), "<%s>: Helo command rejected: %s", helo, why);
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "reject_invalid_helo_hostname", "1.0", "refuse malformed HELO names",
	  PH_MODULE_PARAMS(params, struct code_settings), .ops.restriction = &ops);
