/* posthouse.c: "posthouse VERB": what Postfix has no command for. */
#include "config.h"
#include "cmd/cmd.h"
#include "base/log.h"
#include "master/master.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int verb_master(int argc, char **argv)
{
	struct ph_master_options opt = { .ready_fd = -1 };
	int c;

	while ((c = getopt(argc, argv, "c:dr:")) > 0) {
		if (c == 'c')
			opt.config_dir = optarg;
		else if (c == 'd')
			opt.foreground = true;
		else if (c == 'r')
			opt.ready_fd = atoi(optarg);
		else
			return 64;
	}
	opt.config_dir = ph_cmd_config_dir(opt.config_dir);
	return ph_master_run(&opt);
}

static const char *const severity_words[] = { "", "", "warning: ", "error: ", "fatal: ", "panic: " };

static void print_finding(void *arg, int severity, const char *text)
{
	if (severity < 0 || severity > PH_LOG_PANIC)
		severity = PH_LOG_ERROR;
	printf("%s%s\n", severity_words[severity], text);
	(*(int *)arg)++;
}

static int verb_check(int argc, char **argv)
{
	const char *dir = NULL;
	int c, findings = 0;

	while ((c = getopt(argc, argv, "c:")) > 0) {
		if (c != 'c')
			return 64;
		dir = optarg;
	}
	c = ph_master_check(ph_cmd_config_dir(dir), print_finding, &findings);
	if (findings == 0 && c == 0)
		printf("%s: no findings\n", ph_cmd_config_dir(dir));
	return c < 0 ? 1 : 0;
}

static const struct { const char *name; int (*run)(int argc, char **argv); const char *help; } verbs[] = {
	{ "check", verb_check, "check [-c DIR]: read the configuration as a start would, and say what is wrong with it" },
	{ "manual", ph_main_manual, "manual DIR [TEXTS]: write the manual pages of modules and parameters" },
	{ "parameters", ph_main_parameters, "parameters: every parameter that main.cf may hold, and whether it has an effect here" },
	{ "master", verb_master, "master [-c DIR] [-d]: run the mail system (\"postfix start\" does this)" },
};

int ph_main_posthouse(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "posthouse", .only_stderr = true };

	ph_log_open(&log);
	ph_log_set_immediate(true);
	for (size_t i = 0; argc > 1 && i < PH_ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, argv[1]) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	printf("posthouse " PACKAGE_VERSION "\n\nusage: posthouse VERB ..., or the name of one of Postfix's commands as VERB\n");
	for (size_t i = 0; i < PH_ARRAY_LEN(verbs); i++)
		printf("  %s\n", verbs[i].help);
	return argc > 1 && strcmp(argv[1], "-h") != 0 && strcmp(argv[1], "--help") != 0 ? 64 : 0;
}
