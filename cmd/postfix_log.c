/* postfix_log.c: "postfix logrotate": rename maillog_file, let everybody go on in a new one, compress the old one.  Source: postfix(1). */
#include "cmd/postfix_log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NEW_FILE_MS 10000
#define SETTLE_MS 1000          /* what was being written when the file was renamed */

/* The administrator's format: strftime makes of it what it makes. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static int rotated_name(const struct ph_general_settings *g, char *buf, size_t size, struct ph_err *err)
{
	char suffix[256];
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	if (strftime(suffix, sizeof suffix, g->maillog_file_rotate_suffix, &tm) == 0 || strchr(suffix, '/'))
		return ph_err_set(err, -EINVAL, "maillog_file_rotate_suffix = %s: not part of a file's name", g->maillog_file_rotate_suffix);
	if ((size_t)snprintf(buf, size, "%s.%s", g->maillog_file, suffix) >= size)
		return ph_err_set(err, -ENAMETOOLONG, "%s: too long", g->maillog_file);
	return 0;
}

static void wait_ms(long ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* Without a running system nobody writes. */
static int switch_file(const struct ph_general_settings *g, pid_t master, struct ph_err *err)
{
	struct stat st;

	if (master <= 0)
		return 0;
	if (kill(master, SIGUSR1) < 0)
		return ph_err_errno(err, -errno, "signal process %d", (int)master);
	for (int ms = 0; ms < NEW_FILE_MS; ms += 20) {
		if (stat(g->maillog_file, &st) == 0) {
			wait_ms(SETTLE_MS);
			return 0;
		}
		wait_ms(20);
	}
	return ph_err_set(err, -ETIMEDOUT, "%s was not made anew within %d s", g->maillog_file, NEW_FILE_MS / 1000);
}

static int compress(const char *program, char *file, struct ph_err *err)
{
	char *argv[] = { (char *)(uintptr_t)program, file, NULL };
	int status = 0;
	pid_t pid;

	if (!*program)
		return 0;
	pid = fork();
	if (pid == 0) {
		execvp(program, argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return ph_err_errno(err, -errno, "%s", program);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return ph_err_set(err, -EIO, "%s %s failed", program, file);
	return 0;
}

int ph_log_rotate(const struct ph_general_settings *g, pid_t master, struct ph_err *err)
{
	char name[4200];
	int rc;

	if (!*g->maillog_file)
		return ph_err_set(err, -EINVAL, "empty parameter value for \"maillog_file\"");
	if (strncmp(g->maillog_file, "/dev/", 5) == 0)
		return ph_err_set(err, -EINVAL, "not rotating '%s'", g->maillog_file);
	rc = rotated_name(g, name, sizeof name, err);
	if (rc == 0 && renameat2(AT_FDCWD, g->maillog_file, AT_FDCWD, name, RENAME_NOREPLACE) < 0)
		rc = ph_err_errno(err, -errno, "logfile '%s' rotation failed: rename to %s", g->maillog_file, name);
	if (rc == 0)
		rc = switch_file(g, master, err);
	return rc < 0 ? rc : compress(g->maillog_file_compressor, name, err);
}
