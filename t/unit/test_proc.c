/* What has to do with threads, processes and files: helper threads, watchdog, log, faults, clock, ipc, listeners. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/crash.h"
#include "base/fault.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/offload.h"
#include "base/watchdog.h"
#include "net/listen.h"
#include "tap.h"

#define SOON (ph_now_ms() + 10000)

static char dir[] = "/tmp/test_proc.XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[2][128];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static char *slurp(const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void spill(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n)
		abort();
	close(fd);
}

static void nap(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

/* ---- helper threads ------------------------------------------------------------------------ */

static int running, most, finished;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void job(void *arg)
{
	pthread_mutex_lock(&lock);
	if (++running > most)
		most = running;
	pthread_mutex_unlock(&lock);
	nap(2);
	*(bool *)arg = ph_co_self() == NULL;    /* a helper thread is in no coroutine */
	pthread_mutex_lock(&lock);
	running--;
	pthread_mutex_unlock(&lock);
}

static void offloader(void *arg)
{
	bool alone = false;

	ph_offload(job, &alone);
	finished += alone;
}

static void set_flag(void *arg)
{
	*(bool *)arg = true;
}

static void test_offload(void)
{
	bool called = false;
	struct ph_co *co = NULL;
	int i;

	for (i = 0; i < 200; i++)
		co = ph_co_spawn("offloader", offloader, NULL);
	ph_co_sleep(0);
	ph_co_cancel(co);               /* must not leave while the thread holds its memory */
	while (ph_co_count() > 1)
		ph_co_sleep(1);
	tap_ok(finished == 200, "%d of 200 jobs done", finished);
	tap_ok(most > 1 && most <= 4, "by up to 4 threads (%d)", most);
	ph_offload_async(ph_offload_default(), job, set_flag, &called);
	while (!called)
		ph_co_sleep(1);
	tap_ok(called, "without a coroutine");
	tap_ok(ph_offload_pending(ph_offload_default()) == 0, "nothing left");
}

/* ---- log and watchdog ---------------------------------------------------------------------- */

static void log_in_thread(void *arg)
{
	ph_log(PH_LOG_INFO, "from a helper thread");
}

static void hold_the_loop(void *arg)
{
	ph_co_set_ident("postfix-x", "smtpd");
	nap(150);
	ph_co_sleep(0);
}

static void test_log(void)
{
	struct ph_log_config c = { .syslog_name = "postfix", .prog = "qmgr", .maillog_file = in_dir("maillog") };
	uint64_t lost = ph_log_lost();
	char want[64], *text;

	tap_ok(ph_log_open(&c) == 0, "open");
	ph_co_sleep(0);
	ph_log(PH_LOG_INFO, "%s: removed", "ABC");
	ph_log_as("cleanup", PH_LOG_WARNING, "odd\r\nthing\x01");
	ph_log(PH_LOG_DEBUG, "not shown");
	tap_is(slurp(in_dir("maillog")), "", "collected until the end of the turn");
	ph_co_sleep(0);
	text = slurp(in_dir("maillog"));
	snprintf(want, sizeof(want), " postfix/qmgr[%d]: ABC: removed\n", (int)getpid());
	tap_ok(strstr(text, want) != NULL, "identity and text");
	snprintf(want, sizeof(want), " postfix/cleanup[%d]: warning: odd??thing?\n", (int)getpid());
	tap_ok(strstr(text, want) != NULL, "another program, level, control characters");
	tap_ok(text[3] == ' ' && text[6] == ' ' && text[9] == ':' && text[15] == ' ', "date");
	ph_co_set_ident("postfix/submission", "smtpd");
	ph_co_set_debug(true);
	ph_log(PH_LOG_DEBUG, "shown");
	ph_offload(log_in_thread, NULL);
	ph_co_set_debug(false);
	ph_co_set_ident(NULL, NULL);
	text = slurp(in_dir("maillog"));
	tap_ok(strstr(text, "postfix/submission/smtpd[") && strstr(text, "]: shown\n"), "a coroutine's identity and level");
	tap_ok(strstr(text, "from a helper thread\n") && !strstr(text, "qmgr[0]"), "a helper thread's line");
	rename(in_dir("maillog"), in_dir("maillog.1"));
	tap_ok(ph_log_reopen() == 0, "reopen");
	ph_log(PH_LOG_FATAL, "at once");
	tap_ok(strstr(slurp(in_dir("maillog")), "fatal: at once\n") != NULL, "FATAL does not wait, and goes to the new file");
	tap_ok(ph_log_lost() == lost, "nothing lost");
}

