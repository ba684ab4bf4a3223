/* reply.h: replies of an SMTP server, line by line.  Pure: no I/O, no yield; fuzzed.  RFC 5321 section 4.2, RFC 3463. */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include <posthouse/base.h>

#define SMTP_REPLY_TEXT_MAX 4096        /* bytes of a reply that are kept: the rest is left out */
#define SMTP_REPLY_LINES_MAX 1000

struct smtp_reply {
	int code;               /* of the last line */
	char dsn[12];           /* "5.1.1": as the server said, or "5.0.0" made from the code; "5.5.0" for a code that is no final answer */
	struct ph_buf text;     /* all lines with their codes, and what came between, separated by LF */
	int lines;
	bool has_dsn;           /* the server gave an enhanced code */
};

enum smtp_reply_state {
	SMTP_REPLY_MORE,        /* a continuation line: there is more to come */
	SMTP_REPLY_DONE,        /* that was the last line */
	SMTP_REPLY_GARBAGE,     /* not a reply line: part of the text, no more */
	SMTP_REPLY_TOO_LONG,    /* more lines than anybody needs */
};

void smtp_reply_init(struct smtp_reply *r);
/* Start over with the next reply; memory is kept. */
void smtp_reply_reset(struct smtp_reply *r);
void smtp_reply_done(struct smtp_reply *r);
/* Take one line without its end. */
enum smtp_reply_state smtp_reply_line(struct smtp_reply *r, const char *line, size_t n);
/* Length of an enhanced status code "X.Y.Z" at s, followed by a space or the end; 0: none. */
size_t smtp_dsn_length(const char *s, size_t n);
/* The text on one line, in arena. */
const char *smtp_reply_flat(const struct smtp_reply *r, struct ph_arena *arena);
#endif
