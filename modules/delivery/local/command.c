/* command.c: deliver to a command as a user. */
#define _GNU_SOURCE 1           /* execvpe */
#include "local.h"
#include "../common/exit_status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define OUTPUT_MAX 20000
#define ENV_MAX 64

struct env { char *v[ENV_MAX + 1]; int n; };

static void env_add(struct env *e, struct ph_arena *a, const char *name, const char *value)
{
	if (value && e->n < ENV_MAX)
		e->v[e->n++] = ph_arena_printf(a, "%s=%s", name, value);
}

/* A value that came from the network, with nothing in it that a shell might take for its own. */
static void env_add_safe(struct local_state *st, struct env *e, const char *name, const char *value)
{
	char *copy;

	if (!value)
		return;
	copy = ph_arena_strdup(st->arena, value);
	for (char *p = copy; *p; p++)
		if (!strchr(st->svc->set->command_expansion_filter, *p))
			*p = '_';
	env_add(e, st->arena, name, copy);
}

static void env_exported(struct local_state *st, struct env *e)
{
	char *list = ph_arena_strdup(st->arena, ph_conf_get(st->svc->conf, "export_environment")), *tok;

	while ((tok = ph_str_token(&list, PH_SEP_LIST))) {
		if (strchr(tok, '='))
			env_add(e, st->arena, ph_arena_strndup(st->arena, tok, strcspn(tok, "=")), strchr(tok, '=') + 1);
		else if (strcmp(tok, "MAIL_CONFIG") == 0)
			env_add(e, st->arena, tok, ph_conf_get(st->svc->conf, "config_directory"));
		else
			env_add(e, st->arena, tok, getenv(tok));
	}
}

static void env_build(struct local_state *st, const struct local_user *u, struct env *e)
{
	const struct ph_rcpt *r = ph_delivery_rcpt(st->d, st->rcpt);

	env_exported(st, e);
	env_add(e, st->arena, "PATH", "/usr/bin:/bin");
	if (u) {
		env_add(e, st->arena, "HOME", u->home);
		env_add(e, st->arena, "LOGNAME", u->name);
		env_add(e, st->arena, "SHELL", u->shell);
	}
	env_add_safe(st, e, "USER", u ? u->name : st->user);
	env_add_safe(st, e, "LOCAL", st->local);
	env_add_safe(st, e, "DOMAIN", st->domain);
	env_add_safe(st, e, "EXTENSION", st->extension);
	env_add_safe(st, e, "RECIPIENT", r->address);
	env_add_safe(st, e, "ORIGINAL_RECIPIENT", r->original);
	env_add_safe(st, e, "SENDER", *st->sender ? st->sender : "MAILER-DAEMON");
	env_add_safe(st, e, "ENVID", ph_delivery_envid(st->d));
	env_add_safe(st, e, "CLIENT_ADDRESS", ph_delivery_attr(st->d, "client_address"));
	env_add_safe(st, e, "CLIENT_HELO", ph_delivery_attr(st->d, "helo_name"));
	env_add_safe(st, e, "CLIENT_HOSTNAME", ph_delivery_attr(st->d, "client_name"));
	env_add_safe(st, e, "CLIENT_PROTOCOL", ph_delivery_attr(st->d, "protocol_name"));
	env_add_safe(st, e, "SASL_METHOD", ph_delivery_attr(st->d, "sasl_method"));
	env_add_safe(st, e, "SASL_SENDER", ph_delivery_attr(st->d, "sasl_sender"));
	env_add_safe(st, e, "SASL_USERNAME", ph_delivery_attr(st->d, "sasl_username"));
}

/* ---- what it came to ---- */

static void command_result(struct local_state *st, const char *command, bool timed_out, int status, const char *output)
{
	struct exit_status e;

	exit_status(st->arena, command, timed_out, status, output, &e);
	if (timed_out)
		ph_log(PH_LOG_WARNING, "pipe_command_read: read time limit exceeded");
	if (e.status == PH_SENT) {
		local_result(st, PH_SENT, "2.0.0", "delivered to command: %s", command);
		return;
	}
	if (!timed_out && output[0] == '2' && strcmp(e.dsn, "5.0.0") == 0)      /* it called its failure a success */
		ph_log(PH_LOG_WARNING, "bounce_append: ignoring dsn code \"%.*s\"", (int)strcspn(output, " \t\n"), output);
	ph_delivery_remote(st->d, NULL, e.diagnostic);
	local_result(st, e.status, e.dsn, "%s", e.text);
}

/* ---- running ---- */

/* In memory that the child shares until it is the command: what went wrong before. */
struct before { char text[600]; };

struct job { char **argv, **env; const char *dir; bool shell_else; struct before *before; };

