/* forward.c: put a copy of a delivery's message back into the queue for other recipients, through the one intake.
 *
 * No state but the process's store, opened at the first use.  Yields. */
#include "agent/forward.h"
#include "base/pack.h"
#include "config/general.h"
#include "message/intake.h"
#include "message/received.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES 65536

/* ---- encoding ---- */

int ph_forward_encode(const struct ph_forward *f, struct ph_slice request, struct ph_buf *out)
{
	ph_pack_bytes(out, request.p, request.n);
	ph_pack_str(out, f->sender);
	ph_pack_u32(out, (uint32_t)f->n_rcpts);
	for (size_t i = 0; i < f->n_rcpts; i++)
		ph_pack_str(out, f->rcpts[i]);
	ph_pack_u8(out, (uint8_t)((f->original ? 1 : 0) | (f->filter ? 2 : 0) | (f->orcpt ? 4 : 0)));
	ph_pack_str(out, f->original);
	ph_pack_str(out, f->orcpt);
	ph_pack_str(out, f->filter);
	ph_pack_str(out, f->top);
	return ph_pack_u32(out, f->notify);
}

int ph_forward_decode(struct ph_slice in, struct ph_arena *arena, struct ph_forward **ret)
{
	struct ph_forward *f = ph_arena_alloc(arena, sizeof *f);
	struct ph_delivery_request *req;
	struct ph_slice request;
	struct ph_unpack u;
	const char **rcpts;
	unsigned has;

	ph_unpack_init(&u, in);
	request = ph_unpack_bytes(&u);
	if (u.bad || ph_request_decode(request, arena, &req) < 0)
		return -EBADMSG;
	f->req = req;
	f->sender = ph_unpack_str(&u, arena);
	f->n_rcpts = ph_unpack_u32(&u);
	if (u.bad || f->n_rcpts > u.n / 4)
		return -EBADMSG;
	rcpts = ph_arena_alloc(arena, (f->n_rcpts + 1) * sizeof *rcpts);
	for (size_t i = 0; i < f->n_rcpts; i++)
		rcpts[i] = ph_unpack_str(&u, arena);
	f->rcpts = rcpts;
	has = ph_unpack_u8(&u);
	f->original = ph_unpack_str(&u, arena);
	f->orcpt = ph_unpack_str(&u, arena);
	f->filter = ph_unpack_str(&u, arena);
	f->original = has & 1 ? f->original : NULL;
	f->orcpt = has & 4 ? f->orcpt : NULL;
	f->filter = has & 2 ? f->filter : NULL;
	f->top = ph_unpack_str(&u, arena);
	f->notify = ph_unpack_u32(&u);
	if (!ph_unpack_done(&u))
		return -EBADMSG;
	*ret = f;
	return 0;
}

/* ---- intake ---- */

static int store_ready(struct ph_err *err)
{
	static bool linked;
	struct ph_store_config cfg = { .queue_dir = ph_agent_self.cfg->queue_dir, .slot = ph_agent_self.cfg->slot };
	struct ph_store *store = ph_store_self();
	int rc = 0;

	if (!store)
		rc = ph_store_open(&cfg, &store, err);
	if (rc == 0 && !linked) {
		ph_qmgr_link_start(cfg.queue_dir, store);
		linked = true;
	}
	return rc;
}

/* Lines of the content, as the intake wants them.  0 or negative. */
static int feed_content(struct ph_intake *in, struct ph_stored *m, size_t line_max, struct ph_err *err)
{
	char *buf = ph_alloc(READ_BYTES);
	int64_t at = 0;
	ssize_t n;

	while ((n = ph_stored_read(m, at, buf, READ_BYTES)) > 0) {
		const char *p = buf, *end = buf + n, *nl;

		while (p < end) {
			size_t len;

			nl = memchr(p, '\n', (size_t)(end - p));
			len = nl ? (size_t)(nl - p) : (size_t)(end - p);
			/* the last line of the piece is not whole: read on from its start, unless it is all there is or too long anyway */
			if (!nl && p > buf && n == READ_BYTES && len < line_max)
				break;
			ph_intake_line(in, p, len, !nl && n == READ_BYTES);
			p += len + (nl != NULL);
		}
		at += p - buf;
	}
	free(buf);
	return n < 0 ? ph_err_errno(err, (int)n, "queue file") : 0;
}

static void put_top(struct ph_intake *in, const char *top)
{
	const char *nl;

	for (; *top; top = nl + 1) {
		nl = strchr(top, '\n');
		if (!nl)
			break;
		ph_intake_line(in, top, (size_t)(nl - top), false);
	}
}

static int begin(const struct ph_forward *f, struct ph_arena *arena, struct ph_intake **ret, struct ph_err *err)
{
	const struct ph_conf *main_conf = ph_config_main(ph_agent_self.cfg->config);
	struct ph_intake_params p = {
		.conf = ph_intake_conf_of(main_conf), .prog = "local", .origin = "local", .local_origin = true, .arena = arena,
		.flags = PH_INTAKE_NO_CHECKS | PH_INTAKE_NO_MILTERS | PH_INTAKE_NO_BCC | PH_INTAKE_BOUNCES | (f->filter ? PH_INTAKE_NO_MAPPINGS : 0),
	};
	const struct ph_delivery_request *req = f->req;
	int rc = ph_intake_begin(&p, ret, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < req->n_attrs; i++)
		if (!ph_envelope_attr_own(req->attrs[i].name))
			ph_intake_attr(*ret, req->attrs[i].name, req->attrs[i].value);
	ph_intake_sender(*ret, f->sender, req->envid, req->ret, req->encoding, req->flags & PH_ENV_INHERITED);
	for (size_t i = 0; rc == 0 && i < f->n_rcpts; i++) {
		rc = ph_intake_rcpt(*ret, f->rcpts[i], f->orcpt, f->notify);
		if (rc == 0 && f->original)
			ph_intake_rcpt_original(*ret, f->original);
	}
	if (f->filter)
		ph_intake_action(*ret, "FILTER", f->filter);
	ph_intake_prepend(*ret, ph_received_local(main_conf, ph_intake_queue_id(*ret), -1, arena));
	if (rc < 0)
		ph_intake_abort(ret);
	return rc < 0 ? ph_err_errno(err, rc, "recipients") : 0;
}

int ph_forward_submit(int queue_dirfd, const struct ph_forward *f, struct ph_arena *arena, char ret_id[PH_QUEUE_ID_MAX], struct ph_err *err)
{
	struct ph_stored *m;
	struct ph_intake *in;
	struct ph_verdict v;
	int rc = store_ready(err);

	if (rc == 0)
		rc = ph_stored_open(queue_dirfd, &f->req->ref, arena, &m, err);
	if (rc == 0)
		rc = begin(f, arena, &in, err);
	if (rc < 0)
		return rc;
	snprintf(ret_id, PH_QUEUE_ID_MAX, "%s", ph_intake_queue_id(in));
	put_top(in, f->top);
	rc = feed_content(in, m, (size_t)ph_conf_general(ph_config_main(ph_agent_self.cfg->config))->line_length_limit, err);
	if (rc < 0) {
		ph_intake_abort(&in);
		return rc;
	}
	v = ph_intake_end(&in, NULL);
	return v.cls == PH_PERMIT ? 0 : ph_err_set(err, -EAGAIN, "forwarding failed: %s", v.text ? v.text : "the queue does not take it");
}
