/* conf.c: a configuration as one service sees it: its -o overrides, then main.cf, then the defaults.
 *
 * A view computes a value when it is first asked for and keeps the text in the generation's arena.  To be used from the
 * worker's own thread.  No yield. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "config/private.h"

struct ph_conf *ph_conf_new(struct ph_config *c, const struct ph_conf *base, const char *service, const char *process)
{
	struct ph_conf *conf = ph_arena_alloc(c->arena, sizeof(*conf));

	conf->config = c;
	conf->base = base;
	conf->service = service;
	conf->process = process;
	ph_settings_init(&conf->overrides);
	conf->next = c->views;
	c->views = conf;
	return conf;
}

const struct ph_conf *ph_conf_derive(const struct ph_conf *base, const char *const *names, const char *const *values, size_t n)
{
	struct ph_arena *a = base->config->arena;
	struct ph_conf *conf = ph_conf_new(base->config, base, base->service, base->process);
	struct ph_setting *set;
	size_t i;

	for (i = 0; i < n; i++) {
		set = ph_arena_alloc(a, sizeof(*set));
		set->name = ph_arena_strdup(a, names[i]);
		set->value = ph_arena_strdup(a, values[i]);
		set->file = "override";
		set->origin = "override:0";
		ph_settings_set(&conf->overrides, a, set);
	}
	return conf;
}

/* Values that nobody can set. */
static const char *fixed_value(const struct ph_conf *conf, const char *name)
{
	if (strcmp(name, "process_name") == 0)
		return conf->process;
	if (strcmp(name, "service_name") == 0)
		return conf->service;
	if (strcmp(name, "config_directory") == 0)
		return conf->config->dir;
	if (strcmp(name, "process_id") == 0)
		return ph_arena_printf(conf->config->arena, "%d", (int)getpid());
	return NULL;
}

const struct ph_setting *ph_conf_setting(const struct ph_conf *conf, const char *name)
{
	const struct ph_setting *set;
	const struct ph_conf *view;

	for (view = conf; view; view = view->base) {
		set = ph_htab_get(&view->overrides.by_name, name);
		if (set)
			return set;
	}
	return ph_htab_get(&conf->config->main.by_name, name);
}

const char *ph_conf_raw(const struct ph_conf *conf, const char *name, bool *ret_final)
{
	const struct ph_setting *set;
	const char *text;

	text = fixed_value(conf, name);
	if (text) {
		*ret_final = true;
		return text;
	}
	set = ph_conf_setting(conf, name);
	if (set) {
		*ret_final = false;
		return set->value;
	}
	*ret_final = ph_default_is_computed(name);
	return ph_conf_default(conf, name);
}

const char *ph_setting_where(const struct ph_conf *conf, const char *name, struct ph_arena *a)
{
	const struct ph_setting *set = ph_conf_setting(conf, name);

	if (set == NULL)
		return ph_arena_printf(a, "default of %s", name);
	if (set->line == 0)
		return set->file;
	return ph_arena_printf(a, "%s, line %d", set->file, set->line);
}

static const char *lookup_raw(void *arg, const char *name, bool *ret_final)
{
	return ph_conf_raw(arg, name, ret_final);
}

static int expand_text(const struct ph_conf *conf, const char *text, struct ph_arena *a, const char **ret, struct ph_err *err)
{
	struct ph_expand x = { lookup_raw, (void *)(uintptr_t)conf, 0 };
	struct ph_buf out;
	int rc;

	if (strchr(text, '$') == NULL) {
		*ret = ph_arena_strdup(a, text);
		return 0;
	}
	ph_buf_init(&out, PH_MAX_VALUE_BYTES);
	rc = ph_expand(&x, text, &out, err);
	if (rc == 0)
		*ret = ph_arena_strdup(a, ph_buf_str(&out));
	ph_buf_done(&out);
	return rc;
}

/* The cache is the one part of a view that changes after the load. */
static void remember(const struct ph_conf *conf, const char *name, const char *value)
{
	struct ph_conf *view = (struct ph_conf *)(uintptr_t)conf;

	ph_htab_put(&view->values, ph_arena_strdup(view->config->arena, name), (void *)(uintptr_t)value);
}

