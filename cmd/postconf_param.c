/* postconf_param.c: the parameters of main.cf: which there are, their values, and those that nobody uses. */
#include "cmd/postconf.h"

#include "module/loader.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	const char *name;
	unsigned class;
};

struct list {
	struct entry *entries;
	size_t n, cap;
	struct ph_htab seen;
};

static void add(struct list *l, const char *name, unsigned class)
{
	if (ph_htab_get(&l->seen, name))
		return;
	ph_htab_put(&l->seen, name, l);
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 2048;
		l->entries = ph_realloc(l->entries, l->cap * sizeof(*l->entries));
	}
	l->entries[l->n++] = (struct entry){ name, class };
}

static void add_builtin(struct pc *pc, struct list *l)
{
	const struct ph_param_table *t;
	const struct ph_known *known;
	struct ph_module_info *modules;
	size_t i, k, n;

	known = ph_known_all(&n);
	for (i = 0; i < n; i++) {
		if (!(known[i].flags & PH_KNOWN_OLD))
			add(l, known[i].name, PC_BUILTIN);
	}
	n = ph_modules_scan(pc->arena, &modules);
	for (t = ph_param_tables(); t; t = t->next) {
		for (k = 0; k < t->n; k++) {
			if (strchr(t->params[k].name, '%') == NULL)
				add(l, t->params[k].name, PC_BUILTIN);
		}
	}
}

static bool is_transport(const char *command)
{
	static const char *const names[] = { "error", "lmtp", "local", "pipe", "smtp", "virtual" };
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(names); i++) {
		if (strcmp(names[i], command) == 0)
			return true;
	}
	return false;
}

/* "<service>_destination_concurrency_limit" and its like. */
static void add_templates(struct pc *pc, struct list *l)
{
	const char *const *suffix;
	const struct ph_service *s;
	bool timed, wanted;
	size_t i;

	for (i = 0; i < pc->c->n_services; i++) {
		s = &pc->c->services[i];
		timed = strcmp(s->command, "pipe") == 0 || strcmp(s->command, "spawn") == 0;
		for (suffix = ph_template_suffixes(); *suffix; suffix += 2) {
			wanted = strcmp(*suffix, "time_limit") == 0 ? timed : is_transport(s->command);
			if (wanted)
				add(l, ph_arena_printf(pc->arena, "%s_%s", s->name, *suffix), PC_SERVICE);
		}
	}
}

static bool is_used(const struct pc *pc, const char *name)
{
	const struct ph_known *k = ph_known_find(name);

	return (k && (k->flags & PH_KNOWN_OLD)) || ph_refs_has(&pc->refs, name);
}

static void add_user(struct pc *pc, struct list *l)
{
	const struct ph_setting *set;

	for (set = pc->c->main.first; set; set = set->next) {
		if (is_used(pc, set->name))
			add(l, set->name, PC_USER);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static void fill(struct pc *pc, struct list *l)
{
	memset(l, 0, sizeof(*l));
	add_builtin(pc, l);
	add_templates(pc, l);
	add_user(pc, l);
	qsort(l->entries, l->n, sizeof(*l->entries), by_name);
}

static void list_done(struct list *l)
{
	ph_htab_done(&l->seen);
	free(l->entries);
}

/* ---- showing ---- */

static void show(struct pc *pc, const char *name)
{
	const char *value;
	bool final = false;

	if ((pc->show & PC_SET_ONLY) && ph_conf_setting(pc->conf, name) == NULL)
		return;
	/* A default is what stands where nobody says otherwise, not where this file happens to be. */
	if ((pc->show & PC_DEFAULTS) && strcmp(name, "config_directory") == 0)
		value = ph_conf_default(pc->conf, name);
	else
		value = ph_conf_raw(pc->conf, name, &final);
	if (value == NULL)
		return;
	if ((pc->show & PC_EXPAND) && !final && !ph_param_is_raw(name))
		value = pc_expand(pc, pc->conf, pc->c->main_file, value);
	pc_print(pc, name, value);
}

void pc_show_params(struct pc *pc, char **names, int n)
{
	const struct entry *e;
	struct entry key;
	struct list l;
	size_t i;
	int k;

	fill(pc, &l);
	for (i = 0; n == 0 && i < l.n; i++) {
		if (l.entries[i].class & pc->classes)
			show(pc, l.entries[i].name);
	}
	for (k = 0; k < n; k++) {
		key.name = names[k];
		e = bsearch(&key, l.entries, l.n, sizeof(*l.entries), by_name);
		if (e == NULL)
			ph_log(PH_LOG_WARNING, "%s: unknown parameter", names[k]);
		else if (e->class & pc->classes)
			show(pc, e->name);
	}
	list_done(&l);
}

/* ---- unused ---- */

static void warn(struct pc *pc, const struct list *l, const struct ph_setting *set)
{
	for (; set; set = set->next) {
		if (ph_htab_get(&l->seen, set->name) == NULL && !is_used(pc, set->name))
			ph_log(PH_LOG_WARNING, "%s: unused parameter: %s=%s", set->file, set->name, set->value);
	}
}

void pc_warn_unused(struct pc *pc, bool main_too)
{
	struct list l;
	size_t i;

	fill(pc, &l);
	if (main_too)
		warn(pc, &l, pc->c->main.first);
	for (i = 0; i < pc->c->n_services; i++)
		warn(pc, &l, pc->c->services[i].conf->overrides.first);
	list_done(&l);
}

/* ---- undefined ---- */

static void undefined_in(struct pc *pc, struct ph_htab *told, const struct ph_conf *view, const char *file, const struct ph_setting *set)
{
	struct ph_refs refs;
	const char *name;
	size_t cursor;
	bool final;

	for (; set; set = set->next) {
		if (ph_param_is_raw(set->name))
			continue;
		ph_refs_text(&refs, set->value, pc->arena);
		for (cursor = 0; ph_htab_next(&refs.names, &cursor, &name); ) {
			if (ph_conf_raw(view, name, &final) || ph_known_find(name) || ph_htab_get(told, name))
				continue;
			ph_htab_put(told, name, pc);
			ph_log(PH_LOG_WARNING, "%s: undefined parameter: %s", file, name);
		}
		ph_refs_done(&refs);
	}
}

void pc_warn_undefined(struct pc *pc)
{
	struct ph_htab told = { 0 };
	size_t i;

	undefined_in(pc, &told, pc->conf, pc->c->main_file, pc->c->main.first);
	for (i = 0; i < pc->c->n_services; i++)
		undefined_in(pc, &told, pc->c->services[i].conf, pc->c->master_file, pc->c->services[i].conf->overrides.first);
	ph_htab_done(&told);
}
