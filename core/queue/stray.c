/* stray.c: files of incoming/ that nobody has told us about.
 *
 * A process that takes mail in announces its segment and its messages; one that dies in the very turn of its first commit announces nothing, though its
 * client may have the 250 already.  So when such a process goes, and now and then, the folder is held against the index; what is unknown, and written
 * by nobody any more, is read.
 * State: q->stray_*.  A coroutine; yields. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/pack.h"
#include "queue/qmgr_private.h"

#define GRACE_MS 1000           /* for announcements under way, and for a writer to come back */

struct stray {
	struct ph_qmgr *q;
	char **names;
	size_t n;
	const char *file;               /* being read */
	uint64_t instance;
	int idle, result;
	struct ph_buf found;            /* ref, envelope as bytes */
	struct ph_err err;
};

static void list(void *arg)
{
	struct stray *s = arg;

	s->n = ph_queue_names(s->q->dirfd, "incoming", "", &s->names);
}

static int found(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope)
{
	struct stray *s = arg;

	return ph_ref_encode(ref, &s->found) < 0 || ph_pack_bytes(&s->found, envelope.p, envelope.n) < 0 ? -ENOBUFS : 0;
}

static void read_file(void *arg)
{
	struct stray *s = arg;

	s->instance = ph_file_instance(s->q->dirfd, s->file);
	s->idle = ph_segment_idle(s->q->dirfd, s->file);        /* before the scan: then nothing is written behind its back */
	s->result = s->instance && s->idle == 1 ? ph_segment_scan(s->q->dirfd, s->file, 0, found, s, &s->err) : 0;
}

static unsigned take(struct stray *s)
{
	struct ph_slice in = { s->found.data, s->found.len };
	struct ph_msg_ref ref;
	struct ph_unpack u;
	unsigned n = 0;

	s->q->taking_stray = true;
	while (in.n > 0 && ph_ref_decode(&in, &ref) == 0) {
		struct ph_slice env;

		ph_unpack_init(&u, in);
		env = ph_unpack_bytes(&u);
		if (u.bad)
			break;
		in = (struct ph_slice){ (const char *)u.p, u.n };
		if (ref.env_length == 0) {
			int r = ph_store_quarantine(s->q->dirfd, &ref, "damaged");

			s->result = r < 0 ? r : s->result;
			continue;
		}
		ph_qmgr_add(s->q, &ref, env, NULL);
		n++;
	}
	s->q->taking_stray = false;
	return n;
}

static void one_file(struct stray *s)
{
	struct ph_qmgr *q = s->q;
	struct ph_segment *seg;
	unsigned n;

	ph_buf_clear(&s->found);
	ph_offload(read_file, s);
	if (s->instance == 0 || s->idle != 1 || ph_index_segment_find(q->ix, s->file, s->instance))
		return;
	if (s->result < 0) {
		ph_log(PH_LOG_WARNING, "%s: %s", s->file, s->err.text);
		return;
	}
	n = take(s);
	if (n)
		ph_log(PH_LOG_INFO, "%s: %u messages that were not announced", s->file, n);
	seg = ph_index_segment_find(q->ix, s->file, s->instance);
	if (s->result < 0) {            /* damaged bytes that could not be saved: the file stays */
		if (seg)
			seg->doubtful = true;
		return;
	}
	if (seg == NULL) {
		ph_segment_discard(q->dirfd, s->file);  /* nothing that was ever acknowledged, or it is in corrupt/ */
		return;
	}
	seg->n_holes = 0;
	seg->covered = seg->end;
	ph_segment_check(q, seg);
}

static void stray_main(void *arg)
{
	struct ph_qmgr *q = arg;
	struct stray s = { .q = q };
	struct ph_htab known = { 0 };
	size_t i;

	ph_buf_init(&s.found, SIZE_MAX / 2);
	ph_co_sleep(GRACE_MS);
	ph_offload(list, &s);
	ph_list_for_each(seg, &q->ix->segments, struct ph_segment, node)
		ph_htab_put(&known, seg->file, seg);
	for (i = 0; i < s.n; i++)       /* no yield before the table has been asked about all */
		if (ph_htab_get(&known, s.names[i]))
			s.names[i][0] = '\0';
	ph_htab_done(&known);
	for (i = 0; i < s.n && !q->stopping; i++) {
		s.file = s.names[i];
		if (*s.file)
			one_file(&s);
	}
	ph_queue_names_free(s.names, s.n);
	ph_buf_done(&s.found);
	q->stray_running = false;
	if (q->stray_again)
		ph_stray_scan(q);
}

void ph_stray_scan(struct ph_qmgr *q)
{
	if (q->offline || q->stopping)
		return;
	q->stray_again = q->stray_running || !q->recovered;     /* the recovery reads what is there; its end looks again */
	if (q->stray_again)
		return;
	q->stray_running = true;
	ph_co_spawn("qmgr stray scan", stray_main, q);
}

/* Now and then: a process that had not even connected when it died.  Only when the folder has changed. */
void ph_stray_tick(struct ph_qmgr *q)
{
	struct stat st;

	if (fstatat(q->dirfd, "incoming", &st, 0) < 0 ||
	    (st.st_mtim.tv_sec == q->stray_mtime.tv_sec && st.st_mtim.tv_nsec == q->stray_mtime.tv_nsec))
		return;
	q->stray_mtime = st.st_mtim;
	ph_stray_scan(q);
}
