/* postlog.c: postlog(1): log lines from scripts.  Set-gid: it reaches the postlog service, which may write maillog_file, where the user
 * may not.  Says what is wrong on stderr only to a terminal, as Postfix's does: scripts are not to trip over it. */
#include "cmd/cmd.h"
#include "base/log.h"
#include "config/config.h"
#include "config/general.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct { const char *name; enum ph_log_level level; } priorities[] = {
	{ "info", PH_LOG_INFO }, { "warn", PH_LOG_WARNING }, { "warning", PH_LOG_WARNING }, { "error", PH_LOG_ERROR },
	{ "err", PH_LOG_ERROR }, { "fatal", PH_LOG_FATAL }, { "crit", PH_LOG_FATAL }, { "panic", PH_LOG_PANIC },
};

static int level_of(const char *name)
{
	for (size_t i = 0; i < PH_ARRAY_LEN(priorities); i++)
		if (strcmp(priorities[i].name, name) == 0)
			return (int)priorities[i].level;
	return -1;
}

static void log_stdin(enum ph_log_level level)
{
	char line[4096];
	size_t n;

	while (fgets(line, sizeof line, stdin)) {
		n = strlen(line);
		if (n > 0 && line[n - 1] == '\n')
			line[n - 1] = '\0';
		ph_log(level, "%s", line);
	}
}

static void log_arguments(enum ph_log_level level, char **argv)
{
	struct ph_buf b = PH_BUF_INIT(65536);

	for (int i = 0; argv[i]; i++)
		ph_buf_printf(&b, "%s%s", i ? " " : "", argv[i]);
	ph_log(level, "%s", b.len ? ph_buf_str(&b) : "");
	ph_buf_done(&b);
}

int ph_main_postlog(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "postlog", .also_stderr = isatty(STDERR_FILENO) };
	const char *dir = NULL, *tag = NULL, *priority = "info";
	const struct ph_general_settings *g;
	struct ph_config *config;
	struct ph_err err;
	int c, level;

	log.only_stderr = log.also_stderr;
	log.discard = !log.also_stderr;
	ph_log_open(&log);
	ph_log_set_immediate(true);
	while ((c = getopt(argc, argv, "+c:ip:t:v")) > 0) {
		switch (c) {
		case 'c': dir = optarg; break;
		case 'p': priority = optarg; break;
		case 't': tag = optarg; break;
		case 'i': case 'v': break;      /* the process id is always there */
		default:
			ph_log(PH_LOG_FATAL, "usage: postlog [-c config_dir] [-i] [-p priority] [-t tag] [-v] [text]");
			return 1;
		}
	}
	dir = ph_cmd_config_dir(dir);
	if (!ph_cmd_config_allowed(dir))
		return 1;
	if (ph_config_load(dir, PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER | PH_CONFIG_NO_VERIFY, &config, &err) < 0 ||
	    ph_conf_general_check(ph_config_main(config), &g, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return 1;
	}
	level = level_of(priority);
	if (level < 0) {
		ph_log(PH_LOG_FATAL, "unknown priority: %s", priority);
		return 1;
	}
	log.only_stderr = log.discard = false;
	ph_cmd_log_open(ph_config_main(config), &log);
	if (tag) {
		log.syslog_name = NULL;
		log.prog = tag;
		ph_log_open(&log);
	}
	if (argc > optind)
		log_arguments((enum ph_log_level)level, argv + optind);
	else
		log_stdin((enum ph_log_level)level);
	ph_log_flush();
	return 0;
}
