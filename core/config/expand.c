/* expand.c: $name and its relatives.  Pure: text in, text out, names come from a callback; no yield.
 *
 *   $$                                   a dollar
 *   $name ${name} $(name)                the value of name, expanded in turn; empty when it is not set
 *   ${name?text} ${name?{text}}          text if name is set and not empty (as written, before expansion)
 *   ${name:text} ${name:{text}}          text if it is not
 *   ${name?{a}:{b}}                      a or b
 *   ${{a} op {b}?{c}:{d}}                compare: == != < <= >= >, numbers when both are, else texts; without
 *                                        ?{c} and :{d} the result is "true" or empty
 *   ${{a} <=level {b}?{c}:{d}}           compare compatibility levels
 *   ${domain_to_ascii{text}}             the A-label form of a domain name
 *
 * Everything grows with the input only up to a bound: nesting, number of look-ups, length of the result.
 * Source: postconf(5). */
#include <errno.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#include "config/private.h"

static int expand(struct ph_expand *x, const char *s, size_t n, int depth, struct ph_buf *out, struct ph_err *err);

static bool is_name(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

/* The part of the text that is still to be read. */
struct scan {
	const char *p, *end;
};

static void skip_space(struct scan *s)
{
	while (s->p < s->end && strchr(" \t\r\n\v\f", *s->p) && *s->p)
		s->p++;
}

static int syntax(const struct scan *s, struct ph_err *err, const char *what)
{
	int left = (int)(s->end - s->p < 40 ? s->end - s->p : 40);

	return ph_err_set(err, -EINVAL, "%s at \"%.*s\"", what, left, s->p);
}

/* s->p is at an opening bracket: the text inside of it, s moves behind the closing one. */
static int balanced(struct scan *s, char open, char close, struct scan *ret, struct ph_err *err)
{
	const char *p;
	int depth = 0;

	for (p = s->p; p < s->end; p++) {
		if (*p == open)
			depth++;
		else if (*p == close && --depth == 0) {
			ret->p = s->p + 1;
			ret->end = p;
			s->p = p + 1;
			return 0;
		}
	}
	return ph_err_set(err, -EINVAL, "'%c' without its '%c' in \"%.*s\"", open, close,
			  (int)(s->end - s->p < 60 ? s->end - s->p : 60), s->p);
}

static int append(struct ph_buf *out, const void *p, size_t n, struct ph_err *err)
{
	if (ph_buf_append(out, p, n) < 0)
		return ph_err_set(err, -ENOBUFS, "the expanded value is longer than %zu bytes", out->max);
	return 0;
}

/* "?{a}:{b}", "?a", ":b" ... at s: expand the branch that cond chooses, or neither. */
static int branches(struct ph_expand *x, struct scan *s, bool cond, int depth, struct ph_buf *out, struct ph_err *err)
{
	struct scan yes = { NULL, NULL }, no = { NULL, NULL }, *part = *s->p == '?' ? &yes : &no;
	const struct scan *chosen;
	int rc;

	for (;; part = &no) {
		s->p++;
		if (part == &no || *(s->p - 1) == '?') {
			const char *start = s->p;

			skip_space(s);
			if (s->p == s->end || *s->p != '{') {
				part->p = start;        /* the rest as it is, with its white space */
				part->end = s->end;
				break;
			}
		}
		rc = balanced(s, '{', '}', part, err);
		if (rc < 0)
			return rc;
		skip_space(s);
		if (s->p == s->end)
			break;
		if (part == &no)
			return syntax(s, err, "nothing may follow the {...} behind ':',");
		if (*s->p != ':')
			return syntax(s, err, "':' is expected");
	}
	chosen = cond ? &yes : &no;
	return chosen->p ? expand(x, chosen->p, (size_t)(chosen->end - chosen->p), depth + 1, out, err) : 0;
}

/* ---- comparisons ---- */

enum op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GE, OP_GT };

static int parse_op(struct scan *s, enum op *ret, bool *ret_level, struct ph_err *err)
{
	static const struct { const char *text; enum op op; } ops[] = {
		{ "==", OP_EQ }, { "!=", OP_NE }, { "<=", OP_LE }, { ">=", OP_GE }, { "<", OP_LT }, { ">", OP_GT },
	};
	size_t i, n;

	skip_space(s);
	for (i = 0; i < PH_ARRAY_LEN(ops); i++) {
		n = strlen(ops[i].text);
		if ((size_t)(s->end - s->p) < n || memcmp(s->p, ops[i].text, n) != 0)
			continue;
		s->p += n;
		*ret = ops[i].op;
		*ret_level = s->end - s->p >= 5 && memcmp(s->p, "level", 5) == 0;
		if (*ret_level)
			s->p += 5;
		skip_space(s);
		return 0;
	}
	return syntax(s, err, "one of == != < <= >= > is expected");
}

