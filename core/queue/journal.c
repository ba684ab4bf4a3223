/* journal.c: a process's journal: appending, syncing in the background, going on in a new file.
 *
 * Other processes may append to the same file through a descriptor that was handed to them (ph_journal_adopt), so nothing is ever cut
 * back: O_APPEND puts each write behind the others, and a piece that a full disk left behind is skipped by readers.  Blocks are reserved
 * ahead, so that results can be recorded for a while when the disk is full.
 * What is appended is also kept in memory until it is known to be on disk: after a failed fdatasync it is written anew, into a new file.
 * State: struct ph_journal, on the loop's thread; sync jobs on a helper thread own what they name.  ph_journal_sync yields. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <posthouse/co.h>
#include "base/fault.h"
#include "base/loop.h"
#include "base/offload.h"
#include "queue/journal_private.h"

#define NEW_FILE (O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW)
#define JOURNAL_MAGIC 0x57000003u
#define RESERVE ((off_t)256 * 1024)
#define RESERVE_LEAST ((off_t)64 * 1024)
#define BATCH_FLUSH ((size_t)1024 * 1024)
#define BATCH_MAX ((size_t)64 * 1024 * 1024)
#define KEEP_MAX ((size_t)4 * 1024 * 1024)      /* of what is not on disk yet */
#define RETRY_MS 1000

struct ph_journal {
	uint32_t magic;
	int dirfd;                      /* of the queue; -1: adopted */
	unsigned slot;
	uint32_t seq;
	int fd;
	char file[32];
	off_t reserved, used;           /* used: what this process wrote; others only make the reserve end earlier */
	struct ph_buf batch;
	bool flush_set, closing;

	uint64_t appended, synced;      /* bytes ever, over all files */
	struct ph_buf keep;             /* the last of them: from keep_from on */
	uint64_t keep_from;
	bool keep_lost;                 /* there was too much */
	bool rewrite;                   /* a sync failed, and what is kept is not in the current file yet */
	bool dir_dirty, touched;
	bool sync_failed;               /* since ph_journal_sync was last asked */
	struct sync_job *job;           /* NULL: none runs */
	struct ph_timer *timer;
	int *old;                       /* descriptors of files before this one, not synced yet */
	size_t n_old;
	struct ph_waitq waiters;
};

struct sync_job {
	struct ph_journal *j;           /* NULL: it was closed meanwhile */
	int *fds;
	size_t n;
	int dirfd;                      /* of the queue, to sync journal/; -1: not needed */
	uint64_t target;
	int result;
};

static void sync_start(struct ph_journal *j);

/* ---- files -------------------------------------------------------------------------------- */

static uint32_t seq_max(int dirfd, unsigned slot)
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

/* The next file.  0: j->fd, j->file are it; else nothing has changed. */
static int file_make(struct ph_journal *j)
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

static int dir_sync(int dirfd)
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

static struct ph_journal *journal_new(void)
{
	struct ph_journal *j = ph_alloc(sizeof(*j));

	j->magic = JOURNAL_MAGIC;
	j->dirfd = j->fd = -1;
	ph_buf_init(&j->batch, BATCH_MAX);
	ph_buf_init(&j->keep, KEEP_MAX);
	return j;
}

int ph_journal_open(int queue_dirfd, unsigned slot, struct ph_journal **ret, struct ph_err *err)
{
	struct ph_journal *j = journal_new();
	uint32_t now = (uint32_t)(ph_wall_us() / 1000000);
	int r;

	j->dirfd = queue_dirfd;
	j->slot = slot;
	j->seq = seq_max(queue_dirfd, slot);
	if (j->seq < now)
		j->seq = now;           /* names do not come back */
	r = file_make(j);
	if (r == 0)
		r = dir_sync(queue_dirfd);
	if (r < 0) {
		ph_err_errno(err, r, "create journal of slot %u", slot);
		if (j->fd >= 0) {
			unlinkat(queue_dirfd, j->file, 0);
			close(j->fd);
		}
		free(j);
		return r;
	}
	j->dir_dirty = false;
	*ret = j;
	return 0;
}

