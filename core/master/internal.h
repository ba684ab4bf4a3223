/* internal.h: what the files of the master share. */
#ifndef CORE_MASTER_INTERNAL_H
#define CORE_MASTER_INTERNAL_H

#include "master/master.h"
#include "base/list.h"
#include <posthouse/io.h>

enum ph_role { PH_ROLE_SMTPD, PH_ROLE_PICKUP, PH_ROLE_QMGR, PH_ROLE_AGENT, PH_ROLE_ROOT_AGENT, PH_ROLE_SPAWN, PH_ROLE_COUNT };

/* A bound address; one SO_REUSEPORT socket for each smtpd worker, kept open here so that what waits in a dead worker's
 * backlog is served by its successor. */
struct ph_bound {
	char *key;                      /* "127.0.0.1:2525" or a unix path */
	int *fds;
	unsigned n;
	unsigned generation;            /* last configuration that named it */
	struct ph_bound *next;
};

struct ph_bound_set {
	struct ph_bound *first;
	int64_t patient_until_ms;       /* so long an address in use is tried again: a dead master's workers are still ending */
};
/* Bind (or find) the n sockets of address.  NULL with err: "port in use" and what to do. */
struct ph_bound *ph_bound_inet(struct ph_bound_set *set, const struct ph_endpoint *e, unsigned n, unsigned generation, int window, struct ph_err *err);
struct ph_bound *ph_bound_unix(struct ph_bound_set *set, const char *path, mode_t mode, uid_t uid, gid_t gid, unsigned generation, struct ph_err *err);
/* Close what generation no longer names. */
void ph_bound_prune(struct ph_bound_set *set, unsigned generation);
/* The addresses of an inet service: "[host:]port" with inet_interfaces and inet_protocols.  Count, or negative with err. */
int ph_service_addresses(const struct ph_service *svc, struct ph_arena *arena, struct ph_endpoint **ret, struct ph_err *err);

struct ph_listener { const struct ph_service *service; struct ph_bound *bound; };

/* A configuration in force and the sockets that its services listen on. */
struct ph_generation {
	unsigned number;
	struct ph_config *config;
	unsigned n_smtpd, n_agents;     /* worker processes */
	bool has_root_agent, has_pickup;
	struct ph_listener *listeners;          /* of smtpd services */
	size_t n_listeners;
	struct ph_listener *spawn_listeners;    /* of spawn services, one socket each */
	size_t n_spawn_listeners;
	int refs;                       /* children that run on it, plus one while it is current */
};

struct ph_child {
	struct ph_list link;
	pid_t pid;
	enum ph_role role;
	unsigned index;                 /* which of its role: smtpd 0..n-1 */
	unsigned slot;
	struct ph_generation *gen;
	int64_t started_ms;
	bool stopping;
	int log_control;                /* the log file's descriptor goes this way when it is opened anew */
};

/* A worker that has to be started (again) at a time. */
struct ph_start {
	struct ph_list link;
	enum ph_role role;
	unsigned index;
	int64_t at_ms;
	unsigned quick_deaths;
};

/* Shared with the guard over a master's death: slots are not handed out again at once. */
struct ph_guard_memory { unsigned next_slot; };

struct ph_master {
	const struct ph_master_options *opt;
	struct ph_generation *current;
	struct ph_bound_set bound;
	int qmgr_private, qmgr_public, pickup_trigger;
	int qmgr_control;               /* our end; -1 while it is down */
	struct ph_list children, starts;
	bool slot_used[256];
	struct ph_guard_memory *guard;
	uid_t owner_uid; gid_t owner_gid, drop_gid;
	bool is_root;
	int signal_fd, pid_fd, ready_fd;
	int stop_signal;                /* why we end; 0: we do not */
	int64_t stop_deadline_ms;
	struct ph_rootfile *rootfiles;  /* that workers cannot open themselves; NULL: none */
	int64_t rootfiles_look_ms;      /* when to look at them again */
	void *client_counters;          /* shared memory of the smtpd workers' per-client limits */
};

/* A program of Postfix's process model that is a function inside our processes: its line only carries -o settings. */
bool ph_service_is_builtin(const struct ph_service *s);
/* A service of the process that answers connections by commands. */
bool ph_service_spawns(const struct ph_service *s);
/* A service of the agents: a delivery module. */
bool ph_service_delivers(const struct ph_service *s);

const char *ph_role_name(enum ph_role role);
/* At most one process at a time may have this role: a new one starts when the old one is gone. */
bool ph_role_single(enum ph_role role);
/* Fork one worker.  0 or negative (logged). */
int ph_child_start(struct ph_master *m, enum ph_role role, unsigned index);
/* Reap what has died; schedules restarts. */
void ph_children_reap(struct ph_master *m);
void ph_children_signal(struct ph_master *m, int sig);
/* Start what is due; milliseconds until the next is due, or -1. */
int ph_starts_run(struct ph_master *m);
void ph_start_at(struct ph_master *m, enum ph_role role, unsigned index, int64_t at_ms, unsigned quick_deaths);
/* rootfiles.c: what root alone can read.  In a worker, before it gives up root: open it. */
void ph_rootfiles_open(const struct ph_master *m);
/* In the master: remember what m->current names; has any of it changed since?  *ret_wait_ms: when to ask again, -1: never. */
void ph_rootfiles_watch(struct ph_master *m);
bool ph_rootfiles_changed(struct ph_master *m, int *ret_wait_ms);
/* Tell the queue manager which agents live. */
void ph_qmgr_tell_agents(struct ph_master *m);
void ph_qmgr_tell_gone(struct ph_master *m, const struct ph_child *c);

int ph_generation_new(struct ph_master *m, struct ph_config *config, unsigned number, struct ph_generation **ret, struct ph_err *err);
void ph_generation_unref(struct ph_generation **g);
int ph_reload(struct ph_master *m);

int ph_pidfile_lock(const char *queue_dir, struct ph_err *err);     /* descriptor, or negative */
int ph_pidfile_write(int fd);
#endif
