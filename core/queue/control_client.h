/* control_client.h: several requests on one connection to public/qmgr (ph_qmgr_ctl in proto.h does one). */
#ifndef CORE_QUEUE_CONTROL_CLIENT_H
#define CORE_QUEUE_CONTROL_CLIENT_H

#include <posthouse/base.h>

struct ph_qmgr_ctl_conn;
/* 0; -ECONNREFUSED or -ENOENT: the mail system is down; -EACCES: not allowed. */
int ph_qmgr_ctl_open(const char *queue_dir, struct ph_qmgr_ctl_conn **ret, struct ph_err *err);
/* As ph_qmgr_ctl.  Yields. */
int ph_qmgr_ctl_request(struct ph_qmgr_ctl_conn *c, const char *json, int (*on_line)(void *arg, const char *text, size_t n), void *arg,
			int64_t deadline_ms, struct ph_err *err);
void ph_qmgr_ctl_close(struct ph_qmgr_ctl_conn **c);
#endif
