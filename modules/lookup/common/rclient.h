/* rclient.h: commands to Redis servers, over a pool of connections that log in and choose their database. */
#ifndef LOOKUP_COMMON_RCLIENT_H
#define LOOKUP_COMMON_RCLIENT_H

#include "cfg.h"
#include "../redis_reply.h"

struct rclient;

/* timeout_ms: the default of timeout.  Settings host, port, socket, connections, user, password, database, timeout of cfg, which must live as long.  name: for messages.  0 and *ret, or
 * negative with err.  Does not yield. */
int rclient_open(struct lcfg *cfg, const char *name, int64_t timeout_ms, struct rclient **ret, struct ph_err *err);
void rclient_close(struct rclient **c);         /* NULL-safe; nothing is under way */
/* Send one command of n words and wait for its answer, which is for rreply_free and may be an error of the server's.  0, or negative with
 * err that names the server.  Bounded by timeout.  Yields. */
int rclient_ask(struct rclient *c, struct ph_arena *arena, const char *const *words, size_t n, struct rreply **ret, struct ph_err *err);
/* The server that was asked last. */
const char *rclient_server_name(const struct rclient *c);
#endif
