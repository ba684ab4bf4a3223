/* params.c: who declares which parameter, and what an unset parameter means.
 *
 * Owns the list of declaration tables: those of the core announce themselves before main(), those of modules when they are
 * loaded.  Components may share a parameter when they declare it alike; general.c's declaration comes first, and a unit test
 * fails when two differ.  No yield. */
#include <string.h>

#include "config/private.h"

static struct ph_param_table *tables;
static bool indexed;
static struct ph_htab declared;         /* name -> const struct ph_param *, plain names */
static const struct ph_param *per_service[64];  /* "%s_suffix" */
static size_t n_per_service;

static void index_params(const struct ph_param *params, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i++) {
		if (strncmp(params[i].name, "%s_", 3) != 0) {
			if (ph_htab_get(&declared, params[i].name) == NULL)
				ph_htab_put(&declared, params[i].name, (void *)(uintptr_t)&params[i]);
			continue;
		}
		for (k = 0; k < n_per_service && strcmp(per_service[k]->name, params[i].name) != 0; k++)
			;
		if (k < n_per_service)
			continue;
		ph_assert(n_per_service < PH_ARRAY_LEN(per_service));
		per_service[n_per_service++] = &params[i];
	}
}

static void index_tables(bool general)
{
	const struct ph_param_table *t;

	for (t = tables; t; t = t->next) {
		if ((strcmp(t->owner, PH_GENERAL_OWNER) == 0) == general)
			index_params(t->params, t->n);
	}
}

/* Before the first configuration is loaded: constructors only collect, since their order is not known. */
void ph_params_init(void)
{
	if (indexed)
		return;
	indexed = true;
	index_tables(true);
	index_tables(false);
}

void ph_param_table_add(struct ph_param_table *t)
{
	t->next = tables;
	tables = t;
	if (indexed)
		index_params(t->params, t->n);
}

/* Every time that a component of a configuration fills its settings; after the first time nothing is new. */
void ph_param_declare_module(const struct ph_param *params, size_t n)
{
	ph_params_init();
	index_params(params, n);
}

static bool alike(const struct ph_param *a, const struct ph_param *b)
{
	return a->type == b->type && strcmp(a->def, b->def) == 0;
}

size_t ph_param_conflicts(void (*report)(void *arg, const char *owner, const struct ph_param *p, const struct ph_param *first), void *arg)
{
	const struct ph_param_table *t;
	const struct ph_param *first;
	size_t i, n = 0;

	ph_params_init();
	for (t = tables; t; t = t->next) {
		for (i = 0; i < t->n; i++) {
			first = ph_htab_get(&declared, t->params[i].name);
			if (first == NULL || alike(first, &t->params[i]))
				continue;
			n++;
			report(arg, t->owner, &t->params[i], first);
		}
	}
	return n;
}

const struct ph_param_table *ph_param_tables(void)
{
	return tables;
}

const struct ph_param *ph_param_exact(const char *name)
{
	ph_params_init();
	return ph_htab_get(&declared, name);
}

const struct ph_param *ph_param_find(const char *name)
{
	const struct ph_param *p = ph_param_exact(name);
	size_t i, n, len = strlen(name);

	if (p)
		return p;
	for (i = 0; i < n_per_service; i++) {
		n = strlen(per_service[i]->name) - 2;   /* "_suffix" */
		if (len > n && strcmp(name + len - n, per_service[i]->name + 2) == 0)
			return per_service[i];
	}
	return NULL;
}

bool ph_param_is_raw(const char *name)
{
	const struct ph_param *p = ph_param_exact(name);
	const struct ph_known *k;

	if (p)
		return p->type == PH_PARAM_RAW;
	k = ph_known_find(name);
	return k && (k->flags & PH_KNOWN_RAW);
}

/* ---- defaults ---- */

bool ph_default_is_computed(const char *name)
{
	const struct ph_known *k = ph_known_find(name);

	return k && (k->flags & PH_KNOWN_COMPUTED);
}

static bool same_value(const struct ph_conf *a, const struct ph_conf *b, const char *name)
{
	const char *x = ph_conf_get(a, name), *y = ph_conf_get(b, name);

	return x && y && strcmp(x, y) == 0;
}

/* A view that says nothing else has its parent's: the interfaces are looked at once, before anybody is in a chroot. */
int ph_default_mynetworks_of(const struct ph_conf *conf, const char **ret, struct ph_err *err)
{
	const struct ph_conf *parent = conf->base ? conf->base : conf->config->main_view;
	struct ph_arena *a = conf->config->arena;
	struct ph_err why;
	int rc;

	if (parent != conf && ph_conf_setting(parent, "mynetworks") == NULL && same_value(conf, parent, "mynetworks_style") &&
	    same_value(conf, parent, "inet_interfaces") && same_value(conf, parent, "inet_protocols")) {
		rc = ph_conf_value(parent, "mynetworks", ret, err);
		return rc < 0 ? rc : 0;
	}
	rc = ph_default_mynetworks(ph_conf_get(conf, "mynetworks_style"), ph_conf_get(conf, "inet_interfaces"),
				   ph_conf_get(conf, "inet_protocols"), a, ret, &why);
	return rc < 0 ? ph_err_set(err, rc, "%s: %s", ph_setting_where(conf, "mynetworks_style", a), why.text) : 0;
}

static const char *default_mynetworks(const struct ph_conf *conf)
{
	const char *ret = "";
	struct ph_err err;

	if (ph_default_mynetworks_of(conf, &ret, &err) < 0)
		ph_log(PH_LOG_ERROR, "%s", err.text);
	return ret;
}

static const char *computed(const struct ph_conf *conf, const char *name)
{
	/* in_progress: what the name means while it is being worked out ("myhostname = mx.$mydomain" without mydomain). */
	static const struct { const char *name, *in_progress; } all[] = {
		{ "myhostname", "" }, { "mydomain", PH_DEFAULT_DOMAIN }, { "mynetworks", "" },
	};
	struct ph_conf *view = (struct ph_conf *)(uintptr_t)conf;
	const char *ret;
	unsigned i;

	for (i = 0; i < PH_ARRAY_LEN(all) && strcmp(all[i].name, name) != 0; i++)
		;
	if (i == PH_ARRAY_LEN(all))
		return "";
	if (view->computing & 1u << i)
		return all[i].in_progress;
	view->computing |= 1u << i;
	ret = i == 0 ? ph_default_myhostname(conf, conf->config->arena) :
	      i == 1 ? ph_default_mydomain(conf, conf->config->arena) : default_mynetworks(conf);
	view->computing &= ~(1u << i);
	return ret;
}

static bool is_service(const struct ph_config *c, const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < c->n_services; i++) {
		if (strncmp(c->services[i].name, name, n) == 0 && c->services[i].name[n] == '\0')
			return true;
	}
	return false;
}

const char *ph_conf_default(const struct ph_conf *conf, const char *name)
{
	const struct ph_known *k = ph_known_find(name);
	const struct ph_param *p;
	const char *def;
	size_t n;

	if (k && (k->flags & PH_KNOWN_COMPUTED))
		return computed(conf, name);
	p = ph_param_exact(name);
	if (p)
		return p->def;
	if (k)
		return k->flags & PH_KNOWN_OLD ? NULL : k->def;
	def = ph_template_default(name, &n);
	return def && is_service(conf->config, name, n) ? def : NULL;
}
