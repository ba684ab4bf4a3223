/* store_commit.c: group commit.
 *
 * What wants to be committed in one loop turn, and while the disk is busy with the batch before, goes into one batch: one pwritev, one
 * fdatasync on the store's commit thread, and all of its coroutines wake together.  The next segment is made ready while the current one
 * fills.  A batch that fails is taken back, its segment abandoned (never synced again and believed), and the next one goes elsewhere.
 * State: the writer's queue and segments, all on the loop's thread.  ph_store_commit_small yields. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/crc32c.h"
#include "base/loop.h"
#include "queue/store_private.h"

#define BATCH_BYTES ((uint64_t)8 * 1024 * 1024)
#define BATCH_MESSAGES 1024
#define IOV_PER_MESSAGE 3
#define PREPARE_AGAIN_MS 1000   /* making the next segment ahead of need failed: not at each commit */

struct ph_batch {
	struct ph_store *s;
	struct ph_segfile *seg;
	struct ph_list messages;
	size_t n;
	uint64_t end;
	int result;
	struct iovec *iov;
	struct ph_void *voids;
};

struct prepare {
	struct ph_store *s;
	uint32_t seq;
	int result;
	struct ph_segfile *seg;
};

static void kick(struct ph_store *s);
static void kick_later(struct ph_store *s);

/* ---- the end of a wait -------------------------------------------------------------------- */

static void msg_done(struct ph_store_msg *m, int r)
{
	m->err = r;
	m->done = true;
	ph_co_wake(m->co, 0);
}

static void fail_pending(struct ph_store *s, int r)
{
	struct ph_list *node;

	while ((node = ph_list_pop(&s->pending)) != NULL)
		msg_done(ph_list_entry(node, struct ph_store_msg, node), r);
}

static void wake_closer(struct ph_store *s)
{
	if (s->closer && !s->preparing && !s->busy)
		ph_co_wake(s->closer, 0);
}

/* ---- segments ----------------------------------------------------------------------------- */

static void segment_leave(struct ph_store *s, bool complete)
{
	if (s->cur == NULL)
		return;
	if (!complete && s->cur->committed > PH_SEGMENT_START) {
		struct ph_msg_ref *a = &s->abandoned[s->n_abandoned++ % PH_ABANDONED_MAX];

		memset(a, 0, sizeof(*a));
		memcpy(a->file, s->cur->file, sizeof(a->file));
		a->instance = s->cur->instance;
		a->offset = s->cur->committed;
	}
	ph_segfile_leave(&s->dirs, &s->cur, complete);
}

/* On a helper thread. */
static void prepare_run(void *arg)
{
	struct prepare *p = arg;

	p->result = ph_segfile_make(&p->s->dirs, &p->seq, &p->seg);
	/* A spare of a size that does not fit takes room that a new one could have. */
	if (p->result == -ENOSPC && ph_spares_drop(p->s->dirs.spare) > 0)
		p->result = ph_segfile_make(&p->s->dirs, &p->seq, &p->seg);
}

static void prepare_done(void *arg)
{
	struct prepare *p = arg;
	struct ph_store *s = p->s;

	s->preparing = false;
	if (p->seq > s->seq)
		s->seq = p->seq;
	if (p->result == 0)
		s->next = p->seg;
	else if (!s->busy)
		fail_pending(s, p->result);     /* whoever waits now waits for this; later ones try again */
	if (p->result < 0)
		s->prepare_again_ms = ph_now_ms() + PREPARE_AGAIN_MS;
	free(p);
	kick(s);
	wake_closer(s);
}

static void prepare_start(struct ph_store *s)
{
	struct prepare *p;

	if (s->preparing || s->next)
		return;
	p = ph_alloc(sizeof(*p));
	p->s = s;
	p->seq = s->seq;
	s->preparing = true;
	ph_offload_async(s->file_pool, prepare_run, prepare_done, p);
}

