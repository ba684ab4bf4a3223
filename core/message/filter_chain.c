/* filter_chain.c: the filters of a session, one after the other, through the stages of SMTP and over the whole message at its end.
 *
 * Owns lists (one per configuration view and title) and chains (one per session).  Everything but new and free may yield. */
#include "message/filter_mail.h"
#include "module/loader.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 16384
#define HEADER_MAX (256 * 1024)

struct filter_settings { const char *smtpd_milters, *non_smtpd_milters, *smtpd_filters, *non_smtpd_filters; };

#define S struct filter_settings
static const struct ph_param filter_params[] = {
	PH_P_STR(S, smtpd_milters, "smtpd_milters", "", "milters for mail that comes over SMTP"),
	PH_P_STR(S, non_smtpd_milters, "non_smtpd_milters", "", "milters for other mail: sendmail(1), notifications"),
	PH_P_STR(S, smtpd_filters, "smtpd_filters", "", "filter modules for mail that comes over SMTP: name, name:argument or { name argument }"),
	PH_P_STR(S, non_smtpd_filters, "non_smtpd_filters", "", "filter modules for other mail"),
};
#undef S
PH_SETTINGS_TABLE("filters", filter_params)

struct filter_use {
	char *name, *arg;
	const struct ph_filter_ops *ops;        /* NULL: not ready, see why */
	void *use;
	struct ph_err why;
};

struct ph_filter_list {
	const struct ph_conf *conf;
	struct filter_use *uses;
	size_t n;
};

struct link {
	const struct filter_use *use;
	void *obj;
	bool opened, off, pass_message;         /* off: for the session; pass_message: until the transaction ends */
	struct ph_verdict refused;              /* what it said of the connection or HELO; its text is refused_text */
	char *refused_text;
};

struct ph_filter_chain {
	const struct ph_conf *conf;
	struct ph_session *session;
	struct link *links;
	size_t n;
	bool in_mail;                   /* filters have heard of a MAIL that has not ended */
};

static void list_free(void *obj)
{
	struct ph_filter_list *l = obj;

	for (size_t i = 0; i < l->n; i++) {
		if (l->uses[i].ops && l->uses[i].ops->release)
			l->uses[i].ops->release(l->uses[i].use);
		free(l->uses[i].name);
		free(l->uses[i].arg);
	}
	free(l->uses);
	free(l);
}

static void prepare(struct filter_use *u, const struct ph_conf *conf)
{
	const struct ph_module *mod = ph_module_load(PH_KIND_FILTER, u->name, &u->why);
	const void *settings;

	if (!mod)
		goto fail;
	settings = ph_module_settings(mod, conf, &u->why);
	if (!settings && mod->settings_size)
		goto fail;
	if (mod->ops.filter->prepare && mod->ops.filter->prepare(conf, settings, u->arg, &u->use, &u->why) < 0)
		goto fail;
	u->ops = mod->ops.filter;
	return;
fail:
	ph_log(PH_LOG_WARNING, "filter %s: %s", u->name, u->why.text);
}

/* "name", "name:argument", "{ name argument }". */
static void split_entry(struct filter_use *u, char *word)
{
	char *inner = ph_str_unbrace(word);
	size_t n = strcspn(inner, ": \t,");

	u->name = ph_strndup(inner, n);
	inner += n;
	inner += strspn(inner, inner[0] == ':' ? ":" : " \t,");
	u->arg = ph_strdup(inner);
}

struct ph_filter_list *ph_filter_list_open(const struct ph_conf *conf, const char *title, const char *module, const char *text)
{
	struct ph_buf key = PH_BUF_INIT(65536);
	struct ph_filter_list *l = NULL;
	char *copy, *cursor, *word;

