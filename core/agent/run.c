/* run.c: a child process as a user, fed and drained by coroutines.  See posthouse/run.h. */
#include <posthouse/run.h>
#include <posthouse/co.h>
#include "base/co_private.h"
#include "base/fdw.h"
#include "base/loop.h"
#include "agent/run_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

/* In Postfix's words; the sender of the mail sees the first, too. */
#define CANNOT_EXEC "pipe_command: execvp "
#define CANNOT_SPAWN "spawn_comand: execvp "

/* The child's ends.  socket: in and out are a connection, which the parent has nothing to do with. */
struct ends { int in, out, report; bool socket; };

struct ph_run {
	pid_t pid;                      /* and process group; 0: reaped */
	int pidfd, in, out;             /* our ends; -1: closed */
	int report;                     /* what kept it from starting; closed by a successful exec */
	int64_t deadline_ms;
	struct ph_buf output;
	bool timed_out;
	struct ph_fdw out_w;            /* a dialogue: out, watched once for all of its answers */
	struct ph_waitq done;           /* the reader has seen the end */
	struct ph_co *reader;           /* NULL: has ended */
};

/* ---- the child ---- */

#define REPORT_FD 3

static int fail_status = EX_TEMPFAIL;   /* of the child */

static void child_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* It cannot become what it should: the parent says so. */
static void child_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vdprintf(REPORT_FD, fmt, ap);
	va_end(ap);
	_exit(fail_status);
}

static void child_descriptors(const struct ends *e)
{
	if (dup2(e->in, 0) < 0 || dup2(e->out, 1) < 0 || dup2(e->out, 2) < 0)
		_exit(EX_TEMPFAIL);
	if (e->report != REPORT_FD && dup3(e->report, REPORT_FD, O_CLOEXEC) < 0)
		_exit(EX_TEMPFAIL);
	if (syscall(SYS_close_range, REPORT_FD + 1U, ~0U, 0U) < 0)
		for (int fd = REPORT_FD + 1; fd < 65536; fd++)
			close(fd);
}

static void child_identity(const struct ph_run_spec *s)
{
	const char *dir = s->dir ? s->dir : "/";

	if (geteuid() == 0) {
		if ((s->user ? initgroups(s->user, s->gid) : setgroups(1, &s->gid)) < 0)
			child_fail("set groups for gid=%ld: %s", (long)s->gid, strerror(errno));
		if (s->chroot_dir && chroot(s->chroot_dir) < 0)
			child_fail("chroot(%s): %s", s->chroot_dir, strerror(errno));
		if (s->chroot_dir && chdir("/") < 0)
			child_fail("chdir(/): %s", strerror(errno));
		if (setresgid(s->gid, s->gid, s->gid) < 0 || setresuid(s->uid, s->uid, s->uid) < 0)
			child_fail("give up root for uid=%ld gid=%ld: %s", (long)s->uid, (long)s->gid, strerror(errno));
		if (setuid(0) == 0)
			_exit(EX_TEMPFAIL);     /* root could be had back: never go on */
	} else if (s->chroot_dir) {
		child_fail("chroot(%s): %s", s->chroot_dir, strerror(EPERM));
	}
	if (chdir(dir) < 0)
		child_fail("cannot change directory to \"%s\" for uid=%ld gid=%ld: %s", dir, (long)s->uid, (long)s->gid, strerror(errno));
}

static void child_main(const struct ph_run_spec *s, const struct ends *e, pid_t parent)
{
	static char *none[] = { NULL };
	struct rlimit no_core = { 0, 0 };
	sigset_t empty;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&empty);
	sigprocmask(SIG_SETMASK, &empty, NULL);
	setsid();
	umask(077);
	setrlimit(RLIMIT_CORE, &no_core);
	child_descriptors(e);
	fail_status = e->socket ? 1 : EX_TEMPFAIL;
	child_identity(s);
	if (e->socket) {
		/* after the change of identity, which forgets it */
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (getppid() != parent)
			_exit(1);
	}
	if (!s->argv) {
		/* Only commands may be set-id programs (postdrop is one). */
		if (!s->gain_privileges)
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		close(REPORT_FD);
		_exit(s->fn(s->arg) & 0xff);
	}
	environ = s->env ? (char **)s->env : none;      /* its PATH is where the program is looked for */
	execvp(s->argv[0], s->argv);
	child_fail("%s%s: %s", e->socket ? CANNOT_SPAWN : CANNOT_EXEC, s->argv[0], strerror(errno));
}

