/* box.c: see box.h. */
#define _GNU_SOURCE 1           /* renameat2, F_OFD_SETLK */
#include "box.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int box_fail(struct box *b, enum ph_delivery_status status, const char *dsn, const char *fmt, ...) PH_PRINTF(4, 5);
static int box_fail(struct box *b, enum ph_delivery_status status, const char *dsn, const char *fmt, ...)
{
	va_list ap;

	b->status = status;
	snprintf(b->dsn, sizeof b->dsn, "%s", dsn);
	va_start(ap, fmt);
	vsnprintf(b->text, sizeof b->text, fmt, ap);
	va_end(ap);
	return -1;
}

/* Which failures are the recipient's (5), and which ones pass (4). */
static int box_errno(struct box *b, const char *dsn, const char *fmt, ...) PH_PRINTF(3, 4);
static int box_errno(struct box *b, const char *dsn, const char *fmt, ...)
{
	int e = errno;
	char what[sizeof b->text - 100];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (e == EFBIG)
		dsn = "5.2.2";
	else if (e == EDQUOT)
		dsn = "4.2.2";
	else if (e == EAGAIN || e == ESTALE || e == EINTR || e == EEXIST)
		dsn = "4.2.0";
	else if (e == ENOSPC || e == EIO || e == ENOMEM || e == EMFILE || e == ENFILE || e == EROFS || e == ENETDOWN || e == ETIMEDOUT)
		dsn = "4.3.0";
	b->access = e == EACCES || e == EPERM;
	return box_fail(b, dsn[0] == '4' ? PH_DEFERRED : PH_BOUNCED, dsn, "%s: %s", what, strerror(e));
}

const char *box_diagnostic(const char *text)
{
	return strncmp(text, "error writing message", 21) == 0 ? "x-unix; input/output error" : NULL;
}

/* ---- locks ---- */

