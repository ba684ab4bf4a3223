/* index.h: every message of the queue in memory, in few bytes, and the files that hold them.
 *
 * An entry is one allocation: fixed part, eight bytes per recipient, then the texts (queue id, sender, recipients).  What a delivery
 * attempt said about a recipient (a reason) is shared between all recipients of whom the same was said.  No I/O, nothing yields. */
#ifndef CORE_QUEUE_INDEX_H
#define CORE_QUEUE_INDEX_H

#include "base/heap.h"
#include "base/htab.h"
#include "base/list.h"
#include "queue/store.h"

/* ---- files ---- */
struct ph_segment {
	struct ph_list node;            /* in index.segments */
	char file[PH_STORE_FILE_MAX];
	uint64_t instance;
	uint64_t live_bytes;            /* of messages that are in the queue */
	uint64_t end;                   /* end of the last message that was heard of */
	uint64_t covered;               /* every message below this offset has been heard of */
	uint32_t live;                  /* messages; and those that somebody still reads */
	uint32_t open;                  /* its writer is connected and goes on writing: number of such links */
	bool own;                       /* one message's own file */
	bool compacting;                /* is being read to its end, or copied out of */
	uint32_t gap_scans;             /* of these: the former */
	bool doubtful;                  /* not read to its end: never discarded */
	struct ph_extent { uint64_t from, to; } *holes;         /* messages behind covered, not joined to it yet; sorted */
	uint32_t n_holes, cap_holes;
	uint64_t seen;                  /* scratch for checkpoints */
};

/* ---- reasons ---- */
#define PH_REASON_TEXT_MAX 1024 /* bytes per field; cut there */
struct ph_reason {                      /* texts: never NULL, may be empty */
	const char *dsn, *text, *relay, *mta, *diag;
};

/* ---- entries ---- */
enum ph_entry_state { PH_ENTRY_INCOMING, PH_ENTRY_ACTIVE, PH_ENTRY_DEFERRED, PH_ENTRY_HOLD };
enum {  /* ph_entry.marks */
	PH_MARK_EXPIRE = 1,             /* postsuper -e */
	PH_MARK_WARNED = 2,             /* the delay warning went out */
	PH_MARK_TRACED = 4,             /* the report of sendmail -v went out */
	PH_MARK_FRESH = 8,              /* never tried */
	PH_MARK_MARKER = 16,            /* not a message: a place in the list (struct ph_index_cursor) */
	PH_MARK_BUSY = 32,              /* taken by compaction or requeueing */
	PH_MARK_FLUSH = 64,             /* somebody wants it delivered now: defer_transports does not hold for the next attempt */
};
#define PH_MARK_LISTED_SHIFT 24         /* the top 8 bits of marks: number of the last listing that showed it */
enum { PH_RCPT_TODO, PH_RCPT_SENT, PH_RCPT_BOUNCED, PH_RCPT_CLOSED };
/* SENT: delivered, a success notification may be due; BOUNCED: failed, notification due; CLOSED: nothing is left to be done. */

struct ph_entry_rcpt {
	uint32_t reason;                /* 0: none */
	uint16_t order;                 /* the how manieth result of the attempt its last one was (not kept in checkpoints) */
	uint8_t state : 2;
	uint8_t deferred : 1;           /* the reason is one of deferral */
	uint8_t has_original : 1;
	uint8_t notify;                 /* PH_NOTIFY_* */
};

struct ph_entry {
	struct ph_list all;             /* in order of arrival */
	uint32_t marks;
	uint32_t flags;                 /* PH_ENV_* */
	struct ph_heap_node due;        /* in incoming (by arrival here) or deferred (by time of the next attempt, ph_now_ms) */
	struct ph_segment *segment;
	struct ph_active *active;       /* qmgr's, while it is being delivered */
	uint64_t offset, length;
	int64_t arrival_us, content_bytes;
	uint32_t env_length;
	uint32_t n_rcpts, n_todo;
	uint16_t attempts;
	uint8_t state;                  /* enum ph_entry_state */
	uint8_t crashes;                /* agents that died over it */
	uint32_t text_bytes;
	uint32_t added;                 /* the how manieth this was (wraps) */
	struct ph_entry_rcpt rcpts[];
};