int ph_parse_level(const char *s, int64_t *ret)
{
	int64_t part[3] = { 0, 0, 0 };
	int i = 0;

	for (;; s++) {
		if (i == 3 || !is_digit((unsigned char)*s))
			return -EINVAL;
		while (is_digit((unsigned char)*s)) {
			part[i] = part[i] * 10 + (*s++ - '0');
			if (part[i] > 999999)
				return -ERANGE;
		}
		i++;
		if (*s == '\0')
			break;
		if (*s != '.')
			return -EINVAL;
	}
	*ret = part[0] * 1000000000000 + part[1] * 1000000 + part[2];
	return 0;
}

static bool all_digits(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

static int compare(const char *a, const char *b, bool level, int *ret, struct ph_err *err)
{
	int64_t x, y;

	if (level) {
		if (ph_parse_level(a, &x) < 0 || ph_parse_level(b, &y) < 0)
			return ph_err_set(err, -EINVAL, "malformed compatibility level: \"%.40s\"", ph_parse_level(a, &x) < 0 ? a : b);
	} else if (all_digits(a) && all_digits(b)) {
		if (ph_str_int64(a, 0, INT64_MAX, &x) < 0 || ph_str_int64(b, 0, INT64_MAX, &y) < 0)
			return ph_err_set(err, -ERANGE, "number too large in a comparison: \"%.40s\"",
					  ph_str_int64(a, 0, INT64_MAX, &x) < 0 ? a : b);
	} else {
		*ret = strcmp(a, b);
		return 0;
	}
	*ret = (x > y) - (x < y);
	return 0;
}

static bool holds(enum op op, int cmp)
{
	switch (op) {
	case OP_EQ: return cmp == 0;
	case OP_NE: return cmp != 0;
	case OP_LT: return cmp < 0;
	case OP_LE: return cmp <= 0;
	case OP_GE: return cmp >= 0;
	case OP_GT: return cmp > 0;
	}
	return false;
}

static int operand(struct ph_expand *x, struct scan *s, int depth, struct ph_buf *ret, struct ph_err *err)
{
	struct scan inner;
	int rc;

	skip_space(s);
	if (s->p == s->end || *s->p != '{')
		return syntax(s, err, "\"{expression}\" is expected");
	rc = balanced(s, '{', '}', &inner, err);
	if (rc < 0)
		return rc;
	return expand(x, inner.p, (size_t)(inner.end - inner.p), depth + 1, ret, err);
}

static int condition(struct ph_expand *x, struct scan *s, int depth, struct ph_buf *out, struct ph_err *err)
{
	struct ph_buf a, b;
	enum op op = OP_EQ;
	bool level = false;
	int rc, cmp = 0;

	ph_buf_init(&a, out->max);
	ph_buf_init(&b, out->max);
	if ((rc = operand(x, s, depth, &a, err)) < 0 ||
	    (rc = parse_op(s, &op, &level, err)) < 0 ||
	    (rc = operand(x, s, depth, &b, err)) < 0 ||
	    (rc = compare(ph_buf_str(&a), ph_buf_str(&b), level, &cmp, err)) < 0)
		goto out;
	skip_space(s);
	if (s->p == s->end)
		rc = holds(op, cmp) ? append(out, "true", 4, err) : 0;
	else if (*s->p == '?' || *s->p == ':')
		rc = branches(x, s, holds(op, cmp), depth, out, err);
	else
		rc = syntax(s, err, "'?' or ':' is expected");
out:
	ph_buf_done(&a);
	ph_buf_done(&b);
	return rc;
}

/* ---- names ---- */

static int idn_flags(struct ph_expand *x)
{
	bool final;
	const char *value = x->lookup(x->arg, "enable_idna2003_compatibility", &final);

	return IDN2_NFC_INPUT | (value && ph_str_ieq(value, "yes") ? IDN2_TRANSITIONAL : IDN2_NONTRANSITIONAL);
}

static int function(struct ph_expand *x, const char *name, struct scan *s, int depth, struct ph_buf *out, struct ph_err *err)
{
	struct ph_buf arg;
	char *ascii = NULL;
	int rc;

	if (strcmp(name, "domain_to_ascii") != 0)
		return syntax(s, err, "the name holds a character other than letters, digits and '_'");
	ph_buf_init(&arg, out->max);
	rc = operand(x, s, depth, &arg, err);
	if (rc == 0 && s->p != s->end)
		rc = syntax(s, err, "'}' is expected");
	if (rc == 0) {
		if (idn2_to_ascii_8z(ph_buf_str(&arg), &ascii, idn_flags(x)) != IDN2_OK)
			rc = ph_err_set(err, -EINVAL, "domain_to_ascii: \"%.80s\" is not a valid domain name", ph_buf_str(&arg));
		else
			rc = append(out, ascii, strlen(ascii), err);
		idn2_free(ascii);
	}
	ph_buf_done(&arg);
	return rc;
}

static int copy_name(struct scan *s, char *name, size_t size, struct ph_err *err)
{
	size_t n = 0;

	while (s->p + n < s->end && is_name((unsigned char)s->p[n]))
		n++;
	if (n == 0)
		return syntax(s, err, "a parameter name is expected");
	if (n >= size)
		return syntax(s, err, "the parameter name is too long");
	memcpy(name, s->p, n);
	name[n] = '\0';
	s->p += n;
	return 0;
}

static int value_of(struct ph_expand *x, const char *name, int depth, struct ph_buf *out, struct ph_err *err)
{
	bool final = false;
	const char *raw;
	int rc;

	raw = x->lookup(x->arg, name, &final);
	if (raw == NULL)
		return 0;
	if (final)
		return append(out, raw, strlen(raw), err);
	rc = expand(x, raw, strlen(raw), depth + 1, out, err);
	return rc;
}

static int reference(struct ph_expand *x, struct scan *s, bool bracketed, int depth, struct ph_buf *out, struct ph_err *err)
{
	char name[256];
	const char *raw;
	bool final;
	int rc;

	rc = copy_name(s, name, sizeof(name), err);
	if (rc < 0)
		return rc;
	x->steps++;
	if (!bracketed)
		return value_of(x, name, depth, out, err);
	if (s->p < s->end && *s->p == '{')
		return function(x, name, s, depth, out, err);
	skip_space(s);
	if (s->p == s->end)
		return value_of(x, name, depth, out, err);
	if (*s->p != '?' && *s->p != ':')
		return syntax(s, err, "the name holds a character other than letters, digits and '_'");
	raw = x->lookup(x->arg, name, &final);
	return branches(x, s, raw && *raw, depth, out, err);
}

/* s->p is behind the dollar. */
static int dollar(struct ph_expand *x, struct scan *s, int depth, struct ph_buf *out, struct ph_err *err)
{
	struct scan inner;
	bool brace = s->p < s->end && *s->p == '{';
	int rc;

	if (s->p < s->end && *s->p == '$') {
		s->p++;
		return append(out, "$", 1, err);
	}
	if (!brace && !(s->p < s->end && *s->p == '('))
		return reference(x, s, false, depth, out, err);
	rc = brace ? balanced(s, '{', '}', &inner, err) : balanced(s, '(', ')', &inner, err);
	if (rc < 0)
		return rc;
	skip_space(&inner);
	if (inner.p < inner.end && *inner.p == '{')
		return condition(x, &inner, depth, out, err);
	return reference(x, &inner, true, depth, out, err);
}

static int expand(struct ph_expand *x, const char *s, size_t n, int depth, struct ph_buf *out, struct ph_err *err)
{
	struct scan scan = { s, s + n };
	const char *next;
	int rc;

	if (depth > PH_MAX_NESTING)
		return ph_err_set(err, -ELOOP, "references are nested more than %d deep: does a value refer to itself? \"%.*s\"",
				  PH_MAX_NESTING, (int)(n < 60 ? n : 60), s);
	x->steps += 1 + (int)(n / 1024);        /* what is read again counts, too */
	if (x->steps > PH_MAX_STEPS)
		return ph_err_set(err, -ELOOP, "expanding the value takes too long: do values refer to each other?");
	while (scan.p < scan.end) {
		next = memchr(scan.p, '$', (size_t)(scan.end - scan.p));
		if (next == NULL)
			next = scan.end;
		rc = append(out, scan.p, (size_t)(next - scan.p), err);
		if (rc < 0 || next == scan.end)
			return rc;
		scan.p = next + 1;
		rc = dollar(x, &scan, depth, out, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int ph_expand(struct ph_expand *x, const char *text, struct ph_buf *out, struct ph_err *err)
{
	return expand(x, text, strlen(text), 0, out, err);
}
