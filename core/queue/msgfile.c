/* msgfile.c: a message that is collected in a file of its own.
 *
 * The layout is a segment's with one message, but for its content, which lies in records of PH_STORE_CHUNK bytes each; a record's head is written
 * when its last byte is there.  Until END is written and synced the file is not a message.  Only one buffer of WINDOW bytes (SMALL_WINDOW when
 * the budget is used up) stays in memory.  The functions run on helper threads while the message's coroutine waits, so nobody else is in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/fault.h"
#include "queue/store_private.h"

#define WINDOW ((size_t)256 * 1024)
#define SMALL_WINDOW ((size_t)16 * 1024)

struct ph_msgfile {
	int fd;
	uint64_t instance;
	uint64_t chunk_at;              /* the CONTENT record that is being written */
	uint32_t chunk_len, chunk_crc;
	uint32_t n_content;             /* records before it */
	bool committed, created;
	char name[PH_QUEUE_ID_MAX];     /* in incoming/ */
};

/* A call on a helper thread. */
struct job {
	struct ph_store_msg *m;
	int (*fn)(struct ph_store_msg *m, struct job *j);
	int r;
	const unsigned char *p;
	size_t n;
	struct ph_slice env;
	int64_t offset;
	void *buf;
};

static void job_main(void *arg)
{
	struct job *j = arg;

	j->r = j->fn(j->m, j);
}

static int job_run(struct ph_store_msg *m, struct job *j)
{
	j->m = m;
	ph_offload_on(m->s->file_pool, job_main, j);
	return j->r;
}

/* ---- content ------------------------------------------------------------------------------ */

static int put(int fd, const void *p, size_t n, uint64_t offset)
{
	struct iovec iov = { (void *)(uintptr_t)p, n };
	int r = ph_fault("store.filewrite");

	return r < 0 ? r : ph_pwritev_all(fd, &iov, 1, offset);
}

static void chunk_begin(struct ph_msgfile *f, uint64_t at)
{
	f->chunk_at = at;
	f->chunk_len = 0;
	f->chunk_crc = ph_rec_crc_begin(f->instance, at);
}

/* The head of the record; zeros behind its payload are there already (the file grows). */
static int chunk_end(struct ph_msgfile *f)
{
	unsigned char head[PH_REC_HEAD];
	int r;

	ph_rec_head(head, PH_REC_CONTENT, f->chunk_len, f->chunk_crc);
	r = put(f->fd, head, sizeof(head), f->chunk_at);
	f->n_content++;
	chunk_begin(f, f->chunk_at + PH_REC_HEAD + PH_REC_ALIGN(f->chunk_len));
	return r;
}

static int content_put(struct ph_msgfile *f, const unsigned char *p, size_t n)
{
	size_t k;
	int r;

	while (n > 0) {
		k = PH_STORE_CHUNK - f->chunk_len;
		if (k > n)
			k = n;
		r = put(f->fd, p, k, f->chunk_at + PH_REC_HEAD + f->chunk_len);
		if (r < 0)
			return r;
		f->chunk_crc = ph_crc32c(f->chunk_crc, p, k);
		f->chunk_len += (uint32_t)k;
		p += k;
		n -= k;
		if (f->chunk_len == PH_STORE_CHUNK && (r = chunk_end(f)) < 0)
			return r;
	}
	return 0;
}

/* ---- beginning ---------------------------------------------------------------------------- */

static int begin_write(struct ph_store_msg *m)
{
	struct ph_msgfile *f = m->file;
	struct ph_file_header h = { .created_us = ph_wall_us() };
	struct ph_msg_head mh = { .total = 0 };
	unsigned char page[PH_SEGMENT_START + PH_MSG_REC];

	f->instance = ph_instance_new(f->instance);
	f->n_content = 0;
	h.instance = mh.instance = f->instance;
	snprintf(h.file, sizeof(h.file), "incoming/%s", f->name);
	memcpy(mh.queue_id, m->queue_id, sizeof(mh.queue_id));
	ph_file_header_encode(&h, page);
	ph_msg_head_encode(page + PH_SEGMENT_START, &mh, PH_SEGMENT_START);
	chunk_begin(f, PH_SEGMENT_START + PH_MSG_REC);
	return put(f->fd, page, sizeof(page), 0);
}

static int create(struct ph_store_msg *m)
{
	struct ph_msgfile *f = m->file;
	int r = ph_fault("store.filecreate");

	if (r < 0)
		return r;
	f->fd = openat(m->s->dirs.incoming, f->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->fd < 0)
		return -errno;
	f->created = true;
	if (flock(f->fd, LOCK_EX | LOCK_NB) < 0)        /* the file is not idle while we live */
		return -errno;
	return begin_write(m);
}

static int start_job(struct ph_store_msg *m, struct job *j)
{
	int r = create(m);

	if (r == -ENOSPC && ph_spares_drop(m->s->dirs.spare) > 0) {
		if (m->file->fd >= 0)
			close(m->file->fd);
		m->file->fd = -1;
		if (m->file->created)
			unlinkat(m->s->dirs.incoming, m->file->name, 0);
		m->file->created = false;
		r = create(m);
	}
	if (r == 0)
		r = content_put(m->file, m->buf, m->len);
	return r;
}

int ph_msgfile_start(struct ph_store_msg *m)
{
	struct job j = { .fn = start_job };
	int r;

	if (m->s->files >= m->s->files_max)
		return -EMFILE;
	m->s->files++;
	m->file = ph_alloc(sizeof(*m->file));
	m->file->fd = -1;
	memcpy(m->file->name, m->queue_id, sizeof(m->file->name));
	r = job_run(m, &j);
	/* What was collected is in the file; a large buffer goes back.  The small one is beyond the budget, but bounded by files_max. */
	m->len = 0;
	ph_store_charge(m, 0);
	free(m->buf);
	m->buf = NULL;
	if (r < 0)
		return r;
	if (!ph_store_charge(m, WINDOW)) {
		m->s->memory += SMALL_WINDOW;
		m->cap = SMALL_WINDOW;
	}
	m->buf = ph_alloc(m->cap);
	return 0;
}

