/* pool.h: connections to the servers of a table: each used by one look-up at a time, kept open, replaced when the server has closed
 * them; servers that fail are left alone for a while that doubles up to a minute. */
#ifndef LOOKUP_COMMON_POOL_H
#define LOOKUP_COMMON_POOL_H

#include <posthouse/io.h>

struct lpool;

struct lconn {
	struct lconn *next;
	struct ph_stream *stream;
	void *user;             /* what connected() made */
	struct lserver *server;
	bool used;              /* has answered before: the server may have closed it since */
	int64_t idle_since_ms;
};

struct lpool_lang {
	/* For client libraries that bring their own sockets: connect to server (of lpool_add_name) and set c->user; c->stream stays NULL.  One
	 * at a time per pool, so that a dead server holds one helper thread at most.  0, or negative with err.  Yields. */
	int (*open)(void *ctx, struct lconn *c, const char *server, int64_t deadline, struct ph_err *err);
	/* A new connection: greet.  0, or negative with err.  May be NULL.  Yields. */
	int (*connected)(void *ctx, struct lconn *c, int64_t deadline, struct ph_err *err);
	/* It goes: free c->user.  May be NULL. */
	void (*dropped)(void *ctx, struct lconn *c);
	/* Ask and read the answer.  0: the connection is good for the next one; 1: answered, but close it; negative with err.  Called again with
	 * a new connection when an idle one turns out to be closed.  Yields. */
	int (*ask)(void *ctx, struct lconn *c, void *query, int64_t deadline, struct ph_err *err);
};

/* At most connections at a time. */
struct lpool *lpool_new(const struct lpool_lang *lang, void *ctx, int connections);
void lpool_free(struct lpool **p);              /* NULL-safe; no look-up is under way */
/* "host", "host:port", "[::1]:port", "inet:host:port", "unix:/path".  0 or -EINVAL with err. */
int lpool_add(struct lpool *p, const char *text, int default_port, struct ph_err *err);
/* A server that only lang->open understands. */
int lpool_add_name(struct lpool *p, const char *name, struct ph_err *err);
/* Choose at random for each new connection: first among the first_group servers that were added first, then among the others. */
void lpool_spread(struct lpool *p, size_t first_group);
size_t lpool_servers(const struct lpool *p);
/* The name of the server that was asked last, for messages. */
const char *lpool_server_name(const struct lpool *p);
/* 0, or negative with err: "server NAME: why".  Yields. */
int lpool_exchange(struct lpool *p, struct ph_arena *arena, void *query, int64_t timeout_ms, struct ph_err *err);
#endif
