/* content.c: reading the message of a delivery.
 *
 * What is in the page cache is read at once; what is not is read on a helper thread (preadv2 with RWF_NOWAIT tells).  Yields then. */
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
	r = ph_stored_open(ph_agent_self.queue_dirfd, &d->req->ref, d->arena, &stored, err);
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
};

static void read_blocking(void *arg)
{
	struct read_job *j = arg;

	j->result = ph_stored_read(j->stored, j->offset, j->buf, j->bytes);
}

/* From the page cache; -EAGAIN: not all of it is there, or it is not that simple. */
static ssize_t read_cached(struct ph_stored *s, int64_t offset, void *buf, size_t bytes)
{
	struct iovec v = { buf, bytes };
	ssize_t r;

	if (!s->contiguous)
		return -EAGAIN;
	if (offset >= s->content_bytes)
		return 0;
	if ((int64_t)v.iov_len > s->content_bytes - offset)
		v.iov_len = (size_t)(s->content_bytes - offset);
	r = preadv2(s->fd, &v, 1, (off_t)(s->content_offset + (uint64_t)offset), RWF_NOWAIT);
	return r == (ssize_t)v.iov_len ? r : -EAGAIN;
}

ssize_t ph_delivery_read(struct ph_delivery *d, int64_t offset, void *buf, size_t bytes, struct ph_err *err)
{
	struct read_job job = { NULL, offset, buf, bytes, 0 };
	ssize_t r;
	int e;

	e = ph_delivery_open(d, err);
	if (e < 0)
		return e;
	if (offset < 0)
		return ph_err_set(err, -EINVAL, "negative offset");
	r = read_cached(d->stored, offset, buf, bytes);
	if (r >= 0)
		return r;
	job.stored = d->stored;
	ph_offload(read_blocking, &job);
	if (job.result < 0)
		return ph_err_errno(err, (int)job.result, "read %s", d->req->ref.file);
	return job.result;
}

struct ph_slice ph_delivery_content(struct ph_delivery *d)
{
	struct ph_slice none = { NULL, 0 };
	size_t want = (size_t)d->req->content_bytes, have = 0;
	struct ph_err err;
	char *buf;
	ssize_t r;

	if (d->content)
		return (struct ph_slice){ d->content, want };
	if (d->req->content_bytes < 0 || want > WHOLE_MAX)
		return none;
	buf = ph_arena_alloc(d->arena, want + 1);
	while (have < want) {
		r = ph_delivery_read(d, (int64_t)have, buf + have, want - have, &err);
		if (r <= 0)
			return none;
		have += (size_t)r;
	}
	d->content = buf;
	return (struct ph_slice){ buf, want };
}