/* A segment with room for the first message that waits.  False: not yet. */
static bool segment_ready(struct ph_store *s)
{
	struct ph_store_msg *m = ph_list_first(&s->pending, struct ph_store_msg, node);

	if (s->cur && m->total <= s->cur->size - s->cur->pos)
		return true;
	if (s->next == NULL) {
		prepare_start(s);
		return false;
	}
	segment_leave(s, true);
	s->cur = s->next;
	s->next = NULL;
	return true;
}

/* ---- batches ------------------------------------------------------------------------------ */

/* The checksums, now that the place is known; one pass over the content.  On the commit thread. */
static void msg_seal(struct ph_store_msg *m, uint64_t instance, struct iovec *iov)
{
	struct ph_msg_head h = { .instance = instance, .total = m->total };
	uint64_t content_at = m->offset + PH_MSG_REC, env_at, end_at;
	struct ph_msg_end e = { .total = m->total, .content_bytes = m->len, .n_content = 1 };
	size_t pad = (size_t)(PH_REC_ALIGN(m->len) - m->len);
	uint32_t crc = ph_rec_crc_begin(instance, content_at);

	memcpy(h.queue_id, m->queue_id, sizeof(h.queue_id));
	ph_msg_head_encode(m->head, &h, m->offset);
	ph_rec_head(m->head + PH_MSG_REC, PH_REC_CONTENT, (uint32_t)m->len, ph_crc32c(crc, m->buf, m->len));
	env_at = content_at + PH_REC_HEAD + PH_REC_ALIGN(m->len);
	ph_rec_seal(m->tail + pad, PH_REC_ENVELOPE, (uint32_t)m->env_len, instance, env_at);
	end_at = m->offset + m->total - PH_END_REC;
	ph_msg_end_encode(m->tail + m->tail_len - PH_END_REC, &e, instance, end_at);
	iov[0] = (struct iovec){ m->head, sizeof(m->head) };
	iov[1] = (struct iovec){ m->buf, m->len };
	iov[2] = (struct iovec){ m->tail, m->tail_len };
}

/* On the commit thread. */
static void batch_run(void *arg)
{
	struct ph_batch *b = arg;
	size_t i = 0;

	ph_list_for_each(m, &b->messages, struct ph_store_msg, node) {
		msg_seal(m, b->seg->instance, b->iov + i * IOV_PER_MESSAGE);
		b->voids[i++] = (struct ph_void){ m->offset, m->total };
	}
	b->result = ph_segfile_append(b->seg, b->iov, b->n * IOV_PER_MESSAGE, b->end, b->voids, b->n);
}

static void batch_done(void *arg)
{
	struct ph_batch *b = arg;
	struct ph_store *s = b->s;
	struct ph_list *node;

	s->busy = false;
	if (b->result == 0) {
		b->seg->pos = b->seg->committed = b->end;
	} else {
		ph_log(PH_LOG_WARNING, "%s: write of %zu messages failed: %s; going on in another segment", b->seg->file, b->n,
		       strerrordesc_np(-b->result));
		segment_leave(s, false);
	}
	while ((node = ph_list_pop(&b->messages)) != NULL)
		msg_done(ph_list_entry(node, struct ph_store_msg, node), b->result);
	free(b->iov);
	free(b->voids);
	free(b);
	if (s->cur && s->cur->pos > s->cur->size / 2 && ph_now_ms() >= s->prepare_again_ms)
		prepare_start(s);
	kick_later(s);          /* those who wake now may have the next message at hand: it goes into the next batch, too */
	wake_closer(s);
}

