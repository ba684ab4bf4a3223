/* postmulti.c: postmulti(1): several instances on one machine: list them, run commands for them, make and remove them.
 *
 * The primary instance is the default configuration directory; its multi_instance_directories names the others.  Editing goes through
 * postconf, so comments and order of each main.cf stay.  Speaks on stderr only to a terminal, and always in the log.  Source: postmulti(1). */
#include "cmd/cmd.h"
#include "cmd/instances.h"
#include "base/log.h"
#include "config/general.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum mode { MODE_NONE, MODE_LIST, MODE_POSTFIX, MODE_RUN, MODE_EDIT };

struct postmulti {
	enum mode mode;
	const char *name, *group, *action;      /* -i, -g, -e */
	const char *new_name, *new_group;       /* -I, -G */
	bool reverse, json;                     /* -R, -j */
	struct ph_instances all;
	struct ph_arena *arena;
};

#define USAGE "Usage:%s -l [-v] [-a] [-g group] [-i instance] | %s -p [-v] [-a] [-g group] [-i instance] command... | " \
	"%s -x [-v] [-a] [-i name] [-g group] command... | %s -e action [-v] [-a] [-i name] [-g group] [-I name] [-G group] [param=value ...]"

static void fatal(const char *fmt, ...) PH_PRINTF(1, 2) __attribute__((noreturn));
static void fatal(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ph_log(PH_LOG_FATAL, "%s", text);
	ph_log_flush();
	exit(1);
}

static void set_mode(struct postmulti *p, enum mode mode)
{
	if (p->mode != MODE_NONE)
		fatal("Specify exactly one of '-e', '-l', '-p', '-x'");
	p->mode = mode;
}

static void parse(struct postmulti *p, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "+ae:g:i:jlpvxG:I:R")) > 0) {
		switch (c) {
		case 'a': break;         /* all instances: so it is without a selection */
		case 'e': set_mode(p, MODE_EDIT); p->action = optarg; break;
		case 'g': p->group = optarg; break;
		case 'i': p->name = optarg; break;
		case 'j': p->json = true; break;
		case 'l': set_mode(p, MODE_LIST); break;
		case 'p': set_mode(p, MODE_POSTFIX); break;
		case 'x': set_mode(p, MODE_RUN); break;
		case 'v': break;
		case 'G': p->new_group = optarg; break;
		case 'I': p->new_name = optarg; break;
		case 'R': p->reverse = true; break;
		default: fatal(USAGE, argv[0], argv[0], argv[0], argv[0]);
		}
	}
	if (p->mode == MODE_NONE)
		fatal("Specify exactly one of '-e', '-l', '-p', '-x'");
}

/* "-" stands for the primary instance and for "no name"; a pathname for the instance that is configured there. */
static bool selected(const struct postmulti *p, const struct ph_instance *in)
{
	if (p->name && *p->name == '/')
		return strcmp(p->name, in->dir) == 0;
	if (p->name && strcmp(p->name, "-") == 0)
		return in == &p->all.list[0];
	if (p->name && strcmp(p->name, in->name) != 0)
		return false;
	return !p->group || strcmp(p->group, *in->group ? in->group : "-") == 0;
}

/* ---- list, run ---- */

static const char *dash(const char *s)
{
	return *s ? s : "-";
}

static void print(const struct postmulti *p, const struct ph_instance *in)
{
	if (p->json)
		printf("{\"name\": \"%s\", \"group\": \"%s\", \"enabled\": \"%s\", \"config_directory\": \"%s\"}\n", dash(in->name), dash(in->group),
			in->enabled ? "y" : "n", in->dir);
	else
		printf("%-15s %-15s %-9s %s\n", dash(in->name), dash(in->group), in->enabled ? "y" : "n", in->dir);
}

/* Run argv for one instance, which finds itself in its environment. */
static int run_for(const struct ph_instance *in, char **argv)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setenv("MAIL_CONFIG", in->dir, 1);
		setenv("config_directory", in->dir, 1);
		setenv("queue_directory", in->queue_dir, 1);
		setenv("data_directory", in->data_dir, 1);
		setenv("command_directory", in->command_dir, 1);
		setenv("daemon_directory", in->daemon_dir, 1);
		setenv("multi_instance_name", in->name, 1);
		setenv("multi_instance_group", in->group, 1);
		setenv("multi_instance_enable", in->enabled ? "yes" : "no", 1);
		execvp(argv[0], argv);
		ph_log(PH_LOG_FATAL, "execvp %s: %s", argv[0], strerrordesc_np(errno));
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static bool listed(const struct postmulti *p, const char *list, const char *command)
{
	char *words = ph_arena_strdup(p->arena, list), *word;

	while ((word = ph_str_token(&words, PH_SEP_LIST)))
		if (strcmp(word, command) == 0)
			return true;
	return false;
}

/* Not for an instance that is not enabled: stopping and controlling. */
static bool passed_over(const struct postmulti *p, const struct ph_instance *in, const char *command)
{
	const struct ph_general_settings *g = ph_conf_general(p->all.conf);

	return p->mode == MODE_POSTFIX && !in->enabled &&
		(listed(p, g->postmulti_stop_commands, command) || listed(p, g->postmulti_control_commands, command));
}