static void lock_pause(const struct box *b)
{
	struct timespec t = { b->lock_delay_ms / 1000, (b->lock_delay_ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* Somebody died with it.  A link is not followed, and what cannot be removed (a folder, another user's in a sticky folder) is a lock. */
static bool removed_stale(const struct box *b)
{
	struct stat sb;

	return lstat(b->lock, &sb) == 0 && (time(NULL) - sb.st_mtime) * 1000 > b->stale_ms && unlink(b->lock) == 0;
}

static int dotlock(struct box *b)
{
	int fd, e = EEXIST;

	snprintf(b->lock, sizeof b->lock, "%.1000s.lock", b->path);
	for (int i = 0; i < b->lock_attempts; i++) {
		fd = open(b->lock, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0) {
			close(fd);
			return 0;
		}
		e = errno;
		if (e != EEXIST)
			break;
		if (!removed_stale(b))
			lock_pause(b);
	}
	errno = e;
	if (e == EEXIST)
		box_fail(b, PH_DEFERRED, "4.2.0", "unable to create lock file %s: %s", b->lock, strerror(e));
	else
		box_errno(b, "5.2.0", "unable to create lock file %s", b->lock);
	b->lock[0] = '\0';
	return -1;
}

/* Each of these belongs to the open file: it keeps out other programs, whichever kind of fcntl lock they use, and what else this process does with the
 * same mailbox.  (A plain fcntl lock would belong to the process: a second delivery would get it, too, and the first close() drop it.) */
static int kernel_lock(struct box *b)
{
	bool use_fcntl = strstr(b->locks, "fcntl"), use_flock = strstr(b->locks, "flock");

	for (int i = 0; i < b->lock_attempts; i++) {
		struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

		if ((!use_fcntl || fcntl(b->fd, F_OFD_SETLK, &fl) == 0) && (!use_flock || flock(b->fd, LOCK_EX | LOCK_NB) == 0))
			return 0;
		lock_pause(b);
	}
	return box_fail(b, PH_DEFERRED, "4.2.0", "unable to lock for exclusive access: %s", strerror(errno));
}

/* ---- mbox ---- */

/* What was opened, before anything is done to it.  A name that somebody else can change between two system calls must not matter: the
 * descriptor is what counts, and the name must still lead to it. */
static int mbox_check(struct box *b)
{
	struct stat sb, named;

	if (fstat(b->fd, &sb) < 0)
		return box_errno(b, "4.2.0", "cannot open file");
	b->is_file = S_ISREG(sb.st_mode);
	if (b->readable && !b->is_file)
		return box_fail(b, PH_DEFERRED, "4.2.0", "file status changed unexpectedly");
	if (b->is_file && sb.st_nlink != 1)
		return box_fail(b, PH_BOUNCED, "5.2.0", "file has %lu hard links", (unsigned long)sb.st_nlink);
	if (!b->through_link && (lstat(b->path, &named) < 0 || named.st_dev != sb.st_dev || named.st_ino != sb.st_ino))
		return box_fail(b, PH_DEFERRED, "4.2.0", "file status changed unexpectedly");
	if (!b->any_file && !b->is_file)
		return box_fail(b, PH_BOUNCED, "5.2.0", "destination %s is not a regular file", b->path);
	if (!b->any_file && b->strict_owner && sb.st_uid != b->uid)
		return box_fail(b, PH_DEFERRED, "4.2.0", "destination %s is not owned by recipient", b->path);
	if (b->any_file && b->is_file && (sb.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return box_fail(b, PH_BOUNCED, "5.7.1", "file is executable");
	if (b->is_file && kernel_lock(b) < 0)
		return -1;
	if (fstat(b->fd, &sb) < 0)
		return box_errno(b, "4.2.0", "cannot open file");
	b->start = b->size = b->is_file ? sb.st_size : 0;
	if (b->limit > 0 && b->start > b->limit)
		return box_fail(b, PH_BOUNCED, "5.2.2", "%s is full", b->any_file ? "file" : "mailbox");
	return 0;
}

/* A link is only followed where root made it in a folder that nobody else can write to. */
static bool trusted_link(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[1024];
	struct stat sb;

	if (!slash || (size_t)(slash - path) >= sizeof dir || lstat(path, &sb) < 0 || sb.st_uid != 0)
		return false;
	snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	return stat(dir, &sb) == 0 && sb.st_uid == 0 && !(sb.st_mode & (S_IWGRP | S_IWOTH));
}

/* To append to.  A file can be read, too, where that is allowed (see mbox_mend); a FIFO must not be: without a reader it is to be refused. */
static int open_append(struct box *b, int more)
{
	const int flags = O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | more;
	struct stat sb;
	int fd = -1;

	b->readable = (more & O_CREAT) || (stat(b->path, &sb) == 0 && S_ISREG(sb.st_mode));
	if (b->readable)
		fd = open(b->path, O_RDWR | flags, 0600);
	if (b->readable && fd < 0 && errno == EACCES)
		b->readable = false;
	else if (b->readable)
		return fd;
	return open(b->path, O_WRONLY | flags, 0600);
}

static int mbox_open_file(struct box *b)
{
	struct stat sb;

	b->through_link = false;
	b->fd = open_append(b, O_NOFOLLOW);
	if (b->fd < 0 && errno == ENOENT) {
		b->fd = open_append(b, O_CREAT | O_EXCL);
		if (b->fd < 0 && errno != EEXIST)
			return box_errno(b, "5.2.0", "cannot create file exclusively");
		/* Somebody else made it just now.  If it is gone again, the mail waits. */
		if (b->fd < 0 && (b->fd = open_append(b, O_NOFOLLOW)) < 0 && errno == ENOENT)
			errno = EEXIST;
	}
	if (b->fd < 0 && errno == ELOOP) {
		if (stat(b->path, &sb) < 0)
			return box_errno(b, "5.2.0", "cannot open file");
		if (!trusted_link(b->path))
			return box_fail(b, PH_BOUNCED, "5.2.0", "file is a symbolic link");
		b->through_link = true;
		b->fd = open_append(b, 0);
	}
	return b->fd < 0 ? box_errno(b, "5.2.0", "cannot open file") : 0;
}

static int put(struct box *b, const char *p, size_t n);

/* Somebody died while he appended, and left half a line: what follows must begin a line of its own, or it would be part of that message.  What cannot be
 * read stays as it is. */
static int mbox_mend(struct box *b)
{
	char last;

	if (!b->readable || b->start == 0 || pread(b->fd, &last, 1, b->start - 1) != 1 || last == '\n')
		return 0;
	return put(b, "\n\n", 2);
}

static bool is_device(const char *path)
{
	struct stat sb;

	return stat(path, &sb) == 0 && !S_ISREG(sb.st_mode);
}

static int mbox_open(struct box *b)
{
	if (strstr(b->locks, "dotlock") && dotlock(b) < 0) {
		if (!b->any_file || errno == EEXIST || strstr(b->text, strerror(EEXIST)))
			return -1;
		if (!b->access || !is_device(b->path))  /* /dev/null has nobody's lock beside it */
			snprintf(b->warning, sizeof b->warning, "%s", b->text);
	}
	if (mbox_open_file(b) < 0) {
		box_abort(b);
		return -1;
	}
	if (mbox_check(b) < 0) {
		b->is_file = false;     /* nothing to take back */
		box_abort(b);
		return -1;
	}
	if (mbox_mend(b) < 0) {
		box_abort(b);
		return -1;
	}
	return 0;
}

/* ---- Maildir ---- */

/* path and what is missing above it. */
static int make_dirs(char *path)
{
	char *slash = strrchr(path, '/');
	int rc;

	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT || !slash || slash == path)
		return -1;
	*slash = '\0';
	rc = make_dirs(path);
	*slash = '/';
	return rc < 0 || (mkdir(path, 0700) < 0 && errno != EEXIST) ? -1 : 0;
}

static int maildir_make(struct box *b, const char *sub)
{
	char path[1100];

	snprintf(path, sizeof path, "%s%s", b->path, sub);
	return make_dirs(path);
}

/* A file could not be made there. */
static int maildir_denied(struct box *b, const char *path)
{
	box_errno(b, "5.2.0", "create maildir file %s", path);
	if (b->access)
		snprintf(b->warning, sizeof b->warning, "maildir access problem for UID/GID=%lu/%lu: %.600s", (unsigned long)geteuid(), (unsigned long)getegid(),
			b->text);
	return -1;
}

static int maildir_open(struct box *b)
{
	static _Atomic unsigned counter;
	struct timeval tv;

	for (int try = 0; try < 2; try++) {
		gettimeofday(&tv, NULL);
		snprintf(b->temp, sizeof b->temp, "%stmp/%lu.P%dQ%uM%lu.%s", b->path, (unsigned long)tv.tv_sec, (int)syscall(SYS_gettid), counter++,
			(unsigned long)tv.tv_usec, b->hostname);
		b->fd = open(b->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (b->fd >= 0)
			return 0;
		if (errno != ENOENT || maildir_make(b, "tmp") < 0)
			break;
	}
	maildir_denied(b, b->temp);
	b->temp[0] = '\0';
	return -1;
}

/* The name holds the file's own number, so nothing can be there; and if it were, it would not be overwritten. */
static int maildir_move(struct box *b, const char *final)
{
	if (renameat2(AT_FDCWD, b->temp, AT_FDCWD, final, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	return link(b->temp, final) < 0 || unlink(b->temp) < 0 ? -1 : 0;
}

static int maildir_commit(struct box *b)
{
	char final[1200], dir[1100];
	struct timeval tv;
	struct stat sb;

	gettimeofday(&tv, NULL);
	if (fsync(b->fd) < 0 || fstat(b->fd, &sb) < 0)
		return box_errno(b, "4.2.0", "fsync %s", b->temp);
	snprintf(final, sizeof final, "%snew/%lu.V%lxI%lxM%lu.%s", b->path, (unsigned long)tv.tv_sec, (unsigned long)sb.st_dev,
		(unsigned long)sb.st_ino, (unsigned long)tv.tv_usec, b->hostname);
	if (maildir_move(b, final) < 0) {
		if (errno != ENOENT)
			goto fail;
		if (maildir_make(b, "cur") < 0 || maildir_make(b, "new") < 0 || maildir_move(b, final) < 0)
			return maildir_denied(b, final);
	}
	b->temp[0] = '\0';
	if (b->sync_dir) {
		int fd, rc;

		box_dir(b, dir, sizeof dir);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		rc = fd < 0 ? -1 : fsync(fd);
		if (fd >= 0)
			close(fd);
		if (rc < 0)
			goto fail;
	}
	return 0;
fail:
	return box_errno(b, "4.2.0", "link to %s", final);
}

int box_limit_check(const struct ph_conf *conf, const char *name, int64_t limit, struct ph_err *err)
{
	const char *text = ph_conf_get(conf, "message_size_limit");
	int64_t message;

	if (limit <= 0 || !text || ph_str_int64(text, 0, INT64_MAX, &message) < 0)
		return 0;
	if (message == 0)
		return ph_err_set(err, -EINVAL, "configuration error: %s is limited but message_size_limit is unlimited", name);
	if (limit < message)
		return ph_err_set(err, -EINVAL, "configuration error: %s is smaller than message_size_limit", name);
	return 0;
}

void box_dir(const struct box *b, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%snew", b->path);
}

/* ---- both ---- */

int box_open(struct box *b)
{
	size_t n = strlen(b->path);

	b->fd = -1;
	b->lock[0] = b->temp[0] = b->warning[0] = '\0';
	b->access = false;
	b->begins_line = b->ended_line = true;
	b->held = 0;
	if (n == 0 || n > 1000)
		return box_fail(b, PH_DEFERRED, "4.2.0", "the path is empty or too long");
	b->is_maildir = b->path[n - 1] == '/';
	return b->is_maildir ? maildir_open(b) : mbox_open(b);
}

static int put(struct box *b, const char *p, size_t n)
{
	b->size += (int64_t)n;
	if (b->is_file && b->limit > 0 && b->size > b->limit) {
		errno = EFBIG;
		return box_errno(b, "5.2.2", "error writing message");
	}
	while (n > 0) {
		ssize_t w = write(b->fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return box_errno(b, "4.3.0", "error writing message");
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static const char from[] = "From ";

/* What was held back turns out to be the start of a "From " line, or of another one.  Returns how much of p belongs to it; negative: an error.  Nothing is
 * held then, unless the piece ends first. */
static ssize_t put_held(struct box *b, const char *p, size_t n)
{
	size_t k = 0;

	while (k < n && b->held < 5 && p[k] == from[b->held])
		k++, b->held++;
	if (k == n && b->held < 5)
		return (ssize_t)k;
	if ((b->held == 5 && put(b, ">", 1) < 0) || put(b, from, b->held) < 0)
		return -1;
	b->held = 0;
	b->begins_line = false;
	return (ssize_t)k;
}

/* Lines that begin with "From " are marked; what lies between two of them is one write.  Up to five bytes at the start of a line are held back where a
 * piece ends before it is clear what they are. */
static int put_quoted(struct box *b, const char *p, size_t n)
{
	const char *end = p + n, *start, *nl;
	ssize_t k;

	while (b->held > 0 && p < end) {
		k = put_held(b, p, (size_t)(end - p));
		if (k < 0)
			return -1;
		p += k;
	}
	for (start = p; p < end; p = nl ? nl + 1 : end) {
		size_t left = (size_t)(end - p), same = left < 5 ? left : 5;

		if (b->begins_line && memcmp(p, from, same) == 0) {
			if (put(b, start, (size_t)(p - start)) < 0)
				return -1;
			k = put_held(b, p, left);
			if (k < 0)
				return -1;
			start = p += k;
			if (p == end)
				return 0;
		}
		nl = memchr(p, '\n', (size_t)(end - p));
		b->begins_line = nl != NULL;
	}
	return put(b, start, (size_t)(end - start));
}

int box_top(struct box *b, const char *text)
{
	return put(b, text, strlen(text));
}

int box_write(struct box *b, const void *p, size_t n)
{
	if (n > 0)
		b->ended_line = ((const char *)p)[n - 1] == '\n';
	return b->is_maildir ? put(b, p, n) : put_quoted(b, p, n);
}

int box_commit(struct box *b)
{
	int rc = 0;

	if (b->is_maildir) {
		rc = maildir_commit(b);
	} else {
		if (b->held > 0)
			rc = put(b, "From ", b->held);
		if (rc == 0)
			rc = put(b, b->ended_line ? "\n" : "\n\n", b->ended_line ? 1 : 2);
		if (rc == 0 && b->is_file && fsync(b->fd) < 0)
			rc = box_errno(b, "4.3.0", "error writing message");
	}
	if (rc < 0) {
		box_abort(b);
		return -1;
	}
	close(b->fd);
	b->fd = -1;
	if (b->lock[0])
		unlink(b->lock);
	b->status = PH_SENT;
	return 0;
}

void box_abort(struct box *b)
{
	/* Half a message must not stay. */
	if (b->fd >= 0 && b->is_file && ftruncate(b->fd, b->start) < 0)
		snprintf(b->text, sizeof b->text, "%.600s cannot be cut back: %s", b->path, strerror(errno));
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
	if (b->temp[0])
		unlink(b->temp);
	if (b->lock[0])
		unlink(b->lock);
	b->temp[0] = b->lock[0] = '\0';         /* a second time it would be somebody else's */
}
