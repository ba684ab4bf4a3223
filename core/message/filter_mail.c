/* filter_mail.c: the message as filters see it, and the list of what they want changed.
 *
 * Owns struct ph_mail, one per message.  Edits are only collected here; ph_mail_apply carries out those of the envelope, rewrite.c those of the
 * content.  ph_mail_read and ph_mail_apply may yield. */
#include "message/filter_mail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REPLACED_BODY_MAX (64 * 1024 * 1024)

struct ph_mail *ph_mail_of(struct ph_intake *in)
{
	if (!in->mail) {
		in->mail = ph_alloc(sizeof(*in->mail));
		in->mail->in = in;
		in->mail->stage = "END-OF-MESSAGE";
		ph_buf_init(&in->mail->body, in->p.size_limit > 0 ? (size_t)in->p.size_limit : REPLACED_BODY_MAX);
	}
	return in->mail;
}

struct ph_session *ph_mail_session(struct ph_mail *m)
{
	return m->in->p.session;
}

struct ph_arena *ph_mail_arena(struct ph_mail *m)
{
	return m->in->arena;
}

const char *ph_mail_queue_id(const struct ph_mail *m)
{
	return m->in->queue_id;
}

const char *ph_mail_sender(const struct ph_mail *m)
{
	return m->in->env.sender;
}

size_t ph_mail_recipient_count(const struct ph_mail *m)
{
	return m->in->n_rcpts;
}

const char *ph_mail_recipient(const struct ph_mail *m, size_t i)
{
	return i < m->in->n_rcpts ? m->in->rcpts[i].address : NULL;
}

const char *ph_mail_clean_sender(struct ph_mail *m)
{
	struct ph_intake *in = m->in;
	const char *a = in->env.sender;

	if (*a)
		ph_route_rewrite(in->c->route, true, a, in->arena, &a);
	if (*a && !(in->p.flags & PH_INTAKE_NO_MAPPINGS))
		ph_cleanup_map_sender(in, PH_CLS_ENV_SENDER, &a);
	return *a ? ph_address_quote(in->arena, a) : "";
}

const char *ph_mail_clean_recipient(struct ph_mail *m, size_t i)
{
	struct ph_intake *in = m->in;
	const char *a;

	if (i >= in->n_rcpts)
		return NULL;
	a = in->rcpts[i].address;
	ph_route_rewrite(in->c->route, true, a, in->arena, &a);
	if (!(in->p.flags & PH_INTAKE_NO_MAPPINGS))
		ph_cleanup_map_rcpt(in, PH_CLS_ENV_RCPT, &a);
	return ph_address_quote(in->arena, a);
}

const struct ph_conf *ph_mail_conf(const struct ph_mail *m)
{
	return m->in->p.conf;
}

bool ph_mail_held(const struct ph_mail *m)
{
	bool held = m->in->env.flags & PH_ENV_HOLD;

	for (size_t i = 0; i < m->n; i++)
		held |= m->edits[i].type == PH_EDIT_HOLD;
	return held;
}

/* The content with a hole where our own Received: stands. */
ssize_t ph_mail_read(struct ph_mail *m, int64_t offset, void *buf, size_t bytes)
{
	const struct ph_intake *in = m->in;

	if (offset < 0)
		return -EINVAL;
	if (offset >= in->hide_at)
		offset += in->hide_bytes;
	else if ((int64_t)bytes > in->hide_at - offset)
		bytes = (size_t)(in->hide_at - offset);
	return ph_store_read(in->msg, offset, buf, bytes);
}

int64_t ph_mail_bytes(const struct ph_mail *m)
{
	return ph_store_bytes(m->in->msg) - m->in->hide_bytes;
}

/* ---- edits ---- */

static struct ph_edit *new_edit(struct ph_mail *m, enum ph_edit_type type, const char *name, const char *value)
{
	struct ph_arena *a = m->in->arena;
	struct ph_edit *e;

	if (m->n >= PH_EDITS_MAX)
		return NULL;
	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 16;

		m->edits = ph_realloc(m->edits, cap * sizeof(*m->edits));
		m->cap = cap;
	}
	e = &m->edits[m->n++];
	*e = (struct ph_edit){ .type = type, .name = name ? ph_arena_strdup(a, name) : NULL, .value = value ? ph_arena_strdup(a, value) : NULL,
			       .raw = m->raw_values, .quiet = m->in_line };
	return e;
}

static int edit(struct ph_mail *m, enum ph_edit_type type, const char *name, const char *value, unsigned nth)
{
	struct ph_edit *e = new_edit(m, type, name, value);

	if (!e)
		return -ENOBUFS;
	e->nth = nth;
	return 0;
}

