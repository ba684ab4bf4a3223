/* store.h: messages on stable storage.
 *
 * A process that takes mail in owns a store writer.  Small messages go to its open segment (group commit by a helper thread); a message
 * larger than PH_STORE_SMALL or one that no buffer budget is left for streams into a file of its own with the same records.  A message
 * is immutable once written; what happens to it later stands in the journals (journal.h).
 * doc/architecture.md has the format byte by byte and the crash argument. */
#ifndef CORE_QUEUE_STORE_H
#define CORE_QUEUE_STORE_H

#include "message/envelope.h"
#include "base/queue_id.h"

#define PH_STORE_SMALL (256 * 1024)     /* content of up to this many bytes lies in one piece */
#define PH_STORE_FILE_MAX 48
#define PH_SEGMENT_START 4096           /* where the first message of a file begins; the next begins where it ends */

/* Where a message lies.  Its records: MESSAGE, CONTENT (a message file: one for each 256 KiB), ENVELOPE, END. */
struct ph_msg_ref {
	char queue_id[PH_QUEUE_ID_MAX];
	char file[PH_STORE_FILE_MAX];   /* below queue_directory: "incoming/S03.0000001a", "incoming/<queue id>" */
	uint64_t instance;              /* of the segment: tells recycled files apart */
	uint64_t offset;                /* of the message's first record */
	uint64_t length;                /* to the end of its last record, padding included */
	uint32_t env_length;            /* of the ENVELOPE record, without padding; it stands before the END record */
};

struct ph_store;
struct ph_store_msg;

struct ph_store_config {
	const char *queue_dir;
	unsigned slot;                  /* 0..255, unique among live processes */
	size_t segment_bytes;           /* 0: 32 MiB; at least 2 MiB */
	size_t memory_max;              /* all collecting messages of this process together; beyond it they stream to files; 0: 64 MiB */
	unsigned files_max;             /* messages that stream to files at the same time; 0: a quarter of the descriptor limit */
};
/* The current segment is created on first use, spare ones are recycled.  After the process's last fork.  0 or negative with err. */
int ph_store_open(const struct ph_store_config *cfg, struct ph_store **ret, struct ph_err *err);
/* No message may be under way (begun and neither committed nor aborted).  In a coroutine (it may yield) or after the loop has ended. */
void ph_store_close(struct ph_store **s);
struct ph_store *ph_store_self(void);   /* the process's writer (set by open) */
/* Free bytes for queue_minfree, checked at most once a second; negative when unknown. */
int64_t ph_store_free_bytes(struct ph_store *s);

/* queue_id: a valid one (it becomes a file name for a large message).  Never NULL. */
struct ph_store_msg *ph_store_begin(struct ph_store *s, const char *queue_id);
/* Content bytes.  0 or negative (-ENOSPC, -EIO, -EMFILE ...; sticky).  May yield (when it streams to a file). */
int ph_store_write(struct ph_store_msg *m, const void *p, size_t n);
int64_t ph_store_bytes(const struct ph_store_msg *m);
/* Read back what was written, for filters at end of message.  Bytes, 0 at the end, negative.  May yield. */
ssize_t ph_store_read(struct ph_store_msg *m, int64_t offset, void *buf, size_t n);
/* Replace the content from offset 0 on by nothing (filters that rewrite: then write anew).  0 or negative.  May yield. */
int ph_store_rewrite(struct ph_store_msg *m);
/* Write the envelope and make everything durable.  0 (fdatasync returned 0; ref filled; *m freed) or negative: nothing is kept, *m freed.
 * env->content_bytes is replaced by what was written.  Cannot be cancelled: whoever waits gets the outcome.  Yields. */
int ph_store_commit(struct ph_store_msg **m, const struct ph_envelope *env, struct ph_msg_ref *ret, struct ph_err *err);
void ph_store_abort(struct ph_store_msg **m);   /* NULL-safe */
/* Copy a message that lies elsewhere (compaction) into this writer, under the same queue id; every checksum of it is verified on the way
 * (-EBADMSG: damaged).  As commit.  Yields. */
int ph_store_copy(struct ph_store *s, const struct ph_msg_ref *from, struct ph_msg_ref *ret, struct ph_err *err);
/* Segments that this process has open, or has abandoned after a failure, and up to where they are committed (ref.offset; file and instance are
 * set, the rest is not), for the queue manager after its restart: what lies behind offset is not to be delivered.  Returns how many. */
size_t ph_store_open_segments(struct ph_store *s, struct ph_msg_ref *ret, size_t max);

