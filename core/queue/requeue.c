/* requeue.c: postsuper -r: a message goes through intake once more (rewriting, mappings, content_filter), under a new queue id.
 *
 * The new message's envelope says which one it replaces, so a crash between its commit and the removal of the old one does not leave both (recover.c).
 * No state.  Yields. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message/intake.h"
#include "message/received.h"
#include "queue/maildrop.h"
#include "queue/parts.h"
#include "queue/qmgr_private.h"

#define PIECE 3072              /* bytes of content at a time */

static int feed_line(struct ph_intake *in, const char *line, size_t n, bool cont)
{
	return ph_intake_line(in, line, n, cont);
}

/* Content as lines; a long one in pieces. */
static int feed(struct ph_intake *in, struct ph_stored *m)
{
	char buf[PIECE];
	size_t have = 0;
	int64_t offset = 0;
	ssize_t n;
	int r = 0;

	while (r == 0) {
		char *p = buf, *nl;

		n = ph_stored_read(m, offset, buf + have, sizeof(buf) - have);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		offset += n;
		have += (size_t)n;
		while (r == 0 && (nl = memchr(p, '\n', have)) != NULL) {
			r = feed_line(in, p, (size_t)(nl - p), false);
			have -= (size_t)(nl + 1 - p);
			p = nl + 1;
		}
		if (r == 0 && have == sizeof(buf)) {
			r = feed_line(in, p, have, true);
			have = 0;
		}
		memmove(buf, p, have);
	}
	if (r == 0 && have > 0)
		r = feed_line(in, buf, have, false);
	return r;
}

/* Has something failed, a recipient or a part of one, of which somebody has yet to be told? In the new message it would be forgotten. */
static bool bounced_untold(const struct ph_qmgr *q, const struct ph_entry *e)
{
	for (uint32_t i = 0; i < e->n_rcpts; i++)
		if (e->rcpts[i].state == PH_RCPT_BOUNCED || ph_notify_parts_due(q, e, i))
			return true;
	return false;
}

/* Parts of recipient i that other transports have yet to take stand for it: what was delivered of it is not delivered again. */
static struct ph_parts pending_parts(const struct ph_qmgr *q, const struct ph_entry *e, size_t i, struct ph_arena *arena)
{
	struct ph_parts list = { NULL, 0 };
	struct ph_reason r;
	size_t n = 0;

	if (e->rcpts[i].state != PH_RCPT_TODO || !ph_entry_reason(q->ix, e, (uint32_t)i, &r) || !ph_parts_pending(r.diag))
		return list;
	list = ph_parts_read(ph_arena_strdup(arena, r.diag), arena);
	for (size_t k = 0; k < list.n; k++)
		if (list.part[k].state == PH_PART_PENDING)
			list.part[n++] = list.part[k];
	list.n = n;
	return list;
}

static int envelope_rcpt(const struct ph_qmgr *q, struct ph_intake *in, const struct ph_rcpt *rc, const struct ph_entry *e, size_t i, struct ph_arena *arena)
{
	struct ph_parts parts = pending_parts(q, e, i, arena);
	int r = 0;

	if (parts.n == 0)
		return ph_intake_rcpt(in, rc->address, rc->dsn_orcpt, rc->dsn_notify);
	for (size_t k = 0; k < parts.n && r == 0; k++) {
		r = ph_intake_rcpt(in, parts.part[k].address, rc->dsn_orcpt, ph_parts_notify(rc->dsn_notify));
		if (r == 0)
			ph_intake_rcpt_original(in, rc->original && *rc->original ? rc->original : rc->address);
	}
	return r;
}

static int envelope(const struct ph_qmgr *q, struct ph_intake *in, const struct ph_envelope *env, const struct ph_entry *e, const char *old_id,
		    struct ph_arena *arena)
{
	size_t i;
	int r = 0;

	for (i = 0; i < env->n_attrs; i++) {
		if (!ph_envelope_attr_own(env->attrs[i].name))
			ph_intake_attr(in, env->attrs[i].name, env->attrs[i].value);
	}
	ph_intake_attr(in, "requeue_of", old_id);
	ph_intake_sender(in, env->sender, env->envid, env->ret, env->encoding, env->flags & ~(uint32_t)(PH_ENV_HOLD | PH_ENV_REFUSED | PH_ENV_PARTIAL));
	for (i = 0; i < env->n_rcpts && r == 0; i++) {
		if (e->rcpts[i].state == PH_RCPT_TODO)
			r = envelope_rcpt(q, in, &env->rcpts[i], e, i, arena);
	}
	return r;
}

/* What a submitter may set, and the flags. */
static void drop_attrs(struct ph_maildrop_writer *w, const struct ph_envelope *env, struct ph_arena *arena)
{
	uint32_t flags = htole32(env->flags & PH_MAILDROP_FLAGS);

	for (size_t i = 0; i < env->n_attrs; i++) {
		const struct ph_attr *a = &env->attrs[i];
		const char *text;

		if (!ph_maildrop_attr_allowed((struct ph_slice){ a->name, strlen(a->name) }))
			continue;
		text = ph_arena_printf(arena, "%s=%s", a->name, a->value);
		ph_maildrop_put(w, PH_DROP_ATTR, text, strlen(text));
	}
	if (flags)
		ph_maildrop_put(w, PH_DROP_FLAGS, &flags, sizeof(flags));
}

