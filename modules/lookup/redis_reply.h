/* redis_reply.h: answers of a Redis server, through hiredis' reader, with bounds. */
#ifndef LOOKUP_REDIS_REPLY_H
#define LOOKUP_REDIS_REPLY_H

#include <posthouse/base.h>

#define RREPLY_MAX_BYTES ((size_t)1 << 20)
#define RREPLY_MAX_ELEMENTS 1000

enum rreply_type { RREPLY_TEXT /* string, status, integer */, RREPLY_NIL, RREPLY_ERROR, RREPLY_LIST };
struct rreply {
	enum rreply_type type;
	char *text;             /* TEXT, ERROR; NUL-terminated */
	size_t len;
	struct rreply **list;   /* LIST: none of them a LIST */
	size_t n;
};

struct rparser;
struct rparser *rparser_new(void);
void rparser_free(struct rparser **p);  /* NULL-safe */
/* Feed bytes.  1 and *ret (for rreply_free) when an answer is complete, 0: more is needed, -EPROTO with err: not an answer of
 * a Redis server, or too large; the connection is then of no more use. */
int rparser_feed(struct rparser *p, const void *data, size_t n, struct rreply **ret, struct ph_err *err);
/* Bytes behind the answer that nobody has asked for. */
bool rparser_has_rest(const struct rparser *p);
void rreply_free(void *r);              /* NULL-safe */
#endif
