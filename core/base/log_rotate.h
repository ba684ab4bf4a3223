/* log_rotate.h: workers follow their master to a new log file. */
#ifndef PH_BASE_LOG_ROTATE_H
#define PH_BASE_LOG_ROTATE_H

#include <stdbool.h>

/* In a worker: fd is its end of a SOCK_SEQPACKET pair; SIGUSR1 means that a descriptor is there. */
void ph_log_follow(int fd);
/* In the master: send our log file's descriptor.  0 or -errno. */
int ph_log_send(int to);

/* ---- for log.c ---- */
bool ph_log_rotate_asked(void);
/* The new file, or -1. */
int ph_log_rotate_take(void);
/* After a fork. */
void ph_log_follow_forget(void);
#endif