/* Without the mail system: into maildrop/, from where pickup takes it when that comes up. */
static int to_maildrop(struct ph_qmgr *q, struct ph_entry *e, struct ph_stored *m, struct ph_arena *arena, struct ph_err *err)
{
	struct ph_maildrop_writer *w;
	char buf[PIECE];
	int64_t offset = 0;
	ssize_t n;
	size_t i;
	int r = ph_maildrop_create(q->cfg->queue_dir, &w, err);

	if (r < 0)
		return r;
	ph_maildrop_put(w, PH_DROP_SENDER, m->env->sender, strlen(m->env->sender));
	if (m->env->envid)
		ph_maildrop_put(w, PH_DROP_ENVID, m->env->envid, strlen(m->env->envid));
	if (m->env->ret)
		ph_maildrop_put(w, PH_DROP_RET, m->env->ret, strlen(m->env->ret));
	if (m->env->encoding && *m->env->encoding)
		ph_maildrop_put(w, PH_DROP_ENCODING, m->env->encoding, strlen(m->env->encoding));
	drop_attrs(w, m->env, arena);
	for (i = 0; i < m->env->n_rcpts; i++) {
		const struct ph_rcpt *rc = &m->env->rcpts[i];
		struct ph_parts parts = pending_parts(q, e, i, arena);

		for (size_t k = 0; k < parts.n; k++)
			ph_maildrop_put_rcpt(w, parts.part[k].address, ph_parts_notify(rc->dsn_notify), rc->dsn_orcpt);
		if (e->rcpts[i].state == PH_RCPT_TODO && parts.n == 0)
			ph_maildrop_put_rcpt(w, rc->address, rc->dsn_notify, rc->dsn_orcpt);
	}
	while ((n = ph_stored_read(m, offset, buf, sizeof(buf))) > 0) {
		ph_maildrop_put(w, PH_DROP_CONTENT, buf, (size_t)n);
		offset += n;
	}
	if (n < 0) {
		ph_maildrop_abort(&w);
		return ph_err_errno(err, (int)n, "%s", m->ref.queue_id);
	}
	r = ph_maildrop_finish(&w, err);
	if (r == 0)
		ph_qmgr_remove(q, e, false);
	return r;
}

int ph_requeue(struct ph_qmgr *q, struct ph_entry *e, struct ph_err *err)
{
	const struct ph_service *pickup = ph_config_service(q->cfg->config, q->set.pickup_service, PH_SVC_UNIX);
	const char *cleanup = q->set.cleanup_service, *context;
	struct ph_arena *arena = ph_arena_new();
	struct ph_intake_params p = { .prog = "pickup", .origin = "local", .flags = PH_INTAKE_NO_MILTERS | PH_INTAKE_BOUNCES, .arena = arena };
	struct ph_intake *in = NULL;
	struct ph_stored *m;
	struct ph_msg_ref ref;
	struct ph_verdict v;
	int64_t size;
	int r;

	ph_entry_ref(e, &ref);
	if (pickup && ph_conf_get(pickup->conf, "cleanup_service_name"))
		cleanup = ph_conf_get(pickup->conf, "cleanup_service_name");
	p.conf = ph_qmgr_service_conf(q, cleanup);
	r = ph_stored_open(q->dirfd, &ref, arena, &m, err);
	if (r < 0)
		goto out;
	if (bounced_untold(q, e)) {
		r = ph_err_set(err, -EAGAIN, "it has bounced recipients, or parts of them, of which the sender has yet to be told");
		goto out;
	}
	if (q->offline) {
		r = to_maildrop(q, e, m, arena, err);
		goto out;
	}
	context = ph_envelope_attr(m->env, "rewrite_context");
	p.local_origin = context == NULL || strcmp(context, "local") == 0;
	r = ph_intake_begin(&p, &in, err);
	if (r < 0)
		goto out;
	ph_log_as("pickup", PH_LOG_INFO, "%s: uid=%d from=<%s> orig_id=%s", ph_intake_queue_id(in), (int)geteuid(), m->env->sender, ref.queue_id);
	ph_intake_prepend(in, ph_received_local(p.conf, ph_intake_queue_id(in), (int64_t)geteuid(), arena));
	r = envelope(q, in, m->env, e, ref.queue_id, arena);
	if (r == 0)
		r = feed(in, m);
	if (r < 0) {
		ph_err_set(err, r, "%s: cannot be read or stored again", ref.queue_id);
		goto out;
	}
	v = ph_intake_end(&in, &size);
	if (v.cls != PH_PERMIT) {
		r = ph_err_set(err, -EIO, "%s: %d %s", ref.queue_id, v.code, v.text ? v.text : "");
		goto out;
	}
	e = ph_index_find(q->ix, ref.queue_id);
	if (e)
		ph_qmgr_remove(q, e, false);
out:
	ph_intake_abort(&in);
	ph_arena_free(&arena);
	return r;
}
