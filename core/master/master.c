/* master.c: start, wait for signals and deaths, reload, stop.  Does not yield. */
#include "master/internal.h"
#include "base/log.h"
#include "base/log_rotate.h"
#include "config/general.h"
#include "queue/store.h"
#include "module/loader.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#define PATIENCE_MS 5000

static void log_open(const struct ph_general_settings *g, bool foreground)
{
	struct ph_log_config log = {
		.syslog_name = g->syslog_name, .prog = "master",
		.maillog_file = *g->maillog_file ? g->maillog_file : NULL, .maillog_mode = g->maillog_mode,
		/* In a container both streams are the log: once is enough. */
		.also_stderr = foreground && strcmp(g->maillog_file, "/dev/stdout") != 0,
	};

	ph_log_open(&log);
	ph_log_set_immediate(true);
}

/* ---- start ---- */

static int find_owner(struct ph_master *m, const struct ph_general_settings *g, struct ph_err *err)
{
	struct passwd *pw;
	struct group *gr;

	m->is_root = geteuid() == 0;
	m->owner_uid = geteuid();
	m->owner_gid = m->drop_gid = getegid();
	if (!m->is_root)
		return 0;
	pw = getpwnam(g->mail_owner);
	if (!pw)
		return ph_err_set(err, -ENOENT, "mail_owner = %s: no such user; create it, or name another in main.cf", g->mail_owner);
	if (pw->pw_uid == 0)
		return ph_err_set(err, -EPERM, "mail_owner = %s: must not be root", g->mail_owner);
	gr = getgrnam(g->setgid_group);
	if (!gr)
		return ph_err_set(err, -ENOENT, "setgid_group = %s: no such group; create it, or name another in main.cf", g->setgid_group);
	m->owner_uid = pw->pw_uid;
	m->owner_gid = pw->pw_gid;
	m->drop_gid = gr->gr_gid;
	return 0;
}

static int internal_socket(struct ph_master *m, const char *queue_dir, const char *name, mode_t mode, gid_t gid, int *ret, struct ph_err *err)
{
	char path[4096];
	struct ph_bound *b;

	if ((size_t)snprintf(path, sizeof path, "%s/%s", queue_dir, name) >= sizeof path)
		return ph_err_set(err, -ENAMETOOLONG, "queue_directory = %s: too long", queue_dir);
	b = ph_bound_unix(&m->bound, path, mode, m->owner_uid, gid, UINT32_MAX, err);
	if (!b)
		return -1;
	*ret = b->fds[0];
	return 0;
}

static int internal_sockets(struct ph_master *m, const char *queue_dir, struct ph_err *err)
{
	if (internal_socket(m, queue_dir, "private/qmgr", 0600, m->owner_gid, &m->qmgr_private, err) < 0 ||
	    internal_socket(m, queue_dir, "public/qmgr", 0666, m->drop_gid, &m->qmgr_public, err) < 0 ||
	    internal_socket(m, queue_dir, "public/pickup", 0622, m->drop_gid, &m->pickup_trigger, err) < 0)
		return -1;
	return 0;
}

static void raise_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		if (geteuid() == 0 && rl.rlim_max < 262144)
			rl.rlim_max = 262144;
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