	if (!text || !text[strspn(text, PH_SEP_LIST)])
		return NULL;
	ph_buf_printf(&key, "filters:%s:%s", title, text);
	l = ph_conf_attach_get(conf, ph_buf_str(&key));
	if (l)
		goto out;
	l = ph_alloc(sizeof(*l));
	l->conf = conf;
	copy = cursor = ph_strdup(text);
	while ((word = ph_str_token(&cursor, PH_SEP_LIST))) {
		struct filter_use *u;

		l->uses = ph_realloc(l->uses, (l->n + 1) * sizeof(*l->uses));
		u = &l->uses[l->n++];
		memset(u, 0, sizeof(*u));
		if (module) {
			u->name = ph_strdup(module);
			u->arg = ph_strdup(word);
		} else {
			split_entry(u, word);
		}
		prepare(u, conf);
	}
	free(copy);
	ph_conf_attach_set(conf, ph_buf_str(&key), l, list_free);
out:
	ph_buf_done(&key);
	return l;
}

static void add_links(struct ph_filter_chain *c, const struct ph_filter_list *l)
{
	if (!l)
		return;
	c->links = ph_realloc(c->links, (c->n + l->n) * sizeof(*c->links));
	for (size_t i = 0; i < l->n; i++)
		c->links[c->n++] = (struct link){ .use = &l->uses[i] };
}

struct ph_filter_chain *ph_filter_chain_new(const struct ph_conf *conf, struct ph_session *s, const char *milters)
{
	const char *title = s ? "smtpd_milters" : "non_smtpd_milters", *own = s ? "smtpd_filters" : "non_smtpd_filters";
	const char *text = milters ? milters : ph_conf_get(conf, title);
	struct ph_filter_list *a = text && ph_str_ieq(text, "DISABLE") ? NULL : ph_filter_list_open(conf, title, "milter", text);
	struct ph_filter_list *b = ph_filter_list_open(conf, own, NULL, ph_conf_get(conf, own));
	struct ph_filter_chain *c;

	if (!a && !b)
		return NULL;
	c = ph_alloc(sizeof(*c));
	c->conf = conf;
	c->session = s;
	add_links(c, a);
	add_links(c, b);
	return c;
}

static void drop_link(struct link *k)
{
	if (k->opened && k->use->ops->close)
		k->use->ops->close(k->obj);
	free(k->refused_text);
}

void ph_filter_chain_free(struct ph_filter_chain **cp)
{
	struct ph_filter_chain *c = *cp;

	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		drop_link(&c->links[i]);
	free(c->links);
	free(c);
	*cp = NULL;
}

/* A filter that is not there, or cannot open: its default action, without a message. */
static struct ph_verdict failed(const struct ph_filter_chain *c, struct link *k, const struct ph_err *err)
{
	char name[128];
	const char *action;

	snprintf(name, sizeof(name), "%s_default_action", k->use->name);
	action = ph_conf_get(c->conf, name);
	ph_log(PH_LOG_WARNING, "filter %s: %s", k->use->name, err->text);
	k->off = true;
	if (action && (ph_str_ieq(action, "accept") || ph_str_ieq(action, "quarantine")))
		return PH_NO_OPINION;
	if (action && ph_str_ieq(action, "reject"))
		return (struct ph_verdict){ .cls = PH_REJECT, .code = 550, .dsn = "5.5.0", .text = "Service unavailable", .complete = true };
	k->off = false;                         /* the next command asks again */
	return (struct ph_verdict){ .cls = PH_DEFER, .code = 451, .dsn = "4.7.1", .text = "Service unavailable - try again later", .complete = true };
}

/* DUNNO: the link can be used (unless it is off). */
static struct ph_verdict open_link(struct ph_filter_chain *c, struct link *k)
{
	struct ph_err err = { 0 };

	if (k->off || k->opened)
		return PH_NO_OPINION;
	if (!k->use->ops)
		return failed(c, k, &k->use->why);
	if (k->use->ops->open && k->use->ops->open(k->use->use, c->session, &k->obj, &err) < 0)
		return failed(c, k, &err);
	k->opened = true;
	return PH_NO_OPINION;
}

