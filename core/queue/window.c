/* window.c: a file read from front to back in large pieces.  Blocks; any thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "queue/window.h"

#define WINDOW ((size_t)1024 * 1024)
#define BLOCK 4096

static int window_init(struct ph_window *w, int fd)
{
	struct stat st;

	memset(w, 0, sizeof(*w));
	w->fd = fd;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	w->size = (uint64_t)st.st_size;
	w->cap = w->size < WINDOW ? (size_t)w->size + 1 : WINDOW;
	w->buf = ph_alloc(w->cap);
	return 0;
}

int ph_window_open(struct ph_window *w, int dirfd, const char *file)
{
	return window_init(w, openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
}

int ph_window_fd(struct ph_window *w, int fd)
{
	return window_init(w, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

void ph_window_close(struct ph_window *w)
{
	free(w->buf);
	if (w->fd >= 0)
		close(w->fd);
	w->buf = NULL;
	w->fd = -1;
}
/* What the disk cannot read becomes 0xff: no record, and not the emptiness behind the last one. */
static ssize_t read_blocks(struct ph_window *w, unsigned char *to, size_t n, uint64_t at)
{
	size_t done = 0, k;
	ssize_t r;

	while (done < n) {
		k = BLOCK - (size_t)((at + done) % BLOCK);
		if (k > n - done)
			k = n - done;
		r = pread(w->fd, to + done, k, (off_t)(at + done));
		if (r == 0)
			break;
		if (r < 0) {
			memset(to + done, 0xff, k);
			r = (ssize_t)k;
		}
		done += (size_t)r;
	}
	return (ssize_t)done;
}

static ssize_t read_some(struct ph_window *w, unsigned char *to, size_t n, uint64_t at)
{
	ssize_t r;

	do {
		r = ph_fault("store.scan") < 0 ? -1 : pread(w->fd, to, n, (off_t)at);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? read_blocks(w, to, n, at) : r;
}

const unsigned char *ph_window_get(struct ph_window *w, uint64_t at, size_t n)
{
	size_t keep = 0;
	ssize_t r;

	if (at > w->size || n > w->size - at)
		return NULL;
	if (at >= w->at && at + n <= w->at + w->len)
		return w->buf + (at - w->at);
	if (at >= w->at && at < w->at + w->len)
		keep = (size_t)(w->at + w->len - at);
	if (keep > 0)
		memmove(w->buf, w->buf + (at - w->at), keep);
	if (n > w->cap) {
		w->cap = n + WINDOW;
		w->buf = ph_realloc(w->buf, w->cap);
	}
	w->at = at;
	w->len = keep;
	while (w->len < n) {
		r = read_some(w, w->buf + w->len, w->cap - w->len, at + w->len);
		if (r == 0)
			return NULL;    /* became shorter meanwhile */
		w->len += (size_t)r;
	}
	return w->buf;
}