static int run_postfix(const struct postmulti *p, const struct ph_instance *in, int argc, char **argv)
{
	char **words = ph_arena_alloc(p->arena, ((size_t)argc + 2) * sizeof *words);

	words[0] = (char *)(uintptr_t)PH_SBIN_DIR "/postfix";
	memcpy(words + 1, argv, ((size_t)argc + 1) * sizeof *words);
	if (!in->enabled && listed(p, ph_conf_general(p->all.conf)->postmulti_start_commands, argv[0])) {
		words[1] = (char *)(uintptr_t)"check";
		words[2] = NULL;
	}
	return run_for(in, words);
}

static int run_one(const struct postmulti *p, const struct ph_instance *in, int argc, char **argv)
{
	switch (p->mode) {
	case MODE_POSTFIX:
		return run_postfix(p, in, argc, argv);
	case MODE_RUN:
		return run_for(in, argv);
	case MODE_LIST:
	case MODE_NONE:
	case MODE_EDIT:
		break;
	}
	print(p, in);
	return 0;
}

static int for_each(struct postmulti *p, int argc, char **argv)
{
	int rc = 0, matched = 0;

	if (p->mode != MODE_LIST && argc == 0)
		fatal("Command required with '-p' or '-x' option");
	if (p->mode == MODE_POSTFIX && p->all.n > 1 && strcmp(argv[0], "start-fg") == 0)
		fatal("start-fg does not support multi_instance_directories");
	/* What was started last is stopped first. */
	if (p->mode == MODE_POSTFIX && listed(p, ph_conf_general(p->all.conf)->postmulti_stop_commands, argv[0]))
		p->reverse = !p->reverse;
	for (size_t i = 0; i < p->all.n; i++) {
		const struct ph_instance *in = &p->all.list[p->reverse ? p->all.n - 1 - i : i];

		if (!selected(p, in) || (p->mode != MODE_LIST && passed_over(p, in, argv[0])))
			continue;
		matched++;
		if (run_one(p, in, argc, argv) != 0)
			rc = 1;
	}
	if (!matched && p->mode != MODE_LIST)
		fatal("No matching instances");
	return rc;
}

/* ---- edit ---- */

static const struct ph_instance *the_one(const struct postmulti *p)
{
	if (!p->name)
		fatal("Select an instance via '-i name'");
	for (size_t i = 0; i < p->all.n; i++)
		if (selected(p, &p->all.list[i]))
			return &p->all.list[i];
	fatal("No instance named %s", p->name);
}

/* What a name may be made of: it becomes part of pathnames and of main.cf. */
static bool safe(const char *text)
{
	return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+:%,./")] == '\0';
}

static void check_new_name(const struct postmulti *p, const char *name)
{
	if (strcmp(name, "-") == 0)
		return;
	if (strncmp(name, "postfix-", 8) != 0)
		fatal("New instance name must start with 'postfix-'");
	if (strchr(name, '/'))
		fatal("Illegal '/' character in new instance name: '%s'", name);
	if (!safe(name))
		fatal("Unsafe characters in new instance name: '%s'", name);
	for (size_t i = 0; i < p->all.n && strcmp(p->action, "assign") == 0; i++)
		if (strcmp(p->all.list[i].name, name) == 0 && !selected(p, &p->all.list[i]))
			fatal("Instance name %s is assigned to another instance", name);
}

static void edit(struct postmulti *p, char **params)
{
	static const char *const plain[] = { "enable", "disable", "assign", "deport", "destroy" };
	struct ph_err err = { 0 };
	bool known = false;
	int rc = 0;

	if (p->new_name)
		check_new_name(p, p->new_name);
	if (p->new_group && !safe(p->new_group))
		fatal("Unsafe characters in '-G %s'", p->new_group);
	if (strcmp(p->action, "init") == 0) {
		rc = ph_instances_init(&p->all, &err);
	} else if (strcmp(p->action, "create") == 0 || strcmp(p->action, "import") == 0) {
		rc = ph_instances_add(&p->all, p->action[0] == 'c', p->new_name, p->new_group, params, &err);
	} else {
		for (size_t i = 0; i < PH_ARRAY_LEN(plain); i++)
			known |= strcmp(plain[i], p->action) == 0;
		if (!known)
			fatal("Invalid '-e' edit action '%s'. Specify 'create', 'destroy', 'import', 'deport', 'enable', 'disable', 'assign' or 'init'",
			      p->action);
		rc = ph_instances_change(&p->all, the_one(p), p->action, p->new_name, p->new_group, &err);
	}
	if (rc < 0)
		fatal("%s", err.text);
}

int ph_main_postmulti(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "postmulti", .also_stderr = isatty(STDERR_FILENO) };
	const char *env = getenv("MAIL_CONFIG");
	struct postmulti p = { 0 };
	struct ph_err err;

	log.only_stderr = log.also_stderr;
	log.discard = !log.also_stderr;
	ph_log_open(&log);
	ph_log_set_immediate(true);
	p.arena = ph_arena_new();
	if (ph_instances_load(&p.all, p.arena, PH_CONFIG_DIR, &err) < 0)
		fatal("%s", err.text);
	log.only_stderr = log.discard = false;
	ph_cmd_log_open(p.all.conf, &log);
	log.syslog_name = NULL;
	ph_log_open(&log);      /* as "postmulti", whichever instance it is about */
	if (env && *env && strcmp(env, PH_CONFIG_DIR) != 0)
		fatal("Non-default configuration directory: MAIL_CONFIG=%s", env);
	parse(&p, argc, argv);
	if (p.mode == MODE_EDIT) {
		edit(&p, argv + optind);
		return 0;
	}
	return for_each(&p, argc - optind, argv + optind);
}
