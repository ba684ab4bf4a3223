/* spawn.h: the process that answers connections by commands: spawn(8) services of master.cf (policy servers, mostly).
 *
 * It runs as root where the mail system does, since each command runs as a user of its own; it never reads from a connection. */
#ifndef CORE_SPAWN_SPAWN_H
#define CORE_SPAWN_SPAWN_H

#include "config/config.h"

struct ph_spawn_listener { int fd; const struct ph_service *service; };
struct ph_spawn_config {
	const struct ph_config *config;
	const struct ph_spawn_listener *listeners;
	size_t n_listeners;
};
/* Runs the loop until SIGTERM; then no more connections are taken, and it ends with its last command. */
int ph_spawn_run(const struct ph_spawn_config *cfg);
/* Is the line of master.cf usable?  0, or negative with err. */
int ph_spawn_check(const struct ph_service *service, struct ph_err *err);
#endif
