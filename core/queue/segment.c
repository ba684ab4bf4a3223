/* segment.c: the files that segments live in: made or recycled, appended to, left.
 *
 * Everything here blocks and runs on helper threads (or at the end of the process); it touches only what it is handed.
 * A segment is made under a name of its own in spare/, made durable with its header, and then renamed: what stands in incoming/ always has the
 * header of this use of the file. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "queue/store_private.h"

#define ZERO_STEP ((uint64_t)1024 * 1024)
#define IOV_AT_ONCE 1024                /* IOV_MAX */

static const unsigned char zeros[65536];

/* ---- writing ------------------------------------------------------------------------------ */

static ssize_t pwritev_some(int fd, const struct iovec *iov, size_t n, uint64_t offset)
{
	ssize_t r;

	do {
		r = pwritev(fd, iov, n > IOV_AT_ONCE ? IOV_AT_ONCE : (int)n, (off_t)offset);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return -EIO;            /* cannot happen with bytes to write; never spin */
	return r < 0 ? -errno : r;
}

int ph_pwritev_all(int fd, struct iovec *iov, size_t n, uint64_t offset)
{
	size_t done;
	ssize_t r;

	while (n > 0) {
		if (iov->iov_len == 0) {
			iov++;
			n--;
			continue;
		}
		r = pwritev_some(fd, iov, n, offset);
		if (r < 0)
			return (int)r;
		offset += (uint64_t)r;
		for (done = (size_t)r; n > 0 && done >= iov->iov_len; iov++, n--)
			done -= iov->iov_len;
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= done;
		}
	}
	return 0;
}

static int write_zeros(int fd, uint64_t from, uint64_t to)
{
	struct iovec iov;
	uint64_t n;
	int r = 0;

	for (; from < to && r == 0; from += n) {
		n = to - from < sizeof(zeros) ? to - from : sizeof(zeros);
		iov = (struct iovec){ (void *)(uintptr_t)zeros, (size_t)n };
		r = ph_pwritev_all(fd, &iov, 1, from);
	}
	return r;
}

static int sync_file(int fd, const char *point)
{
	int r = ph_fault(point);

	if (r < 0)
		return r;
	return fdatasync(fd) < 0 ? -errno : 0;
}

/* ---- appending ---------------------------------------------------------------------------- */

/* Half of the bytes, then an error: what a full disk leaves behind. */
static int write_half(struct ph_segfile *seg, struct iovec *iov, size_t n, int r)
{
	iov[n / 2].iov_len /= 2;
	ph_pwritev_all(seg->fd, iov, n / 2 + 1, seg->pos);
	return r;
}

static int append_write(struct ph_segfile *seg, struct iovec *iov, size_t n, uint64_t end)
{
	uint64_t ahead;
	int r = ph_fault("store.write");

	if (r == 0) {
		r = ph_fault("store.short");
		if (r < 0)
			return write_half(seg, iov, n, r);
		r = ph_pwritev_all(seg->fd, iov, n, seg->pos);
	}
	if (r < 0 || end <= seg->zeroed)
		return r;
	/* New blocks cost a journal transaction of the file system in each commit; so get many of them with one. */
	ahead = (end + ZERO_STEP) & ~(uint64_t)4095;
	if (ahead > seg->size)
		ahead = seg->size;
	r = write_zeros(seg->fd, end, ahead);
	if (r == 0)
		seg->zeroed = ahead > end ? ahead : end;
	return r;
}

/* The messages were refused: they must not come back when this file is read after a crash. */
static void append_undo(struct ph_segfile *seg, const struct ph_void *voids, size_t n)
{
	unsigned char rec[PH_VOID_REC];
	int r = ph_fault("store.truncate");
	size_t i;

	if (r == 0 && ftruncate(seg->fd, (off_t)seg->pos) == 0) {
		fsync(seg->fd);
		return;
	}
	for (i = 0; i < n; i++) {
		struct iovec iov = { rec, sizeof(rec) };

		ph_put64(rec + PH_REC_HEAD, voids[i].bytes);
		ph_rec_seal(rec, PH_REC_VOID, 8, seg->instance, voids[i].offset);
		if (ph_pwritev_all(seg->fd, &iov, 1, voids[i].offset) < 0)
			break;
	}
	fdatasync(seg->fd);
}

