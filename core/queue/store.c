/* store.c: a process's store writer and the messages that it collects.
 *
 * A message grows in memory; when it passes PH_STORE_SMALL, or when all messages together have used up the budget, it moves into a file of
 * its own.  State: the writer (one a process) and its messages, of which each belongs to one coroutine.  What yields says so in store.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/time.h"
#include "queue/store_private.h"

#define STORE_MAGIC 0x57000001u
#define MSG_MAGIC 0x57000002u
#define SEGMENT_DEFAULT ((size_t)32 * 1024 * 1024)
#define SEGMENT_MIN ((size_t)2 * 1024 * 1024)
#define MEMORY_DEFAULT ((size_t)64 * 1024 * 1024)
#define FIRST_BUF 4096

static struct ph_store *self;
static struct ph_offload_pool *sync_pool, *file_pool;

/* ---- the writer --------------------------------------------------------------------------- */

struct ph_store *ph_store_self(void)
{
	return self;
}

static unsigned files_max_default(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur < 64)
		return 16;
	return rl.rlim_cur > 4096 ? 1024 : (unsigned)rl.rlim_cur / 4;
}

/* Numbers begin at the time in seconds, so that a name does not come back when all files of the slot are gone. */
static uint32_t first_seq(const struct ph_store *s)
{
	uint32_t seq = ph_segment_seq_max(s->dirs.incoming, s->dirs.slot);
	uint32_t now = (uint32_t)(ph_wall_us() / 1000000);

	return seq > now ? seq : now;
}

static int open_dirs(struct ph_store *s, struct ph_err *err)
{
	static const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	s->dirfd = open(s->queue_dir, flags);
	if (s->dirfd < 0)
		return ph_err_errno(err, -errno, "open queue directory %s", s->queue_dir);
	s->dirs.incoming = openat(s->dirfd, "incoming", flags);
	if (s->dirs.incoming < 0)
		return ph_err_errno(err, -errno, "open %s/incoming", s->queue_dir);
	s->dirs.spare = openat(s->dirfd, "spare", flags);
	if (s->dirs.spare < 0)
		return ph_err_errno(err, -errno, "open %s/spare", s->queue_dir);
	return 0;
}

static void store_free(struct ph_store *s)
{
	if (s->dirs.spare >= 0)
		close(s->dirs.spare);
	if (s->dirs.incoming >= 0)
		close(s->dirs.incoming);
	if (s->dirfd >= 0)
		close(s->dirfd);
	free(s->queue_dir);
	s->magic = 0;
	free(s);
}

/* Threads stay as long as the process.  One commits: two would only wait for each other at the disk.  Large messages write through others. */
static void pools_make(void)
{
	if (sync_pool)
		return;
	sync_pool = ph_offload_pool_new("commit", 1);
	file_pool = ph_offload_pool_new("msgfile", 4);
}

int ph_store_open(const struct ph_store_config *cfg, struct ph_store **ret, struct ph_err *err)
{
	struct ph_store *s;
	int r;

	if (cfg->slot > 255 || (cfg->segment_bytes && cfg->segment_bytes < SEGMENT_MIN))
		return ph_err_set(err, -EINVAL, "store: slot %u or segment size %zu out of range", cfg->slot, cfg->segment_bytes);
	s = ph_alloc(sizeof(*s));
	s->magic = STORE_MAGIC;
	s->queue_dir = ph_strdup(cfg->queue_dir);
	s->dirfd = s->dirs.incoming = s->dirs.spare = -1;
	s->dirs.slot = cfg->slot;
	s->dirs.segment_bytes = cfg->segment_bytes ? cfg->segment_bytes & ~(size_t)4095 : SEGMENT_DEFAULT;
	s->memory_max = cfg->memory_max ? cfg->memory_max : MEMORY_DEFAULT;
	s->files_max = cfg->files_max ? cfg->files_max : files_max_default();
	s->free_at_ms = INT64_MIN;
	ph_list_init(&s->pending);
	r = open_dirs(s, err);
	if (r < 0) {
		store_free(s);
		return r;
	}
	s->seq = first_seq(s);
	ph_segment_sweep(&s->dirs);
	pools_make();
	s->sync_pool = sync_pool;
	s->file_pool = file_pool;
	self = s;
	*ret = s;
	return 0;
}