/* A header name that could start another header, or the body, is refused. */
static bool name_ok(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || *name == ':' || (unsigned char)*name >= 127)
			return false;
	return true;
}

/* Folds stay, but no line of a value may begin a new header or end the headers. */
static const char *safe_value(struct ph_mail *m, const char *value)
{
	size_t n = strlen(value);
	char *out = ph_arena_alloc(m->in->arena, 2 * n + 1), *q = out;

	for (const char *p = value; *p; p++) {
		if (*p == '\r')
			continue;
		*q++ = *p;
		if (*p == '\n' && p[1] != ' ' && p[1] != '\t')
			*q++ = '\t';
	}
	while (q > out && (q[-1] == '\n' || q[-1] == '\t' || q[-1] == ' '))
		q--;
	*q = '\0';
	return out;
}

int ph_edit_add_header(struct ph_mail *m, const char *name, const char *value)
{
	return name_ok(name) ? edit(m, PH_EDIT_ADD_HEADER, name, safe_value(m, value), 0) : -EINVAL;
}

int ph_edit_insert_header(struct ph_mail *m, unsigned at, const char *name, const char *value)
{
	return name_ok(name) ? edit(m, PH_EDIT_INSERT_HEADER, name, safe_value(m, value), at) : -EINVAL;
}

int ph_edit_change_header(struct ph_mail *m, unsigned nth, const char *name, const char *value)
{
	return name_ok(name) ? edit(m, PH_EDIT_CHANGE_HEADER, name, value ? safe_value(m, value) : NULL, nth ? nth : 1) : -EINVAL;
}

int ph_edit_replace_body(struct ph_mail *m, const void *p, size_t n)
{
	m->new_body = true;
	return ph_buf_append(&m->body, p, n);
}

int ph_edit_add_recipient(struct ph_mail *m, const char *address, const char *esmtp_args)
{
	return edit(m, PH_EDIT_ADD_RCPT, esmtp_args, address, 0);
}

int ph_edit_delete_recipient(struct ph_mail *m, const char *address)
{
	return edit(m, PH_EDIT_DEL_RCPT, NULL, address, 0);
}

int ph_edit_change_sender(struct ph_mail *m, const char *address, const char *esmtp_args)
{
	return edit(m, PH_EDIT_SENDER, esmtp_args, address, 0);
}

int ph_edit_hold(struct ph_mail *m, const char *reason)
{
	return edit(m, PH_EDIT_HOLD, NULL, reason, 0);
}

int ph_edit_discard(struct ph_mail *m, const char *reason)
{
	return edit(m, PH_EDIT_DISCARD, NULL, reason, 0);
}

int ph_edit_filter(struct ph_mail *m, const char *transport_nexthop)
{
	return edit(m, PH_EDIT_FILTER, NULL, transport_nexthop, 0);
}

int ph_edit_redirect(struct ph_mail *m, const char *address)
{
	return edit(m, PH_EDIT_REDIRECT, NULL, address, 0);
}

int ph_edit_bcc(struct ph_mail *m, const char *address)
{
	return edit(m, PH_EDIT_BCC, NULL, address, 0);
}

/* In the headers no line of text may begin a header of its own, or end the headers. */
static const char *line_text(struct ph_mail *m, const char *text)
{
	return m->line_is_header ? safe_value(m, text) : ph_arena_strdup(m->in->arena, text);
}

void ph_edit_line_replace(struct ph_mail *m, const char *text)
{
	if (m->in_line)
		m->line_replace = line_text(m, text);
}

void ph_edit_line_drop(struct ph_mail *m)
{
	if (m->in_line)
		m->line_drop = true;
}

void ph_edit_line_prepend(struct ph_mail *m, const char *text)
{
	if (!m->in_line)
		return;
	text = line_text(m, text);
	m->line_prepend = m->line_prepend ? ph_arena_printf(m->in->arena, "%s\n%s", m->line_prepend, text) : text;
}

void ph_edit_raw_values(struct ph_mail *m)
{
	m->raw_values = true;
}

void ph_edit_forget(struct ph_mail *m)
{
	bool raw = m->raw_values;

	ph_mail_forget(m);
	m->raw_values = raw;
}

void ph_mail_stage(struct ph_mail *m, const char *stage)
{
	m->stage = stage;
}

void ph_mail_forget(struct ph_mail *m)
{
	m->n = 0;
	m->new_body = m->raw_values = false;
	ph_buf_clear(&m->body);
	m->line_drop = false;
	m->line_replace = m->line_prepend = NULL;
}