static int give_up(struct job *j, const char *fmt, ...) PH_PRINTF(2, 3);
static int give_up(struct job *j, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(j->before->text, sizeof j->before->text, fmt, ap);
	va_end(ap);
	return EX_TEMPFAIL;
}

/* In the child, as the user. */
static int exec_command(void *arg)
{
	struct job *j = arg;
	char *shell[] = { "sh", "-c", NULL, NULL };
	int e;

	if (j->dir && chdir(j->dir) < 0) {
		e = errno;
		return give_up(j, "cannot change directory to \"%s\" for uid=%lu gid=%lu: %s", j->dir, (unsigned long)geteuid(), (unsigned long)getegid(),
			strerror(e));
	}
	execvpe(j->argv[0], j->argv, j->env);
	e = errno;
	if (e == ENOENT && j->shell_else && !strchr(j->argv[0], '/')) {
		/* perhaps something that the shell has itself */
		shell[2] = j->argv[129];
		execve("/bin/sh", shell, j->env);
		e = errno;
	}
	dprintf(2, "local: fatal: execvp %s: %s\n", j->argv[0], strerror(e));
	return give_up(j, "execvp %s: %s", j->argv[0], strerror(e));
}

/* argv[129] keeps the command as a whole.  true: plain words, no shell needed. */
static bool split_command(struct local_state *st, const char *command, char *argv[130])
{
	static const char plain[] = "1234567890!@%-_=+:,./\\abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \t";
	const char *shell = st->svc->set->local_command_shell;
	char *copy = ph_arena_strdup(st->arena, command), *tok;
	bool words = command[strspn(command, plain)] == '\0' && command[strspn(command, " \t")] != '\0';
	int n = 0;

	argv[129] = (char *)command;
	if (*shell && !ph_str_ieq(shell, "/bin/sh")) {
		/* a shell of the site's own, which may take arguments: smrsh -c */
		copy = ph_arena_strdup(st->arena, shell);
		while (n < 120 && (tok = ph_str_token(&copy, " \t")))
			argv[n++] = tok;
		if (n == 1)
			argv[n++] = "-c";
		argv[n++] = (char *)command;
		return false;
	}
	while (words && n < 128 && (tok = ph_str_token(&copy, " \t")))
		argv[n++] = tok;
	if (words && n < 128)
		return true;
	argv[0] = "/bin/sh";
	argv[1] = "-c";
	argv[2] = (char *)command;
	argv[3] = NULL;
	return false;
}

static void run_command(struct local_state *st, const char *command, struct ph_run_spec *spec, struct job *job)
{
	const char *output;
	struct ph_run *run;
	struct ph_err err;
	int status, rc, fed;

	spec->fn = exec_command;
	spec->arg = job;
	if (ph_run_start(spec, &run, &err) < 0) {
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
		return;
	}
	fed = local_feed(st, run, local_top(st, true, st->svc->delivered_hdr & LOCAL_HDR_COMMAND), &err);
	rc = ph_run_end(run, &status, &output);
	if (job->before->text[0])
		ph_log(PH_LOG_FATAL, "%s", job->before->text);
	if (fed < 0 && fed != -ETIMEDOUT)
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
	else
		command_result(st, command, rc == -ETIMEDOUT, status, output);
	ph_run_free(&run);
}

void local_command(struct local_state *st, const char *command, const struct local_user *u)
{
	const struct local_settings *set = st->svc->set;
	struct env env = { .n = 0 };
	char *argv[130] = { NULL };
	struct before *before;
	struct job job = { .argv = argv, .env = env.v };
	bool root = u && u->uid == 0;
	struct ph_run_spec spec = {
		.uid = u && !root ? u->uid : st->svc->default_uid, .gid = u && !root ? u->gid : st->svc->default_gid,
		.user = u && !root ? u->name : st->svc->default_user, .limit_ms = st->svc->command_limit_ms, .output_max = OUTPUT_MAX,
		.gain_privileges = true,
	};

	if (ph_delivery_probe(st->d)) {
		local_result(st, PH_SENT, "2.0.0", "delivers to command: %s", command);
		return;
	}
	before = mmap(NULL, sizeof *before, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (before == MAP_FAILED) {
		local_result(st, PH_DEFERRED, "4.3.0", "%s", strerror(errno));
		return;
	}
	job.before = before;
	if (*set->command_execution_directory)
		job.dir = local_expand(st, u, set->command_execution_directory, set->execution_directory_expansion_filter, NULL);
	if (job.dir && !*job.dir)
		job.dir = NULL;
	spec.dir = ph_conf_get(st->svc->conf, "queue_directory");
	env_build(st, u, &env);
	job.shell_else = split_command(st, command, argv);
	run_command(st, command, &spec, &job);
	munmap(before, sizeof *before);
}
