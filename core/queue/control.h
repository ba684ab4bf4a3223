/* control.h: a connection on public/qmgr, for control*.c. */
#ifndef CORE_QUEUE_CONTROL_H
#define CORE_QUEUE_CONTROL_H

#include <jansson.h>

#include "queue/listing.h"
#include "queue/qmgr_private.h"

#define PH_CONTROL_CHUNK (48 * 1024)    /* of a list: more is sent on */

struct ph_control {
	struct ph_qmgr *q;
	struct ph_ipc *ipc;             /* NULL: on_line instead */
	int (*on_line)(void *arg, const char *text, size_t n);
	void *arg;
	bool trusted;                   /* root or the mail owner */
};
/* One CTL_LINE.  0 or negative.  Yields when the client is slow. */
int ph_control_text(struct ph_control *c, const char *text, size_t n);
/* The same of an object, which is consumed. */
int ph_control_json(struct ph_control *c, json_t *j);
/* A text of a request; "" when it has none of this name. */
const char *ph_control_member(const json_t *req, const char *name);
/* One request.  0 or negative with err.  Yields. */
int ph_control_request(struct ph_control *c, struct ph_slice text, struct ph_err *err);
/* Mail in maildrop/, appended to out or sent.  0 or negative.  Yields. */
int ph_control_list_maildrop(struct ph_control *c, struct ph_listing *l, struct ph_buf *out);
/* Remove one of its files, or all (yields). */
bool ph_control_drop_delete(struct ph_qmgr *q, const char *queue_id);
uint64_t ph_control_drop_delete_all(struct ph_qmgr *q);
/* Is the other side of this connection root or the mail owner? */
bool ph_control_trusted(int fd);
/* One kind of request each: 0 or negative with err.  Yield. */
int ph_control_list(struct ph_control *c, const json_t *req, struct ph_err *err);
int ph_control_flush(struct ph_control *c);
int ph_control_flush_site(struct ph_control *c, const json_t *req, struct ph_err *err);
int ph_control_flush_id(struct ph_control *c, const json_t *req, struct ph_err *err);
int ph_control_super(struct ph_control *c, const json_t *req, struct ph_err *err);
int ph_control_show(struct ph_control *c, const char *what, struct ph_err *err);
#endif
