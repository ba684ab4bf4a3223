/* postlogd.h: the postlog service: log lines from commands that may not write maillog_file. */
#ifndef CORE_SMTPD_POSTLOGD_H
#define CORE_SMTPD_POSTLOGD_H

/* Serve public/<service> in this process's loop until it ends.  What goes wrong is logged; nothing depends on it.  service: NULL: none. */
void ph_postlogd_start(const char *queue_dir, const char *service);
#endif
