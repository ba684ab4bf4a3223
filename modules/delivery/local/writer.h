/* writer.h: processes that write into mailboxes with their users' rights, kept for the next message. */
#ifndef MODULES_DELIVERY_LOCAL_WRITER_H
#define MODULES_DELIVERY_LOCAL_WRITER_H

#include "local.h"
#include "../common/box.h"

struct local_writers *local_writers_new(void);
/* Ends those that wait.  NULL-safe.  Yields. */
void local_writers_free(struct local_writers **pool);

/* Write the message into form->path as uid, gid and user of who; form: as for box_open.  0 (sent), 1 (deferred) or 2 (bounced) and *ret_output (in the
 * arena): "W text\n" for each warning, then where the mail begins in the file (0), or "D.S.N text".  Negative with err: the process could not be started,
 * died, or took too long, or the message cannot be read; nothing is known but that no half message was left.  Yields. */
int local_writer_run(struct local_state *st, const struct ph_run_spec *who, const struct box *form, const char *top, const char **ret_output,
		     struct ph_err *err);
#endif
