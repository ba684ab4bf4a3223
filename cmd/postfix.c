/* postfix.c: postfix(1): start, stop, reload and the like.  Messages go to the log, and to stderr when that is a terminal, as postfix-script's do; but what
 * went wrong is said there in any case, and what a check found. */
#include "cmd/cmd.h"
#include "base/log.h"
#include "cmd/postfix_files.h"
#include "cmd/postfix_install.h"
#include "cmd/postfix_log.h"
#include "config/general.h"
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_WAIT_MS 60000
#define STOP_WAIT_MS 30000

struct postfix {
	const char *dir;
	struct ph_config *config;
	const struct ph_general_settings *g;
	char **args;                    /* behind the verb */
	int log_error;                  /* the log file could not be opened: -errno */
};

static int load(struct postfix *p, const char *verb)
{
	struct ph_err err;
	struct ph_log_config log = { .prog = "postfix-script", .also_stderr = true, .stderr_full_name = true };

	if (ph_config_load(p->dir, PH_CONFIG_QUIET, &p->config, &err) < 0) {
		fprintf(stderr, "postfix: fatal: %s\n", err.text);
		return -1;
	}
	p->g = ph_conf_general(ph_config_main(p->config));
	log.syslog_name = p->g->syslog_name;
	/* With /dev/stdout the master has it; our own words go to stderr. */
	log.maillog_file = *p->g->maillog_file && strcmp(p->g->maillog_file, "/dev/stdout") != 0 ? p->g->maillog_file : NULL;
	log.only_stderr = strcmp(p->g->maillog_file, "/dev/stdout") == 0;
	log.maillog_mode = p->g->maillog_mode;
	/* A successful "postfix reload" in somebody's cron job is not worth a mail. */
	if (!isatty(STDERR_FILENO) && !log.only_stderr)
		log.stderr_from = strcmp(verb, "check") == 0 ? PH_LOG_WARNING : PH_LOG_FATAL;
	p->log_error = ph_log_open(&log);
	ph_log_set_immediate(true);
	return 0;
}

/* A system that runs can do without; one that is to start should not have its first words lost. */
static int check_log(struct postfix *p)
{
	if (p->log_error == 0)
		return 0;
	ph_log(PH_LOG_FATAL, "open logfile '%s': cannot open file: %s", p->g->maillog_file, strerrordesc_np(-p->log_error));
	return 1;
}

static pid_t running(struct postfix *p)
{
	struct ph_err err;
	pid_t pid = ph_master_pid(p->g->queue_directory, &err);

	if (pid < 0)
		ph_log(PH_LOG_FATAL, "%s", err.text);
	return pid;
}

static void report(void *arg, int severity, const char *text)
{
	ph_log((enum ph_log_level)severity, "%s", text);
}

static int check_config(struct postfix *p)
{
	return ph_master_check(p->dir, report, NULL) < 0 ? 1 : 0;
}

static int do_check(struct postfix *p)
{
	struct ph_err err;

	if (check_log(p) != 0)
		return 1;
	if (ph_files_check(p->config, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return 1;
	}
	return check_config(p);
}

/* Several things at once: "postfix set-permissions upgrade-configuration mail_owner=x". */
static int do_install(struct postfix *p)
{
	return ph_postfix_install(p->config, p->args - 1);
}

static int do_post_install(struct postfix *p)
{
	return ph_postfix_install(p->config, p->args);
}

/* ---- start ---- */

static void exec_master(struct postfix *p, int ready_fd, bool foreground)
{
	char fd[16];
	const char *argv[9];
	int n = 0;

	snprintf(fd, sizeof fd, "%d", ready_fd);
	argv[n++] = "posthouse";
	argv[n++] = "master";
	argv[n++] = "-c";
	argv[n++] = p->dir;
	if (foreground) {
		argv[n++] = "-d";
	} else {
		argv[n++] = "-r";
		argv[n++] = fd;
	}
	argv[n] = NULL;
	execv("/proc/self/exe", (char **)argv);
	ph_log(PH_LOG_FATAL, "cannot run the master: %m");
	_exit(1);
}

static void become_daemon(int ready_fd)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		if (null > 2)
			close(null);
	}
	if (chdir("/") < 0)
		_exit(1);
	fcntl(ready_fd, F_SETFD, 0);
}