/* Operations that came later than the module's own header are not there. */
#define HAS(o, op) ((o)->size > offsetof(struct ph_filter_ops, op) && (o)->op)

enum stage { ST_CONNECT, ST_HELO, ST_MAIL, ST_RCPT, ST_DATA, ST_UNKNOWN };

static struct ph_verdict call(const struct ph_filter_chain *c, struct link *k, enum stage st, const char *command)
{
	const struct ph_filter_ops *o = k->use->ops;
	struct ph_verdict (*const fn[])(void *, struct ph_session *) = { o->connect, o->helo, o->mail, o->rcpt, o->data };

	if (st == ST_UNKNOWN)
		return o->unknown ? o->unknown(k->obj, c->session, command) : PH_NO_OPINION;
	return fn[st] ? fn[st](k->obj, c->session) : PH_NO_OPINION;
}

/* A refusal of the client itself holds for all that it sends, unless the filter remembers on its own. */
static void remember(struct link *k, const struct ph_verdict *v)
{
	if (HAS(k->use->ops, remembers))
		return;
	free(k->refused_text);
	k->refused = *v;
	k->refused.text = k->refused_text = v->text ? ph_strdup(v->text) : NULL;
}

static struct ph_verdict run(struct ph_filter_chain *c, enum stage st, const char *command)
{
	for (size_t i = 0; c && i < c->n; i++) {
		struct link *k = &c->links[i];
		struct ph_verdict v = open_link(c, k);

		if (v.cls != PH_DUNNO)
			return v;
		if (k->refused.cls != PH_DUNNO && st != ST_UNKNOWN)
			return k->refused;
		if (k->off || (k->pass_message && st > ST_HELO))
			continue;
		v = call(c, k, st, command);
		if (v.cls == PH_PERMIT && st <= ST_HELO)
			k->off = true;
		else if (v.cls == PH_PERMIT)
			k->pass_message = true;
		else if (v.cls != PH_DUNNO && st <= ST_HELO)
			remember(k, &v);
		if (v.cls != PH_DUNNO && v.cls != PH_PERMIT)
			return v;
	}
	return PH_NO_OPINION;
}

/* Tell those that are awake. */
static void tell(struct ph_filter_chain *c, const char *rejected)
{
	for (size_t i = 0; c && i < c->n; i++) {
		struct link *k = &c->links[i];

		if (!k->opened || k->off || (rejected && k->pass_message))
			continue;
		if (rejected && HAS(k->use->ops, rcpt_rejected))
			k->use->ops->rcpt_rejected(k->obj, c->session, rejected);
		else if (!rejected && HAS(k->use->ops, restart))
			k->use->ops->restart(k->obj);
	}
}

void ph_filter_chain_rcpt_rejected(struct ph_filter_chain *c, const char *reply) { tell(c, reply); }
void ph_filter_chain_restart(struct ph_filter_chain *c) { tell(c, NULL); }

struct ph_verdict ph_filter_chain_connect(struct ph_filter_chain *c) { return run(c, ST_CONNECT, NULL); }
struct ph_verdict ph_filter_chain_helo(struct ph_filter_chain *c) { return run(c, ST_HELO, NULL); }

struct ph_verdict ph_filter_chain_mail(struct ph_filter_chain *c)
{
	if (c)
		c->in_mail = true;
	return run(c, ST_MAIL, NULL);
}

struct ph_verdict ph_filter_chain_rcpt(struct ph_filter_chain *c) { return run(c, ST_RCPT, NULL); }
struct ph_verdict ph_filter_chain_data(struct ph_filter_chain *c) { return run(c, ST_DATA, NULL); }
struct ph_verdict ph_filter_chain_unknown(struct ph_filter_chain *c, const char *command) { return run(c, ST_UNKNOWN, command); }