void ph_msgfile_free(struct ph_store_msg *m)
{
	struct ph_msgfile *f = m->file;

	if (f == NULL)
		return;
	if (f->created && !f->committed)
		unlinkat(m->s->dirs.incoming, f->name, 0);
	if (f->fd >= 0)
		close(f->fd);
	m->s->files--;
	free(f);
	m->file = NULL;
}

/* ---- going on ----------------------------------------------------------------------------- */

static int write_job(struct ph_store_msg *m, struct job *j)
{
	return content_put(m->file, j->p, j->n);
}

static int flush(struct ph_store_msg *m)
{
	struct job j = { .fn = write_job, .p = m->buf, .n = m->len };
	int r;

	if (m->len == 0)
		return 0;
	r = job_run(m, &j);
	m->len = 0;
	return r;
}

int ph_msgfile_write(struct ph_store_msg *m, const void *p, size_t n)
{
	struct job j = { .fn = write_job, .p = p, .n = n };
	int r;

	if (n > m->cap - m->len) {
		r = flush(m);
		if (r < 0)
			return r;
	}
	if (n > m->cap)
		return job_run(m, &j);
	memcpy(m->buf + m->len, p, n);
	m->len += n;
	return 0;
}

static int read_job(struct ph_store_msg *m, struct job *j)
{
	unsigned char *out = j->buf;
	size_t done = 0, k;
	uint64_t at;
	ssize_t n;

	while (done < j->n) {
		at = ph_msg_content_at(PH_SEGMENT_START, (uint64_t)j->offset + done, &k);
		if (k > j->n - done)
			k = j->n - done;
		n = pread(m->file->fd, out + done, k, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

ssize_t ph_msgfile_read(struct ph_store_msg *m, int64_t offset, void *buf, size_t n)
{
	struct job j = { .fn = read_job, .buf = buf, .n = n, .offset = offset };
	int r = flush(m);

	if (r == 0)
		r = job_run(m, &j);
	return r < 0 ? r : (ssize_t)n;
}

static int rewrite_job(struct ph_store_msg *m, struct job *j)
{
	if (ftruncate(m->file->fd, 0) < 0)
		return -errno;
	return begin_write(m);
}

int ph_msgfile_rewrite(struct ph_store_msg *m)
{
	struct job j = { .fn = rewrite_job };

	m->len = 0;
	return job_run(m, &j);
}

/* ---- committing --------------------------------------------------------------------------- */

/* ENVELOPE and END behind the content.  A message without content has one empty record. */
static int end_write(struct ph_store_msg *m, struct ph_slice env)
{
	struct ph_msgfile *f = m->file;
	size_t tail = PH_REC_HEAD + (size_t)PH_REC_ALIGN(env.n) + PH_END_REC;
	struct ph_msg_end e = { .content_bytes = (uint64_t)m->bytes };
	unsigned char *buf;
	uint64_t at;
	int r = 0;

	if (f->chunk_len > 0 || f->n_content == 0)
		r = chunk_end(f);
	if (r < 0)
		return r;
	at = f->chunk_at;
	buf = ph_alloc(tail);
	memcpy(buf + PH_REC_HEAD, env.p, env.n);
	ph_rec_seal(buf, PH_REC_ENVELOPE, (uint32_t)env.n, f->instance, at);
	e.total = at + tail - PH_SEGMENT_START;
	e.n_content = f->n_content;
	ph_msg_end_encode(buf + tail - PH_END_REC, &e, f->instance, at + tail - PH_END_REC);
	r = put(f->fd, buf, tail, at);
	free(buf);
	m->total = e.total;
	m->env_len = env.n;
	return r;
}

static int sync_all(struct ph_store_msg *m)
{
	int r = ph_fault("store.filesync");

	if (r == 0 && fsync(m->file->fd) < 0)
		r = -errno;
	if (r == 0)
		r = ph_fault("store.filedirsync");
	if (r == 0 && fsync(m->s->dirs.incoming) < 0)
		r = -errno;
	if (r == 0)
		r = ph_fault("store.filesynced");
	return r;
}

static int commit_job(struct ph_store_msg *m, struct job *j)
{
	struct ph_msgfile *f = m->file;
	int r = content_put(f, m->buf, m->len);

	if (r == 0)
		r = end_write(m, j->env);
	if (r == 0)
		r = sync_all(m);
	if (r == 0) {
		f->committed = true;
		return 0;
	}
	/* Refused: it must not come back after a crash.  No END, no name. */
	if (ftruncate(f->fd, 0) == 0)
		fsync(f->fd);
	if (unlinkat(m->s->dirs.incoming, f->name, 0) == 0)
		f->created = false;
	fsync(m->s->dirs.incoming);
	return r;
}

int ph_msgfile_commit(struct ph_store_msg *m, struct ph_slice env)
{
	struct job j = { .fn = commit_job, .env = env };
	int r = job_run(m, &j);

	m->len = 0;
	if (r < 0)
		return r;
	memcpy(m->ref.queue_id, m->queue_id, sizeof(m->ref.queue_id));
	snprintf(m->ref.file, sizeof(m->ref.file), "incoming/%s", m->file->name);
	m->ref.instance = m->file->instance;
	m->ref.offset = PH_SEGMENT_START;
	m->ref.length = m->total;
	m->ref.env_length = (uint32_t)(PH_REC_HEAD + env.n);
	return 0;
}
