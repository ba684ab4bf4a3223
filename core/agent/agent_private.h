/* agent_private.h: what the files of the delivery host share. */
#ifndef CORE_AGENT_PRIVATE_H
#define CORE_AGENT_PRIVATE_H

#include "agent/agent.h"
#include "base/co_private.h"
#include "base/htab.h"
#include "base/ipc.h"
#include "base/list.h"
#include "queue/journal.h"
#include "queue/proto.h"

#define PH_DELIVERY_MAGIC 0xde11e4e7u
#define PH_RESULT_TEXT_MAX 4096         /* bytes of a result's text that are kept */

/* What the host itself reads from main.cf, for each service. */
struct ph_agent_settings {
	bool soft_bounce;
	int delay_digits;               /* delay_logging_resolution_limit */
	const char *status_filter;      /* default_delivery_status_filter */
	const char *local_filter, *pipe_filter, *virtual_filter;
	const char *syslog_name;
	const char *trust_anchor;       /* dnssec_trust_anchor_file */
};

/* A master.cf service with its module, made at its first delivery. */
struct ph_agent_service {
	const struct ph_service *svc;
	const struct ph_conf *conf;
	const struct ph_delivery_ops *ops;      /* NULL: cannot be used, see err */
	void *state;                            /* of ops->start */
	struct ph_agent_settings set;
	struct ph_maps *filter;
	struct ph_err err;
};

struct ph_agent_child;

struct ph_delivery {
	uint32_t magic;
	struct ph_list node;            /* agent.deliveries */
	struct ph_agent_service *service;
	struct ph_arena *arena;
	struct ph_delivery_request *req;
	struct ph_rcpt *rcpts;
	struct ph_slice request;        /* the frame as it came, for a child */
	struct ph_stored *stored;
	const char *content;            /* all of it, once asked for */
	bool checked, damaged;          /* its checksums were looked at; they are wrong */
	bool probe;                     /* address verification: nothing is delivered */
	/* time stamps, wall clock; 0: not yet */
	int64_t started_us, connected_us;
	int conn_use;
	/* what is said before a result */
	const char *mta, *diag;
	bool dsn_passed;
	bool part_owned;                /* ph_delivery_part_owned */
	struct ph_delivery_parts *parts;        /* of each recipient; NULL: none */
	/* for DONE */
	bool dest_down;
	const char *down_dsn, *down_text;
	struct ph_attr *notes;
	size_t n_notes;
	struct ph_agent_child *child;   /* that works on it; NULL: we do */
	struct ph_waitq child_done;
};

struct ph_agent {
	const struct ph_agent_config *cfg;
	int queue_dirfd;
	struct ph_journal *journal;     /* NULL in a child before it was handed one */
	struct ph_co *link_co;          /* the coroutine of link.c; NULL: has ended */
	struct ph_ipc *link;            /* to the queue manager, or a child's to its parent; NULL: none now */
	struct ph_list deliveries;
	size_t n_deliveries;
	struct ph_htab services;        /* name -> struct ph_agent_service */
	bool stopping;
	bool is_child;
	struct ph_waitq idle;           /* woken when a delivery ends */
};
extern struct ph_agent ph_agent_self;

/* ---- service.c ---- */
/* Never NULL; ->ops is NULL when the service does not exist or its module cannot be used.  May yield (a module's start). */
struct ph_agent_service *ph_agent_service_get(const char *name);
void ph_agent_services_stop(void);

/* ---- delivery.c ---- */
/* A request frame: starts the delivery's coroutine.  payload is copied. */
void ph_delivery_begin(struct ph_slice payload);
/* A child got a request with notes and the message's descriptor. */
void ph_delivery_end(struct ph_delivery *d);
struct ph_delivery *ph_delivery_new(struct ph_slice payload);
void ph_delivery_run_module(struct ph_delivery *d);
void ph_delivery_lacking(struct ph_delivery *d, const char *dsn, const char *text);

/* ---- result.c ---- */
/* "0.05", "1.2", "30": two significant digits, at most max_digits behind the point. */
void ph_delay_format(int64_t us, int max_digits, char *buf, size_t bytes);
struct ph_result {
	enum ph_delivery_status status;
	const char *dsn, *relay, *text;
};
void ph_delivery_record(struct ph_delivery *d, size_t i, const struct ph_result *r);
/* Its pieces, for parts of recipients: make class, status filter and soft_bounce hold (true: softened); the log line, for address; journal
 * and frame; the text, bounded and printable, in the delivery's arena. */
bool ph_result_settle(struct ph_delivery *d, struct ph_result *r);
void ph_result_log(struct ph_delivery *d, size_t i, const char *address, const struct ph_result *r, bool softened);
const char *ph_result_kept(struct ph_delivery *d, const char *text);    /* as it is kept: without blanks at its end */
void ph_result_commit(struct ph_delivery *d, size_t i, const struct ph_result *r);
void ph_result_pass(struct ph_delivery *d, size_t i, const char *address, const char *route);   /* PH_RESULT_PASS */
void ph_result_parts(struct ph_delivery *d, size_t i, const char *parts);       /* PH_RESULT_PARTS */
const char *ph_result_text(struct ph_delivery *d, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* ---- content.c ---- */
int ph_delivery_open(struct ph_delivery *d, struct ph_err *err);

/* ---- link.c ---- */
void ph_agent_link_run(void *unused);           /* the coroutine that talks to the queue manager */
void ph_agent_send(uint16_t type, const struct ph_buf *payload);

/* ---- child.c: deliveries as another user ---- */
/* Hand d to a child that runs as uid and gid, and wait until it is done.  Yields. */
void ph_agent_child_deliver(struct ph_delivery *d, uid_t uid, gid_t gid);
/* The journal has changed: children write to the new one from now on.  Yields until they do. */
void ph_agent_children_rotate(void);
void ph_agent_children_stop(void);
void ph_agent_children_forget(void);
/* In a child after the fork, when its loop is made: close what the parent had open, but for keep, keep_too (-1: none), the log and the
 * loop's own descriptors (epoll, eventfd: no file type). */
void ph_agent_close_others(int keep, int keep_too);

/* ---- child_main.c ---- */
void ph_agent_child_main(int sock, uid_t uid, gid_t gid, bool no_new_privs) __attribute__((noreturn));

enum ph_child_frame {
	PH_CF_DELIVER = 1,      /* bytes request, u32 n notes, n * { str name, str value }, u8 probe, i64 started, u32 n done, n * u32; with the message's descriptor */
	PH_CF_JOURNAL,          /* str file; with its descriptor */
	PH_CF_JOURNAL_OK,       /* child -> parent: str file */
	PH_CF_RESULT,           /* child -> parent: payload of PH_F_RESULT */
	PH_CF_DONE,             /* child -> parent: payload of PH_F_DONE */
	PH_CF_STOP,             /* parent -> child: finish and end */
};
#endif
