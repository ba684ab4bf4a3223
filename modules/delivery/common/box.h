/* box.h: write one message into an mbox file or a Maildir.  Plain blocking system calls, for a child process or a helper thread; no state of
 * its own.  After open: any number of writes, then commit or abort.  What went wrong stands in status, dsn and text. */
#ifndef MODULES_DELIVERY_BOX_H
#define MODULES_DELIVERY_BOX_H

#include <posthouse/delivery.h>

struct box {
	/* set by the caller */
	const char *path;               /* mbox file, or a Maildir with a trailing slash */
	const char *locks;              /* "fcntl, dotlock, flock" */
	const char *hostname;           /* for Maildir names */
	int64_t limit;                  /* bytes; 0: none */
	int lock_attempts;
	int64_t lock_delay_ms, stale_ms;
	bool strict_owner;              /* an mbox must belong to uid */
	bool any_file;                  /* an mbox may be a device, or somebody else's file; not an executable one; a dotlock only where one can be made */
	uid_t uid;
	bool sync_dir;                  /* commit syncs new/, too; else the caller does (box_dir) */
	/* results */
	enum ph_delivery_status status;
	char dsn[12];
	char text[700];                 /* the reason; the caller says what it wanted to do */
	char warning[800];              /* for the log, also where it went well; "": none */
	/* private */
	int fd;
	bool is_maildir, is_file, readable, through_link, access, begins_line, ended_line;
	int64_t start, size;            /* of the mbox before; now */
	unsigned held;                  /* bytes of a possible "From " that may begin a line, held back */
	char lock[1024], temp[1200];
};

/* A mailbox that cannot hold the largest message would make every such message bounce.  name: of the parameter that holds limit.  0, or negative with err, in
 * Postfix's words. */
int box_limit_check(const struct ph_conf *conf, const char *name, int64_t limit, struct ph_err *err);

/* What a report says about a mailbox that failed with text, in the form of Diagnostic-Code; NULL: the text itself. */
const char *box_diagnostic(const char *text);

/* 0, or -1: status, dsn and text are set and nothing is left behind. */
int box_open(struct box *b);
/* The lines on top of the message ("From sender date", Return-Path: ...), as they are; before the first box_write. */
int box_top(struct box *b, const char *text);
/* Message bytes, LF line ends; in an mbox, lines that begin with "From " get a ">". */
int box_write(struct box *b, const void *p, size_t n);
/* Make it durable and visible. */
int box_commit(struct box *b);
void box_abort(struct box *b);
/* The folder to be synced after commit when sync_dir is off. */
void box_dir(const struct box *b, char *buf, size_t bytes);
#endif
