/* stored.c: reading single messages.
 *
 * State: a small cache of descriptors of segments, of the loop's thread.  An open message holds its descriptor through its arena.  A message
 * file's descriptor is closed with its last reader, so that a removed one gives its blocks back.  Blocks on the disk; does not yield. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/fault.h"
#include "base/list.h"
#include "queue/record.h"

#define IDLE_MAX 8              /* descriptors that nobody uses at the moment */

struct held {
	struct ph_list node;            /* in use: anywhere; idle: most recent first */
	int fd, dirfd;
	unsigned refs;
	bool segment;                   /* holds more than one message */
	uint64_t instance;
	char file[PH_STORE_FILE_MAX];
};

static struct ph_list cache = PH_LIST_INIT(cache);
static unsigned idle;

/* ---- reading ------------------------------------------------------------------------------ */

/* n bytes or an error: -EBADMSG when the file ends before. */
static int read_at(int fd, void *buf, size_t n, uint64_t offset)
{
	size_t done = 0;
	ssize_t r;
	int f = ph_fault("store.read");

	if (f < 0)
		return f;
	while (done < n) {
		r = pread(fd, (char *)buf + done, n - done, (off_t)(offset + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -EBADMSG;
		done += (size_t)r;
	}
	return 0;
}

/* ---- the cache ---------------------------------------------------------------------------- */

static void held_close(struct held *h)
{
	ph_list_del(&h->node);
	close(h->fd);
	free(h);
}

static void idle_trim(unsigned max)
{
	struct ph_list *node, *prev;

	for (node = cache.prev; node != &cache && idle > max; node = prev) {
		struct held *h = ph_list_entry(node, struct held, node);

		prev = node->prev;
		if (h->refs == 0) {
			held_close(h);
			idle--;
		}
	}
}

void ph_stored_cache_trim(void)
{
	idle_trim(0);
}

static void held_release(void *arg)
{
	struct held *h = arg;
	struct stat st;

	if (--h->refs > 0)
		return;
	if (!h->segment || fstat(h->fd, &st) < 0 || st.st_nlink == 0) {
		held_close(h);
		return;
	}
	idle++;
	ph_list_del(&h->node);
	ph_list_push(&cache, &h->node);
	idle_trim(IDLE_MAX);
}

static struct held *cache_find(int dirfd, const struct ph_msg_ref *ref)
{
	ph_list_for_each(h, &cache, struct held, node) {
		if (h->instance != ref->instance || h->dirfd != dirfd || strcmp(h->file, ref->file) != 0)
			continue;
		if (h->refs++ == 0)
			idle--;
		return h;
	}
	return NULL;
}

/* Is it the file that was meant?  A damaged header does not tell; then the records' checksums do. */
static int check_instance(int fd, const struct ph_msg_ref *ref)
{
	unsigned char page[PH_SEGMENT_START];
	struct ph_file_header h;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	r = read_at(fd, page, sizeof(page), 0);
	if (r < 0)
		return r;
	return ph_file_header_decode(page, &h) == 1 && h.instance != ref->instance ? -ESTALE : 0;
}

static int held_get(int dirfd, const struct ph_msg_ref *ref, struct held **ret, struct ph_err *err)
{
	struct held *h = cache_find(dirfd, ref);
	int fd, r;

	if (h) {
		*ret = h;
		return 0;
	}
	if (!ph_store_file_valid(ref->file))
		return ph_err_set(err, -EINVAL, "%s: not the name of a queue file", ref->queue_id);
	fd = openat(dirfd, ref->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	r = fd < 0 ? -errno : check_instance(fd, ref);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return ph_err_errno(err, r, "%s: open %s", ref->queue_id, ref->file);
	}
	h = ph_alloc(sizeof(*h));
	h->fd = fd;
	h->dirfd = dirfd;
	h->refs = 1;
	h->segment = strchr(ref->file, '.') != NULL;
	h->instance = ref->instance;
	memcpy(h->file, ref->file, sizeof(h->file));
	ph_list_push(&cache, &h->node);
	*ret = h;
	return 0;
}

/* ---- opening ------------------------------------------------------------------------------ */

/* What a reference from outside may say. */
static bool ref_plausible(const struct ph_msg_ref *ref)
{
	uint64_t least = PH_MSG_REC + PH_REC_HEAD + PH_END_REC;

	return ref->offset >= PH_SEGMENT_START && ref->offset < (uint64_t)1 << 60 && ref->length < (uint64_t)1 << 60 &&
	       ref->offset % 8 == 0 && ref->length % 8 == 0 && ref->env_length >= PH_REC_HEAD &&
	       ref->env_length <= PH_REC_HEAD + PH_ENV_MAX && ref->length >= least + PH_REC_ALIGN(ref->env_length);
}

static int damaged(const struct ph_msg_ref *ref, const char *what, struct ph_err *err)
{
	return ph_err_set(err, -EBADMSG, "%s: damaged %s in %s at %llu", ref->queue_id, what, ref->file,
			  (unsigned long long)ref->offset);
}

static int end_take(struct ph_stored *m, const unsigned char *rec, struct ph_err *err)
{
	const struct ph_msg_ref *ref = &m->ref;
	struct ph_msg_end e;

	if (ph_msg_end_decode(rec, ref->instance, ref->offset + ref->length - PH_END_REC, &e) < 0 || e.total != ref->length ||
	    e.content_bytes > ref->length || e.n_content == 0)
		return damaged(ref, "end", err);
	m->content_bytes = (int64_t)e.content_bytes;
	m->contiguous = e.n_content == 1;
	m->content_offset = ref->offset + PH_MSG_REC + PH_REC_HEAD;
	return 0;
}

static int stored_new(int dirfd, const struct ph_msg_ref *ref, struct ph_arena *arena, struct ph_stored **ret, struct ph_err *err)
{
	struct ph_stored *m;
	struct held *h = NULL;
	int r;

	if (!ref_plausible(ref))
		return ph_err_set(err, -EINVAL, "%s: reference out of bounds", ref->queue_id);
	r = held_get(dirfd, ref, &h, err);
	if (r < 0)
		return r;
	ph_arena_cleanup(arena, held_release, h);
	m = ph_arena_alloc(arena, sizeof(*m));
	m->fd = h->fd;
	m->held = h;
	m->ref = *ref;
	*ret = m;
	return 0;
}

static int end_read(struct ph_stored *m, struct ph_err *err)
{
	const struct ph_msg_ref *ref = &m->ref;
	unsigned char rec[PH_END_REC];
	int r = read_at(m->fd, rec, sizeof(rec), ref->offset + ref->length - PH_END_REC);

	if (r < 0)
		return ph_err_errno(err, r, "%s: read %s", ref->queue_id, ref->file);
	return end_take(m, rec, err);
}

int ph_stored_open_content(int queue_dirfd, const struct ph_msg_ref *ref, struct ph_arena *arena, struct ph_stored **ret, struct ph_err *err)
{
	struct ph_stored *m;
	int r = stored_new(queue_dirfd, ref, arena, &m, err);

	if (r == 0)
		r = end_read(m, err);
	if (r == 0)
		*ret = m;
	return r;
}

int ph_stored_open_fd(int fd, const struct ph_msg_ref *ref, struct ph_arena *arena, struct ph_stored **ret, struct ph_err *err)
{
	struct ph_stored *m;
	int r;

	if (!ref_plausible(ref))
		return ph_err_set(err, -EINVAL, "%s: reference out of bounds", ref->queue_id);
	r = check_instance(fd, ref);
	if (r < 0)
		return ph_err_errno(err, r, "%s: %s", ref->queue_id, ref->file);
	m = ph_arena_alloc(arena, sizeof(*m));
	m->fd = fd;
	m->ref = *ref;
	r = end_read(m, err);
	if (r == 0)
		*ret = m;
	return r;
}

/* ENVELOPE and END, which lie side by side. */
static int envelope_read(struct ph_stored *m, struct ph_arena *arena, struct ph_err *err)
{
	const struct ph_msg_ref *ref = &m->ref;
	size_t n = (size_t)PH_REC_ALIGN(ref->env_length) + PH_END_REC;
	unsigned char *buf = ph_alloc(n);
	uint64_t at = ph_msg_env_at(ref);
	struct ph_slice env;
	struct ph_rec rec;
	int r = read_at(m->fd, buf, n, at);

	if (r < 0) {
		r = ph_err_errno(err, r, "%s: read %s", ref->queue_id, ref->file);
		goto out;
	}
	if (!ph_rec_parse(buf, &rec) || rec.type != PH_REC_ENVELOPE || rec.length != ref->env_length - PH_REC_HEAD ||
	    !ph_rec_check(buf, &rec, ref->instance, at)) {
		r = damaged(ref, "envelope", err);
		goto out;
	}
	env = (struct ph_slice){ (const char *)rec.payload, rec.length };
	r = ph_envelope_decode(env, arena, &m->env, err);
	if (r == 0)
		r = end_take(m, buf + n - PH_END_REC, err);
out:
	free(buf);
	return r;
}

int ph_stored_open(int queue_dirfd, const struct ph_msg_ref *ref, struct ph_arena *arena, struct ph_stored **ret, struct ph_err *err)
{
	unsigned char head[PH_MSG_REC];
	struct ph_msg_head h;
	struct ph_stored *m;
	int r = stored_new(queue_dirfd, ref, arena, &m, err);

	if (r < 0)
		return r;
	r = read_at(m->fd, head, sizeof(head), ref->offset);
	if (r < 0)
		return ph_err_errno(err, r, "%s: read %s", ref->queue_id, ref->file);
	if (ph_msg_head_decode(head, ref->instance, ref->offset, &h) < 0 || strcmp(h.queue_id, ref->queue_id) != 0 ||
	    (h.total != 0 && h.total != ref->length))
		return damaged(ref, "message", err);
	r = envelope_read(m, arena, err);
	if (r == 0)
		*ret = m;
	return r;
}

/* ---- content ------------------------------------------------------------------------------ */

/* Where a byte of the content lies, and in *ret_room how many follow it in the same record. */
static uint64_t content_at(const struct ph_stored *m, int64_t offset, size_t *ret_room)
{
	if (m->contiguous)
		return m->content_offset + (uint64_t)offset;
	return ph_msg_content_at(m->ref.offset, (uint64_t)offset, ret_room);
}

uint64_t ph_stored_at(const struct ph_stored *m, int64_t offset)
{
	size_t room;

	return content_at(m, offset, &room);
}

ssize_t ph_stored_read(struct ph_stored *m, int64_t offset, void *buf, size_t n)
{
	size_t done = 0, room = SIZE_MAX;
	uint64_t at;
	int r;

	if (offset < 0)
		return -EINVAL;
	if (offset >= m->content_bytes)
		return 0;
	if (n > (uint64_t)(m->content_bytes - offset))
		n = (size_t)(m->content_bytes - offset);
	while (done < n) {
		at = content_at(m, offset + (int64_t)done, &room);
		if (room > n - done)
			room = n - done;
		r = read_at(m->fd, (char *)buf + done, room, at);
		if (r < 0)
			return r;
		done += room;
	}
	return (ssize_t)n;
}

int ph_stored_content(struct ph_stored *m, void *buf, struct ph_err *err)
{
	unsigned char head[PH_REC_HEAD];
	struct iovec iov[2] = { { head, sizeof(head) }, { buf, (size_t)m->content_bytes } };
	uint64_t at = m->content_offset - PH_REC_HEAD;
	uint32_t crc = ph_rec_crc_begin(m->ref.instance, at);
	struct ph_rec rec;
	ssize_t n;
	int r = ph_fault("store.read");

	ph_assert(m->contiguous);
	if (r < 0)
		return ph_err_errno(err, r, "%s: read %s", m->ref.queue_id, m->ref.file);
	n = preadv(m->fd, iov, 2, (off_t)at);
	if (n < 0 || (size_t)n != PH_REC_HEAD + iov[1].iov_len) {
		/* Interrupted or cut: in two steps. */
		r = read_at(m->fd, head, sizeof(head), at);
		if (r == 0)
			r = read_at(m->fd, buf, (size_t)m->content_bytes, m->content_offset);
		if (r < 0)
			return ph_err_errno(err, r, "%s: read %s", m->ref.queue_id, m->ref.file);
	}
	if (!ph_rec_parse(head, &rec) || rec.type != PH_REC_CONTENT || (int64_t)rec.length != m->content_bytes)
		return damaged(&m->ref, "content", err);
	crc = ph_crc32c(crc, buf, rec.length);
	return ph_crc32c(crc, head + 8, 8) == rec.crc ? 0 : damaged(&m->ref, "content", err);
}

/* One record at offset at; its payload in buf (PH_REC_HEAD + PH_STORE_CHUNK bytes and more is not content). */
static int verify_content(struct ph_stored *m, unsigned char *buf, uint64_t at, int64_t want)
{
	struct ph_rec rec;
	int r = read_at(m->fd, buf, PH_REC_HEAD, at);

	if (r < 0)
		return r;
	if (!ph_rec_parse(buf, &rec) || rec.type != PH_REC_CONTENT || (int64_t)rec.length != want)
		return -EBADMSG;
	r = read_at(m->fd, buf + PH_REC_HEAD, rec.length, at + PH_REC_HEAD);
	if (r < 0)
		return r;
	return ph_rec_check(buf, &rec, m->ref.instance, at) ? 0 : -EBADMSG;
}

int ph_stored_verify(struct ph_stored *m, struct ph_err *err)
{
	unsigned char *buf = ph_alloc(PH_REC_HEAD + PH_STORE_CHUNK);
	int64_t left = m->content_bytes, want;
	uint64_t at = m->ref.offset;
	struct ph_msg_head h;
	struct ph_rec rec;
	size_t env = (size_t)PH_REC_ALIGN(m->ref.env_length);
	int r = read_at(m->fd, buf, PH_MSG_REC, at);

	if (r == 0)
		r = ph_msg_head_decode(buf, m->ref.instance, at, &h);
	at += PH_MSG_REC;
	do {
		want = left < (int64_t)PH_STORE_CHUNK ? left : (int64_t)PH_STORE_CHUNK;
		if (r == 0)
			r = verify_content(m, buf, at, want);
		at += PH_REC_HEAD + PH_REC_ALIGN((uint64_t)want);
		left -= want;
	} while (r == 0 && left > 0);
	if (r == 0 && at != ph_msg_env_at(&m->ref))
		r = -EBADMSG;
	if (r == 0) {
		buf = ph_realloc(buf, env + PH_REC_HEAD);
		r = read_at(m->fd, buf, env, at);
	}
	if (r == 0 && (!ph_rec_parse(buf, &rec) || rec.length + PH_REC_HEAD != m->ref.env_length ||
		       !ph_rec_check(buf, &rec, m->ref.instance, at)))
		r = -EBADMSG;
	free(buf);
	return r < 0 ? ph_err_errno(err, r, "%s: %s near %llu", m->ref.queue_id, m->ref.file, (unsigned long long)at) : 0;
}
