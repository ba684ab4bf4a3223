/* cfg.c: see cfg.h.  Owns a copy of the settings.  Nothing yields.  Source: the common part of ldap_table(5), mysql_table(5). */
#include "cfg.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SETTINGS 200

struct setting {
	char *name, *value;
	bool used;
};

struct lcfg {
	const struct ph_conf *conf;     /* main.cf form; NULL: from a file */
	char *name;
	struct ph_arena *arena;
	struct setting list[MAX_SETTINGS];
	size_t n;
};

static void warn_twice(const struct lcfg *c, int lineno)
{
	for (size_t i = c->n; i-- > 0;)
		if (strcmp(c->list[i].name, c->list[c->n].name) == 0) {
			ph_log(PH_LOG_WARNING, "%s, line %d: overriding earlier entry: %s=%s", c->name, lineno, c->list[i].name,
			       strstr(c->list[i].name, "pw") || strstr(c->list[i].name, "password") ? "..." : c->list[i].value);
			return;
		}
}

static int read_file(struct lcfg *c, struct ph_err *err)
{
	struct ltext *text;
	char *line, *eq;
	int lineno, r = ltext_open("table settings", c->name, false, &text, err);

	if (r < 0)
		return r;
	while (r == 0 && (line = ltext_next(text, &lineno)) != NULL) {
		eq = strchr(line, '=');
		if (eq == NULL) {
			r = ph_err_set(err, -EINVAL, "%s, line %d: missing '=' after attribute name: \"%.60s\"", c->name, lineno, line);
			break;
		}
		if (c->n == MAX_SETTINGS) {
			r = ph_err_set(err, -EINVAL, "%s, line %d: more than %d settings", c->name, lineno, MAX_SETTINGS);
			break;
		}
		*eq = '\0';
		c->list[c->n].name = ph_arena_strdup(c->arena, ltext_trim(line));
		c->list[c->n].value = ph_arena_strdup(c->arena, ltext_trim(eq + 1));
		warn_twice(c, lineno);
		c->n++;
	}
	ltext_free(&text);
	return r;
}

int lcfg_open(const struct ph_table_spec *spec, struct lcfg **ret, struct ph_err *err)
{
	struct lcfg *c = ph_alloc(sizeof *c);
	int r = 0;

	c->arena = ph_arena_new();
	c->name = ph_arena_strdup(c->arena, spec->name);
	if (spec->name[0] == '/' || spec->name[0] == '.')
		r = read_file(c, err);
	else
		c->conf = spec->conf;
	if (r < 0)
		lcfg_free(&c);
	else
		*ret = c;
	return r;
}

void lcfg_free(struct lcfg **cp)
{
	struct lcfg *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	ph_arena_free(&c->arena);
	free(c);
}

const char *lcfg_path(const struct ph_table_spec *spec, struct ph_arena *arena)
{
	return spec->name[0] == '/' || spec->name[0] == '.' ? spec->name : NULL;
}

const char *lcfg_str(struct lcfg *c, const char *name, const char *def)
{
	const char *found = NULL;

	if (c->conf)
		found = ph_conf_get(c->conf, ph_arena_printf(c->arena, "%s_%s", c->name, name));
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->list[i].name, name) == 0) {
			c->list[i].used = true;
			found = c->list[i].value;       /* the last one counts */
		}
	return found ? found : def;
}

int lcfg_int(struct lcfg *c, const char *name, int def, int min, int max, int *ret, struct ph_err *err)
{
	const char *s = lcfg_str(c, name, NULL);
	int64_t v = def;

	if (s && ph_str_int64(s, min, max, &v) < 0)
		return ph_err_set(err, -EINVAL, "%s: bad value for %s: \"%.60s\": need a number from %d to %d", c->name, name, s, min,
				  max);
	*ret = (int)v;
	return 0;
}

int lcfg_ms(struct lcfg *c, const char *name, int64_t def_ms, int64_t *ret, struct ph_err *err)
{
	const char *s = lcfg_str(c, name, NULL);
	int64_t v, unit = 1000;
	char digits[32];
	size_t n;

	*ret = def_ms;
	if (s == NULL)
		return 0;
	n = strspn(s, "0123456789");
	if (strcmp(s + n, "ms") == 0)
		unit = 1;
	else if (strcmp(s + n, "m") == 0)
		unit = 60000;
	else if (strcmp(s + n, "h") == 0)
		unit = 3600000;
	else if (s[n] != '\0' && strcmp(s + n, "s") != 0)
		n = 0;
	if (n == 0 || n >= sizeof digits)
		goto bad;
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (ph_str_int64(digits, 0, 86400000 / unit, &v) < 0)
		goto bad;
	*ret = v * unit;
	return 0;
bad:
	return ph_err_set(err, -EINVAL, "%s: bad value for %s: \"%.60s\": need a time such as 2s, at most 24h", c->name, name, s);
}

