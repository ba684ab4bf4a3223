/* rules.c: see rules.h.  Owns the compiled rules of one table.  Does not yield.  Source: regexp_table(5), pcre_table(5). */
#include "rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rule {
	void *pattern;                  /* NULL: endif */
	struct ltemplate *value;        /* NULL: if */
	bool negate;
	int line;
	size_t skip_to;                 /* if: the rule behind its endif */
};

struct lrules {
	const struct lrules_lang *lang;
	char *name;
	struct rule *rules;
	size_t n, cap;
};

void lnest_push(struct lnest *n, size_t rule)
{
	n->open = ph_realloc(n->open, (n->n + 1) * sizeof n->open[0]);
	n->open[n->n++] = rule;
}

bool lnest_pop(struct lnest *n, size_t *ret_rule)
{
	if (n->n == 0)
		return false;
	*ret_rule = n->open[--n->n];
	return true;
}

void lnest_done(struct lnest *n)
{
	free(n->open);
	n->open = NULL;
	n->n = 0;
}

static void warn(const struct lrules *r, int line, const char *fmt, ...) PH_PRINTF(3, 4);
static void warn(const struct lrules *r, int line, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(2048);
	char *cursor, *one;
	va_list ap;

	va_start(ap, fmt);
	ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	cursor = (char *)ph_buf_str(&b);
	while ((one = ph_str_token(&cursor, "\n")))     /* some complaints are two */
		ph_log(PH_LOG_WARNING, "%s %s, line %d: %s", r->lang->what, r->name, line, one);
	ph_buf_done(&b);
}

static struct rule *add(struct lrules *r, int line)
{
	struct rule *x;

	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 16;
		r->rules = ph_realloc(r->rules, r->cap * sizeof *r->rules);
	}
	x = &r->rules[r->n++];
	memset(x, 0, sizeof *x);
	x->line = line;
	return x;
}

/* "!/pattern/options" at *p: compiled.  false: logged. */
static bool get_pattern(struct lrules *r, int line, char **p, bool is_if, bool *negate, void **ret, int *groups)
{
	struct ph_err err = { 0 };
	char *s = *p, *start, *opts, delim;

	*negate = false;
	while (*s == '!') {
		*negate = !*negate;
		for (s++; isspace((unsigned char)*s); s++)
			;
	}
	if (*s == '\0') {
		warn(r, line, "no regexp: skipping this rule");
		return false;
	}
	delim = *s++;
	for (start = s; *s && *s != delim; s++)
		if (*s == '\\' && *++s == '\0')
			break;
	if (*s == '\0') {
		warn(r, line, "no closing regexp delimiter \"%c\": skipping this rule", delim);
		return false;
	}
	*s++ = '\0';
	for (opts = s; *s && !isspace((unsigned char)*s); s++)
		;
	if (*s)
		*s++ = '\0';
	*p = s + strspn(s, " \t\r\n\v\f");
	for (s = opts; r->lang->obsolete && *s; s++)
		if (strchr(r->lang->obsolete, *s))
			warn(r, line, "ignoring obsolete regexp option \"%c\"", *s);
	if (r->lang->compile(start, opts, is_if, ret, groups, &err) < 0) {
		warn(r, line, "%s", err.text);
		return false;
	}
	return true;
}

static bool is_word(const char *p, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(p, word, n) == 0 && !isalnum((unsigned char)p[n]);
}

struct complaint { const struct lrules *r; int line; };

static void complain(void *ctx, bool bare, const char *text)
{
	const struct complaint *c = ctx;

	if (bare)
		ph_log(PH_LOG_WARNING, "%s", text);
	else
		warn(c->r, c->line, "%s", text);
}

static void parse_match(struct lrules *r, char *p, int line)
{
	struct complaint c = { r, line };
	struct ltemplate *value;
	void *pattern;
	struct rule *x;
	bool negate;
	int groups;

	if (!get_pattern(r, line, &p, false, &negate, &pattern, &groups))
		return;
	if (*p == '\0')
		warn(r, line, "no replacement text: using empty string");
	if (ltemplate_parse(p, negate ? -1 : groups, r->lang->zero, complain, &c, &value) < 0) {
		r->lang->free(pattern);
		return;
	}
	x = add(r, line);
	x->pattern = pattern;
	x->negate = negate;
	x->value = value;
}

