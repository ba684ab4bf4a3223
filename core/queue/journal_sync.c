/* journal_sync.c: a journal reaches the disk: in the background, or while somebody waits; in a new file after a failure.
 *
 * What is appended is also kept in memory until it is known to be on disk: after a failed fdatasync it is written anew, into a new file.
 * State: struct ph_journal, on the loop's thread; sync jobs on a helper thread own what they name.  ph_journal_sync yields. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/offload.h"
#include "queue/journal_private.h"

#define RETRY_MS 1000

struct ph_journal_sync_job {
	struct ph_journal *j;           /* NULL: it was closed meanwhile */
	int *fds;
	size_t n;
	int dirfd;                      /* of the queue, to sync journal/; -1: not needed */
	uint64_t target;
	int result;
};

static void sync_start(struct ph_journal *j);

static void on_timer(void *arg)
{
	struct ph_journal *j = arg;

	if (j->batch.len > 0)
		(void)ph_journal_flush_now(j);
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
	struct ph_journal_sync_job *job = arg;
	size_t i;

	job->result = ph_fault("journal.sync");
	for (i = 0; i < job->n && job->result == 0; i++)
		if (fdatasync(job->fds[i]) < 0)
			job->result = -errno;
	if (job->result == 0 && job->dirfd >= 0)
		job->result = ph_journal_dir_sync(job->dirfd);
}

static void job_free(struct ph_journal_sync_job *job)
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
	r = ph_journal_file_make(j);
	if (r < 0)
		return r;
	close(old);
	while (j->n_old > 0)
		close(j->old[--j->n_old]);
	again = j->keep;
	ph_buf_init(&j->keep, PH_JOURNAL_KEEP_MAX);
	j->appended = j->keep_from;
	j->keep_lost = false;
	r = again.len > 0 ? ph_journal_put(j, again.data, again.len) : 0;
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

static void sync_result(struct ph_journal *j, struct ph_journal_sync_job *job)
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
	struct ph_journal_sync_job *job = arg;
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

void ph_journal_job_leave(struct ph_journal *j)
{
	if (j->job)
		j->job->j = NULL;
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
	struct ph_journal_sync_job *job;
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
	int r = ph_journal_flush_now(j);

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
	int old = j->fd, r = ph_journal_flush_now(j);

	ph_assert(j->dirfd >= 0);
	if (r == 0)
		r = ph_journal_file_make(j);
	if (r < 0)
		return ph_err_errno(err, r, "go on in a new journal after %s", j->file);
	j->old = ph_realloc(j->old, (j->n_old + 1) * sizeof(j->old[0]));
	j->old[j->n_old++] = old;
	ph_journal_touched(j);
	return 0;
}