void ph_store_close(struct ph_store **sp)
{
	struct ph_store *s = *sp;

	if (s == NULL)
		return;
	ph_assert(s->magic == STORE_MAGIC && s->messages == 0);
	if (self == s)
		self = NULL;
	*sp = NULL;
	if (ph_store_commit_close(s))
		store_free(s);          /* else the process is about to end anyway */
}

int64_t ph_store_free_bytes(struct ph_store *s)
{
	int64_t now = ph_now_ms();
	struct statvfs v;

	if (s->free_at_ms != INT64_MIN && now - s->free_at_ms < 1000)
		return s->free_bytes;
	s->free_at_ms = now;
	s->free_bytes = -1;
	if (fstatvfs(s->dirfd, &v) == 0)
		s->free_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
	return s->free_bytes;
}

/* ---- collecting --------------------------------------------------------------------------- */

static void msg_check(const struct ph_store_msg *m)
{
	ph_assert(m->magic == MSG_MAGIC);
}

struct ph_store_msg *ph_store_begin(struct ph_store *s, const char *queue_id)
{
	struct ph_store_msg *m = ph_alloc(sizeof(*m));

	ph_assert(s->magic == STORE_MAGIC && ph_queue_id_valid(queue_id));
	m->magic = MSG_MAGIC;
	m->s = s;
	memcpy(m->queue_id, queue_id, strlen(queue_id) + 1);
	ph_list_init(&m->node);
	s->messages++;
	return m;
}

static void msg_free(struct ph_store_msg **mp)
{
	struct ph_store_msg *m = *mp;

	*mp = NULL;
	ph_msgfile_free(m);
	ph_store_charge(m, 0);
	free(m->buf);
	free(m->tail);
	m->s->messages--;
	m->magic = 0;
	free(m);
}

void ph_store_abort(struct ph_store_msg **mp)
{
	if (*mp == NULL)
		return;
	msg_check(*mp);
	msg_free(mp);
}

bool ph_store_charge(struct ph_store_msg *m, size_t cap)
{
	struct ph_store *s = m->s;

	if (cap > m->cap && (s->memory > s->memory_max || cap - m->cap > s->memory_max - s->memory))
		return false;
	s->memory = s->memory - m->cap + cap;
	m->cap = cap;
	return true;
}

/* Room for n more bytes in memory.  False: the message has to become a file. */
static bool msg_grow(struct ph_store_msg *m, size_t n)
{
	size_t cap = m->cap ? m->cap : FIRST_BUF;

	if (n > PH_STORE_SMALL - m->len)
		return false;
	if (m->len + n <= m->cap)
		return true;
	while (cap < m->len + n)
		cap *= 2;
	if (!ph_store_charge(m, cap))
		return false;
	m->buf = ph_realloc(m->buf, cap);
	return true;
}

int ph_store_write(struct ph_store_msg *m, const void *p, size_t n)
{
	msg_check(m);
	if (m->err)
		return m->err;
	if (m->file == NULL && msg_grow(m, n)) {
		memcpy(m->buf + m->len, p, n);
		m->len += n;
		m->bytes += (int64_t)n;
		return 0;
	}
	if (m->file == NULL)
		m->err = ph_msgfile_start(m);
	if (m->err == 0)
		m->err = ph_msgfile_write(m, p, n);
	if (m->err == 0)
		m->bytes += (int64_t)n;
	return m->err;
}

int64_t ph_store_bytes(const struct ph_store_msg *m)
{
	msg_check(m);
	return m->bytes;
}

ssize_t ph_store_read(struct ph_store_msg *m, int64_t offset, void *buf, size_t n)
{
	msg_check(m);
	if (m->err)
		return m->err;
	if (offset < 0)
		return -EINVAL;
	if (offset >= m->bytes)
		return 0;
	if (n > (size_t)(m->bytes - offset))
		n = (size_t)(m->bytes - offset);
	if (m->file)
		return ph_msgfile_read(m, offset, buf, n);
	memcpy(buf, m->buf + offset, n);
	return (ssize_t)n;
}

