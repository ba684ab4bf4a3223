/* checks.c: header_checks and body_checks: filters that see the lines while the message is received.
 *
 * Owns the prepared uses of the two modules (one per configuration view) and their objects (one per message, in struct ph_mail).  Nothing here
 * runs when neither is configured.  Yields where a check does.  Sources: header_checks(5), cleanup(8). */
#include "message/filter_mail.h"
#include "module/loader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct check {
	const char *name;
	const struct ph_filter_ops *ops;
	const void *settings;
	void *use;
	struct ph_err why;              /* ops NULL: it could not be made ready: mail is deferred */
	bool configured;
};

struct ph_checks {
	struct check header, body;
	struct check milter;            /* milter_header_checks: headers that milters add */
};

static bool any_set(const struct ph_conf *conf, const char *const *names)
{
	for (; *names; names++) {
		const char *v = ph_conf_get(conf, *names);

		if (v && v[strspn(v, PH_SEP_LIST)])
			return true;
	}
	return false;
}

static void prepare(struct check *c, const struct ph_conf *conf, const char *name, const char *arg)
{
	const struct ph_module *mod = ph_module_load(PH_KIND_FILTER, name, &c->why);

	c->name = name;
	c->configured = true;
	if (!mod)
		goto fail;
	c->settings = ph_module_settings(mod, conf, &c->why);
	if (!c->settings && mod->settings_size)
		goto fail;
	if (mod->ops.filter->prepare && mod->ops.filter->prepare(conf, c->settings, arg, &c->use, &c->why) < 0)
		goto fail;
	c->ops = mod->ops.filter;
	return;
fail:
	ph_log_as("cleanup", PH_LOG_WARNING, "%s: %s: mail is deferred until this is repaired", name, c->why.text);
}

static void checks_free(void *obj)
{
	struct ph_checks *k = obj;

	for (struct check *c = &k->header; c <= &k->milter; c++)
		if (c->ops && c->ops->release)
			c->ops->release(c->use);
	free(k);
}

struct ph_checks *ph_checks_open(const struct ph_conf *conf)
{
	static const char *const header[] = { "header_checks", "mime_header_checks", "nested_header_checks", NULL };
	static const char *const body[] = { "body_checks", NULL };
	static const char *const milter[] = { "milter_header_checks", NULL };
	bool want_header = any_set(conf, header), want_body = any_set(conf, body), want_milter = any_set(conf, milter);
	struct ph_checks *k;

	if (!want_header && !want_body && !want_milter)
		return NULL;
	k = ph_alloc(sizeof(*k));
	if (want_header)
		prepare(&k->header, conf, "header_checks", "");
	if (want_body)
		prepare(&k->body, conf, "body_checks", "");
	if (want_milter)
		prepare(&k->milter, conf, "header_checks", "milter");
	ph_conf_attach_set(conf, "checks", k, checks_free);
	return k;
}

static void refuse(struct ph_intake *in, const struct ph_verdict *v)
{
	int code = v->code ? v->code : v->cls == PH_REJECT ? 550 : 451;

	ph_intake_fail(in, -EACCES, code, v->dsn[0] ? v->dsn : code < 500 ? "4.7.1" : "5.7.1", v->text && *v->text ? v->text : "message content rejected");
	in->why.cls = v->cls == PH_DISCONNECT ? PH_DISCONNECT : in->why.cls;
}

static void not_ready(struct ph_intake *in, const struct check *c)
{
	ph_log_as("cleanup", PH_LOG_WARNING, "%s: %s: %s", in->queue_id, c->name, c->why.text);
	ph_intake_fail(in, -EAGAIN, 451, "4.3.0", "Error: queue file write error");
}

/* The object of this message.  NULL: the message is marked. */
static struct ph_mail *ready(struct ph_intake *in, struct check *c, void **obj)
{
	struct ph_mail *m = ph_mail_of(in);
	struct ph_err err = { 0 };

	if (!c->ops) {
		not_ready(in, c);
		return NULL;
	}
	m->filter_name = c->name;
	if (!*obj && c->ops->open && c->ops->open(c->use, in->p.session, obj, &err) < 0) {
		struct ph_verdict v = ph_filter_fail(m, &err);

		if (v.cls != PH_DUNNO)
			refuse(in, &v);
		return NULL;
	}
	return m;
}

