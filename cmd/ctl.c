/* ctl.c: "posthouse ctl": look into the running queue manager (control_show.c), as JSON lines or as Prometheus text.  No state. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "cmd/cmd.h"
#include "config/config.h"
#include "config/general.h"
#include "module/loader.h"
#include "queue/proto.h"

struct ctl {
	const char *queue_dir;
	char *request;
	bool text;
	int status;
};

static int usage(void)
{
	fprintf(stderr, "usage: posthouse ctl [-c config_dir] show queue|segments|destinations|agents|coroutines|modules|stats|metrics\n"
			"       posthouse ctl [-c config_dir] flush | checkpoint\n");
	return EX_USAGE;
}

static int print(void *arg, const char *text, size_t n)
{
	const struct ctl *c = arg;

	fwrite(text, 1, n, stdout);
	if (!c->text)
		putchar('\n');
	return ferror(stdout) ? -1 : 0;
}

static void run(void *arg)
{
	struct ctl *c = arg;
	struct ph_err err;

	if (ph_qmgr_ctl(c->queue_dir, c->request, print, c, ph_now_ms() + PH_SECONDS(600), &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		c->status = EX_UNAVAILABLE;
	}
}

/* Of this process, loaded for that purpose: what the configuration could use. */
static int show_modules(const struct ph_general_settings *g)
{
	static const char *const kinds[] = { "", "lookup", "restriction", "filter", "delivery", "sasl", "counter" };
	struct ph_arena *arena = ph_arena_new();
	struct ph_module_info *list;
	size_t n, i;

	ph_modules_init(g->module_directory);
	n = ph_modules_scan(arena, &list);
	for (i = 0; i < n; i++) {
		const struct ph_module *m = list[i].module;
		json_t *j = m ? json_pack("{s:s, s:s, s:s, s:s, s:s}", "path", list[i].path, "kind", m->kind < PH_ARRAY_LEN(kinds) ? kinds[m->kind] : "?",
					  "name", m->name, "version", m->version, "summary", m->summary) :
			    json_pack("{s:s, s:s}", "path", list[i].path, "refused", list[i].why ? list[i].why : "");

		json_dumpf(j, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(j);
	}
	ph_arena_free(&arena);
	return 0;
}

int ph_main_ctl(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "posthouse", .only_stderr = true };
	const struct ph_general_settings *g;
	struct ctl c = { 0 };
	struct ph_config *config;
	const char *dir = NULL;
	struct ph_err err;
	json_t *req;
	int o;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	optind = 1;
	while ((o = getopt(argc, argv, "c:")) != -1) {
		if (o != 'c')
			return usage();
		dir = optarg;
	}
	argc -= optind;
	argv += optind;
	if (argc < 1)
		return usage();
	if (ph_config_load(ph_cmd_config_dir(dir), PH_CONFIG_QUIET, &config, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return EX_CONFIG;
	}
	g = ph_conf_general(ph_config_main(config));
	if (argc == 2 && strcmp(argv[0], "show") == 0 && strcmp(argv[1], "modules") == 0)
		return show_modules(g);
	if (argc == 2 && strcmp(argv[0], "show") == 0)
		req = json_pack("{s:s, s:s}", "cmd", "show", "what", argv[1]);
	else if (argc == 1 && (strcmp(argv[0], "flush") == 0 || strcmp(argv[0], "checkpoint") == 0))
		req = json_pack("{s:s}", "cmd", argv[0]);
	else
		return usage();
	c.text = argc == 2 && strcmp(argv[1], "metrics") == 0;
	c.queue_dir = g->queue_directory;
	c.request = json_dumps(req, JSON_COMPACT);
	json_decref(req);
	if (ph_run_blocking(run, &c) < 0)
		c.status = EX_OSERR;
	free(c.request);
	return c.status;
}