int ph_conf_value(const struct ph_conf *conf, const char *name, const char **ret, struct ph_err *err)
{
	const char *value = ph_htab_get(&conf->values, name), *raw;
	struct ph_err why;
	bool final = false;
	int rc;

	if (value) {
		*ret = value;
		return 1;
	}
	raw = ph_conf_raw(conf, name, &final);
	if (raw == NULL)
		return 0;
	if (final || ph_param_is_raw(name)) {
		value = raw;
	} else {
		rc = expand_text(conf, raw, conf->config->arena, &value, &why);
		if (rc < 0)
			return ph_err_set(err, rc, "%s: parameter %s: %s",
					  ph_setting_where(conf, name, conf->config->arena), name, why.text);
	}
	if (strcmp(name, "process_id") != 0)    /* a forked worker has another one */
		remember(conf, name, value);
	*ret = value;
	return 1;
}

const char *ph_conf_get(const struct ph_conf *conf, const char *name)
{
	const char *value = NULL;
	struct ph_err err;

	/* What the load has checked cannot fail here; what remains are names that nobody declared. */
	if (ph_conf_value(conf, name, &value, &err) < 0) {
		ph_log(PH_LOG_WARNING, "%s", err.text);
		return NULL;
	}
	return value;
}

char *ph_conf_expand(const struct ph_conf *conf, struct ph_arena *arena, const char *text, struct ph_err *err)
{
	const char *value;

	if (expand_text(conf, text, arena, &value, err) < 0)
		return NULL;
	return (char *)(uintptr_t)value;
}

const char *ph_conf_service(const struct ph_conf *conf)
{
	return conf->service;
}

const char *const *ph_conf_service_words(const struct ph_conf *conf)
{
	static const char *const none[] = { NULL };

	for (; conf; conf = conf->base) {
		if (conf->words)
			return (const char *const *)conf->words;
	}
	return none;
}

int ph_conf_compatibility(const struct ph_conf *conf)
{
	const char *text = ph_conf_get(conf, "compatibility_level");
	int64_t level, major, minor;

	if (text == NULL || ph_parse_level(text, &level) < 0)
		return 0;
	major = level / 1000000000000;
	minor = level / 1000000 % 1000000;
	return (int)((major < 1000000 ? major : 1000000) * 1000 + (minor < 999 ? minor : 999));
}

const char *ph_conf_origin(const struct ph_conf *conf, const char *name)
{
	const struct ph_setting *set = ph_conf_setting(conf, name);

	if (set)
		return set->origin;
	return fixed_value(conf, name) || ph_conf_default(conf, name) ? "default" : NULL;
}

const struct ph_config *ph_conf_config(const struct ph_conf *conf)
{
	return conf->config;
}

const char *ph_conf_service_param(const struct ph_conf *conf, const char *service, const char *suffix, const char *fallback)
{
	char name[256];
	const char *value;
	int n = snprintf(name, sizeof(name), "%s_%s", service, suffix);

	/* "local_destination_recipient_limit" has a default of its own; most have not. */
	if (n > 0 && (size_t)n < sizeof(name) &&
	    (ph_conf_setting(conf, name) || ph_param_exact(name) || ph_known_find(name))) {
		value = ph_conf_get(conf, name);
		if (value)
			return value;
	}
	return ph_conf_get(conf, fallback);
}

bool ph_conf_utf8(const struct ph_conf *conf)
{
	const char *value = conf ? ph_conf_get(conf, "smtputf8_enable") : NULL;

	return value == NULL || ph_str_ieq(value, "yes");
}

const struct ph_conf *ph_conf_base(const struct ph_conf *conf)
{
	return conf->base ? conf->base : conf != conf->config->main_view ? conf->config->main_view : NULL;
}

/* ---- objects that live with a view ---- */

void *ph_conf_attach_get(const struct ph_conf *conf, const char *key)
{
	const struct ph_attached *at = ph_htab_get(&conf->attached_by_key, key);

	return at ? at->obj : NULL;
}

void ph_conf_attach_set(const struct ph_conf *conf, const char *key, void *obj, void (*fn)(void *))
{
	struct ph_conf *view = (struct ph_conf *)(uintptr_t)conf;
	struct ph_attached *at = ph_arena_alloc(view->config->arena, sizeof(*at));

	at->key = ph_arena_strdup(view->config->arena, key);
	at->obj = obj;
	at->fn = fn;
	at->next = view->attached;
	view->attached = at;
	ph_htab_put(&view->attached_by_key, at->key, at);
}
