/* intake.c: one message on its way into the queue: what the caller tells, and the end.
 *
 * Owns struct ph_intake (in the caller's arena; its heap buffers are freed at end and abort) and the store's message until it is committed.
 * Only line and end may yield.  Sources: cleanup(8). */
#include "base/fault.h"
#include "message/cleanup.h"
#include "message/filter_host.h"
#include "queue/proto.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RCPTS_MAX 100000
#define LIST_MAX 100            /* PREPEND and BCC actions of one message */

static int check_space(const struct ph_cleanup *c, struct ph_store *store, struct ph_err *err)
{
	int64_t free_bytes;

	if (c->s.minfree <= 0)
		return 0;
	free_bytes = ph_store_free_bytes(store);
	if (free_bytes >= 0 && free_bytes < c->s.minfree)
		return ph_err_set(err, -ENOSPC, "not enough free space in mail queue: %lld bytes < queue_minfree %lld", (long long)free_bytes,
				  (long long)c->s.minfree);
	return 0;
}

int ph_intake_begin(const struct ph_intake_params *p, struct ph_intake **ret, struct ph_err *err)
{
	struct ph_cleanup *c;
	struct ph_store *store = ph_store_self();
	struct ph_intake *in;
	int r;

	if (p->submit)
		return ph_intake_drop_begin(p, ret, err);
	c = ph_cleanup_of(p->conf);
	if (!c->ok)
		return ph_err_set(err, -EINVAL, "%s", c->why.text);
	if (!store)
		return ph_err_set(err, -EIO, "no queue is open");
	r = p->flags & PH_INTAKE_BOUNCE ? 0 : check_space(c, store, err);       /* what is reserved is reserved for the likes of these */
	if (r < 0)
		return r;
	in = ph_arena_alloc(p->arena, sizeof(*in));
	in->p = *p;
	in->c = c;
	in->arena = p->arena;
	ph_queue_id_new(in->queue_id, c->s.long_ids);
	in->msg = ph_store_begin(store, in->queue_id);
	if (!in->msg)
		return ph_err_set(err, -EAGAIN, "no buffers for a message");
	in->env.arrival_us = ph_wall_us();
	in->env.sender = "";
	in->env.encoding = "";
	if (p->content_filter && *p->content_filter)
		in->env.filter = p->content_filter;
	in->leading = true;
	in->in_headers = true;
	ph_buf_init(&in->hdr, (size_t)c->s.header_limit + PH_HEADER_SLACK);
	ph_mime_init(&in->mime, in->arena, !c->s.disable_mime, (unsigned)c->s.nesting_limit, (size_t)c->s.boundary_limit);
	ph_intake_rewrite_context(in, p->local_origin);
	if (strcmp(c->s.queue_service, "qmgr") != 0)
		ph_intake_attr(in, "queue_service", c->s.queue_service);
	*ret = in;
	return 0;
}

const char *ph_intake_queue_id(const struct ph_intake *in)
{
	return in->queue_id;
}

void ph_intake_rewrite_context(struct ph_intake *in, bool local)
{
	in->p.local_origin = local;
	in->rewrite_headers = local || *in->c->s.remote_domain;
	ph_intake_attr(in, "rewrite_context", local ? "local" : "remote");
}

void ph_intake_attr(struct ph_intake *in, const char *name, const char *value)
{
	struct ph_envelope *e = &in->env;

	for (size_t i = 0; i < e->n_attrs; i++)
		if (strcmp(e->attrs[i].name, name) == 0) {
			e->attrs[i].value = ph_arena_strdup(in->arena, value);
			return;
		}
	if (e->n_attrs == in->attrs_cap) {
		struct ph_attr *more;

		in->attrs_cap = in->attrs_cap ? 2 * in->attrs_cap : 16;
		more = ph_arena_alloc(in->arena, in->attrs_cap * sizeof(*more));
		if (e->n_attrs)
			memcpy(more, e->attrs, e->n_attrs * sizeof(*more));
		e->attrs = more;
	}
	e->attrs[e->n_attrs++] = (struct ph_attr){ ph_arena_strdup(in->arena, name), ph_arena_strdup(in->arena, value) };
}

void ph_intake_sender(struct ph_intake *in, const char *sender, const char *envid, const char *ret, const char *encoding, uint32_t env_flags)
{
	in->env.sender = ph_arena_strdup(in->arena, sender);
	in->env.envid = envid ? ph_arena_strdup(in->arena, envid) : NULL;
	in->env.ret = ret ? ph_arena_strdup(in->arena, ret) : NULL;
	in->env.encoding = encoding ? ph_arena_strdup(in->arena, encoding) : "";
	in->env.flags |= env_flags;
}