int ph_journal_adopt(int fd, const char *file, struct ph_journal **ret, struct ph_err *err)
{
	struct ph_journal *j;

	if (!ph_journal_file_valid(file) || strlen(file) >= sizeof(j->file))
		return ph_err_set(err, -EINVAL, "%s: not the name of a journal", file);
	j = journal_new();
	j->fd = fd;
	memcpy(j->file, file, strlen(file) + 1);
	*ret = j;
	return 0;
}

const char *ph_journal_file(const struct ph_journal *j)
{
	return j->file;
}

int ph_journal_fd(const struct ph_journal *j)
{
	return j->fd;
}

/* ---- appending ---------------------------------------------------------------------------- */

/* Blocks for what comes, without a longer file.  When this fails the reserve is used up, and then writing fails. */
static void reserve(struct ph_journal *j)
{
	if (j->dirfd < 0 || j->reserved - j->used >= RESERVE_LEAST)
		return;
	if (fallocate(j->fd, FALLOC_FL_KEEP_SIZE, j->used, RESERVE) == 0)
		j->reserved = j->used + RESERVE;
}

static void keep(struct ph_journal *j, const char *p, size_t n)
{
	if (j->dirfd < 0)
		return;                 /* an adopted one: its owner syncs the file */
	if (!j->keep_lost && ph_buf_append(&j->keep, p, n) < 0)
		j->keep_lost = true;
}