static void end_transaction(struct link *k)
{
	k->pass_message = false;
}

void ph_filter_chain_abort(struct ph_filter_chain *c)
{
	for (size_t i = 0; c && i < c->n; i++) {
		struct link *k = &c->links[i];

		if (c->in_mail && k->opened && !k->off && k->use->ops->abort)
			k->use->ops->abort(k->obj);
		end_transaction(k);
	}
	if (c)
		c->in_mail = false;
}

/* ---- the message ---- */

struct walk {
	struct ph_mail *m;
	const struct link *k;
	struct ph_buf line;             /* a logical header, or a line of body that a piece of the content cut */
	int64_t line_at;                /* where it began */
	bool headers;
	struct ph_verdict v;
};

static bool go_on(const struct walk *w)
{
	return w->v.cls == PH_DUNNO && !w->m->failed;
}

static void begin_line(struct ph_mail *m, bool header)
{
	m->in_line = true;
	m->line_is_header = header;
	m->line_drop = false;
	m->line_replace = m->line_prepend = NULL;
}

/* A line edit becomes an edit of the stretch that the line took up. */
static void end_line(struct walk *w, int64_t end)
{
	struct ph_mail *m = w->m;
	struct ph_arena *a = m->in->arena;
	const char *keep;

	m->in_line = false;
	if (!m->line_drop && !m->line_replace && !m->line_prepend)
		return;
	keep = m->line_replace ? m->line_replace : m->line_drop ? NULL : ph_arena_strndup(a, ph_buf_str(&w->line), w->line.len);
	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 16;
		m->edits = ph_realloc(m->edits, m->cap * sizeof(*m->edits));
	}
	if (m->n < PH_EDITS_MAX)
		m->edits[m->n++] = (struct ph_edit){
			.type = PH_EDIT_LINE, .offset = w->line_at, .len = end - w->line_at,
			.value = ph_arena_printf(a, "%s%s%s%s", m->line_prepend ? m->line_prepend : "", m->line_prepend ? "\n" : "", keep ? keep : "", keep ? "\n" : ""),
		};
}

static void give_header(struct walk *w, int64_t end)
{
	const struct ph_filter_ops *o = w->k->use->ops;

	if (!w->line.len || !o->header)
		goto out;
	begin_line(w->m, true);
	w->v = o->header(w->k->obj, w->m, PH_HEADER_PRIMARY, w->line.data, w->line.len);
	end_line(w, end);
out:
	ph_buf_clear(&w->line);
}

static void give_end_of_headers(struct walk *w)
{
	w->headers = false;
	if (go_on(w) && w->k->use->ops->end_of_headers)
		w->v = w->k->use->ops->end_of_headers(w->k->obj, w->m);
}

/* p: a line without its LF; at: its offset. */
static void take_line(struct walk *w, const char *p, size_t n, int64_t at)
{
	const struct ph_filter_ops *o = w->k->use->ops;

	if (w->headers) {
		if (n && (*p == ' ' || *p == '\t') && w->line.len) {
			ph_buf_putc(&w->line, '\n');
			ph_buf_append(&w->line, p, n);
			return;
		}
		give_header(w, at);
		if (!go_on(w))
			return;
		if (n && ph_header_name(p, n)) {
			ph_buf_append(&w->line, p, n);
			w->line_at = at;
			return;
		}
		give_end_of_headers(w);
		if (!n)
			return;
	}
	if (!o->body || !go_on(w))
		return;
	w->line_at = at;
	ph_buf_clear(&w->line);
	ph_buf_append(&w->line, p, n);
	begin_line(w->m, false);
	w->v = o->body(w->k->obj, w->m, p, n);
	end_line(w, at + (int64_t)n + 1);
	ph_buf_clear(&w->line);
}

