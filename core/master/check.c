/* check.c: is a configuration usable?  Everything that a start would do short of serving, in a child of its own, so that
 * neither a broken table library nor a broken module can hurt the master.  Does not yield. */
#include "master/internal.h"
#include "base/log.h"
#include "config/general.h"
#include "message/cleanup.h"
#include "module/loader.h"
#include "smtpd/smtpd.h"
#include "spawn/spawn.h"
#include <posthouse/delivery.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct check { int fd; int errors; };

static void say(struct check *c, int severity, const char *fmt, ...) PH_PRINTF(3, 4);
static void say(struct check *c, int severity, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(4096);
	va_list ap;

	if (severity >= PH_LOG_ERROR)
		c->errors++;
	ph_buf_putc(&b, '0' + severity);
	va_start(ap, fmt);
	if (ph_buf_vprintf(&b, fmt, ap) < 0)
		ph_buf_puts(&b, "(a message that is too long)");
	va_end(ap);
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] == '\n')
			b.data[i] = ' ';
	ph_buf_putc(&b, '\n');
	if (write(c->fd, b.data, b.len) < 0)
		c->errors++;
	ph_buf_done(&b);
}

static void config_report(void *arg, int severity, const char *file, int line, const char *text)
{
	if (file && line > 0)
		say(arg, severity, "%s, line %d: %s", file, line, text);
	else
		say(arg, severity, "%s", text);
}

static void check_delivery(struct check *c, const struct ph_service *s, const struct ph_module *m)
{
	const struct ph_delivery_ops *ops = m->ops.delivery;
	const void *settings = NULL;
	struct ph_err err;

	if (m->settings_size) {
		settings = ph_module_settings(m, s->conf, &err);
		if (!settings) {
			say(c, PH_LOG_ERROR, "%s", err.text);
			return;
		}
	}
	if (ops->check && ops->check(s->conf, settings, &err) < 0)
		say(c, PH_LOG_WARNING, "%s, line %d: service %s: %s; mail for it waits in the queue", s->file, s->line, s->name, err.text);
}

static void check_services(struct check *c, const struct ph_config *config)
{
	size_t n;
	const struct ph_service *s = ph_config_services(config, &n);
	struct ph_err err;

	for (size_t i = 0; i < n; i++) {
		const struct ph_module *m;

		if (ph_service_is_builtin(&s[i]))
			continue;
		if (ph_service_spawns(&s[i])) {
			if (ph_spawn_check(&s[i], &err) < 0)
				say(c, PH_LOG_WARNING, "%s, line %d: service %s: %s; whoever connects to it is hung up on", s[i].file, s[i].line, s[i].name,
					err.text);
			continue;
		}
		if (s[i].type == PH_SVC_INET || s[i].type == PH_SVC_PASS) {
			say(c, PH_LOG_WARNING, "%s, line %d: service %s: \"%s\" is not supported; nothing listens there", s[i].file, s[i].line,
				s[i].name, s[i].command);
			continue;
		}
		m = ph_module_load(PH_KIND_DELIVERY, s[i].command, &err);
		if (!m)
			say(c, PH_LOG_WARNING, "%s, line %d: service %s: %s; mail for it waits in the queue", s[i].file, s[i].line, s[i].name, err.text);
		else
			check_delivery(c, &s[i], m);
	}
}

static void check_cleanup(struct check *c, const struct ph_config *config)
{
	size_t n;
	const struct ph_service *s = ph_config_services(config, &n);
	struct ph_err err;

	if (ph_cleanup_check(ph_config_main(config), &err) < 0)
		say(c, PH_LOG_ERROR, "%s", err.text);
	else
		for (size_t i = 0; i < n; i++)
			if (strcmp(s[i].command, "cleanup") == 0 && ph_cleanup_check(s[i].conf, &err) < 0)
				say(c, PH_LOG_ERROR, "%s, line %d: service %s: %s", s[i].file, s[i].line, s[i].name, err.text);
}

/* A service that would relay for anyone takes no mail; when that is so of all of them, it is the configuration that is wrong, not an experiment. */
static void check_relaying(struct check *c, const struct ph_config *config)
{
	size_t n, servers = 0, unsafe = 0;
	const struct ph_service *s = ph_config_services(config, &n);
	char why[400] = "";

	for (size_t i = 0; i < n; i++) {
		if (strcmp(s[i].command, "smtpd") != 0)
			continue;
		servers++;
		if (!ph_smtpd_would_relay(config, &s[i], why, sizeof(why)))
			continue;
		unsafe++;
		say(c, PH_LOG_WARNING, "%s, line %d: service %s takes no mail: %s", s[i].file, s[i].line, s[i].name, why);
	}
	if (servers > 0 && unsafe == servers)
		say(c, PH_LOG_ERROR, "%s", why);
}

static int check_child(const char *config_dir, int fd)
{
	struct check c = { .fd = fd };
	struct ph_config *config;
	struct ph_err err;

	if (ph_config_load(config_dir, PH_CONFIG_QUIET, &config, &err) < 0) {
		say(&c, PH_LOG_ERROR, "%s", err.text);
		return 1;
	}
	ph_modules_init(ph_conf_general(ph_config_main(config))->module_directory);
	if (ph_config_check(config, config_report, &c) < 0)
		c.errors++;
	check_services(&c, config);
	check_cleanup(&c, config);
	check_relaying(&c, config);
	return c.errors ? 1 : 0;
}

static void relay_lines(int fd, void (*report)(void *, int, const char *), void *arg)
{
	FILE *f = fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while (f && (n = getline(&line, &cap, f)) > 1) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		report(arg, line[0] - '0', line + 1);
	}
	free(line);
	if (f)
		fclose(f);
}

int ph_master_check(const char *config_dir, void (*report)(void *arg, int severity, const char *text), void *arg)
{
	int fds[2], status;
	pid_t pid;

	if (pipe(fds) < 0)
		return -errno;
	ph_log_flush();
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return -errno;
	}
	if (pid == 0) {
		close(fds[0]);
		_exit(check_child(config_dir, fds[1]));
	}
	close(fds[1]);
	relay_lines(fds[0], report, arg);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFSIGNALED(status)) {
		report(arg, PH_LOG_ERROR, "the configuration check died by a signal: a module or a table library is broken");
		return -EIO;
	}
	return WEXITSTATUS(status) == 0 ? 0 : -EINVAL;
}
