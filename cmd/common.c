/* common.c: what all commands need, and no more than the configuration and the log: programs that load little link only this (sendmail_main.c). */
#include "cmd/cmd.h"
#include "base/log.h"
#include "config/general.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *ph_cmd_config_dir(const char *from_option)
{
	const char *env = getenv("MAIL_CONFIG");

	if (from_option)
		return from_option;
	return env && *env ? env : PH_CONFIG_DIR;
}

void ph_cmd_log_open(const struct ph_conf *conf, struct ph_log_config *log)
{
	const struct ph_general_settings *g = ph_conf_general(conf);
	const char *service = ph_conf_get(conf, "postlog_service_name");
	char socket[4200];

	snprintf(socket, sizeof socket, "%s/public/%s", g->queue_directory, service ? service : "postlog");
	log->syslog_name = g->syslog_name;
	log->facility = g->syslog_facility_code;
	log->maillog_file = *g->maillog_file && strcmp(g->maillog_file, "/dev/stdout") != 0 ? g->maillog_file : NULL;
	log->maillog_mode = g->maillog_mode;
	log->postlog_socket = socket;
	ph_log_open(log);
	log->postlog_socket = NULL;
}

bool ph_cmd_refuse_setgid(void)
{
	if (!ph_cmd_is_setgid())
		return false;
	fprintf(stderr, "posthouse: this program must not be set-user-ID or set-group-ID: \"postfix set-permissions\" mends that\n");
	return true;
}

const char *ph_cmd_user_name(char *buf, size_t size)
{
	struct passwd *pw = getpwuid(getuid());

	snprintf(buf, size, "%s", pw ? pw->pw_name : "unknown");
	return buf;
}

bool ph_cmd_anybody(const struct ph_conf *conf, const char *parameter, const char *word)
{
	const char *list = ph_conf_get(conf, parameter);

	return !list || strcmp(list, "static:*") == 0 || (word && strcmp(list, word) == 0);
}
