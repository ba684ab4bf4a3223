/* sched_private.h: the scheduler's structures; only for sched*.c, peer.c, job.c and transport.c. */
#ifndef CORE_QUEUE_SCHED_PRIVATE_H
#define CORE_QUEUE_SCHED_PRIVATE_H

#include "base/heap.h"
#include "base/htab.h"
#include "queue/sched.h"

/* A time at which something wakes up. */
struct sched_timer {
	struct ph_heap_node node;
	void (*fn)(struct ph_sched *s, struct sched_timer *t, int64_t now);
};

struct ph_sched_transport {
	struct ph_list ready_node;      /* in ph_sched.ready while it can start something */
	struct sched_timer timer;       /* end of a pause or of being dead */
	char *name;
	struct ph_sched_params p;
	struct ph_list jobs;            /* all, in order of arrival */
	struct ph_list sizes[48];       /* candidates for overtaking: jobs by number of waiting batches (job.c) */
	struct ph_heap ready;           /* destinations that can start, by the order of their first peer's job */
	int64_t back, front;            /* job orders handed out at the end, at the front */
	uint32_t turn;                  /* tie break between destinations of one job: round robin */
	uint32_t busy;                  /* deliveries under way */
	uint32_t waiting, rcpts;        /* recipients that wait; those and the busy ones */
	uint32_t n_jobs, n_dests;
	int64_t dead_until, paused_until;
	bool blocked;
	char *dsn, *text;
	uint64_t preemptions;
};

struct ph_sched_dest {
	struct ph_heap_node ready_node; /* in transport->ready */
	struct sched_timer timer;
	struct ph_sched_transport *transport;
	char *key;                      /* in ph_sched.dests: transport, NUL, name */
	size_t key_n;
	const char *name;               /* inside key */
	char *nexthop;                  /* name, unless that is per recipient */
	struct ph_list peers;           /* with waiting batches, in job order */
	uint32_t busy, waiting;         /* deliveries under way; recipients that wait */
	double window;                  /* concurrency; 0: given up */
	double success, failure;        /* how far the feedback has come towards the next step */
	double cohorts;                 /* failed pseudo-cohorts */
	int64_t dead_until, paused_until;
	char *dsn, *text;
	uint64_t sent, failed;
	uint32_t limbo;                 /* batches of it in ph_sched.dead */
};

struct ph_sched_job {
	struct ph_list msg_node;        /* in msg->jobs */
	struct ph_list transport_node;  /* in transport->jobs */
	struct ph_list size_node;       /* in transport->sizes[] */
	struct ph_sched_msg *msg;
	struct ph_sched_transport *transport;
	struct ph_list peers;
	int64_t order, since;           /* place in the queue; when it came */
	uint32_t waiting, started;      /* batches */
	int64_t slots_used;
	bool preempts;                  /* has overtaken another: not a second time */
};

struct ph_sched_peer {
	struct ph_list job_node;
	struct ph_list dest_node;       /* in dest->peers while batches wait */
	struct ph_sched_job *job;
	struct ph_sched_dest *dest;
	struct ph_list waiting;         /* batches */
	uint32_t busy;                  /* batches under way */
	struct { void *job, *dest; } key;       /* in ph_sched.peers */
};

struct ph_sched {
	void (*load)(void *arg, const char *transport, struct ph_sched_params *ret);
	void *load_arg;
	void (*watch)(void *arg, const struct ph_sched_change *c);
	void *watch_arg;
	struct ph_htab transports, dests, peers;
	struct ph_list ready;           /* transports, round robin */
	struct ph_list dead;            /* batches to be deferred */
	struct ph_heap timers;
	char dead_dsn[16], dead_text[640];
};

/* transport.c */
bool ph_sched_transport_open(const struct ph_sched_transport *t);      /* may start one more delivery */
void ph_sched_transport_check(struct ph_sched *s, struct ph_sched_transport *t);
void ph_sched_transport_done(struct ph_sched *s, struct ph_sched_transport *t, int64_t now);
/* peer.c */
struct ph_sched_dest *ph_sched_dest_get(struct ph_sched *s, struct ph_sched_transport *t, const char *nexthop, const char *address);
bool ph_sched_dest_open(const struct ph_sched_dest *d);
void ph_sched_dest_check(struct ph_sched *s, struct ph_sched_dest *d);  /* put it where it belongs: ready, idle, or gone */
void ph_sched_dest_kill(struct ph_sched *s, struct ph_sched_dest *d);   /* its batches go to ph_sched.dead */
void ph_sched_dest_result(struct ph_sched *s, struct ph_sched_dest *d, enum ph_sched_outcome o, const char *dsn, const char *text, int64_t now);
struct ph_sched_peer *ph_sched_peer_get(struct ph_sched *s, struct ph_sched_job *j, struct ph_sched_dest *d, bool make);
void ph_sched_peer_place(struct ph_sched_peer *p);      /* into dest->peers by the job's order */
void ph_sched_peer_check(struct ph_sched *s, struct ph_sched_peer *p);  /* frees it when it is empty */
/* job.c */
struct ph_sched_job *ph_sched_job_get(struct ph_sched *s, struct ph_sched_msg *m, struct ph_sched_transport *t, int64_t now);
void ph_sched_job_check(struct ph_sched *s, struct ph_sched_job *j);    /* frees it when it is empty */
void ph_sched_job_size(struct ph_sched_job *j, bool shrunk);            /* waiting has changed */
struct ph_sched_job *ph_sched_job_preempt(struct ph_sched *s, struct ph_sched_job *j, int64_t now);
void ph_sched_timer_set(struct ph_sched *s, struct sched_timer *t, int64_t at);
#endif