/* <module>_default_action: accept, reject, tempfail, quarantine. */
struct ph_verdict ph_filter_fail(struct ph_mail *m, const struct ph_err *err)
{
	struct ph_arena *a = m->in->arena;
	const char *action = ph_conf_get(m->in->p.conf, ph_arena_printf(a, "%s_default_action", m->filter_name));
	struct ph_verdict v = { .cls = PH_DEFER, .code = 451, .dsn = "4.7.1", .text = "Service unavailable - try again later", .complete = true };

	ph_mail_forget(m);
	m->failed = true;
	ph_log(PH_LOG_WARNING, "%s: filter %s: %s", m->in->queue_id, m->filter_name, err && *err->text ? err->text : "failed");
	if (!action || !*action || ph_str_ieq(action, "tempfail"))
		return v;
	if (ph_str_ieq(action, "accept"))
		return PH_NO_OPINION;
	if (ph_str_ieq(action, "quarantine")) {
		ph_edit_hold(m, "filter failed");
		return PH_NO_OPINION;
	}
	if (ph_str_ieq(action, "reject"))
		return (struct ph_verdict){ .cls = PH_REJECT, .code = 550, .dsn = "5.5.0", .text = "Service unavailable", .complete = true };
	if (ph_str_ieq(action, "shutdown"))
		return (struct ph_verdict){ .cls = PH_DISCONNECT, .code = 421, .dsn = "4.7.0", .text = "Service unavailable - try again later", .complete = true };
	ph_log(PH_LOG_WARNING, "%s_default_action: unknown action: %s", m->filter_name, action);
	return v;
}

/* ---- carrying out ---- */

/* "; from=<> to=<> proto=ESMTP helo=<x>" */
static void put_envelope(struct ph_buf *b, const struct ph_mail *m, const char *to)
{
	const struct ph_intake *in = m->in;
	struct ph_session *s = in->p.session;

	ph_buf_printf(b, "; from=<%s>", *in->env.sender ? ph_address_quote(in->arena, in->env.sender) : "");
	if (to)
		ph_buf_printf(b, " to=<%s>", to);
	if (s)
		ph_buf_printf(b, " proto=%s", ph_session_protocol(s));
	if (s && ph_session_helo(s))
		ph_buf_printf(b, " helo=<%s>", ph_session_helo(s));
}

void ph_mail_log(struct ph_mail *m, const char *what, const char *text)
{
	const struct ph_intake *in = m->in;
	const char *from = in->p.origin && strchr(in->p.origin, '[') ? in->p.origin : "localhost[127.0.0.1]";   /* "local" has no address */
	bool before_rcpt = strcmp(m->stage, "CONNECT") == 0 || strcmp(m->stage, "HELO") == 0 || strcmp(m->stage, "MAIL") == 0;
	struct ph_buf b = PH_BUF_INIT(16 * 1024);

	ph_buf_printf(&b, "%s: %s: %s from %s: %.1500s", in->queue_id, what, m->stage, from, text);
	put_envelope(&b, m, in->n_rcpts && !before_rcpt ? ph_mail_clean_recipient(m, in->n_rcpts - 1) : NULL);
	ph_log_as("cleanup", PH_LOG_INFO, "%s", ph_buf_str(&b));
	ph_buf_done(&b);
}

void ph_mail_log_content(struct ph_mail *m, const char *verb, const char *line, const char *text)
{
	const struct ph_intake *in = m->in;
	struct ph_buf b = PH_BUF_INIT(16 * 1024);

	ph_buf_printf(&b, "%s: %s: content %s from %s", in->queue_id, verb, line, in->p.origin ? in->p.origin : "local");
	put_envelope(&b, m, in->n_rcpts ? ph_mail_clean_recipient(m, in->n_rcpts - 1) : NULL);
	ph_log_as("cleanup", PH_LOG_INFO, "%s: %s", ph_buf_str(&b), text);
	ph_buf_done(&b);
}

/* DISCARD makes everything else pointless. */
bool ph_mail_discards(const struct ph_mail *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->edits[i].type == PH_EDIT_DISCARD)
			return true;
	return false;
}

int ph_mail_apply(struct ph_mail *m)
{
	struct ph_intake *in = m->in;
	bool content = m->new_body;
	size_t rcpts = in->n_rcpts;
	int r = ph_mail_discards(m) ? 0 : ph_checks_added(m);

	for (size_t i = 0; r == 0 && i < m->n; i++) {
		content |= m->edits[i].type <= PH_EDIT_LINE;
		if (m->edits[i].type == PH_EDIT_DISCARD || !ph_mail_discards(m))
			ph_mail_apply_envelope(m, &m->edits[i]);
		r = in->lost;
	}
	ph_mail_check_rcpts(in, rcpts);
	if (r == 0 && content && !in->discard)
		r = ph_mail_rewrite(m);
	ph_mail_forget(m);
	return r;
}
