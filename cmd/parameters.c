/* parameters.c: "posthouse parameters": every name that main.cf may hold, and what becomes of it here.  The manual's list of what is not
 * supported is made from this (build-aux/mkunsupported), and a test holds the two against each other. */
#include "cmd/cmd.h"
#include "base/log.h"
#include "config/private.h"
#include "module/loader.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *state_of(const struct ph_known *k)
{
	size_t n;
	const char *def;

	if (k->flags & PH_KNOWN_COMPUTED)
		return "computed";
	if (ph_param_find(k->name))
		return "supported";
	if (k->flags & PH_KNOWN_OLD)
		return "obsolete";
	def = ph_template_default(k->name, &n);
	if (def && *def == '$' && ph_param_find(def + 1))
		return "supported";
	return ph_check_means_nothing(k->name) ? "meaningless" : ph_check_guards(k->name) ? "refused" : "unsupported";
}

int ph_main_parameters(int argc, char **argv)
{
	struct ph_arena *arena = ph_arena_new();
	const struct ph_param_table *t;
	struct ph_module_info *modules;
	const struct ph_known *known;
	size_t n, i;

	n = ph_modules_scan(arena, &modules);
	for (i = 0; i < n; i++)
		if (modules[i].module)
			ph_param_declare_module(modules[i].module->params, modules[i].module->n_params);
	known = ph_known_all(&n);
	for (i = 0; i < n; i++)
		printf("%s\t%s\n", known[i].name, state_of(&known[i]));
	for (t = ph_param_tables(); t; t = t->next)
		for (i = 0; i < t->n; i++)
			if (!ph_known_find(t->params[i].name))
				printf("%s\tours\n", t->params[i].name);
	ph_arena_free(&arena);
	return fflush(stdout) != 0;
}
