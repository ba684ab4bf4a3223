/* control.h: a connection on public/qmgr, for control*.c. */
#ifndef CORE_QUEUE_CONTROL_H
#define CORE_QUEUE_CONTROL_H

#include "queue/qmgr_private.h"

struct ph_control {
	struct ph_qmgr *q;
	struct ph_ipc *ipc;
	bool trusted;                   /* root or the mail owner */
};
/* One CTL_LINE.  0 or negative.  Yields when the client is slow. */
int ph_control_text(struct ph_control *c, const char *text, size_t n);
int ph_control_show(struct ph_control *c, const char *what, struct ph_err *err);
#endif
