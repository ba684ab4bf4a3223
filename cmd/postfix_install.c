/* postfix_install.c: "postfix set-permissions", "upgrade-configuration" and "post-install": what an installation or an upgrade is followed by.
 * Source: postfix(1); the words of Postfix's post-install script. */
#include "cmd/postfix_install.h"
#include "cmd/cmd.h"
#include "base/log.h"
#include "cmd/postfix_files.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct install {
	bool create, permissions, configuration;
	const char *owner, *group;
};

static bool take_setting(struct install *in, const char *word)
{
	if (strncmp(word, "mail_owner=", 11) == 0)
		in->owner = word + 11;
	else if (strncmp(word, "setgid_group=", 13) == 0)
		in->group = word + 13;
	else
		return false;
	return true;
}

static bool take_command(struct install *in, const char *word)
{
	static const struct { const char *name; bool create, permissions, configuration; } commands[] = {
		{ "create-missing", true, false, false }, { "set-permissions", true, true, false }, { "upgrade-permissions", true, true, false },
		{ "upgrade-configuration", false, false, true }, { "upgrade-source", true, true, true }, { "upgrade-package", true, true, true },
		{ "first-install-reminder", false, false, false },      /* there is nothing to remind of */
	};

	for (size_t i = 0; i < PH_ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, word) != 0)
			continue;
		in->create |= commands[i].create;
		in->permissions |= commands[i].permissions;
		in->configuration |= commands[i].configuration;
		return true;
	}
	return false;
}

/* What was asked for stays: the next check goes by main.cf. */
static int keep_settings(const struct install *in, const struct ph_config *config)
{
	char owner[300], group[300];
	char *argv[7] = { (char *)"postconf", (char *)"-c", (char *)(uintptr_t)ph_config_dir(config), (char *)"-e" };
	int n = 4;

	if (in->owner && (size_t)snprintf(owner, sizeof owner, "mail_owner=%s", in->owner) < sizeof owner)
		argv[n++] = owner;
	if (in->group && (size_t)snprintf(group, sizeof group, "setgid_group=%s", in->group) < sizeof group)
		argv[n++] = group;
	return n > 4 ? ph_main_postconf(n, argv) : 0;
}

/* The services that later versions of Postfix add to master.cf are functions of our processes: nothing is missing there. */
static int run(const struct install *in, const struct ph_config *config)
{
	struct ph_err err;
	int rc = 0;

	if (in->permissions)
		rc = ph_files_set_permissions(config, in->owner, in->group, &err);
	else if (in->create)
		rc = ph_files_create(config, &err);
	if (rc < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return 1;
	}
	if (in->configuration)
		ph_log(PH_LOG_INFO, "%s/master.cf needs no upgrade", ph_config_dir(config));
	return in->permissions ? keep_settings(in, config) : 0;
}

int ph_postfix_install(const struct ph_config *config, char **words)
{
	struct install in = { 0 };
	bool any = false;

	for (; *words; words++) {
		bool command = take_command(&in, *words);

		any |= command;
		if (!command && !take_setting(&in, *words)) {
			ph_log(PH_LOG_FATAL, "post-install: %s: the commands are create-missing, set-permissions, upgrade-permissions, upgrade-configuration, "
			       "upgrade-source, upgrade-package and first-install-reminder; mail_owner= and setgid_group= can be given", *words);
			return 1;
		}
	}
	if (!any) {
		ph_log(PH_LOG_FATAL, "usage: postfix post-install [name=value] command");
		return 1;
	}
	return run(&in, config);
}
