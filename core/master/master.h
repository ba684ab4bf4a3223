/* master.h: the supervisor: binds sockets, forks workers, restarts them, reloads.  Never parses mail.
 *
 * It has no event loop of its own: one poll() over a signalfd, so that a forked worker inherits nothing that runs. */
#ifndef CORE_MASTER_MASTER_H
#define CORE_MASTER_MASTER_H

#include "config/config.h"

struct ph_master_options {
	const char *config_dir;
	bool foreground;        /* start-fg: no guard, stays in the foreground, ends with the terminal's signals */
	int ready_fd;           /* written to when serving: "" closed = ready, text = why not; -1: none */
};
/* Returns the exit status.  Does not return while the system runs. */
int ph_master_run(const struct ph_master_options *opt);

/* The running instance of a queue directory: its pid (> 0), 0 when it is down, negative on error. */
pid_t ph_master_pid(const char *queue_dir, struct ph_err *err);

/* Check a configuration in a child of its own: every file read, every table and module opened.  0 when usable;
 * messages go through report (severity: enum ph_log_level). */
int ph_master_check(const char *config_dir, void (*report)(void *arg, int severity, const char *text), void *arg);
#endif
