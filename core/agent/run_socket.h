/* run_socket.h: a command on a connection (spawn(8)): posthouse/run.h for the core. */
#ifndef CORE_AGENT_RUN_SOCKET_H
#define CORE_AGENT_RUN_SOCKET_H

#include <posthouse/run.h>

/* As ph_run_start, with fd (blocking; stays the caller's) as the command's descriptors 0, 1 and 2: nothing can be written to it or read from it.  When this
 * process dies, so does the command.  *ret_pid: the command's. */
int ph_run_socket_start(const struct ph_run_spec *spec, int fd, struct ph_run **ret, pid_t *ret_pid, struct ph_err *err);
#endif
