/* log.c: log lines, their identity, and batching.
 *
 * Lines of one loop turn are collected and go out with one write (maillog_file) or one sendmmsg (syslog); lines
 * from helper threads, after FATAL and PANIC, and while no loop runs go out at once.  A sink that does not take them
 * (disk full, syslogd gone) must not stop the mail: what does not fit into the bounded buffer is counted and reported.
 * State: one sink per process, under a lock, as any thread may log.  No yield. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/format.h"
#include "base/log.h"
#include "base/log_rotate.h"
#include "base/log_sink.h"
#include "base/loop.h"
#include "base/str.h"

#define LINE_MAX_BYTES 4096
#define FLUSH_BYTES 65536

static struct {
	pthread_mutex_t lock;
	char *syslog_name, *prog;
	bool also_stderr, only_stderr, discard, opened, immediate, stderr_full_name;
	enum ph_log_level stderr_from;
	int verbose;
	int pid;
	char host[128];
	time_t stamp_s;                 /* the second that stamp shows */
	char stamp[20];
	char line[LINE_MAX_BYTES];      /* scratch: coroutine stacks are small */
	struct ph_log_sink sink;
} lg = { .lock = PTHREAD_MUTEX_INITIALIZER, .immediate = true };

static __thread const char *thread_syslog_name, *thread_prog;
static pthread_t loop_thread;

/* ---- opening ------------------------------------------------------------------------------ */

static void at_exit(void)
{
	ph_log_flush();
}

/* The child must not write what its parent has collected. */
static void fork_prepare(void)
{
	pthread_mutex_lock(&lg.lock);
	ph_log_sink_flush(&lg.sink);
}

static void fork_parent(void)
{
	pthread_mutex_unlock(&lg.lock);
}

static void fork_child(void)
{
	ph_log_sink_forget(&lg.sink);
	ph_log_follow_forget();
	lg.immediate = true;
	lg.pid = (int)getpid();
	loop_thread = pthread_self();
	pthread_mutex_unlock(&lg.lock);
}

