/* claim.c: files of maildrop/ are taken in once, whenever pickup dies.
 *
 * pickup makes a message durable, announces it, and removes the file.  When it dies before the last step, its successor takes the same file in again:
 * the envelope of both says which file it was ("name/inode/mtime"), and whichever comes second here goes, with the file.
 * State: q->claims, the last submissions.  Does not yield; one stat and one unlink when there is something to be done. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/maildrop.h"
#include "queue/qmgr_private.h"

#define CLAIMS_MAX 4096u        /* submissions that are remembered: many more than one pickup has in its hands */

struct claim { char *file, queue_id[PH_QUEUE_ID_MAX]; };

/* Is it still there, and the same file? */
static void remove_file(const struct ph_qmgr *q, const char *file)
{
	const char *slash = strchr(file, '/');
	char path[300], is[400];
	struct stat st;

	if (slash == NULL || slash == file || *file == '.' || slash - file > 200)
		return;
	snprintf(path, sizeof(path), "maildrop/%.*s", (int)(slash - file), file);
	if (fstatat(q->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	ph_maildrop_id(is, sizeof(is), path + strlen("maildrop/"), &st);
	if (strcmp(is, file) == 0 && unlinkat(q->dirfd, path, 0) == 0)
		ph_log(PH_LOG_INFO, "%s: removed: its message is in the queue", path);
}

bool ph_claim(struct ph_qmgr *q, const char *queue_id, const struct ph_envelope *env, bool recovered)
{
	const char *file = ph_envelope_attr(env, "maildrop_id");
	struct claim *c;

	if (file == NULL || q->offline)
		return true;
	c = ph_htab_get(&q->claims, file);
	if (c && strcmp(c->queue_id, queue_id) != 0) {
		ph_log(PH_LOG_INFO, "%s: dropped: maildrop/%.*s was taken in before, as %s", queue_id, (int)strcspn(file, "/"), file, c->queue_id);
		remove_file(q, file);
		return false;
	}
	if (c)
		return true;
	if (q->claim_ring == NULL)
		q->claim_ring = ph_alloc(CLAIMS_MAX * sizeof(q->claim_ring[0]));
	c = q->claim_ring[q->claim_next];
	if (c) {
		ph_htab_del(&q->claims, c->file);
		free(c->file);
	} else {
		c = q->claim_ring[q->claim_next] = ph_alloc(sizeof(*c));
	}
	q->claim_next = (q->claim_next + 1) % CLAIMS_MAX;
	c->file = ph_strdup(file);
	snprintf(c->queue_id, sizeof(c->queue_id), "%s", queue_id);
	ph_htab_put(&q->claims, c->file, c);
	if (recovered)          /* perhaps its pickup did not come to it */
		remove_file(q, file);
	return true;
}