static void batch_fill(struct ph_batch *b)
{
	struct ph_store *s = b->s;
	uint64_t at = b->seg->pos;

	ph_list_for_each_safe(m, &s->pending, struct ph_store_msg, node) {
		if (b->n == BATCH_MESSAGES || m->total > b->seg->size - at || (b->n > 0 && at - b->seg->pos + m->total > BATCH_BYTES))
			break;
		ph_list_del(&m->node);
		ph_list_append(&b->messages, &m->node);
		m->offset = at;
		at += m->total;
		m->ref.offset = m->offset;
		m->ref.instance = b->seg->instance;
		memcpy(m->ref.file, b->seg->file, sizeof(m->ref.file));
		b->n++;
	}
	b->end = at;
}

/* Start what can be started. */
static void kick(struct ph_store *s)
{
	struct ph_batch *b;

	if (s->busy || ph_list_empty(&s->pending) || !segment_ready(s))
		return;
	b = ph_alloc(sizeof(*b));
	b->s = s;
	b->seg = s->cur;
	ph_list_init(&b->messages);
	batch_fill(b);
	b->iov = ph_alloc(b->n * IOV_PER_MESSAGE * sizeof(b->iov[0]));
	b->voids = ph_alloc(b->n * sizeof(b->voids[0]));
	s->busy = true;
	ph_offload_async(s->sync_pool, batch_run, batch_done, b);
}

static void kick_deferred(void *arg)
{
	struct ph_store *s = arg;

	s->kick_set = false;
	kick(s);
	wake_closer(s);
}

/* At the end of the turn, so that all who come in this turn share the call. */
static void kick_later(struct ph_store *s)
{
	if (s->kick_set)
		return;
	s->kick_set = true;
	ph_loop_defer(kick_deferred, s);
}

/* ---- one message -------------------------------------------------------------------------- */

/* What follows the content: its padding, ENVELOPE, END.  Sealed later. */
static void tail_build(struct ph_store_msg *m, struct ph_slice env)
{
	size_t pad = (size_t)(PH_REC_ALIGN(m->len) - m->len);

	m->env_len = env.n;
	m->tail_len = pad + PH_REC_HEAD + (size_t)PH_REC_ALIGN(env.n) + PH_END_REC;
	m->tail = ph_alloc(m->tail_len);
	memcpy(m->tail + pad + PH_REC_HEAD, env.p, env.n);
	m->total = sizeof(m->head) + m->len + m->tail_len;
	m->ref.length = m->total;
	m->ref.env_length = (uint32_t)(PH_REC_HEAD + env.n);
	memcpy(m->ref.queue_id, m->queue_id, sizeof(m->ref.queue_id));
}

int ph_store_commit_small(struct ph_store_msg *m, struct ph_slice env)
{
	struct ph_store *s = m->s;

	tail_build(m, env);
	m->co = ph_co_self();
	ph_list_append(&s->pending, &m->node);
	if (!s->busy)
		kick_later(s);
	while (!m->done)
		ph_co_park_hard("commit");
	return m->err;
}

bool ph_store_commit_close(struct ph_store *s)
{
	ph_assert(ph_list_empty(&s->pending));
	while (s->busy || s->preparing || s->kick_set) {
		if (ph_co_self() == NULL)
			return false;
		s->closer = ph_co_self();
		ph_co_park_hard("close");
		s->closer = NULL;
	}
	segment_leave(s, true);
	if (s->next)
		ph_segfile_leave(&s->dirs, &s->next, true);
	return true;
}

size_t ph_store_open_segments(struct ph_store *s, struct ph_msg_ref *ret, size_t max)
{
	size_t n = 0, first, i;

	first = s->n_abandoned > PH_ABANDONED_MAX ? s->n_abandoned - PH_ABANDONED_MAX : 0;
	if (s->cur && n < max) {
		memset(&ret[n], 0, sizeof(ret[n]));
		memcpy(ret[n].file, s->cur->file, sizeof(ret[n].file));
		ret[n].instance = s->cur->instance;
		ret[n++].offset = s->cur->committed;
	}
	for (i = s->n_abandoned; i > first && n < max; i--)
		ret[n++] = s->abandoned[(i - 1) % PH_ABANDONED_MAX];
	return n;
}
