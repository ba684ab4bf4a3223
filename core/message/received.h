/* received.h: the Received: header that this system puts on top of a message. */
#ifndef CORE_MESSAGE_RECEIVED_H
#define CORE_MESSAGE_RECEIVED_H

#include <posthouse/param.h>

/* For mail that does not come over SMTP: "by host (mail_name, from userid N)"; uid -1: made by the system itself.  Without a line end,
 * folds as LF TAB; for ph_intake_prepend.  In arena. */
const char *ph_received_local(const struct ph_conf *conf, const char *queue_id, int64_t uid, struct ph_arena *arena);
#endif
