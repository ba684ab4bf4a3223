/* policy_text.c: see policy_text.h.  No state but what the caller owns. */
#include "policy_text.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static const char *const level_names[] = { "none", "may", "encrypt", "dane", "dane-only", "fingerprint", "verify", "secure" };

struct parse {
	struct ph_arena *arena;
	struct smtp_policy_text *p;
	struct ph_err *err;
	bool typed;                     /* policy_type was there */
	const char *sts_only;           /* an attribute that needs it */
};

int smtp_tls_level_parse(const char *word)
{
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(level_names); i++) {
		if (strcasecmp(word, level_names[i]) == 0)
			return (int)i;
	}
	return -1;
}

/* ---- words -------------------------------------------------------------------------------- */

/* Control characters are blanks: they could hide an attribute from who reads the table. */
static char *clean(struct ph_arena *arena, const char *text)
{
	char *copy = ph_arena_strdup(arena, text), *s;

	for (s = copy; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = ' ';
	}
	return copy;
}

/* The next "name=value" or "{ name = value }".  NULL: there is none. */
static char *next_attribute(char **cursor)
{
	char *s = *cursor + strspn(*cursor, PH_SEP_LIST), *end;

	if (*s != '{')
		return ph_str_token(cursor, PH_SEP_LIST);
	end = strchr(s, '}');
	if (end == NULL)
		return ph_str_token(cursor, "");
	*end = '\0';
	*cursor = end + 1;
	return s + 1 + strspn(s + 1, " ");
}

/* Cut "name = value" in two; false: there is no "=". */
static bool cut_pair(char *text, char **ret_value)
{
	char *value = strchr(text, '='), *end;

	if (value == NULL)
		return false;
	for (end = value; end > text && end[-1] == ' '; end--)
		;
	*end = '\0';
	value++;
	value += strspn(value, " ");
	for (end = value + strlen(value); end > value && end[-1] == ' '; end--)
		;
	*end = '\0';
	*ret_value = value;
	return true;
}

static void append(struct parse *x, const char **list, const char *sep, const char *value)
{
	*list = *list ? ph_arena_printf(x->arena, "%s%s%s", *list, sep, value) : value;
}

/* ---- MTA-STS ------------------------------------------------------------------------------ */

/* RFC 8461 section 3.2: a name, perhaps behind "*.". */
static bool pattern_ok(const char *s)
{
	if (strncmp(s, "*.", 2) == 0)
		s += 2;
	return *s && *s != '.' && strlen(s) < 254 && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")] == '\0' && !strstr(s, "..");
}

static bool failure_ok(const char *s)
{
	static const char *const words[] = { "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid", "validation-failure" };
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(words) && strcasecmp(s, words[i]) != 0; i++)
		;
	return i < PH_ARRAY_LEN(words);
}

static int type(struct parse *x, const char *value)
{
	bool sts = strcasecmp(value, "sts") == 0;

	if (x->typed || (!sts && strcasecmp(value, "no-policy-found") != 0))
		return ph_err_set(x->err, -EINVAL, "invalid policy_type value: \"%s\"", value);
	x->typed = true;
	x->p->sts = sts;
	return 0;
}

/* 1: it is none of these. */
static int sts_attribute(struct parse *x, const char *name, const char *value)
{
	struct smtp_policy_text *p = x->p;

	if (strcasecmp(name, "policy_type") == 0)
		return type(x, value);
	if (strcasecmp(name, "policy_ttl") == 0) {              /* answers are not kept here: whoever answers does that */
		if (value[strspn(value, "0123456789")])
			return ph_err_set(x->err, -EINVAL, "invalid policy_ttl value: \"%s\"", value);
	} else if (strcasecmp(name, "mx_host_pattern") == 0) {
		if (!pattern_ok(value))
			return ph_err_set(x->err, -EINVAL, "invalid mx_host_pattern value: \"%s\"", value);
		p->patterns[p->n_patterns++] = value;
	} else if (strcasecmp(name, "policy_failure") == 0) {
		if (!failure_ok(value))
			return ph_err_set(x->err, -EINVAL, "invalid policy_failure value: \"%s\"", value);
		p->failure = value;
	} else if (strcasecmp(name, "policy_domain") != 0 && strcasecmp(name, "policy_string") != 0) {  /* for reports */
		return 1;
	}
	x->sts_only = name;
	return 0;
}

