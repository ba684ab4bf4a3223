/* proto.c: lines of Dovecot's auth server.  Pure: text in, fields out.
 *
 * Fields are separated by tabs; in a value, \001 begins an escape: 0 t r n 1.  Source: Dovecot's "auth client protocol", version 1. */
#include "proto.h"

#include <errno.h>
#include <string.h>

#include "../common/options.h"

/* The next field; NULL at the end.  An empty field is a field. */
static char *field(char **at)
{
	char *f = *at, *tab;

	if (!f)
		return NULL;
	tab = strchr(f, '\t');
	if (tab)
		*tab++ = '\0';
	*at = tab;
	return f;
}

/* In place; a NUL would cut the text and is not taken. */
static bool unescape(char *s)
{
	char *w = s;

	for (; *s; s++) {
		if (*s != '\001') {
			*w++ = *s;
			continue;
		}
		switch (*++s) {
		case '1': *w++ = '\001'; break;
		case 't': *w++ = '\t'; break;
		case 'r': *w++ = '\r'; break;
		case 'n': *w++ = '\n'; break;
		default: return false;
		}
	}
	*w = '\0';
	return true;
}

static bool number(const char *s, uint64_t *ret)
{
	int64_t n;

	if (!s || ph_str_int64(s, 0, UINT32_MAX, &n) < 0)
		return false;
	*ret = (uint64_t)n;
	return true;
}

static int parse_mech(char *at, struct dovecot_reply *r)
{
	static const struct { const char *word; unsigned bit; } words[] = {
		{ "anonymous", SASL_NO_ANONYMOUS }, { "plaintext", SASL_NO_PLAINTEXT }, { "dictionary", SASL_NO_DICTIONARY },
		{ "active", SASL_NO_ACTIVE }, { "forward-secrecy", SASL_FORWARD_SECRECY }, { "mutual-auth", SASL_MUTUAL_AUTH },
	};
	char *f;

	r->mech = field(&at);
	if (!r->mech || !*r->mech || strlen(r->mech) > 60)
		return -EPROTO;
	for (const char *p = r->mech; *p; p++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", *p))
			return -EPROTO;
	while ((f = field(&at)))
		for (size_t i = 0; i < PH_ARRAY_LEN(words); i++)
			if (ph_str_ieq(f, words[i].word))
				r->properties |= words[i].bit;
	return DOVECOT_MECH;
}

static int parse_answer(int type, char *at, struct dovecot_reply *r)
{
	char *f;

	if (!number(field(&at), &r->id))
		return -EPROTO;
	if (type == DOVECOT_CONT) {
		f = field(&at);
		r->data = f ? f : "";
		return type;
	}
	while ((f = field(&at))) {
		if (strcmp(f, "temp") == 0 || strcmp(f, "code=temp_fail") == 0)
			r->temporary = true;
		else if (strncmp(f, "user=", 5) == 0 && unescape(f + 5))
			r->user = f + 5;
		else if (strncmp(f, "reason=", 7) == 0 && unescape(f + 7))
			r->reason = f + 7;
	}
	if (type == DOVECOT_OK && (!r->user || !*r->user))
		return -EPROTO;         /* who has logged in? */
	return type;
}

int dovecot_parse(char *line, struct dovecot_reply *r)
{
	char *at = line, *verb = field(&at);

	memset(r, 0, sizeof(*r));
	if (strcmp(verb, "VERSION") == 0)
		return number(field(&at), &r->id) ? DOVECOT_VERSION : -EPROTO;
	if (strcmp(verb, "MECH") == 0)
		return parse_mech(at, r);
	if (strcmp(verb, "DONE") == 0)
		return DOVECOT_DONE;
	if (strcmp(verb, "OK") == 0)
		return parse_answer(DOVECOT_OK, at, r);
	if (strcmp(verb, "FAIL") == 0)
		return parse_answer(DOVECOT_FAIL, at, r);
	if (strcmp(verb, "CONT") == 0)
		return parse_answer(DOVECOT_CONT, at, r);
	return DOVECOT_OTHER;
}
