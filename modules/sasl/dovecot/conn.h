/* conn.h: connections to Dovecot's auth server. */
#ifndef SASL_DOVECOT_CONN_H
#define SASL_DOVECOT_CONN_H

#include <posthouse/co.h>
#include <posthouse/io.h>

#include "proto.h"

#define DOVECOT_TIMEOUT_MS 10000        /* of each step, as in Postfix */

struct dovecot_mech {
	char *name;
	unsigned properties;
};

struct dovecot_conn {
	struct dovecot_conn *next;      /* idle ones */
	struct ph_stream *stream;
	uint32_t last_id;
	bool used;                      /* has answered before: the server may have closed it since */
};

/* One server, shared by all sessions of a service. */
struct dovecot_server {
	char *path;                     /* as in smtpd_sasl_path, for messages */
	char *unix_path;                /* absolute; NULL: inet */
	char *host;
	int port;
	struct dovecot_conn *idle;
	int n_idle;
	struct ph_sem slots;            /* connections at a time */
	struct dovecot_mech *mechs;     /* of the newest greeting */
	size_t n_mechs;
};

/* queue_dir: what a relative path is relative to.  0, or negative with err. */
int dovecot_server_new(const char *path, const char *queue_dir, struct dovecot_server **ret, struct ph_err *err);
void dovecot_server_free(struct dovecot_server *d);
/* A connection for one exchange: an idle one (unless fresh), or a new one.  0 and *ret, or negative with err.  Yields. */
int dovecot_get(struct dovecot_server *d, bool fresh, struct dovecot_conn **ret, struct ph_err *err);
/* Give it back; good: it may be used again. */
void dovecot_put(struct dovecot_server *d, struct dovecot_conn *c, bool good);
/* Send a line (without its end), then read until the answer to request id: DOVECOT_OK, FAIL or CONT, its texts in arena; or negative
 * with err.  Yields. */
int dovecot_ask(struct dovecot_conn *c, struct ph_arena *arena, const char *line, uint32_t id, struct dovecot_reply *ret, struct ph_err *err);
#endif
