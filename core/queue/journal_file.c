/* journal_file.c: the files that journals are: their names, owners, and the folder.  No state but the journal's; any of it blocks. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "queue/journal_private.h"

#define NEW_FILE (O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW)

uint32_t ph_journal_seq_max(int dirfd, unsigned slot)
{
	int fd = openat(dirfd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	uint32_t max = 0, seq;
	struct dirent *e;
	unsigned of;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while ((e = readdir(d)) != NULL)
		if (sscanf(e->d_name, "J%2x.%8x", &of, &seq) == 2 && of == slot && seq > max)
			max = seq;
	closedir(d);
	return max;
}

/* Root, with the files of another for a moment.  The kernel forgets then that we are to end with our parent and may dump core, so both are put
 * back; a parent that died meanwhile takes us with it now. */
static int create_as(const struct stat *owner, int dirfd, const char *name)
{
	int death = 0, dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), fd;
	pid_t parent = getppid();

	prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
	setfsgid(owner->st_gid);
	setfsuid(owner->st_uid);
	fd = openat(dirfd, name, NEW_FILE, 0600);
	if (fd < 0)
		fd = -errno;
	setfsuid(0);
	setfsgid(getegid());
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (death > 0) {
		prctl(PR_SET_PDEATHSIG, death, 0, 0, 0);
		if (getppid() != parent)
			raise(death);
	}
	return fd;
}

/* A new file; the root agent's belongs to the folder's owner from its first moment on, as the queue manager may look at any time. */
static int file_create(int dirfd, const char *name)
{
	struct stat owner;
	int fd;

	if (geteuid() == 0)
		return fstatat(dirfd, "journal", &owner, 0) < 0 ? -errno : create_as(&owner, dirfd, name);
	fd = openat(dirfd, name, NEW_FILE, 0600);
	return fd < 0 ? -errno : fd;
}

int ph_journal_file_make(struct ph_journal *j)
{
	char name[sizeof(j->file)];
	int fd = -1, tries, r;

	r = ph_fault("journal.create");
	if (r < 0)
		return r;
	for (tries = 0; tries < 100 && fd < 0; tries++) {
		snprintf(name, sizeof(name), "journal/J%02x.%08x", j->slot, ++j->seq);
		fd = file_create(j->dirfd, name);
		if (fd < 0 && fd != -EEXIST)
			return fd;
	}
	if (fd < 0)
		return -EEXIST;
	memcpy(j->file, name, sizeof(name));
	j->fd = fd;
	j->reserved = j->used = 0;
	j->dir_dirty = true;
	return 0;
}

int ph_journal_dir_sync(int dirfd)
{
	int r = ph_fault("journal.dirsync"), fd;

	if (r < 0)
		return r;
	fd = openat(dirfd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}
