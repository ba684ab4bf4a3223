/* qmgr_intake.c: processes that take mail in: what they announce, and which segments they write.
 *
 * A segment is closed once no connected writer calls it open.  When a writer's connection ends, what it may have committed without our
 * hearing of it is read from the file.
 * State: q->intakes, the open counts of segments.  The connections' coroutines yield. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pack.h"
#include "queue/qmgr_private.h"

#define OPEN_MAX 256
#define GRACE_MS 2000           /* for a writer to come back before its files are read to the end */

void ph_segment_check(struct ph_qmgr *q, struct ph_segment *seg)
{
	int r;

	if (seg->live > 0 || seg->open > 0 || seg->compacting || seg->doubtful || !q->recovered || q->offline)
		return;
	if (!seg->own && seg->n_holes > 0)      /* something in it was never heard of */
		return;
	r = ph_segment_discard(q->dirfd, seg->file);
	if (r == -EBUSY)                /* its writer lives: later */
		return;
	if (r < 0 && r != -ENOENT)
		ph_log(PH_LOG_WARNING, "%s: cannot be freed: %s", seg->file, strerror(-r));
	q->stats.discarded++;
	ph_index_segment_forget(q->ix, seg);
}

/* ---- reading what was not announced ---- */

struct gap {
	struct ph_qmgr *q;
	struct ph_segment *seg;
	uint64_t limit;                 /* 0: to the end */
	struct ph_buf found;            /* ref, env as bytes */
	int result;
	struct ph_err err;
};

static int gap_found(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope)
{
	struct gap *g = arg;

	if (ph_ref_encode(ref, &g->found) < 0 || ph_pack_bytes(&g->found, envelope.p, envelope.n) < 0)
		return -ENOBUFS;
	return 0;
}

static void gap_read(void *arg)
{
	struct gap *g = arg;

	g->result = ph_segment_scan(g->q->dirfd, g->seg->file, g->limit, gap_found, g, &g->err);
}

static void gap_main(void *arg)
{
	struct gap *g = arg;
	struct ph_qmgr *q = g->q;
	struct ph_slice in;
	struct ph_msg_ref ref;
	struct ph_unpack u;
	unsigned n = 0;

	if (g->limit == 0)
		ph_co_sleep(GRACE_MS);
	ph_offload(gap_read, g);
	if (g->result < 0)
		ph_log(PH_LOG_WARNING, "%s: %s", g->seg->file, g->err.text);
	in = (struct ph_slice){ g->found.data, g->found.len };
	while (in.n > 0 && ph_ref_decode(&in, &ref) == 0) {
		struct ph_slice env;

		ph_unpack_init(&u, in);
		env = ph_unpack_bytes(&u);
		if (u.bad)
			break;
		in = (struct ph_slice){ (const char *)u.p, u.n };
		if (ph_segment_covers(g->seg, ref.offset))
			continue;
		if (ref.env_length == 0) {
			int r = ph_store_quarantine(q->dirfd, &ref, "damaged");

			if (r < 0) {            /* not heard of, then, and the file stays */
				g->result = r;
				continue;
			}
			ph_segment_cover(g->seg, ref.offset, ref.offset + ref.length);
			continue;
		}
		ph_qmgr_add(q, &ref, env, NULL);
		n++;
	}
	if (n)
		ph_log(PH_LOG_INFO, "%s: %u messages that were not announced", g->seg->file, n);
	g->seg->gap_scans--;
	if (g->result == 0)
		g->seg->doubtful = false;
	g->seg->compacting = false;
	if (g->result == 0 && g->limit == 0 && g->seg->open == 0) {
		g->seg->n_holes = 0;    /* what lies between messages is nothing */
		g->seg->covered = g->seg->end;
	}
	ph_segment_check(q, g->seg);
	ph_buf_done(&g->found);
	free(g);
}

void ph_qmgr_gap_scan(struct ph_qmgr *q, struct ph_segment *seg, uint64_t limit)
{
	struct gap *g;

	if (seg->own || seg->compacting)
		return;
	if (!q->recovered) {            /* recovery reads it, with what the journals say at hand */
		seg->doubtful = true;
		return;
	}
	g = ph_alloc(sizeof(*g));
	seg->compacting = true;         /* stays as it is meanwhile */
	seg->gap_scans++;
	g->q = q;
	g->seg = seg;
	g->limit = limit;
	ph_buf_init(&g->found, SIZE_MAX / 2);
	ph_co_spawn("qmgr gap scan", gap_main, g);
}

/* ---- the connection ---- */

static void closed(struct ph_qmgr *q, struct ph_segment *seg, bool writer_gone)
{
	ph_assert(seg->open > 0);
	if (--seg->open > 0)
		return;
	if (writer_gone || seg->n_holes > 0)
		ph_qmgr_gap_scan(q, seg, 0);
	else
		ph_segment_check(q, seg);
	ph_compact_maybe(q);
}

