/* newfile.c: see newfile.h.  Owns the temporary file until commit or done.  Only llock may yield. */
#include "newfile.h"

#include <posthouse/co.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_STEP_MS 20

int lnewfile_open(struct lnewfile *f, const char *path, unsigned perm, struct ph_err *err)
{
	size_t n = strlen(path) + sizeof ".XXXXXX";
	int fd;

	f->path = ph_strdup(path);
	f->temp = ph_alloc(n);
	snprintf(f->temp, n, "%s.XXXXXX", path);
	fd = mkostemp(f->temp, O_CLOEXEC);
	if (fd < 0) {
		int r = ph_err_errno(err, -errno, "open database %s", path);

		free(f->temp);
		f->temp = NULL;
		return r;
	}
	if (fchmod(fd, perm & 0777) < 0) {
		int r = ph_err_errno(err, -errno, "chmod %s", f->temp);

		close(fd);
		return r;
	}
	close(fd);
	return 0;
}

static int sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? ph_strndup(path, (size_t)(slash - path) + 1) : ph_strdup(".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

	free(dir);
	if (fd < 0 || fsync(fd) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	return r == -EINVAL ? 0 : r;    /* file systems that cannot sync a folder */
}

int lnewfile_commit(struct lnewfile *f, struct ph_err *err)
{
	int fd = open(f->temp, O_RDWR | O_CLOEXEC), r = 0;

	if (fd < 0 || fsync(fd) < 0)
		r = ph_err_errno(err, -errno, "sync %s", f->temp);
	if (fd >= 0)
		close(fd);
	if (r == 0 && rename(f->temp, f->path) < 0)
		r = ph_err_errno(err, -errno, "rename %s to %s", f->temp, f->path);
	if (r == 0) {
		free(f->temp);
		f->temp = NULL;
		r = sync_folder(f->path);
		if (r < 0)
			ph_err_errno(err, r, "sync the folder of %s", f->path);
	}
	return r;
}

void lnewfile_done(struct lnewfile *f)
{
	if (f->temp)
		unlink(f->temp);
	free(f->temp);
	free(f->path);
	f->temp = f->path = NULL;
}

int lnewfile_copy(struct lnewfile *f, int fd, struct ph_err *err)
{
	int out = open(f->temp, O_WRONLY | O_CLOEXEC), r = 0;
	char *buf = ph_alloc(1 << 16);
	off_t at = 0;
	ssize_t n;

	if (out < 0)
		r = ph_err_errno(err, -errno, "open %s", f->temp);
	while (r == 0 && (n = pread(fd, buf, 1 << 16, at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || write(out, buf, (size_t)n) != n)
			r = ph_err_errno(err, errno ? -errno : -ENOSPC, "copy to %s", f->temp);
		else
			at += n;
	}
	if (out >= 0)
		close(out);
	free(buf);
	return r;
}

static int try_lock(int fd, enum llock_style style, bool exclusive)
{
	struct flock l = { .l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET };

	if (style == LLOCK_FLOCK)
		return flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 ? 0 : -errno;
	return fcntl(fd, F_OFD_SETLK, &l) == 0 ? 0 : -errno;
}

int llock(int fd, enum llock_style style, bool exclusive, int64_t wait_ms)
{
	int64_t deadline = ph_now_ms_exact() + wait_ms;
	int r;

	while ((r = try_lock(fd, style, exclusive)) == -EWOULDBLOCK || r == -EACCES || r == -EINTR) {
		if (wait_ms <= 0 || ph_now_ms_exact() >= deadline)
			return -ETIMEDOUT;
		if (ph_co_self()) {
			r = ph_co_sleep(LOCK_STEP_MS);
			if (r < 0)
				return r;
		} else {
			nanosleep(&(struct timespec){ .tv_nsec = LOCK_STEP_MS * 1000000L }, NULL);
		}
	}
	return r;
}

void lunlock(int fd, enum llock_style style)
{
	struct flock l = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (style == LLOCK_FLOCK)
		flock(fd, LOCK_UN);
	else
		fcntl(fd, F_OFD_SETLK, &l);
}

bool lfile_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}
