/* recover_offline.c: a queue manager's state without the queue manager: for postqueue -p and postsuper while the mail system is down.
 * State: this process's struct ph_qmgr.  Yields. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/control.h"
#include "queue/recover_offline.h"

#define OFFLINE_SLOT 255

struct ph_offline {
	struct ph_qmgr q;
	struct ph_qmgr_config cfg;
};

int ph_offline_open(const struct ph_config *config, const char *queue_dir, bool write, struct ph_offline **ret, struct ph_err *err)
{
	struct ph_offline *o = ph_alloc(sizeof(*o));
	struct ph_qmgr *q = ph_qmgr = &o->q;
	int r;

	o->cfg = (struct ph_qmgr_config){ .config = config, .queue_dir = queue_dir, .slot = OFFLINE_SLOT, .listen_private = -1,
		.listen_public = -1, .control = -1 };
	q->cfg = &o->cfg;
	q->offline = true;
	q->agents_known = true;
	q->scratch = ph_arena_new();
	q->ix = ph_index_new();
	ph_list_init(&q->agents);
	ph_list_init(&q->intakes);
	ph_list_init(&q->active);
	r = ph_qmgr_settings_load(q, err);
	if (r == 0) {
		q->dirfd = open(queue_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = q->dirfd < 0 ? ph_err_errno(err, -errno, "open %s", queue_dir) : 0;
	}
	if (r == 0 && write) {
		r = ph_qmgr_lock(q->dirfd);
		if (r < 0)
			ph_err_errno(err, r, "the queue is in use");
		else
			r = ph_journal_open(q->dirfd, OFFLINE_SLOT, &q->journal, err);
	}
	if (r == 0)
		r = ph_recover_start(q, err);
	if (r == 0)
		ph_recover_run(q);
	*ret = o;
	if (r < 0)
		ph_offline_close(ret);
	return r;
}

int ph_offline_request(struct ph_offline *o, const char *json, int (*on_line)(void *arg, const char *text, size_t n), void *arg, struct ph_err *err)
{
	struct ph_control c = { .q = &o->q, .on_line = on_line, .arg = arg, .trusted = true };

	return ph_control_request(&c, (struct ph_slice){ json, strlen(json) }, err);
}

void ph_offline_close(struct ph_offline **op)
{
	struct ph_offline *o = *op;
	struct ph_err err;

	if (o == NULL)
		return;
	if (o->q.journal) {
		if (ph_journal_sync(o->q.journal, &err) < 0)
			ph_log(PH_LOG_ERROR, "journal: %s", err.text);
		ph_journal_close(&o->q.journal);
	}
	if (o->q.dirfd > 0)
		close(o->q.dirfd);
	ph_index_free(&o->q.ix);
	ph_arena_free(&o->q.scratch);
	ph_qmgr = NULL;
	free(o);
	*op = NULL;
}
