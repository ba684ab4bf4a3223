/* control.c: the commands' requests on public/qmgr: one JSON object each, answered by lines and an end (proto.h).
 *
 *   {"cmd":"list","format":"mailq"|"json"}                 text
 *   {"cmd":"flush"} {"cmd":"flush-site","site":S} {"cmd":"flush-id","id":I}
 *   {"cmd":"super","op":OP,"all":true,"queues":[Q...]}     OP: delete hold release requeue expire expire-release
 *   {"cmd":"super","op":OP,"ids":[I...],"queues":[Q...]}   lines {"id":I}; last line {"count":N,"released":N}
 *   {"cmd":"find","id":I}                                  line: where it lies {"id","file","instance","offset","length","envelope"}
 *   {"cmd":"show","what":"queue"|"destinations"|"agents"|"coroutines"|"stats"|"metrics"}
 *   {"cmd":"checkpoint"}
 *
 * control_list.c, control_flush.c, control_super.c and control_show.c answer what is named so.
 * "super" and "checkpoint" are for root and the mail owner.  A request is bounded by the frame; a connection by a number of them at once.
 * Until the queue has been read after a start, all but "show" wait.
 * No state.  The connections' coroutines yield. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pack.h"
#include "queue/control.h"

#define ANSWER_MS PH_SECONDS(600)       /* for a client to take a piece of the answer */
#define IDLE_MS PH_SECONDS(60)          /* for the next request */

/* ---- answers ---- */

int ph_control_text(struct ph_control *c, const char *text, size_t n)
{
	struct ph_buf b = PH_BUF_INIT(PH_IPC_FRAME_MAX);
	int r;

	if (c->ipc == NULL)
		return c->on_line ? c->on_line(c->arg, text, n) : 0;
	ph_pack_bytes(&b, text, n);
	r = ph_ipc_send(c->ipc, PH_F_CTL_LINE, b.data, b.len);
	ph_buf_done(&b);
	if (r == 0 && ph_ipc_pending(c->ipc) > 4 * PH_CONTROL_CHUNK)
		r = ph_ipc_drain(c->ipc, ph_now_ms() + ANSWER_MS);
	return r;
}

int ph_control_json(struct ph_control *c, json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT);
	int r = text ? ph_control_text(c, text, strlen(text)) : -ENOMEM;

	free(text);
	json_decref(j);
	return r;
}

static int answer_end(struct ph_control *c, int status, const char *text)
{
	struct ph_buf b = PH_BUF_INIT(64 * 1024);
	int r;

	ph_pack_u32(&b, (uint32_t)(status < 0 ? -status : status));
	ph_pack_str(&b, text);
	r = ph_ipc_send(c->ipc, PH_F_CTL_END, b.data, b.len);
	ph_buf_done(&b);
	return r == 0 ? ph_ipc_drain(c->ipc, ph_now_ms() + ANSWER_MS) : r;
}

const char *ph_control_member(const json_t *req, const char *name)
{
	const char *s = json_string_value(json_object_get(req, name));

	return s ? s : "";
}

static int do_find(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	struct ph_entry *e = ph_index_find(c->q->ix, ph_control_member(req, "id"));
	struct ph_msg_ref ref;

	if (!c->trusted)
		return ph_err_set(err, -EPERM, "reserved for the superuser");
	if (e == NULL)
		return ph_err_set(err, -ESRCH, "no such message");
	ph_entry_ref(e, &ref);
	return ph_control_json(c, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "id", ref.queue_id, "file", ref.file, "instance",
					(json_int_t)ref.instance, "offset", (json_int_t)ref.offset, "length", (json_int_t)ref.length,
					"envelope", (json_int_t)ref.env_length));
}

/* ---- requests ---- */

static int request(struct ph_control *c, const json_t *req, struct ph_err *err)
{
	const char *cmd = ph_control_member(req, "cmd");

	if (strcmp(cmd, "list") == 0)
		return ph_control_list(c, req, err);
	if (strcmp(cmd, "flush") == 0)
		return ph_control_flush(c);
	if (strcmp(cmd, "flush-site") == 0)
		return ph_control_flush_site(c, req, err);
	if (strcmp(cmd, "flush-id") == 0)
		return ph_control_flush_id(c, req, err);
	if (strcmp(cmd, "super") == 0)
		return ph_control_super(c, req, err);
	if (strcmp(cmd, "find") == 0)
		return do_find(c, req, err);
	if (strcmp(cmd, "show") == 0)
		return ph_control_show(c, ph_control_member(req, "what"), err);
	if (strcmp(cmd, "checkpoint") == 0) {
		if (!c->trusted)
			return ph_err_set(err, -EPERM, "reserved for the superuser");
		c->q->checkpoint_now = true;
		c->q->next_checkpoint_ms = 0;
		ph_checkpoint_maybe(c->q);
		while (c->q->checkpoint_now || c->q->checkpointing) {
			if (ph_co_sleep(50) < 0)
				return ph_err_set(err, -ECANCELED, "stopping");
			ph_checkpoint_maybe(c->q);
		}
		return 0;
	}
	return ph_err_set(err, -EINVAL, "unknown request");
}

/* Until the queue was read after a start, an answer would be about a part of it: "Mail queue is empty", or a flush of nothing.  Yields. */
static int whole_queue(struct ph_control *c, struct ph_err *err)
{
	int64_t end = ph_now_ms() + ANSWER_MS;

	while (!c->q->recovered) {
		if (ph_now_ms() >= end)
			return ph_err_set(err, -EAGAIN, "the queue is still being read");
		if (ph_co_sleep(20) < 0)
			return ph_err_set(err, -ECANCELED, "stopping");
	}
	return 0;
}

int ph_control_request(struct ph_control *c, struct ph_slice text, struct ph_err *err)
{
	json_t *req = text.p ? json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	int r;

	if (!json_is_object(req))
		r = ph_err_set(err, -EINVAL, "not a JSON object");
	else if (c->ipc && strcmp(ph_control_member(req, "cmd"), "show") != 0 && (r = whole_queue(c, err)) < 0)
		;
	else
		r = request(c, req, err);
	json_decref(req);
	return r;
}

static int on_request(struct ph_control *c, struct ph_slice payload)
{
	struct ph_err err = { 0 };
	struct ph_unpack u;
	struct ph_slice text;
	int r;

	ph_unpack_init(&u, payload);
	text = ph_unpack_bytes(&u);
	r = ph_control_request(c, u.bad ? (struct ph_slice){ NULL, 0 } : text, &err);
	return answer_end(c, r < 0 ? -r : 0, r < 0 ? err.text : "");
}

bool ph_control_trusted(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

/* Yields. */
void ph_qmgr_control_serve(struct ph_qmgr *q, struct ph_ipc *ipc)
{
	struct ph_control c = { .q = q, .ipc = ipc, .trusted = ph_control_trusted(ph_ipc_fd(ipc)) };
	struct ph_slice payload;
	uint16_t type;

	while (ph_ipc_recv(ipc, &type, &payload, ph_now_ms() + IDLE_MS) == 0) {
		if (type != PH_F_CTL || on_request(&c, payload) < 0)
			break;
	}
}