static void begin_line(struct ph_mail *m, bool header)
{
	m->in_line = true;
	m->line_is_header = header;
	m->line_drop = false;
	m->line_replace = m->line_prepend = NULL;
}

/* What a check put in front of a header must be headers; in the body it is text. */
static int out_text(struct ph_intake *in, const char *text)
{
	return ph_content_out_line(in, text, strlen(text));
}

static int out_header(struct ph_intake *in, const char *text, size_t n)
{
	if (in->mime.state == PH_MIME_PRIMARY && ph_header_name(text, n))
		return ph_cleanup_header(in, text, n);
	return ph_content_out_header(in, text, n);
}

static enum ph_header_kind kind_of(const struct ph_intake *in, const char *line, size_t n)
{
	if (ph_header_find(line, ph_header_name(line, n))->flags & PH_HDRF_MIME)
		return PH_HEADER_MIME;
	switch (in->mime.state) {
	case PH_MIME_PART:
		return PH_HEADER_MIME;
	case PH_MIME_NESTED:
		return PH_HEADER_NESTED;
	case PH_MIME_PRIMARY:
	case PH_MIME_BODY:
		break;
	}
	return PH_HEADER_PRIMARY;
}

static int run_header(struct ph_intake *in, struct check *c, void **obj, const char *line, size_t n)
{
	struct ph_mail *m;
	struct ph_verdict v;

	if (!c->configured || (c->ops && !c->ops->header) || in->mail->checks_off)
		return 0;
	m = ready(in, c, obj);
	if (!m)
		return in->lost;
	v = c->ops->header(*obj, m, kind_of(in, line, n), line, n);
	m->checks_off |= v.cls == PH_PERMIT;
	if (v.cls == PH_REJECT || v.cls == PH_DEFER || v.cls == PH_DISCONNECT)
		refuse(in, &v);
	return in->lost;
}

int ph_checks_header(struct ph_intake *in, const char *line, size_t n)
{
	struct ph_mail *m = ph_mail_of(in);
	int r;

	begin_line(m, true);
	r = run_header(in, &in->c->checks->header, &m->header_obj, line, n);
	if (r == 0)
		r = run_header(in, &in->c->checks->body, &m->body_obj, line, n);
	m->in_line = false;
	if (r == 0 && m->line_prepend)
		r = in->mime.state == PH_MIME_PRIMARY ? out_header(in, m->line_prepend, strlen(m->line_prepend)) : out_text(in, m->line_prepend);
	if (r < 0 || m->line_drop)
		return r;
	if (ph_mail_discards(m)) {      /* nothing more is looked at, or added */
		in->discard = true;
		return -ECANCELED;
	}
	if (m->line_replace)
		return out_header(in, m->line_replace, strlen(m->line_replace));
	return out_header(in, line, n);
}

/* ---- headers that milters add ---- */

/* A replacement is "Name: value" again; what is not stays as the filter wrote it. */
static void replaced(struct ph_mail *m, struct ph_edit *e, const char *text)
{
	size_t name = ph_header_name(text, strlen(text));

	if (!name)
		return;
	e->name = ph_arena_strndup(m->in->arena, text, name);
	e->value = text + ph_header_value(text, strlen(text));
	e->raw = false;
}

/* One edit; the check may put edits of its own behind.  False: it is not to be made. */
static bool check_added(struct ph_mail *m, const struct check *c, size_t i, struct ph_verdict *v)
{
	const struct ph_edit *e = &m->edits[i];
	const char *line = ph_arena_printf(m->in->arena, "%s:%s%s", e->name, e->raw ? "" : " ", e->value);

	begin_line(m, true);
	*v = c->ops->header(m->milter_obj, m, PH_HEADER_PRIMARY, line, strlen(line));
	m->in_line = false;
	if (m->line_replace)
		replaced(m, &m->edits[i], m->line_replace);
	return !m->line_drop;
}

static bool adds_header(const struct ph_edit *e)
{
	return e->value && (e->type == PH_EDIT_ADD_HEADER || e->type == PH_EDIT_INSERT_HEADER || e->type == PH_EDIT_CHANGE_HEADER);
}

