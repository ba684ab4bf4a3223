/* store.h: messages on stable storage.
 *
 * A process that takes mail in owns a store writer.  Small messages go to its open segment (one write each, group commit by a helper
 * thread); a message larger than PH_STORE_SMALL or one that no buffer budget is left for streams into a file of its own with the same
 * records.  A message is immutable once written; what happens to it later stands in the journals (journal.h).
 * doc/architecture.md has the format byte by byte and the crash argument. */
#ifndef CORE_QUEUE_STORE_H
#define CORE_QUEUE_STORE_H

#include "message/envelope.h"
#include "base/queue_id.h"

#define PH_STORE_SMALL (256 * 1024)

/* Where a message lies. */
struct ph_msg_ref {
	char queue_id[PH_QUEUE_ID_MAX];
	char file[40];                  /* below queue_directory: "incoming/S03.0000001a", "incoming/<queue id>" */
	uint64_t instance;              /* of the segment: tells recycled files apart */
	uint64_t offset;                /* of the message's first record */
	uint64_t length;                /* to the end of its last record, padding included */
	uint32_t env_length;            /* bytes from offset that hold header and envelope records */
};

struct ph_store;
struct ph_store_msg;

struct ph_store_config {
	const char *queue_dir;
	unsigned slot;                  /* 0..255, unique among live processes */
	size_t segment_bytes;           /* default 32 MiB */
	size_t memory_max;              /* all collecting messages of this process together; beyond it they stream to files */
};
/* The current segment is created on first use, spare ones are recycled.  0 or negative with err. */
int ph_store_open(const struct ph_store_config *cfg, struct ph_store **ret, struct ph_err *err);
void ph_store_close(struct ph_store **s);
struct ph_store *ph_store_self(void);   /* the process's writer (set by open) */
/* Free bytes for queue_minfree, checked at most once a second; negative when unknown. */
int64_t ph_store_free_bytes(struct ph_store *s);

struct ph_store_msg *ph_store_begin(struct ph_store *s, const char *queue_id);
/* Content bytes.  0 or negative (-ENOSPC, -EIO ...).  May yield (when it streams to a file). */
int ph_store_write(struct ph_store_msg *m, const void *p, size_t n);
int64_t ph_store_bytes(const struct ph_store_msg *m);
/* Read back what was written, for filters at end of message.  May yield. */
ssize_t ph_store_read(struct ph_store_msg *m, int64_t offset, void *buf, size_t n);
/* Replace the content from offset 0 on by nothing (filters that rewrite: then write anew). */
int ph_store_rewrite(struct ph_store_msg *m);
/* Write the envelope and make everything durable.  0 (fdatasync returned 0; ref filled; *m freed) or negative: nothing is kept, *m freed.  Yields. */
int ph_store_commit(struct ph_store_msg **m, const struct ph_envelope *env, struct ph_msg_ref *ret, struct ph_err *err);
void ph_store_abort(struct ph_store_msg **m);
/* Copy a message that lies elsewhere (compaction; pickup of a finished file) into this writer.  As commit.  Yields. */
int ph_store_copy(struct ph_store *s, const struct ph_msg_ref *from, struct ph_msg_ref *ret, struct ph_err *err);
/* Segments that this process has open and up to where they are committed, for the queue manager after its restart. */
size_t ph_store_open_segments(struct ph_store *s, struct ph_msg_ref *ret, size_t max);

/* ---- readers (queue manager, agents, postcat): pure bytes-in parsing, fuzzed ---- */
struct ph_stored {                      /* a message opened for reading */
	int fd;                         /* owned by the reader's descriptor cache */
	struct ph_envelope *env;        /* in arena; NULL when only content was asked for */
	uint64_t content_offset;        /* in file; for a message with one content record */
	int64_t content_bytes;
	bool contiguous;                /* one content record: content lies at content_offset */
	struct ph_msg_ref ref;
	void *index;                    /* of content records otherwise */
};
int ph_stored_open(int queue_dirfd, const struct ph_msg_ref *ref, struct ph_arena *arena, struct ph_stored **ret, struct ph_err *err);
ssize_t ph_stored_read(struct ph_stored *m, int64_t offset, void *buf, size_t n);      /* blocking; content bytes, 0 at end */
int ph_stored_verify(struct ph_stored *m, struct ph_err *err);                          /* checks all CRCs */
/* Walk all messages of a file from offset 0 up to limit (0: to its end).  fn gets each valid message's ref and envelope bytes, and for a damaged
 * stretch ref->env_length == 0 with its offset and length.  A torn tail that was never acknowledged is silent. */
int ph_segment_scan(int queue_dirfd, const char *file, uint64_t limit,
		    int (*fn)(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope), void *arg, struct ph_err *err);
/* A segment without live messages: recycle it (keeps up to a few spares) or unlink it.  Messages' own files: unlink. */
int ph_segment_discard(int queue_dirfd, const char *file);
/* Move damaged bytes to corrupt/ with a log line. */
int ph_store_quarantine(int queue_dirfd, const struct ph_msg_ref *ref, const char *why);
/* Create the folders of a queue directory (incoming, spare, journal, maildrop, corrupt, active, deferred, hold, pid, public, private). */
int ph_queue_dirs_make(const char *queue_dir, uid_t owner, gid_t drop_group, struct ph_err *err);
#endif