/* ---- readers (queue manager, agents, postcat): pure bytes-in parsing, fuzzed ---- */
struct ph_stored {                      /* a message opened for reading; lives in the arena, and closes itself with it */
	int fd;                         /* owned by the reader's descriptor cache */
	struct ph_envelope *env;        /* in arena; NULL when only content was asked for */
	uint64_t content_offset;        /* in file; for a message with one content record */
	int64_t content_bytes;
	bool contiguous;                /* one content record: content lies at content_offset */
	struct ph_msg_ref ref;
	void *held;                     /* the cache's */
};
/* Open and read the envelope.  0; -EBADMSG: damaged; -ESTALE: the file is not the one meant any more; -errno.  Blocks on the disk when the
 * envelope is not in the page cache.  The loop's thread only (the descriptor cache is its). */
int ph_stored_open(int queue_dirfd, const struct ph_msg_ref *ref, struct ph_arena *arena, struct ph_stored **ret, struct ph_err *err);
/* The same without the envelope, and with one small read. */
int ph_stored_open_content(int queue_dirfd, const struct ph_msg_ref *ref, struct ph_arena *arena, struct ph_stored **ret, struct ph_err *err);
/* Content only, through a descriptor of ref->file (the caller's, to be kept open as long as *ret is used); for a process that may open nothing. */
int ph_stored_open_fd(int fd, const struct ph_msg_ref *ref, struct ph_arena *arena, struct ph_stored **ret, struct ph_err *err);
/* Where in the file the byte of the content at offset lies (0 <= offset < content_bytes). */
uint64_t ph_stored_at(const struct ph_stored *m, int64_t offset);
/* Content bytes; 0 at end; -EBADMSG, -errno.  Blocking; any thread; no checksum. */
ssize_t ph_stored_read(struct ph_stored *m, int64_t offset, void *buf, size_t n);
/* The whole content with its checksum verified, when it lies in one piece: one read, no other pass over it.  buf: content_bytes bytes.
 * 0, -EBADMSG or -errno with err.  Blocking; any thread. */
int ph_stored_content(struct ph_stored *m, void *buf, struct ph_err *err);
/* Check the checksums of all records.  0, -EBADMSG with err saying where, -errno.  Blocking; any thread. */
int ph_stored_verify(struct ph_stored *m, struct ph_err *err);
/* Let go of descriptors of files that nobody reads any more. */
void ph_stored_cache_trim(void);

/* Walk all messages of a file from its beginning up to limit (0: to its end).  fn gets each intact message's ref and envelope bytes (for
 * ph_envelope_decode), and for a damaged stretch a ref with env_length == 0, its offset and length, and its queue id when that is known.
 * What was never acknowledged is silent: a torn tail (without an END record in it), a refused message, a message file without its end.  fn: 0 to go on, else the scan
 * returns that.  0 or negative with err (the file cannot be read).  Blocking; any thread. */
int ph_segment_scan(int queue_dirfd, const char *file, uint64_t limit,
		    int (*fn)(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope), void *arg, struct ph_err *err);
/* The same, and torn (not NULL) hears of each message that begins and does not end behind the last whole one: a ref with env_length == 0.
 * Without an END record it looks like a write that was not finished; the journals may know better. */
int ph_segment_scan_torn(int queue_dirfd, const char *file, uint64_t limit,
			 int (*fn)(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope),
			 void (*torn)(void *arg, const struct ph_msg_ref *ref), void *arg, struct ph_err *err);
/* The same for an open file of any name, to its end; references in it name no file, but serve ph_stored_open_fd. */
int ph_segment_scan_fd(int fd, int (*fn)(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope), void *arg, struct ph_err *err);
/* 1: no living writer has this file open (once idle, a file stays idle), 0: one has, -errno.  A file may be discarded because a scan found
 * nothing to keep in it only when it was idle before that scan began. */
int ph_segment_idle(int queue_dirfd, const char *file);
/* A segment without live messages: recycle it (keeps up to a few spares) or unlink it.  Messages' own files: unlink.  -EBUSY: its writer
 * lives and has it open. */
int ph_segment_discard(int queue_dirfd, const char *file);
/* Copy damaged bytes to corrupt/ with a log line; durable on return.  0 or negative. */
int ph_store_quarantine(int queue_dirfd, const struct ph_msg_ref *ref, const char *why);
/* Names in a folder below the queue directory that begin with prefix (no hidden ones), sorted, the folder in front; heap.  Blocking; any thread. */
size_t ph_queue_names(int queue_dirfd, const char *folder, const char *prefix, char ***ret);
void ph_queue_names_free(char **names, size_t n);
/* The instance that a file has on disk now; 0: it has none.  Blocking; any thread. */
uint64_t ph_file_instance(int queue_dirfd, const char *file);
/* Create the folders of a queue directory, with Postfix's owners and modes (as an ordinary user: modes only).  owner, drop_group: of
 * mail_owner and setgid_group.  What is there is set right.  0 or negative with err. */
int ph_queue_dirs_make(const char *queue_dir, uid_t owner, gid_t drop_group, struct ph_err *err);
#endif
