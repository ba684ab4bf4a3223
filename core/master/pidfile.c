/* pidfile.c: queue_directory/pid/master.pid: who runs, told by a lock that dies with its holder.  Does not yield. */
#include "master/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int pidfile_path(const char *queue_dir, char *buf, size_t bytes)
{
	return (size_t)snprintf(buf, bytes, "%s/pid/master.pid", queue_dir) < bytes ? 0 : -ENAMETOOLONG;
}

pid_t ph_master_pid(const char *queue_dir, struct ph_err *err)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[4096], text[32] = "";
	pid_t pid = 0;
	int fd;

	if (pidfile_path(queue_dir, path, sizeof path) < 0)
		return ph_err_set(err, -ENAMETOOLONG, "%s: path too long", queue_dir);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : ph_err_errno(err, -errno, "open %s", path);
	if (fcntl(fd, F_GETLK, &fl) == 0 && fl.l_type != F_UNLCK) {
		if (read(fd, text, sizeof text - 1) > 0)
			pid = (pid_t)atoi(text);
		if (pid <= 0)
			pid = fl.l_pid;
	}
	close(fd);
	return pid;
}

int ph_pidfile_lock(const char *queue_dir, struct ph_err *err)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[4096];
	int fd;

	if (pidfile_path(queue_dir, path, sizeof path) < 0)
		return ph_err_set(err, -ENAMETOOLONG, "%s: path too long", queue_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return ph_err_errno(err, -errno, "open %s", path);
	if (fcntl(fd, F_SETLK, &fl) < 0) {
		close(fd);
		return ph_err_set(err, -EAGAIN, "%s is locked: the mail system is already running", path);
	}
	return fd;
}

int ph_pidfile_write(int fd)
{
	char text[64];
	int n = snprintf(text, sizeof text, "%20d\n", (int)getpid());

	return ftruncate(fd, 0) < 0 || pwrite(fd, text, n, 0) != n ? -errno : 0;
}
