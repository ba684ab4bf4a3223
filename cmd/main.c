/* main.c: which command is this?  Called by the one-line program posthouse_main.c, so that all code is in the library. */
#include "cmd/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command { const char *name; int (*run)(int argc, char **argv); } commands[] = {
	{ "posthouse", ph_main_posthouse },
	{ "postfix", ph_main_postfix },
	{ "postconf", ph_main_postconf },
	{ "postmap", ph_main_postmap },
	{ "postalias", ph_main_postalias },
	{ "modules", ph_main_modules },
	{ "postqueue", ph_main_postqueue },
	{ "postsuper", ph_main_postsuper },
	{ "postcat", ph_main_postcat },
	{ "ctl", ph_main_ctl },
	{ "explain", ph_main_explain },
	{ "sendmail", ph_main_sendmail },
	{ "mailq", ph_main_sendmail },
	{ "newaliases", ph_main_sendmail },
	{ "postdrop", ph_main_postdrop },
	{ "postlog", ph_main_postlog },
	{ "postkick", ph_main_postkick },
	{ "postlock", ph_main_postlock },
	{ "postmulti", ph_main_postmulti },
};

/* Visible for the programs only: not part of the interface for modules. */
int ph_main(int argc, char **argv);
int ph_main_only(const char *command, int argc, char **argv);

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < PH_ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* A set-gid program is one command and no other, or anybody could run all of them with the group's rights. */
__attribute__((visibility("default")))
int ph_main_only(const char *command, int argc, char **argv)
{
	static char *nothing[] = { (char *)(uintptr_t)"command", NULL };

	ph_cmd_setgid_begin();
	return argc > 0 ? command_find(command)->run(argc, argv) : command_find(command)->run(1, nothing);
}

__attribute__((visibility("default")))
int ph_main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "";
	const struct command *c, *inner;

	if (ph_cmd_refuse_setgid())
		return 69;
	ph_cmd_setgid_begin();
	if (strncmp(name, "lt-", 3) == 0)       /* libtool's uninstalled program */
		name += 3;
	c = command_find(name);
	if (!c) {
		fprintf(stderr, "%s: no such command; the program's name or its first word must be one of:", name);
		for (size_t i = 0; i < PH_ARRAY_LEN(commands); i++)
			fprintf(stderr, " %s", commands[i].name);
		fprintf(stderr, "\n");
		return 64;
	}
	/* "posthouse postqueue -p": the first word is the command; other words are verbs of posthouse itself. */
	if (c == &commands[0] && argc > 1 && (inner = command_find(argv[1])) && inner != c)
		return inner->run(argc - 1, argv + 1);
	return c->run(argc, argv);
}
