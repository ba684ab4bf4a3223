/* modules.c: "posthouse modules [-c dir] [--json]": each module on the search path, or why it is refused.  Does not run module code
 * beyond loading it (no init). */
#include "cmd.h"

#include "base/log.h"
#include "config/config.h"
#include "module/loader.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *params_json(const struct ph_module *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->n_params; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", m->params[i].name, "default", m->params[i].def, "help",
						      m->params[i].help ? m->params[i].help : ""));
	return list;
}

static void print_json(const struct ph_module_info *list, size_t n)
{
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct ph_module_info *x = &list[i];
		json_t *o = json_pack("{s:s, s:s, s:s, s:b}", "kind", x->kind, "name", x->name, "path", x->path, "usable",
				      x->module != NULL);

		if (x->module) {
			json_object_set_new(o, "version", json_string(x->module->version));
			json_object_set_new(o, "abi", json_sprintf("%u.%u", x->module->abi_major, x->module->abi_minor));
			json_object_set_new(o, "summary", json_string(x->module->summary));
			json_object_set_new(o, "parameters", params_json(x->module));
		} else {
			json_object_set_new(o, "why", json_string(x->why));
		}
		json_array_append_new(all, o);
	}
	json_dumpf(all, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(all);
}

static void print_text(const struct ph_module_info *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct ph_module_info *x = &list[i];

		if (x->module)
			printf("%-12s %-28s %-8s %s\n", x->kind, x->name, x->module->version, x->path);
		else
			printf("%-12s %-28s refused  %s\n", x->kind, x->name, x->why);
	}
}

static int usage(void)
{
	ph_log(PH_LOG_FATAL, "usage: posthouse modules [-c config_dir] [--json]");
	return 1;
}

int ph_main_modules(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "posthouse", .only_stderr = true };
	struct ph_module_info *list;
	struct ph_config *config = NULL;
	struct ph_arena *arena;
	struct ph_err err = { 0 };
	const char *dir = NULL;
	bool json = false;
	int status = 0;
	size_t n;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0)
			json = true;
		else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
			dir = argv[++i];
		else
			return usage();
	}
	/* Without a main.cf the built-in folder is listed. */
	if (ph_config_load(ph_cmd_config_dir(dir), PH_CONFIG_NO_MASTER | PH_CONFIG_QUIET, &config, &err) == 0)
		ph_modules_configure(ph_config_main(config));
	else if (dir)
		return ph_log(PH_LOG_FATAL, "%s", err.text), 1;
	arena = ph_arena_new();
	n = ph_modules_scan(arena, &list);
	if (json)
		print_json(list, n);
	else
		print_text(list, n);
	for (size_t i = 0; i < n; i++)
		if (list[i].module == NULL)
			status = 1;
	ph_arena_free(&arena);
	ph_config_free(&config);
	return status;
}