static int open_signals(void)
{
	static const int wanted[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1 };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < PH_ARRAY_LEN(wanted); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGALRM, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void start_workers(struct ph_master *m)
{
	struct ph_generation *g = m->current;

	for (unsigned i = 0; i < g->n_agents; i++)
		ph_start_at(m, PH_ROLE_AGENT, i, 0, 0);
	if (g->has_root_agent)
		ph_start_at(m, PH_ROLE_ROOT_AGENT, 0, 0, 0);
	if (g->n_spawn_listeners)
		ph_start_at(m, PH_ROLE_SPAWN, 0, 0, 0);
	for (unsigned i = 0; i < g->n_smtpd; i++)
		ph_start_at(m, PH_ROLE_SMTPD, i, 0, 0);
}

static bool child_alive(const struct ph_master *m, enum ph_role role)
{
	ph_list_for_each(c, &m->children, struct ph_child, link)
		if (c->role == role)
			return true;
	return false;
}

static void start_singles(struct ph_master *m)
{
	if (!child_alive(m, PH_ROLE_QMGR))
		ph_start_at(m, PH_ROLE_QMGR, 0, 0, 0);
	if (m->current->has_pickup && !child_alive(m, PH_ROLE_PICKUP))
		ph_start_at(m, PH_ROLE_PICKUP, 0, 0, 0);
}

/* For caches: the mail owner's.  One that is there stays as it is; where none can be made, whoever needs it says so. */
static void make_data_directory(struct ph_master *m, const char *dir)
{
	if (mkdir(dir, 0700) == 0 && geteuid() == 0 && chown(dir, m->owner_uid, (gid_t)-1) < 0)
		ph_log(PH_LOG_WARNING, "set owner of data_directory %s: %s", dir, strerrordesc_np(errno));
}

static int master_start(struct ph_master *m, struct ph_err *err)
{
	const struct ph_general_settings *g;
	struct ph_config *config = NULL;
	int rc = ph_config_load(m->opt->config_dir, 0, &config, err);

	if (rc < 0)
		return rc;
	g = ph_conf_general(ph_config_main(config));
	ph_modules_configure(ph_config_main(config));
	log_open(g, m->opt->foreground);
	rc = find_owner(m, g, err);
	if (rc == 0)
		rc = ph_queue_dirs_make(g->queue_directory, m->owner_uid, m->drop_gid, err);
	make_data_directory(m, g->data_directory);
	if (rc == 0)
		rc = m->pid_fd = ph_pidfile_lock(g->queue_directory, err);
	if (rc >= 0)
		rc = ph_generation_new(m, config, 1, &m->current, err);
	if (rc >= 0)
		rc = internal_sockets(m, g->queue_directory, err);
	if (rc < 0) {
		if (!m->current)
			ph_config_free(&config);
		return rc;
	}
	ph_pidfile_write(m->pid_fd);
	ph_log(PH_LOG_INFO, "daemon started -- version %s, configuration %s", g->mail_version, ph_config_dir(config));
	ph_rootfiles_watch(m);
	start_singles(m);
	start_workers(m);
	ph_starts_run(m);
	return 0;
}

static void tell_ready(int fd, const struct ph_err *err)
{
	if (fd < 0)
		return;
	if (err && write(fd, err->text, strlen(err->text)) < 0)
		ph_log(PH_LOG_WARNING, "cannot report the start: %m");
	close(fd);
}

/* ---- reload ---- */

/* All that run give way to new ones on m->current. */
static void workers_replace(struct ph_master *m)
{
	ph_list_for_each_safe(s, &m->starts, struct ph_start, link) {
		ph_list_del(&s->link);
		free(s);
	}
	ph_list_for_each(c, &m->children, struct ph_child, link)
		c->stopping = true;
	ph_rootfiles_watch(m);
	start_workers(m);
	ph_starts_run(m);       /* the new ones listen before the old ones stop */
	ph_list_for_each(c, &m->children, struct ph_child, link) {
		if (c->stopping)
			kill(c->pid, SIGTERM);
	}
	start_singles(m);
	ph_starts_run(m);
}

static void reload_report(void *arg, int severity, const char *text)
{
	ph_log(severity >= PH_LOG_WARNING ? PH_LOG_WARNING : PH_LOG_INFO, "%s", text);
}

int ph_reload(struct ph_master *m)
{
	struct ph_generation *g, *old = m->current;
	struct ph_config *config;
	struct ph_err err = { 0 };

	if (ph_master_check(m->opt->config_dir, reload_report, NULL) < 0 ||
	    ph_config_load(m->opt->config_dir, PH_CONFIG_QUIET, &config, &err) < 0) {
		ph_log(PH_LOG_ERROR, "reload refused: %s%sthe configuration that is in force stays", err.text, *err.text ? "; " : "");
		return -1;
	}
	if (strcmp(ph_conf_get(ph_config_main(config), "queue_directory"), ph_conf_get(ph_config_main(old->config), "queue_directory")) != 0) {
		ph_log(PH_LOG_ERROR, "reload refused: queue_directory has changed; stop and start instead");
		ph_config_free(&config);
		return -1;
	}
	ph_modules_configure(ph_config_main(config));
	if (ph_generation_new(m, config, old->number + 1, &g, &err) < 0) {
		ph_log(PH_LOG_ERROR, "reload refused: %s; the configuration that is in force stays", err.text);
		ph_config_free(&config);
		return -1;
	}
	m->current = g;
	ph_log_reopen();
	ph_log(PH_LOG_INFO, "reload -- version %s, configuration %s", ph_conf_general(ph_config_main(config))->mail_version, ph_config_dir(config));
	workers_replace(m);
	ph_bound_prune(&m->bound, g->number);
	ph_generation_unref(&old);
	return 0;
}

/* ---- the loop ---- */

static void begin_stop(struct ph_master *m, int sig)
{
	const char *text = ph_conf_get(ph_config_main(m->current->config), "stop_grace_time");
	int64_t grace = 5000;

	if (m->stop_signal)
		return;
	if (text)
		ph_parse_time(text, 's', &grace);
	ph_log(PH_LOG_INFO, "terminating on signal %d", sig);
	m->stop_signal = sig;
	m->stop_deadline_ms = ph_now_ms_exact() + (sig == SIGQUIT ? 0 : grace);
	ph_children_signal(m, SIGTERM);
}

/* "postfix logrotate" has renamed the file: everybody goes on in a new one. */
static void rotate_log(struct ph_master *m)
{
	if (ph_log_reopen() < 0) {
		ph_log(PH_LOG_WARNING, "cannot open the log file anew: %m");
		return;
	}
	ph_list_for_each(c, &m->children, struct ph_child, link)
		if (ph_log_send(c->log_control) == 0)
			kill(c->pid, SIGUSR1);
}

static void handle_signals(struct ph_master *m)
{
	struct signalfd_siginfo si;

	while (read(m->signal_fd, &si, sizeof si) == sizeof si) {
		switch (si.ssi_signo) {
		case SIGHUP:
			if (!m->stop_signal)
				ph_reload(m);
			break;
		case SIGUSR1:
			rotate_log(m);
			break;
		case SIGTERM:
		case SIGINT:
		case SIGQUIT:
			begin_stop(m, (int)si.ssi_signo);
			break;
		}
	}
	ph_children_reap(m);
}

/* What time brings.  Milliseconds until it has to be called again, or -1. */
static int work(struct ph_master *m)
{
	int wait, start;

	if (ph_rootfiles_changed(m, &wait))
		workers_replace(m);
	start = ph_starts_run(m);
	return wait < 0 || (start >= 0 && start < wait) ? start : wait;
}

static void master_loop(struct ph_master *m)
{
	struct pollfd p = { .fd = m->signal_fd, .events = POLLIN };
	bool killed = false;

	while (!m->stop_signal || !ph_list_empty(&m->children)) {
		int timeout = m->stop_signal ? -1 : work(m);

		if (m->stop_signal && !killed) {
			int64_t left = m->stop_deadline_ms - ph_now_ms_exact();

			if (left <= 0) {
				ph_children_signal(m, SIGKILL);
				killed = true;
			} else {
				timeout = (int)left;
			}
		}
		if (poll(&p, 1, timeout) < 0 && errno != EINTR)
			ph_log(PH_LOG_WARNING, "poll: %m");
		handle_signals(m);
	}
}

static int master_main(const struct ph_master_options *opt, struct ph_guard_memory *guard, bool again)
{
	struct ph_master *m = ph_alloc(sizeof *m);
	struct ph_err err = { 0 };

	m->opt = opt;
	m->guard = guard;
	m->bound.patient_until_ms = again ? ph_now_ms_exact() + PATIENCE_MS : 0;
	m->qmgr_control = m->pid_fd = -1;
	m->ready_fd = opt->ready_fd;
	ph_list_init(&m->children);
	ph_list_init(&m->starts);
	umask(022);
	raise_limits();
	m->signal_fd = open_signals();
	if (master_start(m, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		tell_ready(opt->ready_fd, &err);
		return 1;
	}
	tell_ready(m->ready_fd, NULL);
	m->ready_fd = -1;
	master_loop(m);
	ph_log_flush();
	return 0;
}

/* The guard: a parent that holds nothing and starts the master again when a signal ended it. */
static int guard_main(const struct ph_master_options *opt, struct ph_guard_memory *memory)
{
	struct ph_master_options each = *opt;
	bool again = false;
	int status;
	pid_t pid;

	signal(SIGHUP, SIG_IGN);
	for (;;) {
		pid = fork();
		if (pid == 0) {
			signal(SIGHUP, SIG_DFL);
			_exit(master_main(&each, memory, again));
		}
		if (each.ready_fd >= 0)
			close(each.ready_fd);
		each.ready_fd = -1;
		again = true;
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			return 1;
		if (!WIFSIGNALED(status))
			return WEXITSTATUS(status);
		ph_log(PH_LOG_WARNING, "master process %d killed by signal %d: starting it again", (int)pid, WTERMSIG(status));
	}
}

int ph_master_run(const struct ph_master_options *opt)
{
	struct ph_guard_memory *memory = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	if (opt->foreground)
		return master_main(opt, memory, false);
	return guard_main(opt, memory);
}
