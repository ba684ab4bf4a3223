/* setgid.c: what a set-gid command (postdrop, postqueue, postlog) does before it does anything: it trusts neither its environment, nor its
 * descriptors, nor the configuration directory that it is told.  Source: postdrop(1), postqueue(1), alternate_config_directories. */
#include "cmd/cmd.h"
#include "config/config.h"
#include <posthouse/param.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

bool ph_cmd_is_setgid(void)
{
	return geteuid() != getuid() || getegid() != getgid();
}

/* A file that we open must not become descriptor 0, 1 or 2. */
static void fill_descriptors(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
		;
	if (fd > 2)
		close(fd);
}

void ph_cmd_setgid_begin(void)
{
	static char *environment[] = { "LC_ALL=C", "PATH=/usr/bin:/bin", NULL, NULL };
	static char config[4096 + 16];
	const char *mail_config = getenv("MAIL_CONFIG");
	struct rlimit none = { 0, 0 };

	fill_descriptors();
	if (!ph_cmd_is_setgid())
		return;
	if (mail_config && strlen(mail_config) < 4096) {        /* only a name: ph_cmd_config_allowed decides */
		strcat(strcpy(config, "MAIL_CONFIG="), mail_config);
		environment[2] = config;
	}
	environ = environment;
	umask(077);
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}

/* The main.cf that only root can have written: ours, or where it has none (a private installation) that of /etc/postfix. */
static const char *default_dir(void)
{
	struct stat st;

	return stat(PH_CONFIG_DIR "/main.cf", &st) == 0 ? PH_CONFIG_DIR : "/etc/postfix";
}

static bool listed(const struct ph_conf *conf, const char *parameter, const char *dir)
{
	const char *v = ph_conf_get(conf, parameter);
	char *copy = ph_strdup(v ? v : ""), *p = copy, *tok;
	bool ok = false;

	while (!ok && (tok = ph_str_token(&p, PH_SEP_LIST)))
		ok = strcmp(tok, dir) == 0;
	free(copy);
	return ok;
}

bool ph_cmd_config_allowed(const char *dir)
{
	struct ph_config *config;
	struct stat st;
	struct ph_err err;
	char path[4200];
	bool ok;

	if (!ph_cmd_is_setgid() || getuid() == 0 || strcmp(dir, default_dir()) == 0)
		return true;
	snprintf(path, sizeof path, "%s/main.cf", default_dir());
	if (stat(path, &st) < 0 || st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) ||
	    ph_config_load(default_dir(), PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER | PH_CONFIG_NO_VERIFY, &config, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s: no default configuration that allows another directory", path);
		return false;
	}
	ok = listed(ph_config_main(config), "alternate_config_directories", dir) ||
	     listed(ph_config_main(config), "multi_instance_directories", dir);
	ph_config_free(&config);
	if (!ok) {
		ph_log(PH_LOG_ERROR, "unauthorized configuration directory name: %s", dir);
		ph_log(PH_LOG_FATAL, "specify \"alternate_config_directories = %s\" or \"multi_instance_directories = %s\" in %s",
		       dir, dir, path);
	}
	return ok;
}