bool smtp_policy_names(const struct smtp_policy_text *p, const char *host)
{
	const char *dot = strchr(host, '.'), *pattern;
	size_t i;

	for (i = 0; i < p->n_patterns; i++) {
		pattern = p->patterns[i];
		if (pattern[0] != '*' ? strcasecmp(pattern, host) == 0 : dot && dot > host && strcasecmp(pattern + 1, dot) == 0)
			return true;
	}
	return false;
}

/* ---- attributes --------------------------------------------------------------------------- */

static int attribute(struct parse *x, const char *name, char *value)
{
	struct smtp_policy_text *p = x->p;
	bool is_match = strcasecmp(name, "match") == 0, is_tafile = strcasecmp(name, "tafile") == 0;
	char *s;
	int r;

	if (*value == '\0')
		return ph_err_set(x->err, -EINVAL, "attribute \"%s\" has empty value", name);
	if ((is_match && p->level < SMTP_TLS_FINGERPRINT) || (is_tafile && p->level < SMTP_TLS_VERIFY))
		return ph_err_set(x->err, -EINVAL, "attribute \"%s\" invalid at security level \"%s\"", name, level_names[p->level]);
	if (is_match) {
		append(x, &p->match, p->level == SMTP_TLS_FINGERPRINT ? "|" : ":", value);
	} else if (is_tafile) {
		append(x, &p->trust_anchors, " ", value);
	} else if (strcasecmp(name, "protocols") == 0) {
		for (s = value; (s = strchr(s, ':'));)          /* "TLSv1.2:TLSv1.3" */
			*s = ' ';
		p->protocols = value;
	} else if (strcasecmp(name, "ciphers") == 0) {
		p->ciphers = value;
	} else if (strcasecmp(name, "exclude") == 0) {
		p->exclude = value;
	} else if (strcasecmp(name, "servername") == 0) {
		p->sni = value;
	} else {
		r = sts_attribute(x, name, value);
		return r > 0 ? ph_err_set(x->err, -EINVAL, "invalid attribute name: \"%s\"", name) : r;
	}
	return 0;
}

static int attributes(struct parse *x, char *cursor)
{
	struct smtp_policy_text *p = x->p;
	char *word, *value;
	int r = 0;

	while (r == 0 && (word = next_attribute(&cursor))) {
		if (p->level == SMTP_TLS_NONE)
			p->ignored[p->n_ignored++] = word;
		else if (!cut_pair(word, &value))
			r = ph_err_set(x->err, -EINVAL, "malformed attribute/value pair \"%s\": missing '=' after attribute name", word);
		else
			r = attribute(x, word, value);
	}
	if (r == 0 && x->sts_only && !x->typed)
		r = ph_err_set(x->err, -EINVAL, "attribute \"%s\" without policy_type", x->sts_only);
	if (r == 0 && p->sts && (p->level == SMTP_TLS_DANE || p->level == SMTP_TLS_DANE_ONLY || p->level == SMTP_TLS_FINGERPRINT))
		r = ph_err_set(x->err, -EINVAL, "policy_type \"sts\" invalid at security level \"%s\"", level_names[p->level]);
	return r;
}

int smtp_policy_parse(const char *text, struct ph_arena *arena, struct smtp_policy_text *ret, struct ph_err *err)
{
	struct parse x = { .arena = arena, .p = ret, .err = err };
	char *cursor = clean(arena, text), *word = ph_str_token(&cursor, PH_SEP_LIST);
	size_t most = strlen(text) / 2 + 1;             /* attributes */

	memset(ret, 0, sizeof(*ret));
	if (word == NULL)
		return ph_err_set(err, -EINVAL, "invalid empty policy");
	ret->level = smtp_tls_level_parse(word);
	if (ret->level < 0)
		return ph_err_set(err, -EINVAL, "invalid security level \"%s\"", word);
	ret->patterns = ph_arena_alloc(arena, most * sizeof(*ret->patterns));
	ret->ignored = ph_arena_alloc(arena, most * sizeof(*ret->ignored));
	return attributes(&x, cursor);
}