/* Feed the content to one filter. */
static int feed(struct walk *w)
{
	int64_t at = 0, total = ph_mail_bytes(w->m);
	char *buf = ph_alloc(PIECE);
	size_t have = 0;
	int r = 0;

	while (go_on(w)) {
		ssize_t got = ph_mail_read(w->m, at + (int64_t)have, buf + have, PIECE - have);
		char *p = buf, *nl;

		if (got < 0) {
			r = (int)got;
			break;
		}
		have += (size_t)got;
		while (go_on(w) && (nl = memchr(p, '\n', have - (size_t)(p - buf)))) {
			take_line(w, p, (size_t)(nl - p), at + (p - buf));
			p = nl + 1;
		}
		if (p == buf && have && (have == PIECE || got == 0)) {  /* longer than a piece, or no LF at the end */
			take_line(w, p, have, at);
			p += have;
		}
		have -= (size_t)(p - buf);
		memmove(buf, p, have);
		at += p - buf;
		if (got == 0 && (!have || at >= total))
			break;
	}
	if (r == 0 && go_on(w) && w->headers) {
		give_header(w, total);
		if (go_on(w))
			give_end_of_headers(w);
	}
	free(buf);
	return r;
}

static void refuse(struct ph_mail *m, const struct ph_verdict *v)
{
	struct ph_intake *in = m->in;
	int code = v->code ? v->code : v->cls == PH_REJECT ? 550 : v->cls == PH_DISCONNECT ? 421 : 451;
	const char *dsn = v->verbatim || v->dsn[0] ? v->dsn : code < 500 ? "4.7.1" : "5.7.1";
	const char *text = v->text && *v->text ? v->text : code < 500 ? "Service unavailable - try again later" : "Command rejected";

	ph_mail_log(m, "milter-reject", ph_arena_printf(in->arena, "%s%s%s", dsn, *dsn ? " " : "", text));
	ph_intake_fail(in, -EACCES, code, dsn, ph_arena_strdup(in->arena, text));      /* it outlives the filter */
	if (v->cls == PH_DISCONNECT)
		in->why.cls = PH_DISCONNECT;
}

/* What the filter wanted to add is looked at first: that may know a better reason. */
static void refuse_after_checks(struct ph_mail *m, const struct ph_verdict *v)
{
	if (ph_checks_added(m) == 0)
		refuse(m, v);
}

static bool wants_lines(const struct ph_filter_ops *o)
{
	return o->header || o->body || o->end_of_headers;
}

static void run_message(struct ph_filter_chain *c, struct link *k, struct ph_mail *m)
{
	struct ph_intake *in = m->in;
	struct walk w = { .m = m, .k = k, .line = PH_BUF_INIT(HEADER_MAX), .headers = true };
	int r = 0;

	w.v = open_link(c, k);
	if (w.v.cls != PH_DUNNO || k->off || k->pass_message)
		goto out;
	m->filter_name = k->use->name;
	m->failed = false;
	m->stage = "END-OF-MESSAGE";
	ph_mail_forget(m);
	if (wants_lines(k->use->ops))
		r = feed(&w);
	if (r < 0) {
		ph_intake_fail(in, r, 451, "4.3.0", "Error: queue file write error");
		goto out;
	}
	if (go_on(&w) && k->use->ops->end_of_message)
		w.v = k->use->ops->end_of_message(k->obj, m);
out:
	ph_buf_done(&w.line);
	if (w.v.cls == PH_REJECT || w.v.cls == PH_DEFER || w.v.cls == PH_DISCONNECT)
		refuse_after_checks(m, &w.v);
	else if (!in->lost)
		ph_mail_apply(m);
}

void ph_filter_chain_message(struct ph_filter_chain *c, struct ph_intake *in)
{
	struct ph_mail *m = ph_mail_of(in);

	for (size_t i = 0; i < c->n && !in->lost && !in->refused && !in->discard; i++)
		run_message(c, &c->links[i], m);
	for (size_t i = 0; i < c->n; i++)
		end_transaction(&c->links[i]);
}
