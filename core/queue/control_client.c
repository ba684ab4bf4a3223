/* control_client.c: the commands' side of public/qmgr.  State: struct ph_qmgr_ctl_conn.  Yields. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/ipc.h"
#include "base/pack.h"
#include "queue/control_client.h"
#include "queue/proto.h"

struct ph_qmgr_ctl_conn {
	struct ph_ipc *ipc;
};

int ph_qmgr_ctl_open(const char *queue_dir, struct ph_qmgr_ctl_conn **ret, struct ph_err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, r;

	if ((size_t)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/public/qmgr", queue_dir) >= sizeof(sun.sun_path))
		return ph_err_set(err, -ENAMETOOLONG, "%s: too long for a socket", queue_dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ph_err_errno(err, -errno, "socket");
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		r = -errno;
		close(fd);
		return ph_err_errno(err, r, "connect to %s", sun.sun_path);
	}
	*ret = ph_alloc(sizeof(**ret));
	(*ret)->ipc = ph_ipc_new(fd);
	return 0;
}

void ph_qmgr_ctl_close(struct ph_qmgr_ctl_conn **c)
{
	if (*c == NULL)
		return;
	ph_ipc_close(&(*c)->ipc);
	free(*c);
	*c = NULL;
}

int ph_qmgr_ctl_request(struct ph_qmgr_ctl_conn *c, const char *json, int (*on_line)(void *arg, const char *text, size_t n), void *arg,
			int64_t deadline_ms, struct ph_err *err)
{
	struct ph_buf b = PH_BUF_INIT(PH_IPC_FRAME_MAX);
	struct ph_slice payload, text;
	struct ph_unpack u;
	uint16_t type;
	uint32_t status;
	int r;

	ph_pack_str(&b, json);
	r = ph_ipc_send(c->ipc, PH_F_CTL, b.data, b.len);
	ph_buf_done(&b);
	while (r == 0 && (r = ph_ipc_recv(c->ipc, &type, &payload, deadline_ms)) == 0) {
		ph_unpack_init(&u, payload);
		if (type == PH_F_CTL_LINE) {
			text = ph_unpack_bytes(&u);
			if (on_line && !u.bad && on_line(arg, text.p, text.n) != 0)
				return 0;
			continue;
		}
		status = ph_unpack_u32(&u);
		text = ph_unpack_bytes(&u);
		if (type != PH_F_CTL_END || u.bad || status > 4095)
			return ph_err_set(err, -EPROTO, "the queue manager's answer makes no sense");
		return status ? ph_err_set(err, -(int)status, "%.*s", (int)text.n, text.p) : 0;
	}
	return ph_err_errno(err, r == -ENODATA ? -ECONNRESET : r, "queue manager");
}

int ph_qmgr_ctl(const char *queue_dir, const char *json, int (*on_line)(void *arg, const char *text, size_t n), void *arg,
		int64_t deadline_ms, struct ph_err *err)
{
	struct ph_qmgr_ctl_conn *c = NULL;
	int r = ph_qmgr_ctl_open(queue_dir, &c, err);

	if (r == 0)
		r = ph_qmgr_ctl_request(c, json, on_line, arg, deadline_ms, err);
	ph_qmgr_ctl_close(&c);
	return r;
}