/* The master closes its end of the pipe when it serves; what it wrote before is why it does not. */
static int wait_ready(int fd)
{
	char text[1024];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0;

	for (;;) {
		int rc = poll(&p, 1, START_WAIT_MS);
		ssize_t got;

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc == 0) {
			ph_log(PH_LOG_FATAL, "the mail system is not ready after %d s; look into the log", START_WAIT_MS / 1000);
			return 1;
		}
		got = read(fd, text + n, sizeof text - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	text[n] = '\0';
	if (n > 0)
		fprintf(stderr, "postfix: fatal: %s\n", text);  /* the master has logged it */
	return n > 0;
}

static int do_start(struct postfix *p)
{
	int fds[2];
	pid_t pid = running(p);

	if (pid < 0)
		return 1;
	if (pid > 0) {
		ph_log(PH_LOG_FATAL, "the Postfix mail system is already running");
		return 1;
	}
	if (strcmp(p->g->maillog_file, "/dev/stdout") == 0) {
		ph_log(PH_LOG_FATAL, "to log to standard output (maillog_file = /dev/stdout), use \"postfix start-fg\"");
		return 1;
	}
	if (do_check(p) != 0 || pipe2(fds, O_CLOEXEC) < 0)
		return 1;
	ph_log(PH_LOG_INFO, "starting the Postfix mail system");
	ph_log_flush();
	pid = fork();
	if (pid < 0) {
		ph_log(PH_LOG_FATAL, "fork: %m");
		return 1;
	}
	if (pid == 0) {
		close(fds[0]);
		become_daemon(fds[1]);
		exec_master(p, fds[1], false);
	}
	close(fds[1]);
	return wait_ready(fds[0]);
}

static int do_start_fg(struct postfix *p)
{
	pid_t pid = running(p);

	if (pid != 0) {
		if (pid > 0)
			ph_log(PH_LOG_FATAL, "the Postfix mail system is already running");
		return 1;
	}
	if (do_check(p) != 0)
		return 1;
	ph_log(PH_LOG_INFO, "starting the Postfix mail system");
	if (*p->g->multi_instance_directories) {
		ph_log(PH_LOG_FATAL, "start-fg does not support multi_instance_directories");
		return 1;
	}
	ph_log_flush();
	exec_master(p, -1, true);
	return 1;
}

/* ---- stop ---- */

static int wait_gone(struct postfix *p, pid_t pid)
{
	struct timespec pause = { 0, 20 * 1000 * 1000 };

	for (int ms = 0; ms < STOP_WAIT_MS; ms += 20) {
		if (running(p) != pid)
			return 0;
		nanosleep(&pause, NULL);
	}
	ph_log(PH_LOG_FATAL, "the mail system (PID %d) did not end within %d s", (int)pid, STOP_WAIT_MS / 1000);
	return 1;
}

static int signal_running(struct postfix *p, int sig, const char *what, pid_t *ret)
{
	pid_t pid = running(p);

	if (pid <= 0) {
		if (pid == 0)
			ph_log(PH_LOG_FATAL, "the Postfix mail system is not running");
		return 1;
	}
	ph_log(PH_LOG_INFO, "%s the Postfix mail system", what);
	if (kill(pid, sig) < 0) {
		ph_log(PH_LOG_FATAL, "signal to process %d: %m", (int)pid);
		return 1;
	}
	*ret = pid;
	return 0;
}

static int do_stop(struct postfix *p)
{
	pid_t pid;

	return signal_running(p, SIGTERM, "stopping", &pid) ? 1 : wait_gone(p, pid);
}

static int do_abort(struct postfix *p)
{
	pid_t pid;

	return signal_running(p, SIGQUIT, "aborting", &pid) ? 1 : wait_gone(p, pid);
}

static int do_reload(struct postfix *p)
{
	pid_t pid;

	/* A bad configuration is refused here already, where the administrator looks; the running one goes on. */
	if (running(p) > 0 && check_config(p) != 0)
		return 1;
	return signal_running(p, SIGHUP, "refreshing", &pid);
}

static int do_logrotate(struct postfix *p)
{
	pid_t pid = running(p);
	struct ph_err err;

	if (pid < 0)
		return 1;
	if (ph_log_rotate(p->g, pid, &err) == 0)
		return 0;
	ph_log_reopen();
	ph_log(PH_LOG_FATAL, "%s", err.text);
	return 1;
}

static int do_status(struct postfix *p)
{
	pid_t pid = running(p);

	if (pid > 0)
		ph_log(PH_LOG_INFO, "the Postfix mail system is running: PID: %d", (int)pid);
	else if (pid == 0)
		ph_log(PH_LOG_INFO, "the Postfix mail system is not running");
	return pid > 0 ? 0 : 1;
}

static int do_flush(struct postfix *p)
{
	char *argv[] = { "postqueue", "-c", (char *)p->dir, "-f", NULL };

	optind = 1;
	return ph_main_postqueue(4, argv);
}

static const struct verb { const char *name; int (*run)(struct postfix *p); } verbs[] = {
	{ "start", do_start }, { "start-fg", do_start_fg }, { "stop", do_stop }, { "abort", do_abort }, { "reload", do_reload },
	{ "flush", do_flush }, { "status", do_status }, { "check", do_check }, { "logrotate", do_logrotate },
	{ "set-permissions", do_install }, { "upgrade-configuration", do_install }, { "post-install", do_post_install },
	{ "quick-start", do_start }, { "quick-stop", do_stop }, { "drain", do_stop },
};

/* A manager of several instances ("postmulti -p --") does what is asked for each of them, and calls us back with MAIL_CONFIG set. */
static void run_wrapper(const struct postfix *p, char **argv)
{
	const char *wrapper = p->g->multi_instance_wrapper;
	struct ph_buf b = PH_BUF_INIT(65536);

	if (!*wrapper)
		return;
	ph_buf_puts(&b, wrapper);
	for (; *argv; argv++) {
		ph_buf_puts(&b, " '");
		for (const char *c = *argv; *c; c++)
			ph_buf_puts(&b, *c == '\'' ? "'\\''" : (char[]){ *c, '\0' });
		ph_buf_puts(&b, "'");
	}
	execl("/bin/sh", "sh", "-c", ph_buf_str(&b), (char *)NULL);
	ph_log(PH_LOG_FATAL, "/bin/sh: %m");
	exit(1);
}

static int run_verb(struct postfix *p, bool this_one, char **argv)
{
	if (load(p, argv[0]) < 0)
		return 1;
	p->args = argv + 1;
	if (!this_one)
		run_wrapper(p, argv);
	for (size_t i = 0; i < PH_ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, argv[0]) == 0)
			return verbs[i].run(p);
	ph_log(PH_LOG_FATAL, "unknown command: '%s'. Usage: postfix start (or stop, reload, abort, flush, check, status, set-permissions, "
		"upgrade-configuration, logrotate)", argv[0]);
	return 1;
}

static bool takes_words(const char *verb)
{
	return strcmp(verb, "set-permissions") == 0 || strcmp(verb, "upgrade-configuration") == 0 || strcmp(verb, "post-install") == 0;
}

int ph_main_postfix(int argc, char **argv)
{
	struct postfix p = { 0 };
	const char *dir = NULL;
	int c;

	while ((c = getopt(argc, argv, "+c:Dv")) > 0) {
		if (c == '?') {
			optind = argc;
			break;
		}
		if (c == 'c')
			dir = optarg;
	}
	p.dir = ph_cmd_config_dir(dir);
	if (optind < argc && (optind + 1 == argc || takes_words(argv[optind])))
		return run_verb(&p, dir || getenv("MAIL_CONFIG"), argv + optind);
	fprintf(stderr, "usage: postfix [-c config_dir] [-Dv] start|start-fg|stop|abort|reload|flush|status|check|logrotate|set-permissions|upgrade-configuration|post-install\n");
	return 1;
}