int ph_checks_added(struct ph_mail *m)
{
	struct ph_intake *in = m->in;
	struct check *c = in->c->checks ? &in->c->checks->milter : NULL;
	struct ph_verdict v = PH_NO_OPINION;
	const char *filter = m->filter_name;
	size_t kept = 0, n = m->n;

	if (!c || !c->configured || !filter || strcmp(filter, "milter") != 0 || (in->p.flags & PH_INTAKE_NO_CHECKS))
		return 0;
	if (!ready(in, c, &m->milter_obj))
		return in->lost;
	m->filter_name = filter;
	for (size_t i = 0; i < m->n; i++)
		if (i >= n || v.cls != PH_DUNNO || !adds_header(&m->edits[i]) || check_added(m, c, i, &v))
			m->edits[kept++] = m->edits[i];
	m->n = kept;
	if (v.cls == PH_REJECT || v.cls == PH_DEFER || v.cls == PH_DISCONNECT)
		refuse(in, &v);
	return in->lost;
}

int ph_checks_end_of_headers(struct ph_intake *in)
{
	struct ph_checks *k = in->c->checks;
	struct ph_mail *m = ph_mail_of(in);
	void **objs[] = { &m->header_obj, &m->body_obj };

	for (int i = 0; i < 2 && !in->lost; i++) {
		struct check *c = i ? &k->body : &k->header;
		struct ph_verdict v;

		if (!c->configured || (c->ops && !c->ops->end_of_headers) || !ready(in, c, objs[i]))
			continue;
		v = c->ops->end_of_headers(*objs[i], m);
		if (v.cls == PH_REJECT || v.cls == PH_DEFER)
			refuse(in, &v);
	}
	return in->lost;
}

bool ph_checks_want_body(const struct ph_intake *in)
{
	return in->c->checks->body.configured;
}

int ph_checks_body(struct ph_intake *in, const char *line, size_t n, bool cont)
{
	struct ph_mail *m = ph_mail_of(in);
	struct check *c = &in->c->checks->body;
	struct ph_verdict v;
	int r = 0;

	if (!m->checks_off && !ready(in, c, &m->body_obj))
		return in->lost;
	begin_line(m, false);
	v = c->ops && c->ops->body && !m->checks_off ? c->ops->body(m->body_obj, m, line, n) : PH_NO_OPINION;
	m->in_line = false;
	m->checks_off |= v.cls == PH_PERMIT;
	if (v.cls == PH_REJECT || v.cls == PH_DEFER || v.cls == PH_DISCONNECT)
		refuse(in, &v);
	if (in->lost)
		return in->lost;
	if (m->line_prepend)
		r = out_text(in, m->line_prepend);
	if (r == 0 && m->line_replace)
		return out_text(in, m->line_replace);
	if (r < 0 || m->line_drop)
		return r;
	r = ph_content_out(in, line, n);
	return r < 0 || cont ? r : ph_content_out(in, "\n", 1);
}

int ph_checks_end(struct ph_intake *in)
{
	struct ph_checks *k = in->c->checks;
	struct ph_mail *m = in->mail;
	void *objs[] = { m ? m->header_obj : NULL, m ? m->body_obj : NULL };

	for (int i = 0; m && i < 2 && !in->lost; i++) {
		struct check *c = i ? &k->body : &k->header;
		struct ph_verdict v;

		if (!objs[i] || !c->ops || !c->ops->end_of_message)
			continue;
		v = c->ops->end_of_message(objs[i], m);
		if (v.cls == PH_REJECT || v.cls == PH_DEFER)
			refuse(in, &v);
	}
	if (m && !in->lost)
		ph_mail_apply(m);
	return in->lost;
}

void ph_mail_free(struct ph_mail **mp)
{
	struct ph_mail *m = *mp;
	struct ph_checks *k;

	if (!m)
		return;
	k = m->in->c->checks;
	if (m->header_obj && k->header.ops->close)
		k->header.ops->close(m->header_obj);
	if (m->milter_obj && k->milter.ops->close)
		k->milter.ops->close(m->milter_obj);
	if (m->body_obj && k->body.ops->close)
		k->body.ops->close(m->body_obj);
	ph_buf_done(&m->body);
	free(m->edits);
	free(m);
	*mp = NULL;
}
