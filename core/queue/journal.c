/* journal.c: a process's journal: appending.
 *
 * Other processes may append to the same file through a descriptor that was handed to them (ph_journal_adopt), so nothing is ever cut
 * back: O_APPEND puts each write behind the others, and a piece that a full disk left behind is skipped by readers.  Blocks are reserved
 * ahead, so that results can be recorded for a while when the disk is full.
 * State: struct ph_journal, on the loop's thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "queue/journal_private.h"

#define RESERVE ((off_t)256 * 1024)
#define RESERVE_LEAST ((off_t)64 * 1024)
#define BATCH_FLUSH ((size_t)1024 * 1024)
#define BATCH_MAX ((size_t)64 * 1024 * 1024)
#define RETRY_MS 1000

/* ---- beginning ---------------------------------------------------------------------------- */

static struct ph_journal *journal_new(void)
{
	struct ph_journal *j = ph_alloc(sizeof(*j));

	j->magic = PH_JOURNAL_MAGIC;
	j->dirfd = j->fd = -1;
	ph_buf_init(&j->batch, BATCH_MAX);
	ph_buf_init(&j->keep, PH_JOURNAL_KEEP_MAX);
	return j;
}

int ph_journal_open(int queue_dirfd, unsigned slot, struct ph_journal **ret, struct ph_err *err)
{
	struct ph_journal *j = journal_new();
	uint32_t now = (uint32_t)(ph_wall_us() / 1000000);
	int r;

	j->dirfd = queue_dirfd;
	j->slot = slot;
	j->seq = ph_journal_seq_max(queue_dirfd, slot);
	if (j->seq < now)
		j->seq = now;           /* names do not come back */
	r = ph_journal_file_make(j);
	if (r == 0)
		r = ph_journal_dir_sync(queue_dirfd);
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

int ph_journal_put(struct ph_journal *j, const char *p, size_t n)
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

int ph_journal_flush_now(struct ph_journal *j)
{
	int r;

	if (j->batch.len == 0)
		return 0;
	r = ph_journal_put(j, j->batch.data, j->batch.len);
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
	r = ph_journal_flush_now(j);
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

	ph_assert(j->magic == PH_JOURNAL_MAGIC);
	r = ph_journal_encode(rec, &j->batch);
	if (r == 0)
		r = ph_journal_flush_now(j);
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

	ph_assert(j->magic == PH_JOURNAL_MAGIC);
	r = ph_journal_encode(rec, &j->batch);
	if (r < 0)
		return ph_err_errno(err, r, "write %s", j->file);
	if (j->batch.len >= BATCH_FLUSH && (r = ph_journal_flush_now(j)) < 0)
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

	ph_assert(j->magic == PH_JOURNAL_MAGIC);
	r = ph_journal_flush_now(j);
	return r < 0 ? ph_err_errno(err, r, "write %s", j->file) : 0;
}

/* ---- the end ------------------------------------------------------------------------------ */

void ph_journal_close(struct ph_journal **jp)
{
	struct ph_journal *j = *jp;
	struct stat st;
	size_t i;

	if (j == NULL)
		return;
	ph_assert(j->magic == PH_JOURNAL_MAGIC && j->waiters.first == NULL);
	*jp = NULL;
	if (ph_journal_flush_now(j) < 0)
		ph_log(PH_LOG_ERROR, "%s: %zu bytes could not be written", j->file, j->batch.len);
	ph_journal_job_leave(j);
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