int lcfg_bool(struct lcfg *c, const char *name, bool def, bool *ret, struct ph_err *err)
{
	const char *s = lcfg_str(c, name, def ? "yes" : "no");

	if (!ph_str_ieq(s, "yes") && !ph_str_ieq(s, "no"))
		return ph_err_set(err, -EINVAL, "%s: bad value for %s: \"%.60s\": need yes or no", c->name, name, s);
	*ret = ph_str_ieq(s, "yes");
	return 0;
}

void lcfg_known(struct lcfg *c, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		lcfg_str(c, names[i], NULL);
}

void lcfg_warn_unused(struct lcfg *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (!c->list[i].used)
			ph_log(PH_LOG_WARNING, "%s: unknown setting \"%.60s\" has no effect", c->name, c->list[i].name);
}

/* ---- templates ---- */

struct expansion {
	struct ph_buf *out;
	lcfg_quote_fn *quote;
	void *ctx;
	bool failed;            /* the quoting went wrong, not: a part is missing */
};

static bool put(struct expansion *x, const char *part, size_t n)
{
	if (x->quote == NULL)
		return ph_buf_append(x->out, part, n) == 0;
	if (x->quote(x->ctx, part, n, x->out) == 0)
		return true;
	x->failed = true;
	return false;
}

/* Label n of a domain, counted from the right from 1. */
static bool put_label(struct expansion *x, const char *domain, int n)
{
	const char *end = domain + strlen(domain), *start;

	for (;; end = start - 1) {
		for (start = end; start > domain && start[-1] != '.'; start--)
			;
		if (--n == 0)
			return end > start && put(x, start, (size_t)(end - start));
		if (start == domain)
			return false;
	}
}

static bool put_part(struct expansion *x, char part, const char *text)
{
	const char *at = strrchr(text, '@');

	switch (part) {
	case 's':
		return put(x, text, strlen(text));
	case 'u':
		if (at == NULL)
			return put(x, text, strlen(text));
		return at > text && put(x, text, (size_t)(at - text));
	case 'd':
		return at && at[1] && put(x, at + 1, strlen(at + 1));
	default:
		return at && at[1] && put_label(x, at + 1, part - '0');
	}
}

static bool expand(struct expansion *x, const char *format, const char *text, const char *key)
{
	for (const char *p = format; *p; p++) {
		bool ok;

		if (*p != '%') {
			size_t n = strcspn(p, "%");

			ok = ph_buf_append(x->out, p, n) == 0;
			p += n - 1;
		} else {
			p++;
			if (*p == '%')
				ok = ph_buf_putc(x->out, '%') == 0;
			else if (*p == 'S' || *p == 'U' || *p == 'D')
				ok = put_part(x, (char)(*p - 'A' + 'a'), key);
			else if (*p >= '1' && *p <= '9')
				ok = put_part(x, *p, key);
			else if (*p == 's' || *p == 'u' || *p == 'd')
				ok = put_part(x, *p, text);
			else
				return false;
		}
		if (!ok)
			return false;
	}
	return true;
}

bool lcfg_expand(const char *format, const char *text, const char *key, struct ph_buf *out)
{
	struct expansion x = { .out = out };

	return expand(&x, format, text, key);
}

bool lcfg_expand_quoted(const char *format, const char *key, lcfg_quote_fn *quote, void *ctx, struct ph_buf *out, bool *ret_failed)
{
	struct expansion x = { out, quote, ctx, false };
	bool ok = expand(&x, format, key, key);

	*ret_failed = x.failed;
	return ok;
}

int lcfg_check_format(const char *name, const char *format, struct ph_err *err)
{
	for (const char *p = strchr(format, '%'); p; p = strchr(p + 1, '%')) {
		p++;
		if (*p == '\0' || !strchr("%sudSUD123456789", *p))
			return ph_err_set(err, -EINVAL, "%s: \"%.100s\": unknown %%%c", name, format, *p ? *p : ' ');
	}
	return 0;
}
