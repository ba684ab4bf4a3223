/* dirs.c: the folders of a queue directory, and what happens to files in them that are done with.
 * No state; blocks; any thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "queue/store_private.h"

/* ---- folders ------------------------------------------------------------------------------ */

enum who { OWNER, ROOT };

static const struct folder {
	const char *name;
	mode_t mode;
	enum who who;
	bool drop_group;        /* of setgid_group, as in Postfix */
} folders[] = {
	{ "incoming", 0700, OWNER, false },
	{ "spare", 0700, OWNER, false },
	{ "journal", 0700, OWNER, false },
	{ "active", 0700, OWNER, false },
	{ "deferred", 0700, OWNER, false },
	{ "hold", 0700, OWNER, false },
	{ "corrupt", 0700, OWNER, false },
	{ "private", 0700, OWNER, false },
	{ "maildrop", 0730, OWNER, true },
	{ "public", 0710, OWNER, true },
	{ "pid", 0755, ROOT, false },
};

static int folder_make(int dirfd, const struct folder *f, uid_t owner, gid_t drop_group, struct ph_err *err)
{
	struct stat st;
	int fd, r = 0;

	if (mkdirat(dirfd, f->name, f->mode) < 0 && errno != EEXIST)
		return ph_err_errno(err, -errno, "create folder %s", f->name);
	fd = openat(dirfd, f->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return ph_err_errno(err, -errno, "open folder %s", f->name);
	if (fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0 && geteuid() == 0) {
		uid_t uid = f->who == ROOT ? 0 : owner;
		gid_t gid = f->drop_group ? drop_group : st.st_gid;

		if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) < 0)
			r = -errno;
	}
	if (r == 0 && (st.st_mode & 07777) != f->mode && fchmod(fd, f->mode) < 0)
		r = -errno;
	close(fd);
	return r < 0 ? ph_err_errno(err, r, "set owner and mode of folder %s", f->name) : 0;
}

