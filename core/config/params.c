/* params.c: who declares which parameter, and what an unset parameter means.
 *
 * Owns the list of declaration tables: those of the core announce themselves before main(), those of modules when they are
 * loaded.  Two tables of the core that declare one name are a programming error.  No yield. */
#include <string.h>

#include "config/private.h"

static struct ph_param_table *tables;
static struct ph_arena *arena;
static struct ph_dict declared;         /* name -> const struct ph_param *, plain names */
static const struct ph_param *per_service[64];  /* "%s_suffix" */
static size_t n_per_service;

static void index_table(const struct ph_param_table *t)
{
	const struct ph_param *p, *old;
	size_t i;

	for (i = 0; i < t->n; i++) {
		p = &t->params[i];
		if (strncmp(p->name, "%s_", 3) == 0) {
			ph_assert(n_per_service < PH_ARRAY_LEN(per_service));
			per_service[n_per_service++] = p;
			continue;
		}
		old = ph_dict_get(&declared, p->name);
		/* Two parts of the core may read the same parameter; they must mean the same by it. */
		if (old && old->type != p->type)
			ph_log(PH_LOG_PANIC, "%s: parameter %s is declared with another type elsewhere", t->owner, p->name);
		ph_assert(old == NULL || old->type == p->type);
		if (old == NULL)
			ph_dict_set(&declared, arena, p->name, (void *)(uintptr_t)p);
	}
}

/* Before the first configuration is loaded: constructors only collect, since their order is not known. */
void ph_params_init(void)
{
	const struct ph_param_table *t;

	if (arena)
		return;
	arena = ph_arena_new();
	for (t = tables; t; t = t->next)
		index_table(t);
}

void ph_param_table_add(struct ph_param_table *t)
{
	t->next = tables;
	tables = t;
	if (arena)
		index_table(t);
}

/* Modules may share a parameter (hash and btree do); the first one's declaration stands for both. */
void ph_param_declare_module(const struct ph_param *params, size_t n)
{
	size_t i;

	ph_params_init();
	for (i = 0; i < n; i++) {
		if (strncmp(params[i].name, "%s_", 3) != 0 && ph_dict_get(&declared, params[i].name) == NULL)
			ph_dict_set(&declared, arena, params[i].name, (void *)(uintptr_t)&params[i]);
	}
}

const struct ph_param_table *ph_param_tables(void)
{
	return tables;
}

const struct ph_param *ph_param_exact(const char *name)
{
	ph_params_init();
	return ph_dict_get(&declared, name);
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

static const char *computed(const struct ph_conf *conf, const char *name)
{
	const char *style, *interfaces, *protocols, *ret = "";
	struct ph_arena *a = conf->config->arena;
	struct ph_err err;

	if (strcmp(name, "myhostname") == 0)
		return ph_default_myhostname(conf, a);
	if (strcmp(name, "mydomain") == 0)
		return ph_default_mydomain(conf, a);
	if (strcmp(name, "mynetworks") != 0)
		return "";
	style = ph_conf_get(conf, "mynetworks_style");
	interfaces = ph_conf_get(conf, "inet_interfaces");
	protocols = ph_conf_get(conf, "inet_protocols");
	if (ph_default_mynetworks(style ? style : "host", interfaces ? interfaces : "all", protocols ? protocols : "all", a, &ret, &err) < 0)
		ph_log(PH_LOG_ERROR, "%s: %s", ph_setting_where(conf, "mynetworks_style", a), err.text);
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