static int write_once(int fd, const char *p, size_t n, size_t *done)
{
	ssize_t r;

	do {
		r = write(fd, p + *done, n - *done);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	*done += (size_t)r;
	return r == 0 ? -EIO : 0;
}

/* One write; the rest of a short one is tried again, and if that fails readers skip the fragment. */
static int put(struct ph_journal *j, const char *p, size_t n)
{
	size_t done = 0;
	int r = ph_fault("journal.write");

	reserve(j);
	if (r == 0 && (r = ph_fault("journal.short")) < 0)
		(void)write_once(j->fd, p, n / 2, &done);
	while (r == 0 && done < n)
		r = write_once(j->fd, p, n, &done);
	j->used += (off_t)done;
	if (r < 0)
		return r;
	j->appended += n;
	keep(j, p, n);
	if (j->dirfd >= 0 && (j->timer == NULL || !ph_timer_is_set(j->timer)) && j->job == NULL)
		ph_journal_touched(j);
	(void)ph_fault("journal.written");
	return 0;
}

static int flush(struct ph_journal *j)
{
	int r;

	if (j->batch.len == 0)
		return 0;
	r = put(j, j->batch.data, j->batch.len);
	if (r == 0) {
		if (j->batch.cap > BATCH_FLUSH)
			ph_buf_done(&j->batch);
		ph_buf_clear(&j->batch);
	}
	return r;
}

static void flush_deferred(void *arg)
{
	struct ph_journal *j = arg;
	int r;

	j->flush_set = false;
	if (j->closing) {
		free(j);
		return;
	}
	r = flush(j);
	if (r == 0)
		return;
	ph_log(PH_LOG_ERROR, "%s: write: %s; trying again", j->file, strerrordesc_np(-r));
	ph_journal_touched(j);
	ph_timer_set(j->timer, ph_now_ms() + RETRY_MS);
}

/* rec goes behind what waits; when that cannot be written it is taken out again. */
int ph_journal_append(struct ph_journal *j, const struct ph_journal_rec *rec, struct ph_err *err)
{
	size_t before = j->batch.len;
	int r;

	ph_assert(j->magic == JOURNAL_MAGIC);
	r = ph_journal_encode(rec, &j->batch);
	if (r == 0)
		r = flush(j);
	if (r == 0)
		return 0;
	if (j->batch.len > before) {
		j->batch.len = before;
		j->batch.data[before] = '\0';
	}
	return ph_err_errno(err, r, "write %s", j->file);
}

int ph_journal_append_batched(struct ph_journal *j, const struct ph_journal_rec *rec, struct ph_err *err)
{
	int r;

	ph_assert(j->magic == JOURNAL_MAGIC);
	r = ph_journal_encode(rec, &j->batch);
	if (r < 0)
		return ph_err_errno(err, r, "write %s", j->file);
	if (j->batch.len >= BATCH_FLUSH && (r = flush(j)) < 0)
		return ph_err_errno(err, r, "write %s", j->file);
	if (!j->flush_set && j->batch.len > 0) {
		j->flush_set = true;
		ph_loop_defer(flush_deferred, j);
	}
	return 0;
}

int ph_journal_flush(struct ph_journal *j, struct ph_err *err)
{
	int r;

	ph_assert(j->magic == JOURNAL_MAGIC);
	r = flush(j);
	return r < 0 ? ph_err_errno(err, r, "write %s", j->file) : 0;
}

/* ---- syncing ------------------------------------------------------------------------------ */

static void on_timer(void *arg)
{
	struct ph_journal *j = arg;

	if (j->batch.len > 0)
		(void)flush(j);
	if (j->job == NULL)
		sync_start(j);
}

void ph_journal_touched(struct ph_journal *j)
{
	if (j->dirfd < 0)
		return;
	j->touched = true;
	if (j->timer == NULL)
		j->timer = ph_timer_new(on_timer, j);
	if (j->job == NULL && !ph_timer_is_set(j->timer))
		ph_timer_set(j->timer, ph_now_ms() + PH_JOURNAL_SYNC_MS);
}

/* On a helper thread. */
static void sync_run(void *arg)
{
	struct sync_job *job = arg;
	size_t i;

	job->result = ph_fault("journal.sync");
	for (i = 0; i < job->n && job->result == 0; i++)
		if (fdatasync(job->fds[i]) < 0)
			job->result = -errno;
	if (job->result == 0 && job->dirfd >= 0)
		job->result = dir_sync(job->dirfd);
}

static void job_free(struct sync_job *job)
{
	size_t i;

	for (i = 0; i < job->n; i++)
		close(job->fds[i]);
	free(job->fds);
	free(job);
}

static void keep_drop(struct ph_journal *j, uint64_t upto)
{
	if (upto <= j->keep_from)
		return;
	if (j->keep_lost) {
		/* Complete again only when nothing is missing: all of it is on disk. */
		if (upto < j->appended)
			return;
		j->keep_lost = false;
		ph_buf_clear(&j->keep);
	} else {
		ph_buf_consume(&j->keep, (size_t)(upto - j->keep_from));
	}
	j->keep_from = upto;
	if (j->keep.len == 0 && j->keep.cap > 65536)
		ph_buf_done(&j->keep);
}

/* What is not known to be on disk goes into a new file; the old one is not believed in again (what is in it does no harm). */
static int fail_over(struct ph_journal *j)
{
	int old = j->fd, r;
	struct ph_buf again;

	j->rewrite = true;
	r = file_make(j);
	if (r < 0)
		return r;
	close(old);
	while (j->n_old > 0)
		close(j->old[--j->n_old]);
	again = j->keep;
	ph_buf_init(&j->keep, KEEP_MAX);
	j->appended = j->keep_from;
	j->keep_lost = false;
	r = again.len > 0 ? put(j, again.data, again.len) : 0;
	if (r < 0) {
		ph_buf_done(&j->keep);
		j->keep = again;
		j->appended = j->keep_from + again.len;
		return r;
	}
	ph_buf_done(&again);
	j->rewrite = false;
	return 0;
}

static void sync_result(struct ph_journal *j, struct sync_job *job)
{
	int r = job->result;

	if (r == 0) {
		j->synced = job->target;
		keep_drop(j, job->target);
		if (job->dirfd >= 0 && j->n_old == 0)
			j->dir_dirty = false;
		return;
	}
	j->sync_failed = true;
	ph_log(PH_LOG_ERROR, "%s: sync: %s; going on in another file", j->file, strerrordesc_np(-r));
	r = fail_over(j);
	if (r < 0)
		ph_log(PH_LOG_ERROR, "%s: cannot go on in another file: %s", j->file, strerrordesc_np(-r));
}

static void sync_done(void *arg)
{
	struct sync_job *job = arg;
	struct ph_journal *j = job->j;

	if (j) {
		j->job = NULL;
		sync_result(j, job);
		if (j->synced < j->appended || j->touched || j->n_old > 0 || j->batch.len > 0)
			ph_journal_touched(j);
		ph_waitq_wake_all(&j->waiters);
	}
	job_free(job);
}

static struct ph_offload_pool *sync_pool(void)
{
	static struct ph_offload_pool *pool;

	if (pool == NULL)
		pool = ph_offload_pool_new("journal", 1);
	return pool;
}

static void sync_start(struct ph_journal *j)
{
	struct sync_job *job;
	int copy = -1;

	if (!j->rewrite || fail_over(j) == 0)
		copy = fcntl(j->fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0) {                 /* no descriptor or no space left: later */
		ph_timer_set(j->timer, ph_now_ms() + RETRY_MS);
		j->sync_failed = true;
		ph_waitq_wake_all(&j->waiters);
		return;
	}
	if (j->timer)
		ph_timer_clear(j->timer);
	job = ph_alloc(sizeof(*job));
	job->j = j;
	job->fds = j->old;              /* closed when this is done: if it fails they are not believed in any more */
	job->n = j->n_old;
	job->fds = ph_realloc(job->fds, (job->n + 1) * sizeof(job->fds[0]));
	job->fds[job->n++] = copy;
	j->old = NULL;
	j->n_old = 0;
	job->dirfd = j->dir_dirty ? j->dirfd : -1;
	job->target = j->appended;
	j->touched = false;
	j->job = job;
	ph_offload_async(sync_pool(), sync_run, sync_done, job);
}

int ph_journal_sync(struct ph_journal *j, struct ph_err *err)
{
	uint64_t target;
	int r = flush(j);

	ph_assert(j->dirfd >= 0);
	if (r < 0)
		return ph_err_errno(err, r, "write %s", j->file);
	target = j->appended;
	/* A running call may have begun before the last bytes came. */
	while (!j->sync_failed && (j->synced < target || j->dir_dirty || j->n_old > 0)) {
		if (j->timer == NULL)
			ph_journal_touched(j);
		if (j->job == NULL)
			sync_start(j);
		if (j->sync_failed)
			break;
		r = ph_waitq_wait(&j->waiters, INT64_MAX);
		if (r < 0)
			return ph_err_errno(err, r, "sync %s", j->file);
	}
	if (!j->sync_failed)
		return 0;
	j->sync_failed = false;
	return ph_err_set(err, -EIO, "sync of %s failed", j->file);
}

int ph_journal_rotate(struct ph_journal *j, struct ph_err *err)
{
	int old = j->fd, r = flush(j);

	ph_assert(j->dirfd >= 0);
	if (r == 0)
		r = file_make(j);
	if (r < 0)
		return ph_err_errno(err, r, "go on in a new journal after %s", j->file);
	j->old = ph_realloc(j->old, (j->n_old + 1) * sizeof(j->old[0]));
	j->old[j->n_old++] = old;
	ph_journal_touched(j);
	return 0;
}

/* ---- the end ------------------------------------------------------------------------------ */

void ph_journal_close(struct ph_journal **jp)
{
	struct ph_journal *j = *jp;
	struct stat st;
	size_t i;

	if (j == NULL)
		return;
	ph_assert(j->magic == JOURNAL_MAGIC && j->waiters.first == NULL);
	*jp = NULL;
	if (flush(j) < 0)
		ph_log(PH_LOG_ERROR, "%s: %zu bytes could not be written", j->file, j->batch.len);
	if (j->job)
		j->job->j = NULL;
	for (i = 0; i < j->n_old; i++) {
		fdatasync(j->old[i]);
		close(j->old[i]);
	}
	if (j->dirfd >= 0) {
		if (j->reserved > 0 && fstat(j->fd, &st) == 0)
			(void)!ftruncate(j->fd, st.st_size);    /* gives the reserve back; nobody else appends any more */
		fdatasync(j->fd);
	}
	close(j->fd);
	free(j->old);
	ph_buf_done(&j->batch);
	ph_buf_done(&j->keep);
	ph_timer_free(&j->timer);
	j->magic = 0;
	j->closing = true;
	if (!j->flush_set)
		free(j);
}
