/* postconf_file.c: replace a configuration file: written beside it, synced, renamed.  A reader sees the old one or the new one.
 *
 * The lock is on the new file (FILE.tmp), as with Postfix: two editors do not lose each other's changes. */
#include "cmd/postconf_file.h"
#include "cmd/postconf.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *concat(const char *a, const char *b)
{
	size_t n = strlen(a) + strlen(b) + 1;
	char *s = ph_alloc(n);

	snprintf(s, n, "%s%s", a, b);
	return s;
}

static const char *unfinished;          /* FILE.tmp while it is ours: goes when we end early */

static void drop_unfinished(void)
{
	if (unfinished)
		unlink(unfinished);
}

/* When the one before us has renamed its file, ours is no longer FILE.tmp: start over. */
static int open_locked(const char *path)
{
	struct stat a, b;
	int fd;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			pc_fatal("open %s: %s", path, strerror(errno));
		if (flock(fd, LOCK_EX) < 0)
			pc_fatal("lock %s: %s", path, strerror(errno));
		if (fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev)
			return fd;
		close(fd);
	}
}

void pc_file_open(struct pc_file *f, const char *dir, const char *name)
{
	struct ph_err err;
	char *slash = concat(dir, "/");

	memset(f, 0, sizeof(*f));
	f->path = concat(slash, name);
	free(slash);
	f->target = realpath(f->path, NULL);
	if (f->target == NULL)
		pc_fatal("open %s: %s", f->path, strerror(errno));
	f->tmp = concat(f->target, ".tmp");
	f->fd = open_locked(f->tmp);
	unfinished = f->tmp;
	atexit(drop_unfinished);
	ph_buf_init(&f->text, PH_MAX_CONFIG_BYTES);
	if (ph_config_read_file(f->path, &f->text, &err) < 0)
		pc_fatal("%s", err.text);
	if (memchr(ph_buf_str(&f->text), '\0', f->text.len))
		pc_fatal("%s: there is a NUL byte in this file", f->path);
}

static void fail(const struct pc_file *f, const char *what)
{
	pc_fatal("%s %s: %s", what, f->tmp, strerror(errno));
}

static void write_all(const struct pc_file *f, const char *p, size_t n)
{
	ssize_t k;

	while (n > 0) {
		k = write(f->fd, p, n);
		if (k < 0 && errno != EINTR)
			fail(f, "write");
		if (k > 0) {
			p += k;
			n -= (size_t)k;
		}
	}
}

static void sync_folder(const struct pc_file *f)
{
	char *copy = ph_strdup(f->target);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(copy);
}

void pc_file_replace(struct pc_file *f, const struct ph_buf *text)
{
	struct stat st;

	if (stat(f->target, &st) < 0)
		fail(f, "stat");
	if (ftruncate(f->fd, 0) < 0)
		fail(f, "truncate");
	write_all(f, ph_buf_str(text), text->len);
	/* Only the owner can be kept by root alone. */
	if (fchown(f->fd, st.st_uid, st.st_gid) < 0 && geteuid() == 0)
		fail(f, "chown");
	if (fchmod(f->fd, st.st_mode & 07777) < 0)
		fail(f, "chmod");
	if (fsync(f->fd) < 0)
		fail(f, "fsync");
	if (rename(f->tmp, f->target) < 0)
		fail(f, "rename");
	unfinished = NULL;
	sync_folder(f);
	close(f->fd);
	free(f->path);
	free(f->target);
	free(f->tmp);
	ph_buf_done(&f->text);
}