/* ---- the parent ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void run_drain(void *arg)
{
	struct ph_run *r = arg;
	char buf[4000];

	for (;;) {
		ssize_t n = read(r->out, buf, sizeof buf);

		if (n > 0) {
			size_t room = r->output.max - r->output.len;

			ph_buf_append(&r->output, buf, (size_t)n < room ? (size_t)n : room);
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			break;
		} else if (ph_fd_wait(r->out, EV_READ, r->deadline_ms) < 0) {
			break;
		}
	}
	r->reader = NULL;
	ph_waitq_wake_all(&r->done);
}

static int check_identity(const struct ph_run_spec *s, struct ph_err *err)
{
	if (s->uid == 0 || s->gid == 0)
		return ph_err_set(err, -EPERM, "refusing to run as root");
	if (geteuid() != 0 && s->uid != geteuid())
		return ph_err_set(err, -EPERM, "cannot become user %d: the mail system does not run as root", (int)s->uid);
	return 0;
}

static pid_t fork_child(const struct ph_run_spec *s, const struct ends *e)
{
	pid_t pid, parent = getpid();
	sigset_t all, old;

	/* No signal handler of ours may run in the child before it has its own. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid == 0)
		child_main(s, e, parent);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return pid;
}

/* Fork; ret_run has neither pipes nor a reader. */
static int start(const struct ph_run_spec *s, struct ends *e, struct ph_run **ret, struct ph_err *err)
{
	int report[2];
	struct ph_run *r;
	pid_t pid;

	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0)
		return ph_err_errno(err, -errno, "pipe");
	e->report = report[1];
	pid = fork_child(s, e);
	close(report[1]);
	if (pid < 0) {
		close(report[0]);
		return ph_err_errno(err, -errno, "fork");
	}
	r = ph_alloc(sizeof *r);
	r->pid = pid;
	r->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	r->in = r->out = r->out_w.fd = -1;
	r->report = report[0];
	ph_run_limit(r, s->limit_ms);
	ph_buf_init(&r->output, s->output_max);
	*ret = r;
	return 0;
}

int ph_run_start(const struct ph_run_spec *s, struct ph_run **ret, struct ph_err *err)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, rc = check_identity(s, err);
	struct ends ends = { .socket = false };
	struct ph_run *r;

	if (rc < 0)
		return rc;
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
		rc = ph_err_errno(err, -errno, "pipe");
		goto out;
	}
	ends.in = in[0];
	ends.out = out[1];
	rc = start(s, &ends, &r, err);
	if (rc < 0)
		goto out;
	r->in = in[1];
	r->out = out[0];
	in[1] = out[0] = -1;
	fcntl(r->in, F_SETFL, O_NONBLOCK);
	fcntl(r->out, F_SETFL, O_NONBLOCK);
	if (!s->dialogue)
		r->reader = ph_co_spawn("command output", run_drain, r);
	*ret = r;
out:
	close_fd(&in[0]);
	close_fd(&in[1]);
	close_fd(&out[0]);
	close_fd(&out[1]);
	return rc;
}

int ph_run_socket_start(const struct ph_run_spec *s, int fd, struct ph_run **ret, pid_t *ret_pid, struct ph_err *err)
{
	struct ends ends = { .in = fd, .out = fd, .socket = true };
	int rc = check_identity(s, err);

	if (rc == 0)
		rc = start(s, &ends, ret, err);
	if (rc == 0)
		*ret_pid = (*ret)->pid;
	return rc;
}

void ph_run_limit(struct ph_run *r, int64_t limit_ms)
{
	r->deadline_ms = limit_ms > 0 ? ph_deadline(limit_ms) : PH_NEVER;
}

static void run_kill(struct ph_run *r)
{
	if (r->pid > 0) {
		kill(-r->pid, SIGKILL);
		kill(r->pid, SIGKILL);
	}
}

