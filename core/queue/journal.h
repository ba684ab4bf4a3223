/* journal.h: what happened to the messages.
 *
 * Every process that decides something about a recipient appends to a journal file of its own, journal/J<slot>.<seq>, with one write() at once: what
 * is in the page cache survives the death of any process; a background fdatasync (at most PH_JOURNAL_SYNC_MS later) covers power loss.  Final results
 * (sent, bounced) are monotonic, so the order between files does not matter.  The queue manager folds old files into a checkpoint. */
#ifndef CORE_QUEUE_JOURNAL_H
#define CORE_QUEUE_JOURNAL_H

#include <posthouse/delivery.h>
#include "base/queue_id.h"

#define PH_JOURNAL_SYNC_MS 200

enum ph_journal_type {
	PH_J_RESULT = 1,        /* recipient: sent or bounced (final), by an agent */
	PH_J_DEFERRED,          /* recipient: deferred with reason (agent; shown by postqueue, used by delay warnings) */
	PH_J_RETRY,             /* message: next attempt at time_ms, attempt count */
	PH_J_HOLD, PH_J_RELEASE, PH_J_EXPIRE,
	PH_J_NOTIFIED,          /* message: bounce or warning for these recipients is durable (text: kind) */
	PH_J_REMOVED,           /* message: done, deleted */
	PH_J_LIVE,              /* checkpoint: message is live with this state (done bitmap ...) */
	PH_J_CHECKPOINT_BEGIN, PH_J_CHECKPOINT_SEGMENT /* text: file; instance and offset up to where the LIVE set is complete */, PH_J_CHECKPOINT_END,
	PH_J_PART,              /* one part of a recipient (parts.h): its status, or PH_J_TOLD; blob: address, NUL, route */
	PH_J_LAST = PH_J_PART
};
#define PH_J_TOLD 5             /* a PART's status that is none: it bounced before, and the notification has gone out */

struct ph_journal_rec {
	enum ph_journal_type type;
	char queue_id[PH_QUEUE_ID_MAX];
	uint32_t rcpt;                  /* index in the envelope */
	uint8_t status;                 /* enum ph_delivery_status */
	int64_t time_ms;                /* wall clock */
	uint64_t number, number2;       /* by type */
	struct ph_slice dsn, text, relay, mta, diag;    /* by type; may be empty */
	struct ph_slice blob;           /* LIVE: done bitmap and the like */
};

struct ph_journal;
/* Create a new journal file.  queue_dirfd is kept by the caller.  0 or negative with err. */
int ph_journal_open(int queue_dirfd, unsigned slot, struct ph_journal **ret, struct ph_err *err);
/* The same file by a descriptor (taken over) that another process handed on, for a process that may open nothing. */
int ph_journal_adopt(int fd, const char *file, struct ph_journal **ret, struct ph_err *err);
void ph_journal_close(struct ph_journal **j);
const char *ph_journal_file(const struct ph_journal *j);
int ph_journal_fd(const struct ph_journal *j);
/* Append now (one write; retried on EINTR; the rest of a short write is tried once more).  0, or negative: the record is not there.  Does not yield. */
int ph_journal_append(struct ph_journal *j, const struct ph_journal_rec *rec, struct ph_err *err);
/* Collect records and write them with one write() at the end of the loop turn (queue manager's RETRY, REMOVED). */
int ph_journal_append_batched(struct ph_journal *j, const struct ph_journal_rec *rec, struct ph_err *err);
/* Write what was collected now.  0; negative: it is tried again in a while.  Does not yield. */
int ph_journal_flush(struct ph_journal *j, struct ph_err *err);
/* Another process has appended to the file through a descriptor that was handed to it: sync it soon. */
void ph_journal_touched(struct ph_journal *j);
/* Wait until all that was appended is on disk.  0; or negative, also when a background sync failed since the last call (what was not on disk
 * then has been written anew into a new file, so records are not lost, but they may be spread over two files now).  Yields. */
int ph_journal_sync(struct ph_journal *j, struct ph_err *err);
/* Go on in a new file; the old one stays until the checkpoint is durable. */
int ph_journal_rotate(struct ph_journal *j, struct ph_err *err);
/* Read a journal file from *offset on; *offset moves behind the last whole record.  A torn tail ends the reading silently, a damaged record in the
 * middle is skipped with a log line.  fn: 0 to go on. */
int ph_journal_read(int queue_dirfd, const char *file, uint64_t *offset, int (*fn)(void *arg, const struct ph_journal_rec *rec), void *arg, struct ph_err *err);
/* Pure: one record.  Bytes used, 0: incomplete, negative: damaged. */
ssize_t ph_journal_decode(struct ph_slice in, struct ph_journal_rec *ret);
#endif
