/* maildrop.h: the files that sendmail(1) and postdrop(1) leave in maildrop/ and pickup takes in.
 *
 * The same byte stream goes from sendmail through a pipe to postdrop.  Format: the eight bytes "PHDROP1\n", then records of one type
 * byte, a 32-bit little-endian length (at most PH_MAILDROP_RECORD_MAX) and the payload; the last is END with the CRC-32C of all that
 * stands before it.  A file is written under a name that begins with a dot, synced, and renamed: what pickup sees is whole.  Who
 * submitted is the file's owner, never what the file says.  Nothing here yields. */
#ifndef CORE_QUEUE_MAILDROP_H
#define CORE_QUEUE_MAILDROP_H

#include <posthouse/base.h>
#include "message/envelope.h"

#define PH_MAILDROP_RECORD_MAX (64 * 1024)
#define PH_MAILDROP_FLAGS (uint32_t)(PH_ENV_SMTPUTF8 | PH_ENV_REQUIRETLS | PH_ENV_TRACE | PH_ENV_TRACE_ONLY | PH_ENV_VERP)

enum ph_maildrop_type {
	PH_DROP_END = 'X',
	PH_DROP_SENDER = 'S',           /* address, "" is <> */
	PH_DROP_FULL_NAME = 'F',
	PH_DROP_ENVID = 'E',
	PH_DROP_RET = 'r',              /* "FULL", "HDRS" */
	PH_DROP_ENCODING = 'e',         /* "7bit", "8bit" */
	PH_DROP_FLAGS = 'f',            /* u32: PH_ENV_*, of PH_MAILDROP_FLAGS */
	PH_DROP_ATTR = 'A',             /* "name=value" */
	PH_DROP_RCPT = 'R',             /* one byte PH_NOTIFY_* (0: not given), orcpt, NUL, address */
	PH_DROP_CONTENT = 'C',          /* bytes of the message, LF line ends */
};

/* ---- writing ---- */
struct ph_maildrop_writer;
/* A new file in queue_dir/maildrop.  0 or negative with err. */
int ph_maildrop_create(const char *queue_dir, struct ph_maildrop_writer **ret, struct ph_err *err);
/* The file's name, as long as the writer lives; "" when it writes to a descriptor. */
const char *ph_maildrop_name(const struct ph_maildrop_writer *w);
/* From now on SIGHUP, SIGINT, SIGQUIT, SIGTERM remove what this process is writing, and end it. */
void ph_maildrop_remove_on_signals(struct ph_maildrop_writer *w);
/* Remove what writers that died left behind more than a day ago.  queue_dirfd: of the queue directory. */
void ph_maildrop_tidy(int queue_dirfd);
/* Write to a descriptor (a pipe to postdrop) instead; it stays the caller's. */
struct ph_maildrop_writer *ph_maildrop_to_fd(int fd);
/* One record.  CONTENT of any length is split.  0 or negative (kept: finish reports it, too). */
int ph_maildrop_put(struct ph_maildrop_writer *w, enum ph_maildrop_type type, const void *p, size_t n);
int ph_maildrop_put_rcpt(struct ph_maildrop_writer *w, const char *address, unsigned notify, const char *orcpt);
/* Write END and, for a file, make it durable and visible.  *w is freed.  0 or negative with err; then nothing is left. */
int ph_maildrop_finish(struct ph_maildrop_writer **w, struct ph_err *err);
void ph_maildrop_abort(struct ph_maildrop_writer **w);

/* ---- reading ---- */
struct ph_maildrop_rec { enum ph_maildrop_type type; struct ph_slice data; };
/* Pure: the record at the front of in.  Bytes used, 0: more bytes are needed, -EBADMSG: not a record. */
ssize_t ph_maildrop_decode(struct ph_slice in, struct ph_maildrop_rec *ret);

struct ph_maildrop_reader;
struct ph_maildrop_reader *ph_maildrop_reader_new(int fd);      /* fd stays the caller's; read from where it stands */
/* The next record (END included); data is valid until the next call.  1, 0 after END was returned, -EBADMSG when the stream is
 * damaged or ends too early, or -errno; err says where. */
int ph_maildrop_next(struct ph_maildrop_reader *r, struct ph_maildrop_rec *ret, struct ph_err *err);
/* After -EBADMSG: the stream ended between two records, as when a writer has given up. */
bool ph_maildrop_given_up(const struct ph_maildrop_reader *r);
void ph_maildrop_reader_free(struct ph_maildrop_reader **r);
/* Take a PH_DROP_RCPT apart.  0 or -EBADMSG.  The results point into rec; orcpt is NUL-terminated, "" when not given. */
int ph_maildrop_rcpt(const struct ph_maildrop_rec *rec, struct ph_slice *ret_address, unsigned *ret_notify, const char **ret_orcpt);

/* The value of the envelope's attribute maildrop_id for this file: "name/inode/mtime". */
struct stat;
void ph_maildrop_id(char *buf, size_t bytes, const char *name, const struct stat *st);
/* May a user's message consist of these records, in this order?  Pure: begins as zeros, one call a record, END too.  Envelope texts hold
 * no control characters, SENDER comes before recipients, all of the envelope before the content, single records come once.
 * 0, or -EBADMSG with err. */
struct ph_maildrop_check { unsigned seen; size_t rcpts; bool content; };
int ph_maildrop_check(struct ph_maildrop_check *k, const struct ph_maildrop_rec *rec, struct ph_err *err);
/* Attributes that a submitter may set. */
bool ph_maildrop_attr_allowed(struct ph_slice name);

/* Tell a running pickup (public/pickup) that something is there; silent when nobody listens. */
void ph_maildrop_trigger(const char *queue_dir);
#endif
