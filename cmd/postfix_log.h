/* postfix_log.h: rotating maillog_file.  Blocks for seconds. */
#ifndef CMD_POSTFIX_LOG_H
#define CMD_POSTFIX_LOG_H

#include "config/general.h"
#include <sys/types.h>

/* master: its process id; 0: the system is down.  0, or negative with err. */
int ph_log_rotate(const struct ph_general_settings *g, pid_t master, struct ph_err *err);
#endif