int ph_intake_rcpt(struct ph_intake *in, const char *address, const char *orcpt, unsigned notify)
{
	if (in->n_rcpts >= RCPTS_MAX)
		return -ENOBUFS;
	if (in->n_rcpts == in->rcpts_cap) {
		struct ph_intake_rcpt_in *more;

		in->rcpts_cap = in->rcpts_cap ? 2 * in->rcpts_cap : 4;
		more = ph_arena_alloc(in->arena, in->rcpts_cap * sizeof(*more));
		if (in->n_rcpts)
			memcpy(more, in->rcpts, in->n_rcpts * sizeof(*more));
		in->rcpts = more;
	}
	in->rcpts[in->n_rcpts++] = (struct ph_intake_rcpt_in){
		ph_arena_strdup(in->arena, address), orcpt ? ph_arena_strdup(in->arena, orcpt) : NULL, notify,
	};
	return 0;
}

void ph_intake_full_name(struct ph_intake *in, const char *full_name)
{
	in->full_name = ph_arena_strdup(in->arena, full_name);
}

void ph_intake_rcpt_original(struct ph_intake *in, const char *original)
{
	ph_assert(in->n_rcpts > 0);
	in->rcpts[in->n_rcpts - 1].original = ph_arena_strdup(in->arena, original);
}

size_t ph_intake_rcpt_count(const struct ph_intake *in)
{
	return in->n_rcpts;
}

static int list_add(struct ph_intake *in, const char ***list, size_t *n, const char *text)
{
	if (*n >= LIST_MAX)
		return -ENOBUFS;
	if (!*list)
		*list = ph_arena_alloc(in->arena, LIST_MAX * sizeof(**list));
	(*list)[(*n)++] = ph_arena_strdup(in->arena, text);
	return 0;
}

int ph_intake_action(struct ph_intake *in, const char *verb, const char *arg)
{
	if (ph_str_ieq(verb, "FILTER"))
		in->env.filter = *arg ? ph_arena_strdup(in->arena, arg) : NULL;
	else if (ph_str_ieq(verb, "REDIRECT"))
		in->env.redirect = ph_arena_strdup(in->arena, arg);
	else if (ph_str_ieq(verb, "HOLD"))
		in->env.flags |= PH_ENV_HOLD;
	else if (ph_str_ieq(verb, "DISCARD"))
		in->discard = true;
	else if (ph_str_ieq(verb, "BCC"))
		return list_add(in, &in->bccs, &in->n_bccs, arg);
	else if (ph_str_ieq(verb, "PREPEND"))
		return ph_header_name(arg, strlen(arg)) ? list_add(in, &in->prepends, &in->n_prepends, arg) : -EINVAL;
	else
		return -EINVAL;
	return 0;
}

int ph_intake_prepend(struct ph_intake *in, const char *header)
{
	return list_add(in, &in->headers_on_top, &in->n_on_top, header);
}

void ph_intake_fail(struct ph_intake *in, int code, int smtp, const char *dsn, const char *text)
{
	/* A temporary failure of mail that is refused counts, too: else neither it nor its notification would be there. */
	if (in->lost || (in->refused && smtp >= 500))
		return;
	if (smtp >= 500 && (in->p.flags & PH_INTAKE_BOUNCES) && !in->c->s.soft_bounce)
		in->refused = true;
	else
		in->lost = code;
	in->partial_content = true;
	in->why = (struct ph_verdict){ .cls = smtp < 500 ? PH_DEFER : PH_REJECT, .code = smtp, .text = text, .complete = true };
	snprintf(in->why.dsn, sizeof(in->why.dsn), "%s", dsn);
}

int ph_intake_line(struct ph_intake *in, const char *line, size_t n, bool cont)
{
	if (in->lost || in->discard)    /* what is thrown away is not looked at */
		return in->lost;
	if (in->p.submit)
		return ph_intake_drop_line(in, line, n, cont);
	return ph_content_line(in, line, n, cont);
}

static void free_buffers(struct ph_intake **in)
{
	ph_mail_free(&(*in)->mail);
	ph_cleanup_envelope_done(*in);
	ph_buf_done(&(*in)->hdr);
	ph_arena_free(&(*in)->scratch);
	*in = NULL;
}

void ph_intake_abort(struct ph_intake **in)
{
	if (!*in)
		return;
	if ((*in)->p.submit) {
		ph_intake_drop_abort(in);
		return;
	}
	ph_store_abort(&(*in)->msg);
	free_buffers(in);
}

/* Make it durable and tell the queue manager.  Yields. */
static int commit(struct ph_intake *in)
{
	struct ph_msg_ref ref;
	struct ph_err err;
	int r = ph_store_commit(&in->msg, &in->env, &ref, &err);

	if (r < 0) {
		ph_log_as("cleanup", PH_LOG_WARNING, "%s: %s", in->queue_id, err.text);
		if (r == -ENOSPC || r == -EDQUOT)
			ph_intake_fail(in, r, 452, "4.3.1", "Insufficient system storage");
		else
			ph_intake_fail(in, r, 451, "4.3.0", "Error: queue file write error");
		return r;
	}
	ph_fault("intake.announce");
	ph_qmgr_announce(&ref, &in->env);
	return 0;
}

