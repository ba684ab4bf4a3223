/* settings.c: texts of main.cf as typed fields of a component's settings struct, with range checks.
 *
 * The messages name the place, the parameter and the value, in the shapes that Postfix's users know.  No yield. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "config/private.h"

int ph_parse_bool(const char *s, bool *ret)
{
	if (ph_str_ieq(s, "yes"))
		*ret = true;
	else if (ph_str_ieq(s, "no"))
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

static int64_t unit_seconds(char unit)
{
	switch (unit) {
	case 's': return 1;
	case 'm': return 60;
	case 'h': return 3600;
	case 'd': return 86400;
	case 'w': return 7 * 86400;
	}
	return 0;
}

/* Digits and one letter; at most as many seconds as an int holds, as in Postfix. */
int ph_parse_time(const char *s, char default_unit, int64_t *ret_ms)
{
	size_t n = strspn(s, "0123456789");
	char digits[12];
	int64_t v, unit;

	if (n == 0)
		return -EINVAL;
	if (n >= sizeof(digits))
		return -ERANGE;
	unit = unit_seconds(s[n] ? s[n] : default_unit ? default_unit : 's');
	if (unit == 0 || (s[n] && s[n + 1]))
		return -EINVAL;
	memcpy(digits, s, n);
	digits[n] = '\0';
	if (ph_str_int64(digits, 0, INT64_MAX, &v) < 0 || v > INT_MAX / unit)
		return -ERANGE;
	*ret_ms = v * unit * 1000;
	return 0;
}

/* What a message starts with. */
struct field {
	const struct ph_conf *conf;
	const struct ph_param *p;
	const char *name, *value;
	struct ph_err *err;
};

static const char *where(const struct field *f)
{
	return ph_setting_where(f->conf, f->name, f->conf->config->arena);
}

static int fill_string(const struct field *f, const char **ret)
{
	size_t n = strlen(f->value);

	if ((int64_t)n < f->p->min)
		return ph_err_set(f->err, -EINVAL, "%s: bad string length %zu < %lld: %s = %s", where(f), n,
				  (long long)f->p->min, f->name, f->value);
	if (f->p->max > 0 && (int64_t)n > f->p->max)
		return ph_err_set(f->err, -EINVAL, "%s: bad string length %zu > %lld: %s = %s", where(f), n,
				  (long long)f->p->max, f->name, f->value);
	*ret = f->value;
	return 0;
}

static int fill_bool(const struct field *f, bool *ret)
{
	if (ph_parse_bool(f->value, ret) < 0)
		return ph_err_set(f->err, -EINVAL, "%s: bad boolean configuration: %s = %s; expected yes or no", where(f),
				  f->name, f->value);
	return 0;
}

static int fill_number(const struct field *f, int64_t limit, int64_t *ret)
{
	int64_t max = f->p->max > 0 && f->p->max < limit ? f->p->max : limit, v;
	const char *digits = f->value + (*f->value == '-');

	if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits) ||
	    ph_str_int64(f->value, -limit - 1, limit, &v) < 0)
		return ph_err_set(f->err, -EINVAL, "%s: bad numerical configuration: %s = %s", where(f), f->name, f->value);
	if (v < f->p->min)
		return ph_err_set(f->err, -ERANGE, "%s: invalid %s parameter value %lld < %lld", where(f), f->name,
				  (long long)v, (long long)f->p->min);
	if (v > max)
		return ph_err_set(f->err, -ERANGE, "%s: invalid %s parameter value %lld > %lld", where(f), f->name,
				  (long long)v, (long long)max);
	*ret = v;
	return 0;
}

static int fill_time(const struct field *f, int64_t *ret)
{
	int64_t v;

	if (ph_parse_time(f->value, f->p->time_unit, &v) < 0)
		return ph_err_set(f->err, -EINVAL, "%s: parameter %s: bad time value or unit: %s", where(f), f->name, f->value);
	if (v < f->p->min)
		return ph_err_set(f->err, -ERANGE, "%s: invalid %s: %s (min %llds)", where(f), f->name, f->value,
				  (long long)((f->p->min + 999) / 1000));
	if (f->p->max > 0 && v > f->p->max)
		return ph_err_set(f->err, -ERANGE, "%s: invalid %s: %s (max %llds)", where(f), f->name, f->value,
				  (long long)(f->p->max / 1000));
	*ret = v;
	return 0;
}

static int fill(const struct field *f, void *at)
{
	int64_t v = 0;
	int rc = 0;

	switch (f->p->type) {
	case PH_PARAM_STR:
	case PH_PARAM_RAW:
		return fill_string(f, at);
	case PH_PARAM_BOOL:
		return fill_bool(f, at);
	case PH_PARAM_INT:
		rc = fill_number(f, INT_MAX, &v);
		if (rc == 0)
			*(int *)at = (int)v;
		return rc;
	case PH_PARAM_LONG:
		return fill_number(f, INT64_MAX - 1, at);
	case PH_PARAM_TIME:
		return fill_time(f, at);
	}
	ph_assert(!"parameter type");
	return -EINVAL;
}

/* The text of "<service>_suffix" that is not set: a default of its own, else the table's. */
static int template_value(struct field *f, struct ph_err *err)
{
	const struct ph_known *k = ph_known_find(f->name);
	struct ph_err why;

	f->value = ph_conf_expand(f->conf, f->conf->config->arena, k ? k->def : f->p->def, &why);
	return f->value ? 0 : ph_err_set(err, -EINVAL, "%s: %s", where(f), why.text);
}

static int value_of(struct field *f, struct ph_err *err)
{
	bool final;
	int rc;

	if (f->name != f->p->name && ph_conf_setting(f->conf, f->name) == NULL)
		return template_value(f, err);
	if (f->p->type == PH_PARAM_RAW) {
		f->value = ph_conf_raw(f->conf, f->name, &final);
		return 0;
	}
	rc = ph_conf_value(f->conf, f->name, &f->value, err);
	return rc < 0 ? rc : 0;
}

int ph_conf_settings(const struct ph_conf *conf, const struct ph_param *table, size_t n, void *settings, struct ph_err *err)
{
	struct field f = { .conf = conf, .err = err };
	size_t i;
	int rc;

	ph_param_declare_module(table, n);      /* a module's, seen for the first time */
	for (i = 0; i < n; i++) {
		f.p = &table[i];
		f.name = f.p->name;
		if (strncmp(f.name, "%s_", 3) == 0)
			f.name = ph_arena_printf(conf->config->arena, "%s%s", conf->service, f.p->name + 2);
		rc = value_of(&f, err);
		if (rc < 0)
			return rc;
		rc = fill(&f, (char *)settings + f.p->offset);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int ph_param_check(const struct ph_conf *conf, const struct ph_param *p, const char *name, struct ph_err *err)
{
	union { const char *str; bool flag; int num; int64_t big; } scratch;
	struct field f = { .conf = conf, .p = p, .name = name, .err = err };
	int rc;

	rc = value_of(&f, err);
	return rc < 0 ? rc : fill(&f, &scratch);
}

int ph_conf_time(const char *text, char default_unit, int64_t *ret_ms)
{
	return ph_parse_time(text, default_unit, ret_ms);
}
