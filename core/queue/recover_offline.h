/* recover_offline.h: the queue as a command sees it while the mail system is down: read from the files, changed through a journal. */
#ifndef CORE_QUEUE_RECOVER_OFFLINE_H
#define CORE_QUEUE_RECOVER_OFFLINE_H

#include "config/config.h"

struct ph_offline;
/* write: take the queue manager's lock and open a journal.  0; -EBUSY: a queue manager runs; or negative with err.  Yields; for commands
 * (ph_run_blocking). */
int ph_offline_open(const struct ph_config *config, const char *queue_dir, bool write, struct ph_offline **ret, struct ph_err *err);
/* A request as in control.c ("list", "super").  0 or negative with err.  Yields. */
int ph_offline_request(struct ph_offline *o, const char *json, int (*on_line)(void *arg, const char *text, size_t n), void *arg, struct ph_err *err);
void ph_offline_close(struct ph_offline **o);
#endif