/* Recipients that filters deleted: the queue manager's log counts them, as they came in; a message without any other is done here. */
static void note_deleted(struct ph_intake *in)
{
	size_t left = in->n_rcpts;

	if (!in->n_deleted || in->lost)
		return;
	if (!in->discard)
		ph_intake_attr(in, "deleted_recipients", ph_arena_printf(in->arena, "%zu", in->n_deleted));
	else if (!left) {
		ph_log_as("qmgr", PH_LOG_INFO, "%s: from=<%s>, size=%lld, nrcpt=%zu (queue active)", in->queue_id,
			  *in->env.sender ? ph_address_quote(in->arena, in->env.sender) : "", (long long)in->env.content_bytes, in->n_deleted);
		ph_log_as("qmgr", PH_LOG_INFO, "%s: removed", in->queue_id);
	}
}

/* Those of the session; mail that is not from SMTP has a chain of its own, for this message. */
static void run_filters(struct ph_intake *in)
{
	struct ph_filter_chain *own = in->p.session || in->p.filters ? NULL : ph_filter_chain_new(in->p.conf, NULL, NULL);

	if (in->p.filters)
		ph_filter_chain_message(in->p.filters, in);
	else if (own)
		ph_filter_chain_message(own, in);
	ph_filter_chain_free(&own);
}

/* smtputf8_autodetect_classes: mail that nobody declared, from submitters who cannot.  */
static bool needs_utf8(const struct ph_intake *in)
{
	static const struct { const char *prog, *cls; } classes[] = {
		{ "pickup", "sendmail" }, { "smtpd", "smtpd" }, { "local", "forward" }, { "bounce", "bounce" }, { "notice", "notify" },
	};
	const struct ph_cleanup_settings *s = &in->c->s;
	const char *cls = in->env.flags & PH_ENV_VERIFY ? "verify" : NULL;
	bool utf8 = in->utf8_header || !ph_str_ascii(in->env.sender);

	for (size_t i = 0; !cls && i < PH_ARRAY_LEN(classes); i++)
		if (strcmp(classes[i].prog, in->p.prog) == 0)
			cls = classes[i].cls;
	if (!s->smtputf8 || !cls || !(ph_header_in_list(s->utf8_classes, cls, strlen(cls)) || ph_header_in_list(s->utf8_classes, "all", 3)))
		return false;
	for (size_t i = 0; !utf8 && i < in->env.n_rcpts; i++)
		utf8 = !ph_str_ascii(in->env.rcpts[i].address);
	return utf8;
}

/* It goes into the queue all the same, for its sender to be told. */
static void refuse(struct ph_intake *in)
{
	const char *text = in->why.text ? in->why.text : "refused";

	if (ph_str_istarts(text, "Error: "))            /* meant for an SMTP client */
		text += 7;
	in->env.flags |= PH_ENV_REFUSED | (in->partial_content ? PH_ENV_PARTIAL : 0);
	in->env.flags &= ~(uint32_t)PH_ENV_HOLD;
	in->env.filter = in->env.redirect = NULL;
	ph_intake_attr(in, "refused", ph_arena_printf(in->arena, "%s %s", in->why.dsn[0] ? in->why.dsn : "5.7.1", text));
	in->discard = in->env.n_rcpts == 0;
}

struct ph_verdict ph_intake_end(struct ph_intake **inp, int64_t *ret_size)
{
	struct ph_intake *in = *inp;
	struct ph_verdict v = { .cls = PH_PERMIT, .code = 250, .dsn = "2.0.0", .complete = true };

	if (in->p.submit)
		return ph_intake_drop_end(inp, ret_size);
	if (!in->lost && !in->discard)
		ph_content_end(in);
	if (!in->lost && !in->discard && !in->refused && in->mail)
		ph_checks_end(in);
	if (!in->lost && !in->discard && !in->refused && !(in->p.flags & PH_INTAKE_NO_MILTERS))
		run_filters(in);
	if (!in->lost && !in->discard)
		ph_cleanup_envelope(in);
	if (!in->lost && in->refused)
		refuse(in);
	if (!in->lost && (in->env.flags & PH_ENV_VERIFY) && in->env.n_rcpts > 1) {
		in->discard = true;     /* a probe for all of them would say nothing about any */
		v.code = 252;
	}
	in->env.content_bytes = in->msg ? ph_store_bytes(in->msg) : 0;
	if (ret_size)
		*ret_size = in->env.content_bytes;
	if (in->high_bytes)
		in->env.flags |= PH_ENV_8BIT;
	if (!in->lost && needs_utf8(in))
		in->env.flags |= PH_ENV_SMTPUTF8;
	if (in->env.flags & PH_ENV_REQUIRETLS)  /* RFC 8689 section 4.2 */
		in->env.flags &= ~(uint32_t)PH_ENV_TLS_OPTIONAL;
	note_deleted(in);
	if (!in->lost && !in->discard)
		commit(in);
	if (in->lost)
		v = in->why;
	else
		v.text = ph_arena_printf(in->arena, "Ok: queued as %s", in->queue_id);
	ph_store_abort(&in->msg);
	free_buffers(inp);
	return v;
}