/* These are open, no others. */
static void open_set(struct ph_qmgr *q, struct ph_intake_conn *c, const struct ph_msg_ref *refs, size_t n)
{
	struct ph_segment **old = c->open;
	size_t n_old = c->n_open, i;

	c->open = ph_alloc((n + 1) * sizeof(c->open[0]));
	c->n_open = n;
	for (i = 0; i < n; i++) {
		struct ph_segment *seg = ph_index_segment(q->ix, refs[i].file, refs[i].instance);

		seg->open++;
		c->open[i] = seg;
		if (!q->recovered)
			ph_recover_open(q, &refs[i]);
		else if (old == NULL && c->ipc && (seg->covered < refs[i].offset || seg->n_holes))
			ph_qmgr_gap_scan(q, seg, refs[i].offset);
	}
	for (i = 0; i < n_old; i++)
		closed(q, old[i], false);
	free(old);
}

/* u32 n, n refs.  0, or -1: the frame is damaged. */
static int on_open(struct ph_qmgr *q, struct ph_intake_conn *c, struct ph_slice in)
{
	struct ph_msg_ref *refs = NULL;
	struct ph_unpack u;
	uint32_t n, i;

	ph_unpack_init(&u, in);
	n = ph_unpack_u32(&u);
	in = (struct ph_slice){ (const char *)u.p, u.n };
	if (u.bad || n > OPEN_MAX)
		goto bad;
	refs = ph_alloc((n + 1) * sizeof(*refs));
	for (i = 0; i < n && ph_ref_decode(&in, &refs[i]) == 0; i++)
		;
	if (i < n)
		goto bad;
	open_set(q, c, refs, n);
	free(refs);
	return 0;
bad:
	free(refs);
	ph_log(PH_LOG_WARNING, "damaged list of open segments from process %u", c->pid);
	return -1;
}

/* The segments that this process writes itself (notifications, compaction). */
void ph_qmgr_own_open(struct ph_qmgr *q)
{
	struct ph_msg_ref *refs;
	size_t n;

	if (q->store == NULL)
		return;
	refs = ph_alloc(OPEN_MAX * sizeof(*refs));
	n = ph_store_open_segments(q->store, refs, OPEN_MAX);
	open_set(q, &q->self, refs, n);
	free(refs);
}

static void on_new(struct ph_qmgr *q, struct ph_slice in)
{
	struct ph_msg_ref ref;
	struct ph_slice env;
	struct ph_unpack u;

	if (ph_ref_decode(&in, &ref) < 0)
		goto bad;
	ph_unpack_init(&u, in);
	env = ph_unpack_bytes(&u);
	if (u.bad || !ph_queue_id_valid(ref.queue_id))
		goto bad;
	ph_qmgr_add(q, &ref, env, NULL);
	return;
bad:
	ph_log(PH_LOG_WARNING, "damaged NEW frame");
}

/* Yields. */
void ph_qmgr_intake_serve(struct ph_qmgr *q, struct ph_ipc *ipc, struct ph_slice hello)
{
	struct ph_intake_conn c = { .ipc = ipc };
	struct ph_slice payload;
	struct ph_unpack u;
	uint16_t type;
	size_t i;
	int r;

	ph_unpack_init(&u, hello);
	c.pid = ph_unpack_u32(&u);
	ph_unpack_u8(&u);
	if (u.bad)
		return;
	ph_list_append(&q->intakes, &c.node);
	r = on_open(q, &c, (struct ph_slice){ (const char *)u.p, u.n });
	if (r == 0 && q->throttle_sent) {
		uint32_t ms = q->throttle_sent;

		ph_ipc_send(ipc, PH_F_THROTTLE, &ms, sizeof(ms));
	}
	while (r == 0 && ph_ipc_recv(ipc, &type, &payload, PH_NEVER) == 0) {
		if (type == PH_F_NEW)
			on_new(q, payload);
		else if (type == PH_F_OPEN_SEGMENTS)
			r = on_open(q, &c, payload);
		else if (type == PH_F_VERIFY)
			ph_qmgr_verify_frame(q, ipc, payload);
		else
			ph_log(PH_LOG_WARNING, "unexpected frame %u from process %u", type, c.pid);
	}
	ph_list_del(&c.node);
	for (i = 0; i < c.n_open; i++)
		closed(q, c.open[i], true);
	free(c.open);
	ph_stray_scan(q);
}

/* in_flow_delay: mail comes in faster than it goes out, and does not fit into the active queue. */
void ph_qmgr_throttle(struct ph_qmgr *q)
{
	uint64_t in = q->arrived - q->arrived_last, out = q->finished - q->finished_last;
	bool slow = q->set.in_flow_delay_ms > 0 && in > out && ph_heap_first(&q->ix->incoming) != NULL;
	unsigned char ms[4] = { 0 };
	uint32_t v = slow ? (uint32_t)q->set.in_flow_delay_ms : 0;

	q->arrived_last = q->arrived;
	q->finished_last = q->finished;
	if (v == q->throttle_sent)
		return;
	q->throttle_sent = v;
	ms[0] = v & 0xff;
	ms[1] = v >> 8 & 0xff;
	ms[2] = v >> 16 & 0xff;
	ms[3] = v >> 24 & 0xff;
	ph_list_for_each(c, &q->intakes, struct ph_intake_conn, node)
		ph_ipc_send(c->ipc, PH_F_THROTTLE, ms, sizeof(ms));
}
