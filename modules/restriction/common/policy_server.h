/* policy_server.h: connections to one policy server, shared by all its uses in this process. */
#ifndef MODULES_RESTRICTION_COMMON_POLICY_SERVER_H
#define MODULES_RESTRICTION_COMMON_POLICY_SERVER_H

#include <posthouse/base.h>

struct policy_limits {
	int64_t timeout_ms, max_idle_ms, max_ttl_ms, retry_delay_ms;
	int try_limit;
	int request_limit;              /* requests of a connection; 0: no limit */
};

struct policy_server;

/* "inet:host:port" or "unix:path" (relative paths: in queue_dir).  The same text is the same server.  0, or -EINVAL with err.  Does not yield. */
int policy_server_ref(const char *text, const char *queue_dir, struct policy_server **ret, struct ph_err *err);
void policy_server_unref(struct policy_server **s);     /* NULL-safe */
const char *policy_server_name(const struct policy_server *s);

/* Ask: *ret_action is the answer's action, in arena.  0, or negative (logged) when there is no answer after all tries.  Yields. */
int policy_server_ask(struct policy_server *s, const struct policy_limits *lim, const struct ph_buf *request, struct ph_arena *arena,
		      const char **ret_action);
#endif
