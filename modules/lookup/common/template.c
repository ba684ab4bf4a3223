/* template.c: see template.h.  Pure.  Source: regexp_table(5), pcre_table(5), "TEXT SUBSTITUTION". */
#include "template.h"

#include <ctype.h>
#include <errno.h>
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

/* One reference at p, behind the '$'.  Bytes used, or -EINVAL with err. */
static int reference(struct ltemplate *t, const char *p, int max_group, struct ph_err *err)
{
	char close = p[0] == '{' ? '}' : p[0] == '(' ? ')' : '\0', name[16];
	const char *start = p + (close ? 1 : 0), *end = start;
	int64_t group;
	size_t n;

	while (close ? *end && *end != close : isalnum((unsigned char)*end) || *end == '_')
		end++;
	n = (size_t)(end - start);
	if (close && *end == '\0')
		return ph_err_set(err, -EINVAL, "truncated macro reference: \"$%.100s\"\nbad replacement syntax: skipping this rule", p);
	if (n == 0)
		return ph_err_set(err, -EINVAL, "empty macro name\nbad replacement syntax: skipping this rule");
	if (n >= sizeof name || strspn(start, "0123456789") < n)
		return ph_err_set(err, -EINVAL, "non-numeric replacement index \"%.*s\"\nbad replacement syntax: skipping this rule",
				  (int)(n < 100 ? n : 100), start);
	memcpy(name, start, n);
	name[n] = '\0';
	if (max_group < 0)
		return ph_err_set(err, -EINVAL, "$number found in negative match replacement text: skipping this rule");
	if (ph_str_int64(name, 1, max_group, &group) < 0)
		return ph_err_set(err, -EINVAL, "out of range replacement index \"%s\": skipping this rule", name);
	add(t, (int)group, NULL, 0);
	return (int)(end - p) + (close ? 1 : 0);
}

int ltemplate_parse(const char *text, int max_group, struct ltemplate **ret, struct ph_err *err)
{
	struct ltemplate *t = ph_alloc(sizeof *t);
	const char *p = text;
	int used;

	while (*p) {
		size_t n = strcspn(p, "$");

		add(t, -1, p, n);
		p += n;
		if (*p == '\0')
			break;
		p++;
		if (*p == '$') {
			add(t, -1, p++, 1);
			continue;
		}
		used = reference(t, p, max_group, err);
		if (used < 0) {
			ltemplate_free(&t);
			return used;
		}
		p += used;
	}
	*ret = t;
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
