/* syncshim: LD_PRELOADed into a process, keeps beside its files what a power failure would leave of them.
 *
 * SYNCSHIM_ROOT: folder whose files are watched.  SYNCSHIM_SHADOW: where this goes: i.<inode> holds those bytes of a file that were synced,
 * d.<name> the entries ("inode name" lines) that the folder had when it was last synced.  Nothing is really synced: what is
 * acknowledged is what the shadow has.  Kill the process at any time; then whatever differs between the real folder (which lives on in
 * the page cache) and the shadow is what a disk may or may not have had. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#pragma GCC visibility push(default)    /* these take libc's place */

#define FILES 65536

static struct file {
	ino_t ino;
	off_t from, to;         /* written and not synced */
} files[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *shadow;
static int shadow_fd = -1;

static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);

__attribute__((constructor)) static void init(void)
{
	real_pwritev = (ssize_t (*)(int, const struct iovec *, int, off_t))dlsym(RTLD_NEXT, "pwritev");
	real_pwrite = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
	real_write = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
	real_ftruncate = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate");
	real_fallocate = (int (*)(int, int, off_t, off_t))dlsym(RTLD_NEXT, "fallocate");
	root = getenv("SYNCSHIM_ROOT");
	shadow = getenv("SYNCSHIM_SHADOW");
	if (shadow)
		shadow_fd = open(shadow, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The path of an open file below root; NULL: not ours. */
static const char *path_of(int fd, char *buf, size_t n)
{
	char link[64];
	ssize_t r;

	if (shadow_fd < 0 || root == NULL)
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	r = readlink(link, buf, n - 1);
	if (r <= 0)
		return NULL;
	buf[r] = '\0';
	return strncmp(buf, root, strlen(root)) == 0 ? buf : NULL;
}

/* Under the lock. */
static struct file *file_of(int fd)
{
	struct stat st;
	char path[4096];
	size_t i;

	if (shadow_fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	for (i = st.st_ino % FILES; files[i].ino != 0; i = (i + 1) % FILES)
		if (files[i].ino == st.st_ino)
			return &files[i];
	if (path_of(fd, path, sizeof(path)) == NULL)
		return NULL;
	files[i].ino = st.st_ino;
	/* Held as long as we live, so that the number does not come back for another file. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (open(path, O_PATH | O_CLOEXEC) < 0)
		abort();
	return &files[i];
}

static void dirty(int fd, off_t from, off_t bytes)
{
	struct file *f;
	int saved = errno;

	pthread_mutex_lock(&lock);
	f = file_of(fd);
	if (f && bytes > 0) {
		if (f->to == f->from) {
			f->from = from;
			f->to = from + bytes;
		} else {
			f->from = from < f->from ? from : f->from;
			f->to = from + bytes > f->to ? from + bytes : f->to;
		}
	}
	pthread_mutex_unlock(&lock);
	errno = saved;
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	ssize_t r = real_pwritev(fd, iov, n, off);

	if (r > 0)
		dirty(fd, off, r);
	return r;
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
	return pwritev(fd, iov, n, off);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	ssize_t r = real_pwrite(fd, p, n, off);

	if (r > 0)
		dirty(fd, off, r);
	return r;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t off)
{
	return pwrite(fd, p, n, off);
}

ssize_t write(int fd, const void *p, size_t n)
{
	ssize_t r;
	off_t end;

	if (!real_write)
		init();
	r = real_write(fd, p, n);
	if (r > 0 && fd > 2 && (end = lseek(fd, 0, SEEK_CUR)) >= r)
		dirty(fd, end - r, r);
	return r;
}

int ftruncate(int fd, off_t size)
{
	return real_ftruncate(fd, size);        /* the size is taken over by the next sync */
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

static int shadow_open(ino_t ino)
{
	char name[64];

	snprintf(name, sizeof(name), "i.%lu", (unsigned long)ino);
	return openat(shadow_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void sync_file(int fd)
{
	char buf[65536];
	struct stat st;
	struct file *f;
	off_t from = 0, to = 0;
	ssize_t n;
	int out;

	pthread_mutex_lock(&lock);
	f = file_of(fd);
	if (f) {
		from = f->from;
		to = f->to;
		f->from = f->to = 0;
	}
	pthread_mutex_unlock(&lock);
	/* After the range: no smaller than what it covers. */
	if (!f || fstat(fd, &st) < 0)
		return;
	out = shadow_open(st.st_ino);
	if (out < 0)
		abort();
	for (; from < to; from += n) {
		n = pread(fd, buf, to - from < (off_t)sizeof(buf) ? (size_t)(to - from) : sizeof(buf), from);
		if (n <= 0)
			break;
		if (real_pwrite(out, buf, (size_t)n, from) != n)
			abort();
	}
	if (real_ftruncate(out, st.st_size) < 0)
		abort();
	close(out);
}

static void sync_folder(int fd)
{
	char path[4096], name[4200], temp[4220];
	const char *base;
	struct dirent *e;
	DIR *d;
	FILE *f;

	if (path_of(fd, path, sizeof(path)) == NULL)
		return;
	base = strrchr(path, '/');
	snprintf(name, sizeof(name), "%s/d.%s", shadow, base ? base + 1 : path);
	snprintf(temp, sizeof(temp), "%s.%d", name, (int)gettid());
	f = fopen(temp, "w");
	d = opendir(path);
	if (!f || !d)
		abort();
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			fprintf(f, "%lu %s\n", (unsigned long)e->d_ino, e->d_name);
	closedir(d);
	fclose(f);
	if (rename(temp, name) < 0)
		abort();
}

/* One at a time.  A sync of the kernel's returns when all that was written before it is on the disk, whoever writes it out: of two at the same time
 * none may come back before the other's bytes are there, and an older list of a folder may not take the place of a newer one. */
static int sync_any(int fd)
{
	static pthread_mutex_t syncing = PTHREAD_MUTEX_INITIALIZER;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	pthread_mutex_lock(&syncing);
	if (S_ISDIR(st.st_mode))
		sync_folder(fd);
	else if (S_ISREG(st.st_mode))
		sync_file(fd);
	pthread_mutex_unlock(&syncing);
	return 0;
}

int fsync(int fd)
{
	return sync_any(fd);
}

int fdatasync(int fd)
{
	return sync_any(fd);
}