int ph_segfile_append(struct ph_segfile *seg, struct iovec *iov, size_t n_iov, uint64_t end, const struct ph_void *voids, size_t n_voids)
{
	int r = append_write(seg, iov, n_iov, end);

	if (r == 0)
		r = ph_fault("store.written");
	if (r == 0)
		r = sync_file(seg->fd, "store.sync");
	if (r == 0)
		r = ph_fault("store.synced");
	if (r < 0)
		append_undo(seg, voids, n_voids);
	return r;
}

/* ---- names -------------------------------------------------------------------------------- */

static void segment_name(char *buf, size_t bytes, unsigned slot, uint32_t seq)
{
	snprintf(buf, bytes, "S%02x.%08x", slot, seq);
}

static DIR *dir_open(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

uint32_t ph_segment_seq_max(int dirfd, unsigned slot)
{
	DIR *d = dir_open(dirfd);
	uint32_t max = 0, seq;
	struct dirent *e;
	unsigned of;

	while (d && (e = readdir(d)) != NULL)
		if (sscanf(e->d_name, "S%2x.%8x", &of, &seq) == 2 && of == slot && seq > max)
			max = seq;
	if (d)
		closedir(d);
	return max;
}

void ph_segment_sweep(const struct ph_segdirs *d)
{
	DIR *dir = dir_open(d->spare);
	struct dirent *e;
	unsigned of;

	while (dir && (e = readdir(dir)) != NULL)
		if (sscanf(e->d_name, "N%2x.", &of) == 1 && of == d->slot)
			unlinkat(d->spare, e->d_name, 0);
	if (dir)
		closedir(dir);
}

int ph_spares_drop(int spare_dirfd)
{
	DIR *dir = dir_open(spare_dirfd);
	struct dirent *e;
	int n = 0;

	while (dir && (e = readdir(dir)) != NULL)
		if (e->d_name[0] == 'S' && unlinkat(spare_dirfd, e->d_name, 0) == 0)
			n++;
	if (dir)
		closedir(dir);
	return n;
}

/* ---- making ------------------------------------------------------------------------------- */

/* The header of the use before, so that the new instance is larger; 0: none. */
static uint64_t old_instance(int fd)
{
	unsigned char page[PH_SEGMENT_START];
	struct ph_file_header h;

	if (pread(fd, page, sizeof(page), 0) != (ssize_t)sizeof(page) || ph_file_header_decode(page, &h) != 1)
		return 0;
	return h.instance;
}

/* A spare file under its new name (in spare/), or -1.  Renaming decides between two processes that want the same. */
static int spare_take(const struct ph_segdirs *d, const char *temp)
{
	DIR *dir = dir_open(d->spare);
	struct dirent *e;
	struct stat st;
	int fd = -1;

	while (fd < 0 && dir && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] != 'S' || renameat(d->spare, e->d_name, d->spare, temp) < 0)
			continue;
		fd = openat(d->spare, temp, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
		    (uint64_t)st.st_size == d->segment_bytes && flock(fd, LOCK_EX | LOCK_NB) == 0)
			break;
		if (fd >= 0)
			close(fd);
		fd = -1;
		unlinkat(d->spare, temp, 0);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* Blocks are reserved at once: a full disk shows here, not in the middle of a commit. */
static int fresh_make(const struct ph_segdirs *d, const char *temp)
{
	int fd = openat(d->spare, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), r = 0;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = -errno;
	if (r == 0 && fallocate(fd, 0, 0, (off_t)d->segment_bytes) < 0)
		r = -errno;
	if (r == -EOPNOTSUPP)
		r = ftruncate(fd, (off_t)d->segment_bytes) < 0 ? -errno : 0;
	if (r < 0) {
		close(fd);
		unlinkat(d->spare, temp, 0);
		return r;
	}
	return fd;
}

static int header_write(struct ph_segfile *seg)
{
	unsigned char page[PH_SEGMENT_START];
	struct ph_file_header h = { .instance = seg->instance, .created_us = ph_wall_us() };
	struct iovec iov = { page, sizeof(page) };
	int r;

	memcpy(h.file, seg->file, sizeof(h.file));
	ph_file_header_encode(&h, page);
	r = ph_pwritev_all(seg->fd, &iov, 1, 0);
	if (r == 0 && seg->zeroed < PH_SEGMENT_START + ZERO_STEP) {
		r = write_zeros(seg->fd, seg->zeroed > PH_SEGMENT_START ? seg->zeroed : PH_SEGMENT_START, PH_SEGMENT_START + ZERO_STEP);
		seg->zeroed = PH_SEGMENT_START + ZERO_STEP;
	}
	return r;
}

static int dirs_sync(const struct ph_segdirs *d)
{
	int r = ph_fault("store.dirsync");

	if (r == 0 && (fsync(d->incoming) < 0 || fsync(d->spare) < 0))
		r = -errno;
	return r;
}

/* Give it its number and its place.  A name that is taken moves the number on. */
static int place(const struct ph_segdirs *d, const char *temp, struct ph_segfile *seg, uint32_t *seq)
{
	const char *name = seg->file + 9;
	int tries, r;

	for (tries = 0; tries < 100; tries++) {
		memcpy(seg->file, "incoming/", 9);
		segment_name(seg->file + 9, sizeof(seg->file) - 9, d->slot, ++*seq);
		if (faccessat(d->incoming, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		r = header_write(seg);
		if (r == 0)
			r = ph_fault("store.headsync");
		if (r == 0 && fsync(seg->fd) < 0)
			r = -errno;
		if (r < 0)
			return r;
		if (renameat2(d->spare, temp, d->incoming, name, RENAME_NOREPLACE) == 0)
			break;
		if (errno != EEXIST)
			return -errno;
	}
	if (tries == 100)
		return -EEXIST;
	r = ph_fault("store.named");
	if (r == 0)
		r = dirs_sync(d);
	if (r < 0)
		unlinkat(d->incoming, name, 0);
	return r;
}

int ph_segfile_make(const struct ph_segdirs *d, uint32_t *seq, struct ph_segfile **ret)
{
	struct ph_segfile *seg = ph_alloc(sizeof(*seg));
	char temp[32];
	off_t hole = 0;
	int r = ph_fault("store.create");

	snprintf(temp, sizeof(temp), "N%02x.%08x", d->slot, *seq + 1);
	seg->fd = r < 0 ? r : spare_take(d, temp);
	if (r == 0 && seg->fd >= 0)
		hole = lseek(seg->fd, 0, SEEK_HOLE);    /* reserved blocks that were never written count as a hole */
	else if (r == 0)
		seg->fd = fresh_make(d, temp);
	if (seg->fd < 0) {
		r = seg->fd;
		free(seg);
		return r;
	}
	seg->size = d->segment_bytes;
	seg->zeroed = hole > 0 ? (uint64_t)hole : 0;
	seg->pos = seg->committed = PH_SEGMENT_START;
	seg->instance = ph_instance_new(old_instance(seg->fd));
	r = place(d, temp, seg, seq);
	if (r < 0) {
		unlinkat(d->spare, temp, 0);
		close(seg->fd);
		free(seg);
		return r;
	}
	*ret = seg;
	return 0;
}

/* ---- leaving ------------------------------------------------------------------------------ */

void ph_segfile_leave(const struct ph_segdirs *d, struct ph_segfile **sp, bool complete)
{
	struct ph_segfile *seg = *sp;
	unsigned char rec[PH_REC_HEAD];
	struct iovec iov = { rec, sizeof(rec) };
	const char *name = seg->file + 9;

	*sp = NULL;
	if (seg->committed == PH_SEGMENT_START) {
		/* Nothing was ever acknowledged in it.  A spare must be as sound as its name says. */
		if (!complete || renameat2(d->incoming, name, d->spare, name, RENAME_NOREPLACE) < 0)
			unlinkat(d->incoming, name, 0);
	} else if (complete && seg->pos + sizeof(rec) <= seg->size) {
		ph_rec_seal(rec, PH_REC_CLOSE, 0, seg->instance, seg->pos);
		(void)ph_pwritev_all(seg->fd, &iov, 1, seg->pos);       /* only makes a later check stricter */
	}
	close(seg->fd);
	free(seg);
}