__attribute__((constructor)) static void log_init(void)
{
	lg.pid = (int)getpid();
	loop_thread = pthread_self();
	ph_log_sink_init(&lg.sink);
	atexit(at_exit);
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static void replace(char **slot, const char *text)
{
	free(*slot);
	*slot = text ? ph_strdup(text) : NULL;
}

int ph_log_open(const struct ph_log_config *config)
{
	char *dot;
	int r;

	pthread_mutex_lock(&lg.lock);
	ph_log_sink_flush(&lg.sink);
	replace(&lg.syslog_name, config->syslog_name);
	replace(&lg.prog, config->prog);
	lg.also_stderr = config->also_stderr;
	lg.only_stderr = config->only_stderr;
	lg.stderr_from = config->stderr_from;
	lg.stderr_full_name = config->stderr_full_name;
	lg.discard = config->discard;
	if (gethostname(lg.host, sizeof(lg.host) - 1) < 0)
		strcpy(lg.host, "localhost");
	dot = strchr(lg.host, '.');
	if (dot)
		*dot = '\0';
	tzset();                        /* before a chroot hides the time zone's file */
	r = 0;
	if (!lg.only_stderr && !lg.discard)
		r = ph_log_sink_open(&lg.sink, config->maillog_file, config->maillog_mode, config->postlog_socket,
				     config->facility ? config->facility : LOG_MAIL);
	lg.opened = true;
	pthread_mutex_unlock(&lg.lock);
	return r;
}

int ph_log_reopen(void)
{
	int r;

	pthread_mutex_lock(&lg.lock);
	r = ph_log_sink_reopen(&lg.sink);
	pthread_mutex_unlock(&lg.lock);
	return r;
}

int ph_log_fd(void)
{
	return lg.sink.fd;
}

void ph_log_set_fd(int fd)
{
	pthread_mutex_lock(&lg.lock);
	ph_log_sink_set_fd(&lg.sink, fd);
	pthread_mutex_unlock(&lg.lock);
}

void ph_log_set_immediate(bool on)
{
	pthread_mutex_lock(&lg.lock);
	lg.immediate = on;
	if (on)
		ph_log_sink_flush(&lg.sink);
	pthread_mutex_unlock(&lg.lock);
}

void ph_log_set_verbose(int level)
{
	lg.verbose = level;
}

void ph_log_set_thread_ident(const char *syslog_name, const char *prog)
{
	thread_syslog_name = syslog_name;
	thread_prog = prog;
}

bool ph_log_debug_on(void)
{
	const struct ph_co *co = ph_co_self();

	return lg.verbose > 0 || (co && ph_co_debug(co));
}

uint64_t ph_log_lost(void)
{
	return lg.sink.lost;
}

/* ---- one line ----------------------------------------------------------------------------- */

static const char *const level_words[] = { "", "", "warning: ", "error: ", "fatal: ", "panic: " };
static const int level_syslog[] = { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR, LOG_CRIT, LOG_CRIT };

static void stamp_update(void)
{
	time_t now = (time_t)(ph_wall_us() / 1000000);
	struct tm tm;

	if (now == lg.stamp_s)
		return;
	lg.stamp_s = now;
	localtime_r(&now, &tm);
	strftime(lg.stamp, sizeof(lg.stamp), "%b %e %H:%M:%S", &tm);
}

/* *syslog_name: NULL, or what is to stand there in any case. */
static void find_ident(const char **syslog_name, const char **prog)
{
	const struct ph_co *co = ph_co_self();
	const char *sn = NULL, *p = NULL, *given = *syslog_name;

	if (co)
		ph_co_ident(co, &sn, &p);
	else
		sn = thread_syslog_name, p = thread_prog;
	if (sn == NULL)
		sn = lg.syslog_name;
	if (p == NULL)
		p = lg.prog ? lg.prog : program_invocation_short_name;
	if (*prog == NULL)
		*prog = p;
	else if (co && ph_co_as_ident(co))
		sn = ph_co_as_ident(co);
	*syslog_name = given ? given : sn;
}

/* "Nov 23 23:45:01 host postfix/smtpd[123]: warning: text\n"; *text_at: where the level's word starts. */
PH_PRINTF(5, 0)
static size_t format_line(const char *syslog_name, const char *prog, enum ph_log_level level, size_t *text_at, const char *fmt, va_list ap)
{
	const size_t size = sizeof(lg.line) - 1;        /* room for the newline */
	size_t at, word;
	int n;

	find_ident(&syslog_name, &prog);
	stamp_update();
	n = ph_snprintf(lg.line, size, "%s %s %s%s%s[%d]: ", lg.stamp, lg.host, syslog_name ? syslog_name : "",
			syslog_name ? "/" : "", prog, lg.pid);
	at = n < 0 ? 0 : (size_t)n < size - 64 ? (size_t)n : size - 64;
	*text_at = at;
	word = strlen(level_words[level]);
	memcpy(lg.line + at, level_words[level], word);
	at += word;
	n = ph_vsnprintf(lg.line + at, size - at, fmt, ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= size - at) {
		n = (int)(size - at - 1);
		memcpy(lg.line + size - 4, "...", 3);
	}
	ph_str_make_printable(lg.line + at, lg.line + at, (size_t)n, true);
	at += (size_t)n;
	lg.line[at++] = '\n';
	return at;
}

static void to_stderr(const char *prog, const char *text, size_t n)
{
	char head[128];
	struct iovec_pair { const char *p; size_t n; } part[2];
	const char *syslog_name = NULL;
	int i;

	find_ident(&syslog_name, &prog);
	part[0].p = head;
	if (lg.stderr_full_name && syslog_name)
		part[0].n = (size_t)snprintf(head, sizeof(head), "%.60s/%.60s: ", syslog_name, prog);
	else
		part[0].n = (size_t)snprintf(head, sizeof(head), "%.60s: ", prog);
	part[1].p = text;
	part[1].n = n;
	for (i = 0; i < 2; i++) {
		ssize_t r = write(STDERR_FILENO, part[i].p, part[i].n);

		if (r < 0)
			return;
	}
}

PH_PRINTF(1, 2)
static void add_own_line(const char *fmt, ...)
{
	size_t n, text_at;
	va_list ap;

	va_start(ap, fmt);
	n = format_line(NULL, NULL, PH_LOG_WARNING, &text_at, fmt, ap);
	va_end(ap);
	ph_log_sink_add(&lg.sink, level_syslog[PH_LOG_WARNING], lg.line, n);
}

/* The master has opened the file anew.  Under the lock. */
static void follow(void)
{
	int fd = ph_log_rotate_take();

	if (fd >= 0)
		ph_log_sink_switch(&lg.sink, fd);
}

/* Under the lock. */
static void flush_locked(void)
{
	struct ph_log_sink *k = &lg.sink;

	if (ph_log_rotate_asked())
		follow();
	ph_log_sink_flush(k);
	if (k->lost == k->lost_told || k->pending.len > 0)
		return;
	k->lost_told = k->lost;         /* the sink takes lines again */
	add_own_line("%llu log lines have been lost so far", (unsigned long long)k->lost);
	ph_log_sink_flush(k);
}

PH_PRINTF(4, 0)
static void log_line(const char *syslog_name, const char *prog, enum ph_log_level level, const char *fmt, va_list ap)
{
	int saved = errno;
	size_t n, text_at;

	if (level == PH_LOG_DEBUG && !ph_log_debug_on())
		return;
	pthread_mutex_lock(&lg.lock);
	errno = saved;                  /* for %m */
	n = format_line(syslog_name, prog, level, &text_at, fmt, ap);
	if (((lg.also_stderr || lg.only_stderr) && level >= lg.stderr_from) || !lg.opened)
		to_stderr(prog, lg.line + text_at, n - text_at);
	if (lg.opened && !lg.only_stderr && !lg.discard) {
		ph_log_sink_add(&lg.sink, level_syslog[level], lg.line, n);
		if (lg.immediate || level >= PH_LOG_FATAL || lg.sink.pending.len >= FLUSH_BYTES ||
		    !pthread_equal(pthread_self(), loop_thread))
			flush_locked();
	}
	pthread_mutex_unlock(&lg.lock);
	errno = saved;
}

void ph_log(enum ph_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(NULL, NULL, level, fmt, ap);
	va_end(ap);
}

void ph_log_as(const char *prog, enum ph_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(NULL, prog, level, fmt, ap);
	va_end(ap);
}

void ph_log_under(const char *syslog_name, enum ph_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(syslog_name, NULL, level, fmt, ap);
	va_end(ap);
}

void ph_log_relay(const char *line, size_t n)
{
	const size_t size = sizeof(lg.line) - 1;
	size_t at;

	while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\0'))
		n--;
	if (n == 0)
		return;
	pthread_mutex_lock(&lg.lock);
	stamp_update();
	at = (size_t)ph_snprintf(lg.line, size, "%s %s ", lg.stamp, lg.host);
	if (n > size - at)
		n = size - at;
	ph_str_make_printable(lg.line + at, line, n, true);
	at += n;
	lg.line[at++] = '\n';
	if (lg.opened && !lg.only_stderr && !lg.discard)
		ph_log_sink_add(&lg.sink, level_syslog[PH_LOG_INFO], lg.line, at);
	pthread_mutex_unlock(&lg.lock);
}

/* Called at the end of every turn: without the lock when there is nothing to do. */
void ph_log_flush(void)
{
	if (!atomic_load_explicit(&lg.sink.dirty, memory_order_relaxed))
		return;
	pthread_mutex_lock(&lg.lock);
	flush_locked();
	pthread_mutex_unlock(&lg.lock);
}

static size_t crash_part(size_t at, const char *text)
{
	size_t n = text ? strnlen(text, sizeof(lg.line) - at - 1) : 0;

	if (n > 0)
		memcpy(lg.line + at, text, n);
	return at + n;
}

/* The stamp is that of the last line: localtime takes locks. */
void ph_log_crash(const char *syslog_name, const char *prog, const char *pid, const char *text)
{
	const char *const parts[] = { lg.stamp, " ", lg.host, " ", syslog_name ? syslog_name : lg.syslog_name, "/",
				      prog ? prog : lg.prog, "[", pid, "]: ", text, "\n" };
	size_t n = 0, i;

	if (pthread_mutex_trylock(&lg.lock) != 0)
		return;                 /* the crash is in the log itself */
	for (i = 0; i < PH_ARRAY_LEN(parts); i++)
		n = crash_part(n, parts[i]);
	if (!lg.opened || lg.only_stderr || lg.also_stderr)
		to_stderr(prog, text, strlen(text));
	if (lg.opened && !lg.only_stderr && n > 0)
		ph_log_sink_crash(&lg.sink, lg.line, n);
	pthread_mutex_unlock(&lg.lock);
}
