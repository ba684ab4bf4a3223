/* template.c: see template.h.  Pure.  Source: regexp_table(5), pcre_table(5), "TEXT SUBSTITUTION". */
#include "template.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct part {
	int group;              /* -1: literal */
	char *text;
	size_t n;
};

struct ltemplate {
	size_t n;
	struct part *parts;
};

static void add(struct ltemplate *t, int group, const char *p, size_t n)
{
	struct part *x;

	if (group < 0 && n == 0)
		return;
	t->parts = ph_realloc(t->parts, (t->n + 1) * sizeof *t->parts);
	x = &t->parts[t->n++];
	x->group = group;
	x->text = group < 0 ? ph_strndup(p, n) : NULL;
	x->n = group < 0 ? n : 0;
}

struct parse {
	const char *text, *zero;
	int max_group;
	ltemplate_warn_fn *warn;
	void *ctx;
	struct ltemplate *t;
	bool bad;               /* a reference that is none */
	int64_t highest;        /* group that was asked for */
};

static void complain(struct parse *p, bool bare, const char *fmt, ...) PH_PRINTF(3, 4);
static void complain(struct parse *p, bool bare, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	p->warn(p->ctx, bare, text);
	p->bad = true;
}

/* A number that is none, or 0, is told, and the next one looked at; one that the pattern has not is told at the end. */
static void take_group(struct parse *p, const char *name, size_t n)
{
	char number[12];
	int64_t group;

	if (n == 0 || strspn(name, "0123456789") < n) {
		complain(p, false, "non-numeric replacement index \"%.*s\"", (int)(n < 100 ? n : 100), name);
		return;
	}
	snprintf(number, sizeof number, "%.*s", (int)(n < 10 ? n : 10), name);
	if (n > 10 || ph_str_int64(number, 0, INT32_MAX, &group) < 0)
		group = INT32_MAX;
	if (group == 0)
		complain(p, false, "%s replacement index \"0\"", p->zero);
	if (group > p->highest)
		p->highest = group;
	add(p->t, (int)group, NULL, 0);
}

/* One reference at s, behind the '$'.  Where it ends; NULL: the text cannot be read on. */
static const char *reference(struct parse *p, const char *s)
{
	char close = s[0] == '{' ? '}' : s[0] == '(' ? ')' : '\0';
	const char *start = s + (close ? 1 : 0), *end = start;

	while (close ? *end && *end != close : isalnum((unsigned char)*end) || *end == '_')
		end++;
	if (close && *end == '\0')
		complain(p, true, "truncated macro reference: \"%.100s\"", p->text);
	else if (end == start)
		complain(p, true, "empty macro name: \"%.100s\"", p->text);
	else {
		take_group(p, start, (size_t)(end - start));
		return end + (close ? 1 : 0);
	}
	return NULL;
}

static bool numbers_good(struct parse *p)
{
	if (p->bad)
		complain(p, false, "bad replacement syntax: skipping this rule");
	else if (p->highest > 0 && p->max_group < 0)
		complain(p, false, "$number found in negative match replacement text: skipping this rule");
	else if (p->highest > p->max_group && p->highest > 0)
		complain(p, false, "out of range replacement index \"%lld\": skipping this rule", (long long)p->highest);
	return !p->bad;
}

int ltemplate_parse(const char *text, int max_group, const char *zero, ltemplate_warn_fn *warn, void *ctx, struct ltemplate **ret)
{
	struct parse p = { .text = text, .zero = zero, .max_group = max_group, .warn = warn, .ctx = ctx, .t = ph_alloc(sizeof *p.t) };

	for (const char *s = text; s && *s;) {
		size_t n = strcspn(s, "$");

		add(p.t, -1, s, n);
		s += n;
		if (s[0] == '$' && s[1] == '$') {
			add(p.t, -1, s, 1);
			s += 2;
		} else if (s[0] == '$') {
			s = reference(&p, s + 1);
		}
	}
	if (!numbers_good(&p)) {
		ltemplate_free(&p.t);
		return -EINVAL;
	}
	*ret = p.t;
	return 0;
}

const char *ltemplate_expand(const struct ltemplate *t, ltemplate_group_fn *fn, void *ctx, struct ph_arena *arena)
{
	struct ph_buf b = PH_BUF_INIT(LTEMPLATE_MAX_BYTES);
	const char *result = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++) {
		const char *p = t->parts[i].text;
		size_t n = t->parts[i].n;

		if (t->parts[i].group >= 0)
			fn(ctx, t->parts[i].group, &p, &n);
		if (n > 0)
			r = ph_buf_append(&b, p, n);
	}
	if (r == 0)
		result = ph_arena_strdup(arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return result;
}

void ltemplate_free(struct ltemplate **tp)
{
	struct ltemplate *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->parts[i].text);
	free(t->parts);
	free(t);
}