static void parse_if(struct lrules *r, char *p, int line, struct lnest *nest)
{
	void *pattern;
	struct rule *x;
	bool negate;
	int groups;

	for (p += 2; isspace((unsigned char)*p); p++)
		;
	if (!get_pattern(r, line, &p, true, &negate, &pattern, &groups))
		return;
	if (*p) {
		warn(r, line, "ignoring extra text after IF statement: \"%.100s\"", p);
		warn(r, line, "do not prepend whitespace to statements between IF and ENDIF");
	}
	lnest_push(nest, r->n);
	x = add(r, line);
	x->pattern = pattern;
	x->negate = negate;
}

static void parse_line(struct lrules *r, char *p, int line, struct lnest *nest)
{
	size_t at;

	if (!isalnum((unsigned char)*p)) {
		parse_match(r, p, line);
	} else if (is_word(p, "if")) {
		parse_if(r, p, line, nest);
	} else if (is_word(p, "endif")) {
		if (!lnest_pop(nest, &at)) {
			warn(r, line, "ignoring ENDIF without matching IF");
			return;
		}
		if (*ltext_trim(p + 5))
			warn(r, line, "ignoring extra text after ENDIF");
		r->rules[at].skip_to = r->n;
	} else {
		warn(r, line, "ignoring unrecognized request");
	}
}

struct lrules *lrules_parse(const struct lrules_lang *lang, struct ltext *t)
{
	struct lrules *r = ph_alloc(sizeof *r);
	struct lnest nest = { NULL, 0 };
	size_t at;
	char *line;
	int lineno;

	r->lang = lang;
	r->name = ph_strdup(ltext_name(t));
	while ((line = ltext_next(t, &lineno)) != NULL) {
		if (r->n >= LRULES_MAX) {
			warn(r, lineno, "more than %d rules: ignoring the rest", LRULES_MAX);
			break;
		}
		parse_line(r, line, lineno, &nest);
	}
	while (lnest_pop(&nest, &at)) {
		warn(r, r->rules[at].line, "IF has no matching ENDIF");
		r->rules[at].skip_to = r->n;
	}
	lnest_done(&nest);
	return r;
}

int lrules_open(const struct lrules_lang *lang, const char *name, struct lrules **ret, struct ph_err *err)
{
	struct ltext *t;
	int r = ltext_open(lang->what, name, true, &t, err);

	if (r < 0)
		return r;
	*ret = lrules_parse(lang, t);
	ltext_free(&t);
	return 0;
}

int lrules_find(struct lrules *r, const char *key, void *m, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct ph_err why = { 0 };
	int hit;

	for (size_t i = 0; i < r->n; ) {
		struct rule *x = &r->rules[i];

		hit = r->lang->match(x->pattern, key, m, &why);
		if (hit < 0)
			return ph_err_set(err, why.code, "%s %s, line %d: %s", r->lang->what, r->name, x->line, why.text);
		if (x->negate)
			hit = !hit;
		if (x->value == NULL || !hit) {
			i = x->value == NULL && !hit ? x->skip_to : i + 1;
			continue;
		}
		*ret_value = ltemplate_expand(x->value, r->lang->group, m, arena);
		if (*ret_value == NULL)
			return ph_err_set(err, -EMSGSIZE, "%s %s, line %d: the result is longer than %zu bytes", r->lang->what, r->name,
					  x->line, LTEMPLATE_MAX_BYTES);
		return 1;
	}
	return 0;
}

void lrules_free(struct lrules **rp)
{
	struct lrules *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++) {
		if (r->rules[i].pattern)
			r->lang->free(r->rules[i].pattern);
		ltemplate_free(&r->rules[i].value);
	}
	free(r->rules);
	free(r->name);
	free(r);
}
