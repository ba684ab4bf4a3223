/* recover_private.h: what the parts of the recovery share.
 *
 * recover.c: the course of it; recover_told.c: what journals say about messages that are not found yet; recover_journal.c: journals and
 * checkpoints; recover_file.c: the files of incoming/; recover_lost.c: messages that journals know and no file has.
 * The queue manager's thread only; state: struct ph_recovery, q->recovery until all files were read. */
#ifndef CORE_QUEUE_RECOVER_PRIVATE_H
#define CORE_QUEUE_RECOVER_PRIVATE_H

#include "queue/qmgr_private.h"

struct ph_told_rcpt {
	uint32_t rcpt;
	uint8_t state;                  /* PH_RCPT_* */
	const char *address, *route;    /* of a part (parts.h), whose state it then is; NULL: of the recipient */
	int64_t time_ms;
	const char *dsn, *text, *relay, *mta, *diag;
	struct ph_told_rcpt *next;      /* newest first */
};

struct ph_told {                        /* what journals say about a message */
	char queue_id[PH_QUEUE_ID_MAX];
	bool removed, expire, warned, traced;
	bool at_start;                  /* said before this process began */
	bool found;                     /* a file has it */
	bool named;                     /* the log has said that it is damaged */
	uint8_t hold;                   /* 0: nothing said, 1: held, 2: released */
	int64_t hold_ms, retry_ms;
	uint64_t attempts;
	struct ph_told_rcpt *rcpts;
};

/* The end of a file that was not sealed: a message begins there and is not whole.  Never acknowledged, unless a journal knows it. */
struct ph_torn {
	struct ph_msg_ref ref;          /* of what is there; env_length 0 */
	bool discard;                   /* nothing else is in the file */
};

struct ph_recovery {
	struct ph_htab told;            /* by queue id */
	struct ph_arena *arena;
	struct { char file[PH_STORE_FILE_MAX]; uint64_t instance, committed; } *open;   /* files that living processes write */
	size_t n_open;
	struct ph_torn *torn;
	size_t n_torn;
	int64_t checkpoint_ms;          /* wall clock, of the checkpoint that was loaded: what it does not have was done by then; 0: none */
	int64_t started_ms;
};

/* recover_told.c */
struct ph_told *ph_told_get(struct ph_recovery *r, const char *queue_id);       /* made when it is not there */
void ph_tell(struct ph_recovery *r, const struct ph_journal_rec *rec);
/* e is in the index; put it into the state that the journals say (t NULL: nothing).  retry_ms: wall clock, of a checkpoint, or 0. */
void ph_told_settle(struct ph_qmgr *q, struct ph_entry *e, struct ph_told *t, int64_t retry_ms);
/* A result for a message that is in the index already.  Uses q->scratch. */
void ph_told_now(struct ph_qmgr *q, struct ph_entry *e, const struct ph_journal_rec *rec);
bool ph_recover_done(const struct ph_entry *e);         /* nothing is left to be done for any recipient */
/* It is deferred or on hold as far as the journals go, which the checkpoint did not contradict. */
bool ph_told_live(const struct ph_recovery *r, const struct ph_told *t);

/* recover_journal.c: the newest whole checkpoint into the index; what every other journal says into r->told. */
int ph_recover_read_journals(struct ph_qmgr *q, struct ph_err *err);

/* recover_file.c: false: a living process writes it and has not said hello yet.  Yields. */
bool ph_recover_file(struct ph_qmgr *q, const char *file);

/* recover_lost.c */
/* A message begins in a file and is not whole.  discard: nothing else is in the file.  True: it may have been one that was acknowledged, and is kept
 * for now. */
bool ph_recover_torn(struct ph_qmgr *q, const struct ph_msg_ref *ref, bool discard);
/* The same for a message's own file in which not even the beginning of a message is. */
bool ph_recover_cut(struct ph_qmgr *q, const char *file);
/* All files were read: say what is lost, and keep its bytes. */
void ph_recover_lost(struct ph_qmgr *q);
#endif