static int syslogd(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%.100s", in_dir("log"));
	unlink(sun.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		abort();
	return fd;
}

static const char *datagram(int fd)
{
	static char text[8192];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_syslog(void)
{
	struct ph_log_config c = { .syslog_name = "postfix", .prog = "master" };
	uint64_t lost;
	int fd, i, n;

	setenv("PH_SYSLOG_SOCKET", in_dir("log"), 1);
	fd = syslogd();
	tap_ok(ph_log_open(&c) == 0, "syslog");
	ph_co_sleep(0);
	ph_log(PH_LOG_INFO, "first");
	ph_log(PH_LOG_WARNING, "second");
	ph_co_sleep(0);
	tap_ok(strncmp(datagram(fd), "<22>", 4) == 0, "mail.info");
	tap_ok(strstr(datagram(fd), "second") != NULL, "one datagram a line");
	close(fd);
	fd = syslogd();
	ph_log(PH_LOG_INFO, "to the new one");
	ph_co_sleep(0);
	tap_ok(strstr(datagram(fd), " postfix/master[") != NULL, "syslogd was restarted");
	/* It stops reading: lines wait, and beyond a bound they are counted. */
	for (i = 0; i < 30000; i++)
		ph_log(PH_LOG_INFO, "line %d with some text to fill the buffer up", i);
	ph_co_sleep(0);
	lost = ph_log_lost();
	tap_ok(lost > 0 && lost < 30000, "%llu lines did not fit", (unsigned long long)lost);
	for (n = 0, i = 0; i < 30000 && ph_log_lost() == lost; i++) {
		while (*datagram(fd))
			n++;
		ph_log_flush();
		if (n + (int)lost >= 30001)
			break;
	}
	tap_ok(n + (int)lost == 30001, "all others came later, and a line about the lost ones");
	close(fd);
	unlink(in_dir("log"));
}

static void test_watchdog(void)
{
	int64_t give_up;

	tap_ok(ph_watchdog_start(40) == 0, "watchdog");
	nap(1);
	ph_co_spawn("greedy", hold_the_loop, NULL);
	give_up = ph_now_ms_exact() + 5000;
	while (ph_watchdog_count() == 0 && ph_now_ms_exact() < give_up)
		ph_co_sleep(5);
	ph_co_sleep(0);
	tap_ok(strstr(slurp(in_dir("maillog")), "warning: coroutine greedy held the loop for 1") != NULL,
	       "names the coroutine that held the loop");
	tap_ok(strstr(slurp(in_dir("maillog")), "postfix-x/smtpd[") != NULL, "with its identity");
	ph_watchdog_start(0);
}

static void crash(void *arg)
{
	ph_co_set_ident("postfix-c", "smtpd");
	ph_log(PH_LOG_INFO, "collected before the crash");
	raise(SIGSEGV);
}

static void crash_child(void *arg)
{
	ph_log_open(arg);
	ph_crash_report();
	ph_co_spawn("unlucky", crash, NULL);
	ph_co_sleep(10);
}

static void test_crash(void)
{
	struct ph_log_config c = { .syslog_name = "postfix", .prog = "smtpd", .maillog_file = in_dir("maillog") };
	pid_t pid = fork();
	int status;
	char *text;

	if (pid == 0) {
		ph_run_blocking(crash_child, &c);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "a crash ends the process");
	text = slurp(in_dir("maillog"));
	tap_ok(strstr(text, "collected before the crash\n") != NULL, "lines of its last turn are there");
	tap_ok(strstr(text, "]: panic: signal 11 in coroutine unlucky\n") != NULL && strstr(text, " postfix-c/smtpd["),
	       "and its last words");
}

/* ---- ipc ----------------------------------------------------------------------------------- */

struct ipc_end {
	struct ph_ipc *ipc;
	int frames, fds_good, result;
	size_t bytes;
	bool done;
};

static void ipc_reader(void *arg)
{
	struct ipc_end *e = arg;
	struct ph_slice s;
	uint16_t type;
	char c = 0;
	int fd;

	while ((e->result = ph_ipc_recv(e->ipc, &type, &s, SOON)) == 0) {
		e->frames++;
		e->bytes += s.n;
		if (type == 7) {        /* a pipe with one byte in it: the frame's number */
			fd = ph_ipc_take_fd(e->ipc);
			if (fd >= 0 && read(fd, &c, 1) == 1 && s.n == 1 && c == s.p[0])
				e->fds_good++;
			close(fd);
		}
	}
	ph_ipc_close(&e->ipc);
	e->done = true;
}

static void send_pipe(struct ph_ipc *ipc, char c)
{
	int fds[2];

	if (pipe(fds) < 0 || write(fds[1], &c, 1) != 1)
		abort();
	ph_ipc_send_fd(ipc, 7, &c, 1, fds[0]);
	close(fds[0]);
	close(fds[1]);
}

static void test_ipc(void)
{
	struct ipc_end e = { 0 };
	struct ph_ipc *a;
	char *big = ph_alloc(PH_IPC_FRAME_MAX);
	struct ph_slice s;
	uint16_t type;
	int fds[2], i, full = 0;

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	a = ph_ipc_new(fds[0]);
	e.ipc = ph_ipc_new(fds[1]);
	tap_ok(ph_ipc_recv(a, &type, &s, ph_now_ms() + 10) == -ETIMEDOUT, "nothing there");
	ph_co_spawn("ipc reader", ipc_reader, &e);
	for (i = 0; i < 1000; i++) {
		ph_ipc_send(a, 1, "hello", 5);
		if (i % 100 == 0)
			send_pipe(a, (char)(i / 100));
	}
	tap_ok(ph_ipc_pending(a) > 0, "frames of a turn are collected");
	while (e.frames < 1010)
		ph_co_sleep(0);
	tap_ok(e.bytes == 5010 && e.fds_good == 10, "1000 frames, 10 with a descriptor of their own");
	tap_ok(ph_ipc_send(a, 2, big, PH_IPC_FRAME_MAX) == 0, "the largest frame");
	tap_ok(ph_ipc_drain(a, SOON) == 0 && ph_ipc_pending(a) == 0, "drained");
	tap_ok(ph_ipc_send(a, 2, big, PH_IPC_FRAME_MAX + 1) == -EMSGSIZE, "one byte more is too much");
	while (e.frames < 1011)
		ph_co_sleep(0);
	tap_ok(e.bytes == 5010 + PH_IPC_FRAME_MAX, "came through");
	ph_ipc_set_limit(a, 100000);
	while (full == 0)
		full = ph_ipc_send(a, 3, big, 1000);
	tap_ok(full == -ENOBUFS, "bounded");
	ph_ipc_send(a, 4, NULL, 0);
	ph_ipc_close(&a);
	while (!e.done)
		ph_co_sleep(0);
	tap_ok(e.result == -ENODATA && e.frames > 1050, "what was sent before the close arrives, then the end");
	free(big);
}

static void test_ipc_broken(void)
{
	static const char bad[2][6] = { { 1, 0, 0, 0, 1, 0 }, { 0, 0, 0, 0x70, 1, 0 } };
	static const char no_fd[6] = { 2, 0, 0, 0, 7, (char)0x80 };
	struct ph_ipc *b;
	struct ph_slice s;
	uint16_t type;
	int fds[2], i;

	for (i = 0; i < 2; i++) {
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
		b = ph_ipc_new(fds[1]);
		if (write(fds[0], bad[i], 6) != 6)
			abort();
		tap_ok(ph_ipc_recv(b, &type, &s, SOON) == -EPROTO, "a length that cannot be (%d)", i);
		tap_ok(ph_ipc_send(b, 1, "x", 1) == -EPROTO, "breaks the connection");
		ph_ipc_close(&b);
		close(fds[0]);
	}
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	b = ph_ipc_new(fds[1]);
	if (write(fds[0], no_fd, 6) != 6)
		abort();
	tap_ok(ph_ipc_recv(b, &type, &s, SOON) == -EPROTO, "a descriptor that did not come");
	ph_ipc_close(&b);
	close(fds[0]);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	b = ph_ipc_new(fds[1]);
	if (write(fds[0], bad[0], 3) != 3)
		abort();
	close(fds[0]);
	tap_ok(ph_ipc_recv(b, &type, &s, SOON) == -ECONNRESET, "the end in the middle of a frame");
	ph_ipc_close(&b);
}

/* ---- listeners ----------------------------------------------------------------------------- */

static int accepted;

static void on_accept(void *arg, struct ph_stream *s)
{
	accepted++;
	ph_stream_close(&s);
}

static void test_listener(void)
{
	struct ph_endpoint e;
	struct ph_stream *c[8] = { NULL };
	struct ph_listener *l;
	struct ph_err err = { 0 };
	struct rlimit old, few;
	struct stat st;
	int fd, i, n = 0, closed = 0;

	fd = ph_listen_unix(in_dir("sock"), 0600, 50, &err);
	tap_ok(fd >= 0, "listen: %s", err.text);
	tap_ok(stat(in_dir("sock"), &st) == 0 && (st.st_mode & 0777) == 0600, "permissions");
	tap_ok(ph_listen_unix(in_dir("sock"), 0600, 50, &err) == -EADDRINUSE, "in use: %s", err.text);
	close(accept(fd, NULL, NULL));  /* the probe whether somebody listens */
	l = ph_listener_start(fd, on_accept, NULL);
	ph_endpoint_unix(&e, in_dir("sock"));
	for (i = 0; i < 8; i++)
		n += ph_stream_connect(&e, NULL, SOON, &c[i], &err) == 0;
	while (accepted < 8)
		ph_co_sleep(0);
	tap_ok(n == 8 && accepted == 8, "8 connections");
	for (i = 0; i < 8; i++)
		ph_stream_close(&c[i]);
	ph_listener_pause(l);
	tap_ok(ph_stream_connect(&e, NULL, SOON, &c[0], &err) == 0, "a connection while paused");
	ph_co_sleep(5);
	tap_ok(accepted == 8, "waits");
	ph_listener_resume(l);
	while (accepted < 9)
		ph_co_sleep(0);
	tap_ok(accepted == 9, "until resumed");
	ph_stream_close(&c[0]);

	/* No descriptor left: clients are turned away, not left hanging. */
	ph_listener_pause(l);
	for (i = 0; i < 8; i++)
		ph_stream_connect(&e, NULL, SOON, &c[i], &err);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	n = fcntl(0, F_DUPFD, 0);
	close(n);
	few.rlim_cur = (rlim_t)n;
	setrlimit(RLIMIT_NOFILE, &few);
	ph_listener_resume(l);
	for (i = 0; i < 8; i++)
		closed += ph_stream_fill(c[i], SOON) == 0;
	setrlimit(RLIMIT_NOFILE, &old);
	for (i = 0; i < 8; i++)
		ph_stream_close(&c[i]);
	tap_ok(closed == 8 && accepted == 9, "out of descriptors: %d clients turned away", closed);
	ph_co_sleep(0);
	tap_ok(strstr(slurp(in_dir("maillog")), "accept connection: Too many open files") != NULL, "logged");
	tap_ok(ph_stream_connect(&e, NULL, SOON, &c[0], &err) == 0, "later");
	while (accepted < 10)
		ph_co_sleep(0);
	tap_ok(accepted == 10, "all is well again");
	ph_stream_close(&c[0]);
	ph_listener_free(&l);
	close(fd);
	fd = ph_listen_unix(in_dir("sock"), 0600, 50, &err);
	tap_ok(fd >= 0, "a stale socket file is replaced");
	close(fd);
}

/* ---- signals and single descriptors ---------------------------------------------------------- */

static void on_usr1(int signo, void *arg)
{
	*(int *)arg = signo;
}

static void test_signal_and_fd(void)
{
	int got = 0, fds[2];

	ph_signal_on(SIGUSR1, on_usr1, &got);
	raise(SIGUSR1);
	while (got == 0)
		ph_co_sleep(1);
	tap_ok(got == SIGUSR1, "a signal");
	ph_signal_on(SIGUSR1, NULL, NULL);
	if (pipe(fds) < 0)
		abort();
	tap_ok(ph_fd_wait(fds[0], EV_READ, ph_now_ms() + 10) == -ETIMEDOUT, "nothing to read");
	tap_ok(ph_fd_wait(fds[1], EV_WRITE, SOON) == 0, "room to write");
	if (write(fds[1], "x", 1) != 1)
		abort();
	tap_ok(ph_fd_wait(fds[0], EV_READ, SOON) == 0, "readable");
	close(fds[0]);
	close(fds[1]);
}

static void all_tests(void *arg)
{
	test_syslog();
	test_log();
	test_crash();
	test_offload();
	test_watchdog();
	test_ipc();
	test_ipc_broken();
	test_listener();
	test_signal_and_fd();
}

/* ---- faults and the clock: in children, as both read the environment before main() ------------- */

static int child(char **argv, const char *what, const char *name, const char *value)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		setenv(name, value, 1);
		execl("/proc/self/exe", argv[0], what, value, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int fault_child(void)
{
	int hits[4], i;

	for (i = 0; i < 4; i++)
		hits[i] = ph_fault("store.sync");
	if (hits[0] || hits[1] != -EIO || hits[2] || hits[3])
		return 1;
	for (i = 0; i < 3; i++)
		if (ph_fault("disk") != -ENOSPC)
			return 2;
	if (ph_fault("other"))
		return 3;
	ph_fault("die");
	return 4;
}

static int fault_file_child(const char *path)
{
	spill(path, "p=EIO:*\n", 8);
	if (ph_fault("p") != -EIO)
		return 1;
	spill(path, "", 0);
	if (ph_fault("p") != 0)
		return 2;
	spill(path, "q=ENOSPC p=EDQUOT:2", 19);
	if (ph_fault("p") != 0 || ph_fault("p") != -EDQUOT || ph_fault("q") != -ENOSPC)
		return 3;
	return 0;
}

static const char *clock_path;

static void hour_passes(void *arg)
{
	int64_t hour = 3600000;
	int fd = open(clock_path, O_WRONLY);

	nap(20);
	/* In place: truncated, the mapped page would not exist for a moment. */
	if (pwrite(fd, &hour, sizeof(hour), 0) != sizeof(hour))
		abort();
	close(fd);
}

static void clock_main(void *arg)
{
	int64_t wall = ph_wall_us(), start = ph_now_ms();

	ph_offload_async(ph_offload_default(), hour_passes, set_flag, arg);
	ph_co_sleep(3000000);
	*(bool *)arg = ph_now_ms() - start >= 3000000 && ph_wall_us() - wall >= 3000000000;
}

static int clock_child(const char *path)
{
	bool good = false;

	clock_path = path;
	alarm(20);
	ph_run_blocking(clock_main, &good);
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	int64_t zero = 0;

	if (argc > 2 && strcmp(argv[1], "fault") == 0)
		return fault_child();
	if (argc > 2 && strcmp(argv[1], "fault_file") == 0)
		return fault_file_child(argv[2]);
	if (argc > 2 && strcmp(argv[1], "clock") == 0)
		return clock_child(argv[2]);
	if (mkdtemp(dir) == NULL)
		abort();
	tap_ok(ph_fault("anything") == 0, "no faults unless asked for");
	tap_ok(child(argv, "fault", "PH_FAULT", "store.sync=EIO:2,disk=ENOSPC:*,die=kill") == -SIGKILL, "faults");
	tap_ok(child(argv, "fault_file", "PH_FAULT_FILE", in_dir("faults")) == 0, "faults switched live");
	spill(in_dir("clock"), &zero, sizeof(zero));
	tap_ok(child(argv, "clock", "PH_CLOCK_FILE", in_dir("clock")) == 0, "an hour passes in no time");
	ph_run_blocking(all_tests, NULL);
	unlink(in_dir("maillog"));
	unlink(in_dir("maillog.1"));
	unlink(in_dir("sock"));
	unlink(in_dir("faults"));
	unlink(in_dir("clock"));
	rmdir(dir);
	return tap_done();
}
