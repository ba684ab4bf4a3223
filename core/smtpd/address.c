/* address.c: addresses of MAIL, RCPT and VRFY: from the client's text to the internal form.  Yields (it asks the router). */
#include <errno.h>
#include <string.h>

#include "route/token.h"
#include "smtpd/session.h"

static const char *bad_syntax(struct ph_session *s, const char *what, const struct ph_smtpd_word *w, bool log)
{
	if (log)
		ph_log(PH_LOG_WARNING, "Illegal address syntax from %s in %s command: %s", s->namaddr, what,
		       ph_str_printable(ph_session_arena(s), w->text.p, w->text.n < 500 ? w->text.n : 500, false));
	return strcmp(what, "MAIL") == 0 ? "501 5.1.7 Bad sender address syntax" : "501 5.1.3 Bad recipient address syntax";
}

/* The resolver would say so, had the address got that far. */
static void complain_literal(struct ph_arena *arena, struct ph_slice text)
{
	char *s = strstr(ph_arena_strndup(arena, text.p, text.n), "@["), *end = s ? strrchr(s, ']') : NULL;

	if (end) {
		end[1] = '\0';
		ph_route_complain_literal(s + 1);
	}
}

/* "a@b>" is taken as Postfix takes it: what follows the address is no part of it. */
static struct ph_slice tolerate(struct ph_slice text)
{
	if (text.n && text.p[0] != '<' && text.p[text.n - 1] == '>')
		text.n--;
	return text;
}

/* What strict_rfc821_envelopes asks for: brackets around an address without comments. */
static bool strict_form(struct ph_slice text)
{
	const char *p = text.p, *end = text.p + text.n;
	struct ph_tok t;

	if (text.n < 2 || *p != '<' || end[-1] != '>')
		return false;
	do {
		ph_tok_next(&p, end, &t);
		if (t.type == PH_TOK_COMMENT)
			return false;
	} while (t.type != PH_TOK_END);
	return true;
}

const char *ph_smtpd_address_read(struct ph_session *s, const char *what, const struct ph_smtpd_word *w, bool allow_empty, bool strict,
				  bool utf8, struct ph_arena *arena, const char **ret)
{
	struct ph_slice text = tolerate(w->text);
	struct ph_resolved resolved;
	const char *address, *rest = NULL;
	struct ph_err err;
	bool lax8 = !s->set->strict_smtputf8;
	int r;

	if (w->kind == PH_SMTPD_WORD_ERROR)
		return bad_syntax(s, what, w, false);
	if (strict && !strict_form(text))
		return bad_syntax(s, what, w, true);
	r = ph_address_parse_path(text.p, text.n, utf8 || lax8, arena, &address, &rest, &err);
	while (r == 0 && rest < text.p + text.n)
		if (*rest++ != ' ')
			r = -EINVAL;    /* "<a@b>c" */
	if (r == -EILSEQ)
		return "553 5.6.7 Must declare SMTPUTF8 to send unicode address";
	if (r < 0)
		complain_literal(arena, text);
	if (r < 0 || (strict && *address == '@' && text.p[1] != '"') || (!*address && !allow_empty))
		return bad_syntax(s, what, w, true);
	if (*address) {
		switch (ph_route_resolve(s->svc->route, "", address, ph_session_arena(s), &resolved, &err)) {
		case PH_LOOKUP_FOUND:
			if (resolved.bad_syntax)
				return bad_syntax(s, what, w, true);
			break;
		case PH_LOOKUP_NOTFOUND:
		case PH_LOOKUP_TEMPFAIL:
		case PH_LOOKUP_PERMERR:
			break;          /* the table is down: the address's syntax is not to blame */
		}
	}
	if (!utf8 && s->set->smtputf8_enable && s->set->strict_smtputf8 && !ph_str_ascii(address))
		return "553 5.6.7 Must declare SMTPUTF8 to send unicode address";
	*ret = address;
	return NULL;
}

int ph_smtpd_address(struct ph_session *s, const char *what, const struct ph_smtpd_word *w, bool allow_empty, bool strict,
		     bool utf8, struct ph_arena *arena, const char **ret)
{
	const char *refused = ph_smtpd_address_read(s, what, w, allow_empty, strict, utf8, arena, ret);

	return refused ? ph_smtpd_refuse(s, "%s", refused) : 0;
}