int ph_run_write(struct ph_run *r, const void *p, size_t n)
{
	const char *s = p;

	while (n > 0) {
		ssize_t done;
		int rc;

		if (r->in < 0)
			return -EPIPE;
		done = write(r->in, s, n);
		if (done > 0) {
			s += done;
			n -= (size_t)done;
			continue;
		}
		if (errno == EINTR)
			continue;
		rc = errno == EAGAIN ? ph_fd_wait(r->in, EV_WRITE, r->deadline_ms) : -errno;
		if (rc == -ETIMEDOUT) {
			r->timed_out = true;
			run_kill(r);
		}
		if (rc < 0) {
			close_fd(&r->in);
			return rc;
		}
	}
	return 0;
}

int ph_run_read(struct ph_run *r, void *p, size_t n, int64_t deadline_ms)
{
	char *at = p;

	if (n > 0 && r->out_w.fd != r->out) {
		int rc = ph_fdw_open(&r->out_w, r->out, false);

		if (rc < 0)
			return rc;
	}
	while (n > 0) {
		int rc = ph_fdw_wait(&r->out_w, EV_READ, deadline_ms);
		ssize_t got;

		if (rc < 0)
			return rc;
		got = read(r->out, at, n);
		if (got < 0 && errno == EINTR)
			continue;
		ph_fdw_read_done(&r->out_w, got < 0 ? -errno : got, n);
		if (got == 0)
			return -ENODATA;
		if (got < 0 && errno != EAGAIN)
			return -errno;
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		}
	}
	return 0;
}

/* Wait for the child's end; what it started may live on, but is not waited for. */
static int wait_end(struct ph_run *r, int64_t deadline_ms, int *status)
{
	while (r->pid > 0) {
		pid_t got = waitpid(r->pid, status, WNOHANG);
		int rc;

		if (got == r->pid || (got < 0 && errno != EINTR)) {
			r->pid = 0;
			break;
		}
		rc = r->pidfd >= 0 ? ph_fd_wait(r->pidfd, EV_READ, deadline_ms) : ph_co_sleep(5);
		if (rc == -ETIMEDOUT)
			return rc;
		if (rc < 0)
			run_kill(r);    /* cancelled: it must not outlive us */
	}
	return 0;
}

/* Why it did not start: to the log, and what the command itself might have said also to whoever reads its output. */
static void take_report(struct ph_run *r)
{
	const char *syslog_name, *prog;
	char text[600];
	ssize_t n = read(r->report, text, sizeof text - 1);

	if (n <= 0)
		return;
	text[n] = '\0';
	ph_log(PH_LOG_FATAL, "%s", text);
	ph_co_ident(ph_co_self(), &syslog_name, &prog);
	if (strncmp(text, CANNOT_EXEC, sizeof CANNOT_EXEC - 1) == 0)
		ph_buf_printf(&r->output, "%s: fatal: %s\n", prog ? prog : "command", text);
}

int ph_run_end(struct ph_run *r, int *ret_status, const char **ret_output)
{
	close_fd(&r->in);
	*ret_status = 0;
	if (wait_end(r, r->deadline_ms, ret_status) == -ETIMEDOUT) {
		r->timed_out = true;
		run_kill(r);
		wait_end(r, PH_NEVER, ret_status);
	}
	/* A background process may hold the pipe open: what it says a second later is not ours. */
	if (r->reader)
		ph_waitq_wait(&r->done, ph_deadline(1000));
	take_report(r);
	*ret_output = ph_buf_str(&r->output);
	return r->timed_out ? -ETIMEDOUT : 0;
}

void ph_run_free(struct ph_run **rp)
{
	struct ph_run *r = *rp;
	int status;

	*rp = NULL;
	if (!r)
		return;
	run_kill(r);
	wait_end(r, PH_NEVER, &status);
	close_fd(&r->in);
	if (r->reader)
		ph_co_cancel(r->reader);
	while (r->reader)
		ph_waitq_wait(&r->done, ph_deadline(1000));
	ph_fdw_close(&r->out_w);
	close_fd(&r->out);
	close_fd(&r->pidfd);
	close_fd(&r->report);
	ph_buf_done(&r->output);
	free(r);
}
