/* content.c: reading the message of a delivery.
 *
 * What is in the page cache is read at once; what is not is read on a helper thread (preadv2 with RWF_NOWAIT tells).  Nothing is handed out before its checksum was
 * verified: a damaged message stays in the queue.  Yields when it has to wait for the disk. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <posthouse/co.h>
#include "agent/agent_private.h"

#define WHOLE_MAX PH_STORE_SMALL

int ph_delivery_open(struct ph_delivery *d, struct ph_err *err)
{
	struct ph_stored *stored;
	int r;

	if (d->stored)
		return 0;
	r = ph_stored_open_content(ph_agent_self.queue_dirfd, &d->req->ref, d->arena, &stored, err);
	if (r < 0)
		return r;
	d->stored = stored;
	return 0;
}

struct read_job {
	struct ph_stored *stored;
	int64_t offset;
	void *buf;
	size_t bytes;
	ssize_t result;
	struct ph_err err;
};

static void job_read(void *arg)
{
	struct read_job *j = arg;

	j->result = ph_stored_read(j->stored, j->offset, j->buf, j->bytes);
}

static void job_content(void *arg)
{
	struct read_job *j = arg;

	j->result = ph_stored_content(j->stored, j->buf, &j->err);
}

static void job_verify(void *arg)
{
	struct read_job *j = arg;

	j->result = ph_stored_verify(j->stored, &j->err);
}

/* Are the bytes from offset to the end of what is asked for in memory?  The last one stands for all: messages are read in order. */
static bool cached(const struct ph_stored *s, int64_t offset, size_t bytes)
{
	int64_t last = offset + (int64_t)bytes - 1;
	char byte;
	struct iovec v = { &byte, 1 };

	if (last >= s->content_bytes)
		last = s->content_bytes - 1;
	return last < offset || preadv2(s->fd, &v, 1, (off_t)ph_stored_at(s, last), RWF_NOWAIT) == 1;
}

static int check(struct ph_delivery *d, struct ph_err *err)
{
	struct read_job job = { .stored = d->stored };

	if (!d->checked) {
		d->checked = true;
		ph_offload(job_verify, &job);
		d->damaged = job.result < 0;
		if (d->damaged)
			ph_log(PH_LOG_ERROR, "%s: %s: %s", d->req->ref.queue_id, d->req->ref.file, job.err.text);
	}
	return d->damaged ? ph_err_set(err, -EBADMSG, "message file is damaged") : 0;
}

ssize_t ph_delivery_read(struct ph_delivery *d, int64_t offset, void *buf, size_t bytes, struct ph_err *err)
{
	struct read_job job = { NULL, offset, buf, bytes, 0, { 0 } };
	int r = ph_delivery_open(d, err);

	if (r == 0 && d->content == NULL)
		r = check(d, err);
	if (r < 0)
		return r;
	if (offset < 0)
		return ph_err_set(err, -EINVAL, "negative offset");
	job.stored = d->stored;
	if (cached(d->stored, offset, bytes))
		job_read(&job);
	else
		ph_offload(job_read, &job);
	if (job.result < 0)
		return ph_err_errno(err, (int)job.result, "read %s", d->req->ref.file);
	return job.result;
}

struct ph_slice ph_delivery_content(struct ph_delivery *d)
{
	struct ph_slice none = { NULL, 0 };
	size_t want = (size_t)d->req->content_bytes;
	struct read_job job = { .offset = 0 };

	if (d->content)
		return (struct ph_slice){ d->content, want };
	if (d->req->content_bytes < 0 || want > WHOLE_MAX || d->damaged)
		return none;
	if (ph_delivery_open(d, &job.err) < 0 || !d->stored->contiguous || d->stored->content_bytes != d->req->content_bytes)
		return none;
	job.stored = d->stored;
	job.buf = ph_arena_alloc(d->arena, want + 1);
	if (cached(d->stored, 0, want))
		job_content(&job);
	else
		ph_offload(job_content, &job);
	if (job.result < 0) {
		ph_log(PH_LOG_ERROR, "%s: %s: %s", d->req->ref.queue_id, d->req->ref.file, job.err.text);
		d->damaged = d->checked = job.result == -EBADMSG;
		return none;
	}
	d->content = job.buf;
	return (struct ph_slice){ d->content, want };
}