int ph_store_rewrite(struct ph_store_msg *m)
{
	msg_check(m);
	if (m->err)
		return m->err;
	if (m->file)
		m->err = ph_msgfile_rewrite(m);
	m->len = 0;
	m->bytes = 0;
	return m->err;
}

/* ---- committing --------------------------------------------------------------------------- */

static int commit_encoded(struct ph_store_msg *m, struct ph_slice env)
{
	int r = m->err;

	if (r == 0 && env.n > PH_ENV_MAX)
		r = -EMSGSIZE;
	if (r == 0 && m->file == NULL && env.n > PH_ENV_SMALL)
		r = ph_msgfile_start(m);
	if (r == 0)
		r = m->file ? ph_msgfile_commit(m, env) : ph_store_commit_small(m, env);
	return r;
}

/* The outcome of a commit, for the caller: err, reference; m goes. */
static int commit_finish(struct ph_store_msg **m, int r, struct ph_msg_ref *ret, struct ph_err *err)
{
	if (r == 0)
		*ret = (*m)->ref;
	else
		ph_err_errno(err, r, "%s: write queue file", (*m)->queue_id);
	msg_free(m);
	return r;
}

int ph_store_commit(struct ph_store_msg **m, const struct ph_envelope *env, struct ph_msg_ref *ret, struct ph_err *err)
{
	struct ph_buf buf = PH_BUF_INIT(PH_ENV_MAX);
	struct ph_envelope e = *env;
	int r;

	msg_check(*m);
	e.content_bytes = (*m)->bytes;
	r = ph_envelope_encode(&e, &buf);
	if (r == 0)
		r = commit_encoded(*m, (struct ph_slice){ buf.data, buf.len });
	ph_buf_done(&buf);
	return commit_finish(m, r, ret, err);
}

/* ---- copying ------------------------------------------------------------------------------ */

struct copy_job {
	const struct ph_msg_ref *from;
	struct ph_stored *stored;
	unsigned char *content;
	int64_t at;
	ssize_t n;
	size_t want;
	int r;
	struct ph_err *err;
};

static void copy_verify(void *arg)
{
	struct copy_job *c = arg;

	if (c->stored->contiguous)
		c->r = ph_stored_content(c->stored, c->content, c->err);
	else
		c->r = ph_stored_verify(c->stored, c->err);
}

static void copy_read(void *arg)
{
	struct copy_job *c = arg;

	c->n = ph_stored_read(c->stored, c->at, c->content, c->want);
}

/* Content piece by piece: helper threads read, the coroutine writes. */
static int copy_content(struct copy_job *c, struct ph_store_msg *m, struct ph_err *err)
{
	int r;

	ph_offload(copy_verify, c);
	if (c->r < 0)
		return c->r;
	if (c->stored->contiguous)
		return ph_store_write(m, c->content, (size_t)c->stored->content_bytes);
	for (c->at = 0; c->at < c->stored->content_bytes; c->at += c->n) {
		ph_offload(copy_read, c);
		if (c->n <= 0)
			return ph_err_set(err, c->n < 0 ? (int)c->n : -EBADMSG, "%s: read %s", c->from->queue_id, c->from->file);
		r = ph_store_write(m, c->content, (size_t)c->n);
		if (r < 0)
			return ph_err_errno(err, r, "%s: write queue file", c->from->queue_id);
	}
	return 0;
}

int ph_store_copy(struct ph_store *s, const struct ph_msg_ref *from, struct ph_msg_ref *ret, struct ph_err *err)
{
	struct ph_arena *arena = ph_arena_new();
	struct copy_job c = { .from = from, .err = err, .want = PH_STORE_CHUNK };
	struct ph_store_msg *m = NULL;
	int r;

	r = ph_stored_open(s->dirfd, from, arena, &c.stored, err);
	if (r < 0)
		goto out;
	m = ph_store_begin(s, from->queue_id);
	c.content = ph_alloc(c.stored->contiguous ? (size_t)c.stored->content_bytes + 1 : c.want);
	r = copy_content(&c, m, err);
	if (r == 0)
		r = ph_store_commit(&m, c.stored->env, ret, err);
out:
	ph_store_abort(&m);
	free(c.content);
	ph_arena_free(&arena);
	return r;
}
