/* journal_private.h: what the parts of the journal share.
 *
 * journal.c: appending; journal_sync.c: the way to the disk; journal_file.c: files and names; journal_rec.c: records. */
#ifndef CORE_QUEUE_JOURNAL_PRIVATE_H
#define CORE_QUEUE_JOURNAL_PRIVATE_H

#include <posthouse/co.h>
#include "base/loop.h"
#include "queue/journal.h"

#define PH_JOURNAL_MAGIC 0x57000003u
#define PH_JOURNAL_KEEP_MAX ((size_t)4 * 1024 * 1024)   /* of what is not on disk yet */

struct ph_journal_sync_job;

struct ph_journal {
	uint32_t magic;
	int dirfd;                      /* of the queue; -1: adopted */
	unsigned slot;
	uint32_t seq;
	int fd;
	char file[32];
	off_t reserved, used;           /* used: what this process wrote; others only make the reserve end earlier */
	struct ph_buf batch;
	bool flush_set, closing;

	uint64_t appended, synced;      /* bytes ever, over all files */
	struct ph_buf keep;             /* the last of them: from keep_from on */
	uint64_t keep_from;
	bool keep_lost;                 /* there was too much */
	bool rewrite;                   /* a sync failed, and what is kept is not in the current file yet */
	bool dir_dirty, touched;
	bool sync_failed;               /* since ph_journal_sync was last asked */
	struct ph_journal_sync_job *job;           /* NULL: none runs */
	struct ph_timer *timer;
	int *old;                       /* descriptors of files before this one, not synced yet */
	size_t n_old;
	struct ph_waitq waiters;
};

/* ---- journal.c ---- */
/* One write; the rest of a short one is tried again, and if that fails readers skip the fragment.  0 or -errno. */
int ph_journal_put(struct ph_journal *j, const char *p, size_t n);
/* What was collected.  0 or -errno: it waits on. */
int ph_journal_flush_now(struct ph_journal *j);
/* ---- journal_sync.c ---- */
void ph_journal_job_leave(struct ph_journal *j);        /* a job that runs ends alone */
/* ---- journal_file.c ---- */
uint32_t ph_journal_seq_max(int dirfd, unsigned slot);
/* The next file.  0: j->fd, j->file are it; else nothing has changed. */
int ph_journal_file_make(struct ph_journal *j);
int ph_journal_dir_sync(int dirfd);
/* ---- journal_rec.c ---- */
/* Append one record's bytes.  0, -EMSGSIZE, -ENOBUFS. */
int ph_journal_encode(const struct ph_journal_rec *rec, struct ph_buf *out);
/* "journal/" and one component. */
bool ph_journal_file_valid(const char *file);
#endif
