/* mapfile.h: a temporary folder and the files in it, for the tests of tables. */
#ifndef T_UNIT_MAPFILE_H
#define T_UNIT_MAPFILE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char tmp_dir[256];

__attribute__((unused))
static void tmp_start(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(tmp_dir, sizeof tmp_dir, "%s/ph-test-XXXXXX", base ? base : "/tmp");
	if (mkdtemp(tmp_dir) == NULL) {
		perror(tmp_dir);
		exit(1);
	}
}

__attribute__((unused))
static void tmp_end(void)
{
	char cmd[300];

	snprintf(cmd, sizeof cmd, "rm -rf '%s'", tmp_dir);
	if (system(cmd) != 0)
		perror(cmd);
}

/* The path of a file in the folder; four of them are good at a time. */
__attribute__((unused))
static const char *tmp_path(const char *name)
{
	static char bufs[4][400];
	static int next;
	char *b = bufs[next++ % 4];

	snprintf(b, sizeof bufs[0], "%s/%s", tmp_dir, name);
	return b;
}

/* Write a file, with its time put secs into the past. */
__attribute__((unused))
static const char *tmp_write(const char *name, const char *text, int secs_ago)
{
	const char *path = tmp_path(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	struct timespec ts[2];

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		perror(path);
		exit(1);
	}
	clock_gettime(CLOCK_REALTIME, &ts[0]);
	ts[0].tv_sec -= secs_ago;
	ts[1] = ts[0];
	futimens(fd, ts);
	close(fd);
	return path;
}
#endif
