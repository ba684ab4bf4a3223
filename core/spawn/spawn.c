/* spawn.c: for each connection a command, with the connection as its standard input, output and error.
 *
 * State: one struct service for each listener, one coroutine for each and one for each command that runs.  The command's identity and time limit are
 * read when the process starts; a service whose line is wrong hangs up on everybody and says why.  Yields.  Source: spawn(8). */
#include "spawn/spawn.h"
#include "agent/run_socket.h"
#include "base/co_private.h"
#include "base/log.h"
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_MS 1000                   /* when there are no processes or descriptors left */

struct attr {
	struct ph_run_identity id;
	char **argv;
	char **env;
	int64_t limit_ms;
	const char *dir;
};

struct service {
	int fd;
	const struct ph_service *svc;
	const char *syslog_name;
	struct ph_arena *arena;
	struct attr attr;
	bool usable;
	struct ph_err err;
	int running;
	struct ph_waitq ended;          /* a command of this service has */
	struct ph_co *acceptor;
};

static struct {
	struct service *services;
	size_t n;
	int running;                    /* commands of all services */
	struct ph_waitq ended;
	bool stopping;
} self;

/* ---- the line of master.cf ---- */

static const char *value_of(const char *word, const char *name)
{
	size_t n = strlen(name);

	return strncmp(word, name, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

static int parse_words(const struct ph_service *svc, struct ph_arena *arena, const char **ret_user, char ***ret_argv, struct ph_err *err)
{
	char **w, **argv;
	const char *first = NULL;
	size_t n = 0, i = 0;

	*ret_user = NULL;
	for (w = svc->argv; *w && !(first = value_of(*w, "argv")); w++) {
		if (!value_of(*w, "user"))
			return ph_err_set(err, -EINVAL, "unknown attribute name: %s", *w);
		*ret_user = value_of(*w, "user");
	}
	if (!*ret_user || !**ret_user)
		return ph_err_set(err, -EINVAL, "missing user= command-line attribute");
	while (*w && w[n])
		n++;
	argv = ph_arena_alloc(arena, (n + 1) * sizeof *argv);
	if (first && *first)
		argv[i++] = ph_arena_strdup(arena, first);
	while (n > 1 && *++w)
		argv[i++] = *w;
	if (i == 0)
		return ph_err_set(err, -EINVAL, "missing argv= command-line attribute");
	*ret_argv = argv;
	return 0;
}

static int read_attr(const struct ph_service *svc, struct ph_arena *arena, struct attr *a, struct ph_err *err)
{
	const char *user;
	int rc = parse_words(svc, arena, &user, &a->argv, err);

	if (rc == 0)
		rc = ph_run_identity(svc->conf, arena, user, &a->id, err);
	if (rc < 0)
		return rc;
	if (ph_parse_time(ph_conf_service_param(svc->conf, svc->name, "time_limit", "command_time_limit"), 's', &a->limit_ms) < 0 || a->limit_ms < 1000)
		return ph_err_set(err, -EINVAL, "bad value of %s_time_limit", svc->name);
	a->env = ph_run_environment(svc->conf, arena);
	a->dir = ph_conf_get(svc->conf, "queue_directory");
	return 0;
}

int ph_spawn_check(const struct ph_service *service, struct ph_err *err)
{
	struct ph_arena *arena = ph_arena_new();
	struct attr a;
	int rc = read_attr(service, arena, &a, err);

	ph_arena_free(&arena);
	return rc;
}

/* ---- a command ---- */

struct job { struct service *s; int fd; };

static void report(const struct service *s, pid_t pid, int rc, int status)
{
	const char *command = s->attr.argv[0];

	if (rc == -ETIMEDOUT)
		ph_log(PH_LOG_WARNING, "%s: pid %ld: command time limit exceeded", command, (long)pid);
	else if (WIFSIGNALED(status))
		ph_log(PH_LOG_WARNING, "command %s killed by signal %d", command, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		ph_log(PH_LOG_WARNING, "command %s exit status %d", command, WEXITSTATUS(status));
}

static void run(void *arg)
{
	struct job *j = arg;
	struct service *s = j->s;
	const struct attr *a = &s->attr;
	struct ph_run_spec spec = { .uid = a->id.uid, .gid = a->id.gid, .dir = a->dir, .argv = a->argv, .env = a->env, .limit_ms = a->limit_ms };
	const char *output;
	struct ph_run *child;
	struct ph_err err;
	int status, rc;
	pid_t pid;

	ph_co_set_ident(s->syslog_name, "spawn");
	rc = ph_run_socket_start(&spec, j->fd, &child, &pid, &err);
	close(j->fd);
	free(j);
	if (rc < 0) {
		ph_log(PH_LOG_WARNING, "service %s: %s", s->svc->name, err.text);
		ph_co_sleep(PAUSE_MS);
	} else {
		rc = ph_run_end(child, &status, &output);
		report(s, pid, rc, status);
		ph_run_free(&child);
	}
	s->running--;
	self.running--;
	ph_waitq_wake_all(&s->ended);
	ph_waitq_wake_all(&self.ended);
}

/* ---- connections ---- */

static bool full(const struct service *s)
{
	return s->svc->maxproc > 0 && s->running >= s->svc->maxproc;
}

static void begin(struct service *s, int fd)
{
	struct job *j;

	if (!s->usable) {
		ph_log(PH_LOG_FATAL, "%s", s->err.text);
		close(fd);
		return;
	}
	j = ph_alloc(sizeof *j);
	*j = (struct job){ s, fd };
	s->running++;
	self.running++;
	ph_co_spawn("spawn command", run, j);
}

static void accept_all(void *arg)
{
	struct service *s = arg;
	int fd, rc = 0;

	ph_co_set_ident(s->syslog_name, "spawn");
	while (rc != -ECANCELED) {
		if (full(s)) {
			rc = ph_waitq_wait(&s->ended, PH_NEVER);
			continue;
		}
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			begin(s, fd);
		else if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			rc = ph_fd_wait(s->fd, EV_READ, PH_NEVER);
		else
			rc = ph_co_sleep(PAUSE_MS);     /* no descriptors, no memory */
	}
	s->acceptor = NULL;
	ph_waitq_wake_all(&self.ended);
}

/* ---- the process ---- */

static bool accepting(void)
{
	for (size_t i = 0; i < self.n; i++)
		if (self.services[i].acceptor)
			return true;
	return false;
}

static void finish(void *unused)
{
	for (size_t i = 0; i < self.n; i++)
		if (self.services[i].acceptor)
			ph_co_cancel(self.services[i].acceptor);
	while (self.running > 0 || accepting())
		(void)ph_waitq_wait(&self.ended, ph_deadline(PH_SECONDS(60)));
	ph_loop_stop();
}

static void on_term(int signo, void *unused)
{
	if (!self.stopping)
		ph_co_spawn("spawn stop", finish, NULL);
	self.stopping = true;
}

static void on_child(int signo, void *unused)
{
	/* whoever waits for the command has its descriptor; the signal only interrupts */
}

static void service_init(struct service *s, const struct ph_spawn_listener *l)
{
	s->fd = l->fd;
	s->svc = l->service;
	s->arena = ph_arena_new();
	s->syslog_name = ph_conf_get(l->service->conf, "syslog_name");
	s->usable = read_attr(l->service, s->arena, &s->attr, &s->err) == 0;
	s->acceptor = ph_co_spawn("spawn listener", accept_all, s);
}

int ph_spawn_run(const struct ph_spawn_config *cfg)
{
	if (ph_loop_init() < 0 || ph_signal_on(SIGTERM, on_term, NULL) < 0 || ph_signal_on(SIGCHLD, on_child, NULL) < 0)
		return -1;
	self.services = ph_alloc((cfg->n_listeners + 1) * sizeof *self.services);
	self.n = cfg->n_listeners;
	for (size_t i = 0; i < self.n; i++)
		service_init(&self.services[i], &cfg->listeners[i]);
	ph_loop_run();
	for (size_t i = 0; i < self.n; i++)
		ph_arena_free(&self.services[i].arena);
	free(self.services);
	return 0;
}