int ph_queue_dirs_make(const char *queue_dir, uid_t owner, gid_t drop_group, struct ph_err *err)
{
	size_t i;
	int fd, r = 0;

	if (mkdir(queue_dir, 0755) < 0 && errno != EEXIST)
		return ph_err_errno(err, -errno, "create queue directory %s", queue_dir);
	fd = open(queue_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ph_err_errno(err, -errno, "open queue directory %s", queue_dir);
	for (i = 0; i < PH_ARRAY_LEN(folders) && r == 0; i++)
		r = folder_make(fd, &folders[i], owner, drop_group, err);
	if (r == 0 && fsync(fd) < 0)
		r = ph_err_errno(err, -errno, "sync queue directory %s", queue_dir);
	close(fd);
	return r;
}

/* ---- what is there ------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t ph_queue_names(int dirfd, const char *folder, const char *prefix, char ***ret)
{
	int fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	char **names = NULL, path[300];
	size_t n = 0;
	struct dirent *e;

	if (d == NULL && fd >= 0)
		close(fd);
	while (d && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		if ((n & (n + 1)) == 0)
			names = ph_realloc(names, (2 * n + 2) * sizeof(*names));
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		names[n++] = ph_strdup(path);
	}
	if (d)
		closedir(d);
	if (n)
		qsort(names, n, sizeof(*names), by_name);
	*ret = names;
	return n;
}

void ph_queue_names_free(char **names, size_t n)
{
	while (n > 0)
		free(names[--n]);
	free(names);
}

uint64_t ph_file_instance(int dirfd, const char *file)
{
	unsigned char page[PH_SEGMENT_START];
	struct ph_file_header h;
	int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = pread(fd, page, sizeof(page), 0);
	close(fd);
	return n == (ssize_t)sizeof(page) && ph_file_header_decode(page, &h) == 1 ? h.instance : 0;
}

/* ---- files that are done with ------------------------------------------------------------- */

static int open_file(int dirfd, const char *file)
{
	struct stat st;
	int fd;

	if (!ph_store_file_valid(file))
		return -EINVAL;
	fd = openat(dirfd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

int ph_segment_idle(int queue_dirfd, const char *file)
{
	int fd = open_file(queue_dirfd, file), r;

	if (fd < 0)
		return fd;
	/* Shared: two that ask at the same time do not take each other for the writer. */
	r = flock(fd, LOCK_SH | LOCK_NB) == 0 ? 1 : errno == EWOULDBLOCK ? 0 : -errno;
	close(fd);
	return r;
}

static int spare_count(int spare)
{
	int fd = openat(spare, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return PH_SPARES_MAX;
	}
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] == 'S';
	closedir(d);
	return n;
}

/* Into spare/ under its own name, when there is room and the file is as it was made. */
static bool recycle(int dirfd, const char *file, const struct stat *st)
{
	int spare = openat(dirfd, "spare", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = false;

	if (spare < 0)
		return false;
	if (st->st_nlink == 1 && st->st_size > 0 && st->st_size % 4096 == 0 && spare_count(spare) < PH_SPARES_MAX)
		ok = renameat2(dirfd, file, spare, strrchr(file, '/') + 1, RENAME_NOREPLACE) == 0;
	close(spare);
	return ok;
}

int ph_segment_discard(int queue_dirfd, const char *file)
{
	int fd = open_file(queue_dirfd, file), r = ph_fault("store.discard");
	struct stat st;

	if (fd < 0)
		return fd;
	if (r == 0 && (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0))
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);              /* and unlock: whoever takes it from spare/ locks it */
	if (r == 0 && (strchr(file, '.') == NULL || !recycle(queue_dirfd, file, &st)))
		r = unlinkat(queue_dirfd, file, 0) < 0 ? -errno : 0;
	return r;
}

/* ---- damage ------------------------------------------------------------------------------- */

static int copy_bytes(int from, int to, uint64_t offset, uint64_t length)
{
	unsigned char *buf = ph_alloc(65536);
	struct iovec iov;
	uint64_t done = 0;
	size_t want;
	ssize_t n;
	int r = 0;

	while (done < length && r == 0) {
		want = length - done < 65536 ? (size_t)(length - done) : 65536;
		n = pread(from, buf, want, (off_t)(offset + done));
		if (n < 0 && errno == EIO && want > 512) {
			want = 512 - (size_t)((offset + done) % 512);
			n = pread(from, buf, want, (off_t)(offset + done));
		}
		if (n < 0 && errno == EIO) {
			memset(buf, 0, want);   /* keep the rest in its place */
			n = (ssize_t)want;
		}
		if (n <= 0) {
			r = n < 0 ? -errno : 0;
			break;
		}
		iov = (struct iovec){ buf, (size_t)n };
		r = ph_pwritev_all(to, &iov, 1, done);
		done += (uint64_t)n;
	}
	free(buf);
	return r;
}

static int quarantine_write(int dirfd, int from, const struct ph_msg_ref *ref, const char *name)
{
	int to = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600), folder, r;

	if (to < 0)
		return -errno;
	r = copy_bytes(from, to, ref->offset, ref->length);
	if (r == 0 && fsync(to) < 0)
		r = -errno;
	close(to);
	if (r < 0) {
		unlinkat(dirfd, name, 0);
		return r;
	}
	folder = openat(dirfd, "corrupt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fsync(folder) < 0)
		r = -errno;
	if (folder >= 0)
		close(folder);
	return r;
}

int ph_store_quarantine(int queue_dirfd, const struct ph_msg_ref *ref, const char *why)
{
	char name[128];
	int from = open_file(queue_dirfd, ref->file), r;

	if (from < 0)
		return from;
	snprintf(name, sizeof(name), "corrupt/%s%s%s.%llx", ref->queue_id, ref->queue_id[0] ? "." : "", strrchr(ref->file, '/') + 1,
		 (unsigned long long)ref->offset);
	r = quarantine_write(queue_dirfd, from, ref, name);
	close(from);
	if (r < 0)
		ph_log(PH_LOG_ERROR, "%s%s%s at %llu: %s; cannot save the %llu damaged bytes: %s", ref->queue_id, ref->queue_id[0] ? ": " : "",
		       ref->file, (unsigned long long)ref->offset, why, (unsigned long long)ref->length, strerrordesc_np(-r));
	else
		ph_log(PH_LOG_WARNING, "%s%s%s at %llu: %s; saved %llu damaged bytes as %s", ref->queue_id, ref->queue_id[0] ? ": " : "",
		       ref->file, (unsigned long long)ref->offset, why, (unsigned long long)ref->length, name);
	return r;
}
