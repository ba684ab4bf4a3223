/* recover_lost.c: messages that were accepted, wait as far as the journals know, and are in no file of incoming/ any more.
 *
 * Where a file was not sealed its end says nothing about damage: what a killed writer left looks the same, and was not acknowledged.  The
 * journals tell the two apart: nobody can have tried to deliver what was not whole.  The answer stands only when all files were read, since a
 * copy that was not finished (compaction) is torn, too, and its original is somewhere else.
 * State: r->torn. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "queue/recover_private.h"

bool ph_recover_torn(struct ph_qmgr *q, const struct ph_msg_ref *ref, bool discard)
{
	struct ph_recovery *r = q->recovery;
	struct ph_told *t = ph_htab_get(&r->told, ref->queue_id);

	if (t == NULL || q->offline || !ph_told_live(r, t))
		return false;
	r->torn = ph_realloc(r->torn, (r->n_torn + 1) * sizeof(r->torn[0]));
	r->torn[r->n_torn++] = (struct ph_torn){ .ref = *ref, .discard = discard };
	return true;
}

bool ph_recover_cut(struct ph_qmgr *q, const char *file)
{
	const char *name = file + strlen("incoming/");
	struct ph_msg_ref ref = { .env_length = 0 };
	struct stat st;

	if (!ph_queue_id_valid(name) || fstatat(q->dirfd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	snprintf(ref.queue_id, sizeof(ref.queue_id), "%s", name);
	snprintf(ref.file, sizeof(ref.file), "%s", file);
	ref.length = (uint64_t)st.st_size;
	return ph_recover_torn(q, &ref, true);
}

/* The bytes go to corrupt/; while they cannot, the file stays. */
static void keep_torn(struct ph_qmgr *q, const struct ph_torn *torn)
{
	struct ph_told *t = ph_htab_get(&q->recovery->told, torn->ref.queue_id);
	bool live = t && ph_told_live(q->recovery, t);
	int r = 0;

	if (live && torn->ref.length > 0) {
		r = ph_store_quarantine(q->dirfd, &torn->ref, "damaged, and known as mail that waits");
		t->named = r == 0;
	}
	if (torn->discard && r == 0)
		ph_segment_discard(q->dirfd, torn->ref.file);
}

void ph_recover_lost(struct ph_qmgr *q)
{
	struct ph_recovery *r = q->recovery;
	size_t cursor = 0, n = 0, i;
	struct ph_told *t;

	for (i = 0; i < r->n_torn; i++)
		keep_torn(q, &r->torn[i]);
	while ((t = ph_htab_next(&r->told, &cursor, NULL)) != NULL) {
		if (!ph_told_live(r, t))
			continue;
		n++;
		if (!t->named)
			ph_log(PH_LOG_WARNING, "%s: lost: it is %s as the journals know it, and no file in incoming has it whole", t->queue_id,
			       t->hold == 1 ? "on hold" : "deferred");
	}
	if (n)
		q->checkpoint_now = true;       /* once is enough: with the old journals the knowledge of them goes */
}