struct ph_index {
	struct ph_htab by_id;
	struct ph_list all, segments;
	struct ph_heap incoming, deferred;
	uint64_t incoming_seq, added;
	size_t n, n_state[4];
	uint64_t bytes;                 /* memory of entries */
	uint64_t content_bytes;
	struct ph_htab segment_by_name, reason_by_text;
	struct ph_reason_slot { char *blob; uint32_t n, refs, next_free; } *reasons;
	uint32_t n_reasons, cap_reasons, free_reason;
	char scratch[5 * (PH_REASON_TEXT_MAX + 1)];
};

struct ph_index *ph_index_new(void);
void ph_index_free(struct ph_index **ix);

/* Find or make. */
struct ph_segment *ph_index_segment(struct ph_index *ix, const char *file, uint64_t instance);
struct ph_segment *ph_index_segment_find(struct ph_index *ix, const char *file, uint64_t instance);
void ph_index_segment_forget(struct ph_index *ix, struct ph_segment *seg);      /* it has no live messages */
/* A message [from, to) was heard of. */
void ph_segment_cover(struct ph_segment *seg, uint64_t from, uint64_t to);
bool ph_segment_covers(const struct ph_segment *seg, uint64_t offset);

/* A message; state INCOMING or HOLD (flag), in none of the heaps.  NULL: this queue id is there already. */
struct ph_entry *ph_index_add(struct ph_index *ix, const struct ph_msg_ref *ref, const struct ph_envelope *env);
struct ph_entry *ph_index_find(const struct ph_index *ix, const char *queue_id);
/* Take it out and free it; its bytes are not live any more.  Not while active. */
void ph_index_remove(struct ph_index *ix, struct ph_entry *e);
void ph_index_state(struct ph_index *ix, struct ph_entry *e, enum ph_entry_state state);       /* also takes it out of the heaps */
void ph_index_enqueue(struct ph_index *ix, struct ph_entry *e);                 /* INCOMING, in its heap */
void ph_index_defer(struct ph_index *ix, struct ph_entry *e, int64_t due_ms);   /* DEFERRED, in its heap */
/* The message lies elsewhere now. */
void ph_index_move(struct ph_index *ix, struct ph_entry *e, const struct ph_msg_ref *to);
void ph_entry_ref(const struct ph_entry *e, struct ph_msg_ref *ret);

/* What happened to recipient i.  reason may be NULL (nothing is remembered).  A recipient that is not TODO stays as it is, but for BOUNCED and
 * SENT, which become CLOSED.  Returns whether anything changed. */
bool ph_index_result(struct ph_index *ix, struct ph_entry *e, uint32_t i, uint8_t state, const struct ph_reason *reason);
bool ph_entry_reason(const struct ph_index *ix, const struct ph_entry *e, uint32_t i, struct ph_reason *ret);

const char *ph_entry_queue_id(const struct ph_entry *e);
const char *ph_entry_sender(const struct ph_entry *e);
/* Walk the recipients' addresses in order: const char *p = ph_entry_rcpts(e); for each i: ph_entry_rcpt_next(e, i, &p, &original). */
const char *ph_entry_rcpts(const struct ph_entry *e);
const char *ph_entry_rcpt_next(const struct ph_entry *e, uint32_t i, const char **cursor, const char **ret_original);

/* All in order, over a long time: entries may come and go between two calls. */
struct ph_index_cursor { struct ph_list node; uint32_t marks; };
void ph_index_cursor_open(struct ph_index *ix, struct ph_index_cursor *c);
struct ph_entry *ph_index_cursor_next(struct ph_index *ix, struct ph_index_cursor *c);  /* NULL: end */
void ph_index_cursor_close(struct ph_index_cursor *c);

/* ---- for checkpoints: an entry as bytes ---- */
int ph_entry_pack(const struct ph_index *ix, const struct ph_entry *e, int64_t due_wall_ms, struct ph_buf *out);
/* NULL and err: damaged, or there already (-EEXIST). */
struct ph_entry *ph_entry_unpack(struct ph_index *ix, struct ph_segment *seg, const char *queue_id, struct ph_slice in,
				 int64_t *ret_due_wall_ms, struct ph_err *err);
#endif
