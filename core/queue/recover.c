/* recover.c: the queue after a start: checkpoint, then journals, then what segments and message files hold.
 *
 * 1. Journals are read at once, before anything is served: what they say is kept by queue id until the messages turn up.
 * 2. A coroutine reads the files of incoming/, oldest first, on a helper thread: idle ones whole, those that a living process writes up to the
 *    committed offset that its HELLO tells.  Meanwhile new mail is announced and delivered.
 * 3. A message is in the queue unless a journal says that it was removed, or the checkpoint knew all of its file up to there and not it.
 * 4. What journals know as waiting and no file has is said.
 * State: struct ph_recovery until all files were read.  The coroutine yields. */
#include <stdlib.h>
#include <string.h>

#include "queue/recover_private.h"

void ph_recover_open(struct ph_qmgr *q, const struct ph_msg_ref *ref)
{
	struct ph_recovery *r = q->recovery;
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < r->n_open; i++) {
		if (strcmp(r->open[i].file, ref->file) == 0 && r->open[i].instance == ref->instance)
			break;
	}
	if (i == r->n_open) {
		r->open = ph_realloc(r->open, (r->n_open + 1) * sizeof(r->open[0]));
		memset(&r->open[r->n_open], 0, sizeof(r->open[0]));
		memcpy(r->open[r->n_open].file, ref->file, sizeof(ref->file));
		r->open[r->n_open++].instance = ref->instance;
	}
	if (ref->offset > r->open[i].committed)
		r->open[i].committed = ref->offset;
}

struct name_age { char *name; uint64_t instance; };

static int by_instance(const void *a, const void *b)
{
	const struct name_age *x = a, *y = b;

	return x->instance < y->instance ? -1 : x->instance > y->instance;
}

static void recovered(struct ph_qmgr *q)
{
	struct ph_recovery *r = q->recovery;

	if (!q->offline)
		ph_recover_lost(q);
	q->recovered = true;
	if (q->ix->n && !q->offline)
		ph_log(PH_LOG_INFO, "%zu messages in the queue, read in %lld ms", q->ix->n, (long long)(ph_now_ms_exact() - r->started_ms));
	ph_htab_done(&r->told);
	ph_arena_free(&r->arena);
	free(r->open);
	free(r->torn);
	free(r);
	q->recovery = NULL;
	/* Segments of the checkpoint whose file is gone, or is another by now. */
	ph_list_for_each_safe(seg, &q->ix->segments, struct ph_segment, node) {
		if (seg->live == 0 && seg->open == 0 && ph_file_instance(q->dirfd, seg->file) != seg->instance)
			ph_index_segment_forget(q->ix, seg);
		else if (seg->doubtful && seg->open == 0)       /* its writer came and went meanwhile */
			ph_qmgr_gap_scan(q, seg, 0);
		else
			ph_segment_check(q, seg);
	}
	if (q->stray_again)
		ph_stray_scan(q);
	ph_qmgr_pump(q);
}

/* Yields. */
void ph_recover_run(void *arg)
{
	struct ph_qmgr *q = arg;
	char **names;
	size_t n = ph_queue_names(q->dirfd, "incoming", "", &names), i, left;
	struct name_age *files = ph_alloc((n + 1) * sizeof(*files));

	for (i = 0; i < n; i++)
		files[i] = (struct name_age){ names[i], ph_file_instance(q->dirfd, names[i]) };
	qsort(files, n, sizeof(*files), by_instance);
	/* Files of living writers come last: they say hello meanwhile. */
	do {
		for (i = left = 0; i < n && !q->stopping; i++) {
			if (files[i].name == NULL)
				continue;
			if (files[i].instance == 0 && !ph_queue_id_valid(files[i].name + 9) && strncmp(files[i].name, "incoming/S", 10) != 0)
				files[i].name = NULL;   /* not ours */
			else if (ph_recover_file(q, files[i].name))
				files[i].name = NULL;
			else
				left++;
			ph_qmgr_pump(q);
		}
		if (left)
			ph_co_sleep(100);
	} while (left && !q->stopping);
	ph_queue_names_free(names, n);
	free(files);
	if (!q->stopping)
		recovered(q);
}

int ph_recover_start(struct ph_qmgr *q, struct ph_err *err)
{
	int r;

	q->recovery = ph_alloc(sizeof(*q->recovery));
	q->recovery->arena = ph_arena_new();
	q->recovery->started_ms = ph_now_ms_exact();
	r = ph_recover_read_journals(q, err);
	if (r < 0)
		return r;
	if (!q->offline)
		ph_co_spawn("qmgr recovery", ph_recover_run, q);
	return 0;
}
