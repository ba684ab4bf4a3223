/* explain.h: what would happen to this mail: the stages of a session, clean-up and the resolver, run without a client, and without an effect. */
#ifndef CORE_SMTPD_EXPLAIN_H
#define CORE_SMTPD_EXPLAIN_H

#include "config/config.h"

struct ph_explain_query {
	const struct ph_config *config;
	const char *service;                    /* smtpd service in master.cf; NULL: the first */
	const char *client_addr;                /* "192.0.2.1" */
	const char *client_name;                /* NULL: looked up as for a client; "unknown": it has none */
	const char *helo, *sender;              /* sender, rcpts: as in a command, with or without <>; "" is <> */
	const char *sasl_user;                  /* NULL: not authenticated */
	const char *const *rcpts;
	size_t n_rcpts;
	const char *const *headers;             /* logical header lines; NULL: none */
	size_t n_headers;
	bool ask_servers;                       /* policy servers are really asked: they may remember it */
};

/* One step.  Texts live until the function returns; all but stage and what may be NULL. */
struct ph_explain_step {
	const char *stage;      /* "CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE", "CLEANUP", "RESOLVE" */
	const char *what;       /* "list", "restriction", "access", "table", "match", "action", "rewrite", "resolve", "verdict", "note" */
	const char *name;       /* of the list, restriction, table ... */
	const char *parameter;  /* that names the table or the list */
	const char *where;      /* where that is set: "file:line", or "default" */
	const char *key, *answer;
	bool failed;            /* a table could not be asked */
};
typedef void ph_explain_fn(void *arg, const struct ph_explain_step *step);

/* 0: every recipient would be accepted; 1: something is refused; negative with err: cannot say.  Yields. */
int ph_explain(const struct ph_explain_query *q, ph_explain_fn *fn, void *arg, struct ph_err *err);
#endif
