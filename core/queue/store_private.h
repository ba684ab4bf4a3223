/* store_private.h: what the parts of the store's writer share.
 *
 * store.c: messages while they are collected; store_commit.c: group commit; segment.c: files that segments live in;
 * msgfile.c: messages in files of their own.  All state belongs to the loop's thread; a helper thread touches only what its job names. */
#ifndef CORE_QUEUE_STORE_PRIVATE_H
#define CORE_QUEUE_STORE_PRIVATE_H

#include <sys/uio.h>

#include <posthouse/co.h>
#include "base/list.h"
#include "base/offload.h"
#include "queue/record.h"

#define PH_ENV_SMALL ((size_t)256 * 1024)       /* a longer envelope makes a message a file of its own */
#define PH_SPARES_MAX 16
#define PH_ABANDONED_MAX 64

/* ---- segment.c ---- */

struct ph_segfile {
	int fd;                         /* locked (flock) as long as it is open: ph_segment_idle */
	char file[PH_STORE_FILE_MAX];
	uint64_t instance;
	uint64_t size;
	uint64_t pos;                   /* the next message goes here */
	uint64_t committed;             /* all before is durable */
	uint64_t zeroed;                /* blocks up to here were written before: overwriting them changes no metadata */
};

/* Where segments are made; a copy goes into each job. */
struct ph_segdirs {
	int incoming, spare;            /* descriptors */
	unsigned slot;
	uint64_t segment_bytes;
};

/* Make an empty segment with this number (or a later one, when the name is taken), from a spare one or anew: durable with its
 * name when this returns.  *seq: moved to the number used.  0 or -errno, with nothing left behind.  Blocking. */
int ph_segfile_make(const struct ph_segdirs *d, uint32_t *seq, struct ph_segfile **ret);
/* Write iov at seg->pos .. end and make it durable.  0; or -errno: then seg is to be abandoned, and what was written was taken back as
 * far as the disk allows: voids (n offsets, each with the bytes to skip) says which messages that was.  Blocking. */
struct ph_void { uint64_t offset, bytes; };
int ph_segfile_append(struct ph_segfile *seg, struct iovec *iov, size_t n_iov, uint64_t end, const struct ph_void *voids, size_t n_voids);
/* Leave it: CLOSE record (if complete and there is room), close.  An empty one is given back.  Blocking, but not on the disk. */
void ph_segfile_leave(const struct ph_segdirs *d, struct ph_segfile **seg, bool complete);
/* Write all of iov at offset.  0 or -errno.  Modifies iov. */
int ph_pwritev_all(int fd, struct iovec *iov, size_t n, uint64_t offset);
/* Remove all spare segments: the disk is full.  Returns how many. */
int ph_spares_drop(int spare_dirfd);
/* Remove what an earlier process of this slot had begun to make. */
void ph_segment_sweep(const struct ph_segdirs *d);
/* Largest number of a segment of this slot in the directory, or 0. */
uint32_t ph_segment_seq_max(int dirfd, unsigned slot);

/* ---- the writer ---- */

struct ph_batch;

struct ph_store {
	uint32_t magic;
	char *queue_dir;
	struct ph_segdirs dirs;
	int dirfd;
	size_t memory_max, memory;      /* bytes that collecting messages may have, and have */
	unsigned files_max, files, messages;
	struct ph_offload_pool *sync_pool, *file_pool;

	/* store_commit.c */
	struct ph_list pending;         /* of ph_store_msg.node, in order of commit */
	struct ph_segfile *cur, *next;  /* written to; ready to be */
	uint32_t seq;                   /* of the last segment */
	bool kick_set, preparing, busy;
	struct ph_msg_ref abandoned[PH_ABANDONED_MAX];
	size_t n_abandoned;             /* ever; the last PH_ABANDONED_MAX are kept */
	int64_t prepare_again_ms;
	struct ph_co *closer;           /* waits until neither preparing nor busy */

	int64_t free_bytes, free_at_ms;
};

struct ph_store_msg {
	uint32_t magic;
	struct ph_store *s;
	char queue_id[PH_QUEUE_ID_MAX];
	int err;                        /* sticky */
	int64_t bytes;                  /* content so far */
	unsigned char *buf;             /* content; of a message file: what is not yet written */
	size_t len, cap;
	struct ph_msgfile *file;        /* NULL: in memory */

	/* while it commits */
	struct ph_list node;
	struct ph_co *co;
	bool done;
	uint64_t offset, total;
	unsigned char head[PH_MSG_REC + PH_REC_HEAD];   /* MESSAGE, and the head of CONTENT */
	unsigned char *tail;            /* CONTENT's padding, ENVELOPE, END */
	size_t tail_len, env_len;       /* env_len: payload of ENVELOPE */
	struct ph_msg_ref ref;
};

/* store_commit.c: append m, which lies in memory, to the segment.  env: encoded.  0 and m->ref, or negative.  Yields. */
int ph_store_commit_small(struct ph_store_msg *m, struct ph_slice env);
/* False: a helper thread still works for s and nobody can wait for it. */
bool ph_store_commit_close(struct ph_store *s);

/* ---- msgfile.c: all but _free run blocking calls on helper threads, and so yield ---- */
/* Move what m has in memory into a file of its own.  0 or -errno. */
int ph_msgfile_start(struct ph_store_msg *m);
int ph_msgfile_write(struct ph_store_msg *m, const void *p, size_t n);
ssize_t ph_msgfile_read(struct ph_store_msg *m, int64_t offset, void *buf, size_t n);
int ph_msgfile_rewrite(struct ph_store_msg *m);
int ph_msgfile_commit(struct ph_store_msg *m, struct ph_slice env);
/* Remove the file unless it was committed.  Does not yield. */
void ph_msgfile_free(struct ph_store_msg *m);

/* store.c: account for m->cap going to cap bytes.  False: no budget. */
bool ph_store_charge(struct ph_store_msg *m, size_t cap);
#endif
