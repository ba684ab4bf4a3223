/* command.c: deliver to a command as a user, and what its exit status means (sysexits.h). */
#include "local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#define OUTPUT_MAX 1000
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

/* ---- exit status ---- */

static const struct { int status; enum ph_delivery_status result; const char *dsn, *text; } sysexit[] = {
	{ EX_USAGE, PH_BOUNCED, "5.3.0", "command line usage error" },
	{ EX_DATAERR, PH_BOUNCED, "5.6.0", "data format error" },
	{ EX_NOINPUT, PH_BOUNCED, "5.3.0", "cannot open input" },
	{ EX_NOUSER, PH_BOUNCED, "5.1.1", "user unknown" },
	{ EX_NOHOST, PH_BOUNCED, "5.1.2", "host name unknown" },
	{ EX_UNAVAILABLE, PH_BOUNCED, "5.3.0", "service unavailable" },
	{ EX_SOFTWARE, PH_BOUNCED, "5.3.0", "internal software error" },
	{ EX_OSERR, PH_DEFERRED, "4.3.0", "system resource problem" },
	{ EX_OSFILE, PH_BOUNCED, "5.3.0", "critical OS file missing" },
	{ EX_CANTCREAT, PH_BOUNCED, "5.2.0", "can't create user output file" },
	{ EX_IOERR, PH_BOUNCED, "5.3.0", "input/output error" },
	{ EX_TEMPFAIL, PH_DEFERRED, "4.3.0", "temporary failure" },
	{ EX_PROTOCOL, PH_BOUNCED, "5.5.0", "remote error in protocol" },
	{ EX_NOPERM, PH_BOUNCED, "5.7.0", "permission denied" },
	{ EX_CONFIG, PH_BOUNCED, "5.3.5", "local configuration error" },
};

/* What it said: "4.7.1 text" at the start gives the status; the rest goes into the reason. */
static char *output_text(struct local_state *st, const char *output, char dsn[12], enum ph_delivery_status *status)
{
	int a, b, c, used = 0;
	char *copy, *p;

	if (sscanf(output, "%1d.%3d.%3d%n", &a, &b, &c, &used) == 3 && (a == 4 || a == 5) && (output[used] == ' ' || !output[used])) {
		snprintf(dsn, 12, "%d.%d.%d", a, b, c);
		*status = a == 4 ? PH_DEFERRED : PH_BOUNCED;
		output += used + strspn(output + used, " ");
	}
	copy = ph_str_printable(st->arena, output, strlen(output), true);
	for (p = copy; *p; p++)
		if ((unsigned char)output[p - copy] < ' ')
			*p = ' ';
	return copy;
}

static void command_result(struct local_state *st, const char *command, int rc, int status, const char *output)
{
	enum ph_delivery_status result = PH_BOUNCED;
	char dsn[12] = "5.3.0";
	const char *text = NULL, *said;

	if (rc == -ETIMEDOUT) {
		local_result(st, PH_DEFERRED, "4.3.0", "Command time limit exceeded: \"%s\"%s%s", command, *output ? ". Command output: " : "",
			output_text(st, output, dsn, &result));
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		local_result(st, PH_SENT, "2.0.0", "delivered to command: %s", command);
		return;
	}
	if (WIFSIGNALED(status)) {
		result = PH_DEFERRED;
		strcpy(dsn, "4.3.0");
		text = ph_arena_printf(st->arena, "Command died with signal %d: \"%s\"", WTERMSIG(status), command);
	} else {
		for (size_t i = 0; i < PH_ARRAY_LEN(sysexit); i++) {
			if (sysexit[i].status == WEXITSTATUS(status)) {
				result = sysexit[i].result;
				strcpy(dsn, sysexit[i].dsn);
				text = sysexit[i].text;
			}
		}
		if (!text)
			text = ph_arena_printf(st->arena, "Command died with status %d: \"%s\"", WEXITSTATUS(status), command);
	}
	said = output_text(st, output, dsn, &result);
	local_result(st, result, dsn, "%s%s%s", text, *said ? ". Command output: " : "", said);
}

void local_command(struct local_state *st, const char *command, const struct local_user *u)
{
	static const char meta[] = "|&;<>()$`\\\"'*?[]#~=%\n\r\t{}!^";
	const struct local_settings *set = st->svc->set;
	struct env env = { .n = 0 };
	char *argv[130];
	const char *output, *delivered = ph_arena_strdup(st->arena, set->prepend_delivered_header);
	struct ph_run_spec spec = {
		.uid = u ? u->uid : st->svc->default_uid, .gid = u ? u->gid : st->svc->default_gid, .user = u ? u->name : st->svc->default_user,
		.dir = "/", .argv = argv, .env = env.v, .limit_ms = st->svc->command_limit_ms, .output_max = OUTPUT_MAX,
	};
	struct ph_run *run;
	struct ph_err err;
	int status, rc, n = 0;

	if (ph_delivery_probe(st->d)) {
		local_result(st, PH_SENT, "2.0.0", "delivers to command: %s", command);
		return;
	}
	env_build(st, u, &env);
	if (!*set->local_command_shell && !strpbrk(command, meta)) {
		/* plain words need no shell */
		char *copy = ph_arena_strdup(st->arena, command), *tok;

		while (n < 128 && (tok = strsep(&copy, " ")))
			if (*tok)
				argv[n++] = tok;
	}
	if (n == 0) {
		argv[n++] = *set->local_command_shell ? (char *)set->local_command_shell : "/bin/sh";
		if (!*set->local_command_shell || strstr(set->local_command_shell, "sh"))
			argv[n++] = "-c";
		argv[n++] = (char *)command;
	}
	argv[n] = NULL;
	if (ph_run_start(&spec, &run, &err) < 0) {
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
		return;
	}
	rc = local_feed(st, run, local_top(st, true, strstr(delivered, "command") != NULL), &err);
	if (rc < 0 && rc != -ETIMEDOUT) {
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
	} else {
		rc = ph_run_end(run, &status, &output);
		command_result(st, command, rc, status, output);
	}
	ph_run_free(&run);
}
