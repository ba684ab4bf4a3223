/* explain.c: see explain.h.  The stages are those of check.c, the rewriting that of message/cleanup_env.c, the resolver that of route/: only the client, the
 * store and the queue manager are missing.  State: the explanation that is running (tables report to one place).  Yields. */
#include "smtpd/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message/cleanup.h"
#include "module/table.h"
#include "smtpd/restrict.h"

struct explanation {
	const struct ph_explain_query *q;
	ph_explain_fn *fn;
	void *arg;
	struct ph_session *s;
	const char *stage;
	const char *list;               /* whose restrictions are running: what a table without a parameter of its own belongs to */
	int refused;
	bool quiet;                     /* nothing is told: an address is read */
};

static struct explanation *running;

static const char *origin(const struct explanation *x, const char *name)
{
	const struct ph_conf *conf = x->s ? x->s->svc->conf : NULL;
	const char *at = conf && name ? ph_conf_origin(conf, name) : NULL;

	return at;
}

static void hand_over(struct explanation *x, const struct ph_explain_step *step)
{
	if (!x->quiet)
		x->fn(x->arg, step);
}

static void tell(struct explanation *x, const char *what, const char *name, const char *where, const char *key, const char *answer)
{
	struct ph_explain_step step = { .stage = x->stage, .what = what, .name = name, .where = where, .key = key, .answer = answer };

	hand_over(x, &step);
}

/* ---- what the parts report ---- */

static void on_table(const char *title, const char *table, const char *key, enum ph_lookup status, const char *value, const char *text)
{
	struct explanation *x = running;
	struct ph_explain_step step = { .stage = x->stage, .what = "table", .name = table, .key = key, .failed = status < 0 };

	/* A table of an access rule belongs to the list that the rule stands in. */
	step.parameter = origin(x, title) ? title : x->list;
	step.where = origin(x, step.parameter);
	step.answer = status == PH_LOOKUP_FOUND ? value : status == PH_LOOKUP_NOTFOUND ? "not found" : text;
	hand_over(x, &step);
}

static void on_match(const char *title, const char *name, const char *address, const char *pattern, enum ph_lookup status)
{
	struct explanation *x = running;
	struct ph_explain_step step = { .stage = x->stage, .what = "match", .name = title, .parameter = title, .where = origin(x, title),
		.key = name ? name : address, .answer = pattern, .failed = status < 0 };
	char both[700];

	if (name && address) {
		snprintf(both, sizeof(both), "%.300s[%.60s]", name, address);
		step.key = both;
	}
	if (!pattern)
		step.answer = "no match";
	hand_over(x, &step);
}

static void on_trace(void *arg, const char *what, const char *name, const char *answer)
{
	struct explanation *x = arg;
	const char *where = NULL;

	if (strcmp(what, "list") == 0) {
		x->list = name;
		where = origin(x, name);
	}
	tell(x, what, name, where, NULL, answer);
}

/* ---- the session ---- */

static const struct ph_service *find_service(const struct ph_config *config, const char *name)
{
	size_t n;
	const struct ph_service *list = ph_config_services(config, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].command, "smtpd") == 0 && (!name || strcmp(list[i].name, name) == 0))
			return &list[i];
	return NULL;
}

static void set_client(struct ph_session *s, const struct ph_explain_query *q)
{
	ph_smtpd_peer_set_addr(s, q->client_addr);
	if (!q->client_name) {
		ph_smtpd_peer_lookup(s);
	} else if (strcmp(q->client_name, "unknown") != 0) {
		ph_smtpd_set(&s->name, q->client_name);
		ph_smtpd_set(&s->reverse_name, q->client_name);
		s->name_status = s->reverse_status = 2;
	}
	ph_smtpd_set_namaddr(s);
	ph_smtpd_set(&s->helo, q->helo);
	s->proto = "ESMTP";
	s->ehlo = true;
	if (q->sasl_user) {
		ph_smtpd_set(&s->sasl_method, "PLAIN");
		ph_smtpd_set(&s->sasl_user, q->sasl_user);
	}
}

/* The verdict of a stage.  true: the session goes on. */
static bool verdict(struct explanation *x, const char *refusal, const char *key)
{
	tell(x, "verdict", NULL, NULL, key, refusal ? refusal : "accepted");
	if (refusal)
		x->refused = 1;
	return refusal == NULL;
}

static void enter(struct explanation *x, const char *stage, enum ph_stage number)
{
	x->stage = x->s->where = stage;
	x->s->stage = number;
	x->list = NULL;
}

/* What a session would go through besides, and an explanation does not: it would see, or change, what it must not. */
static void not_run(struct explanation *x)
{
	static const char *const names[] = { "smtpd_milters", "smtpd_milter_maps", "smtpd_proxy_filter", "body_checks" };
	const char *value;

	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++) {
		if (i < 2 && x->s->svc->no_milters)
			continue;
		value = ph_conf_get(x->s->svc->conf, names[i]);
		if (value && *value)
			tell(x, "note", names[i], origin(x, names[i]), NULL, ph_arena_printf(ph_session_arena(x->s), "not run: %s", value));
	}
}

/* An address as the command would hold it, read as the command is.  NULL: refused, and told. */
static const char *read_address(struct explanation *x, const char *what, const char *text)
{
	struct ph_session *s = x->s;
	struct ph_arena *a = s->t->arena;
	struct ph_smtpd_cmdline *c = ph_arena_alloc(a, sizeof(*c));
	char *line = ph_arena_printf(a, *text == '<' ? "%s:%s" : "%s:<%s>", strcmp(what, "MAIL") == 0 ? "MAIL FROM" : "RCPT TO", text);
	const char *address = NULL, *refused;

	ph_smtpd_cmdline_split(c, line, strlen(line));
	x->quiet = true;        /* the resolver is asked about its syntax alone */
	refused = ph_smtpd_address_read(s, what, &c->w[2], strcmp(what, "MAIL") == 0, s->set->strict_envelopes, !ph_str_ascii(text), a, &address);
	x->quiet = false;
	if (refused)
		verdict(x, refused, text);
	return refused ? NULL : address;
}

/* With smtpd_delay_reject (the default) the early lists run when the first recipient is named, as in a session. */
static bool early_stages(struct explanation *x)
{
	struct ph_session *s = x->s;
	bool now = !s->set->delay_reject;

	enter(x, "CONNECT", PH_STAGE_CONNECT);
	not_run(x);
	tell(x, "note", s->svc->name, NULL, s->namaddr, s->set->delay_reject ? "smtpd_delay_reject = yes: client, HELO and sender are judged at RCPT" : NULL);
	if (now && !verdict(x, ph_smtpd_check_client(s), s->namaddr))
		return false;
	enter(x, "HELO", PH_STAGE_HELO);
	if (now && !verdict(x, ph_smtpd_check_helo(s), s->helo))
		return false;
	enter(x, "MAIL", PH_STAGE_MAIL);
	ph_smtpd_trans_begin(s);
	s->t->encoding = "";
	s->t->sender = read_address(x, "MAIL", x->q->sender);
	if (!s->t->sender)
		return false;
	return !now || verdict(x, ph_smtpd_check_mail(s), s->t->sender);
}

static void recipients(struct explanation *x)
{
	struct ph_session *s = x->s;
	struct ph_smtpd_trans *t = s->t;

	enter(x, "RCPT", PH_STAGE_RCPT);
	t->rcpts = ph_arena_alloc(t->arena, (x->q->n_rcpts + 1) * sizeof(*t->rcpts));
	for (size_t i = 0; i < x->q->n_rcpts; i++) {
		s->recipient = read_address(x, "RCPT", x->q->rcpts[i]);
		if (s->recipient && verdict(x, ph_smtpd_check_rcpt(s), s->recipient)) {
			t->rcpts[t->n_rcpts++] = s->recipient;
			t->rcpt_count++;
		}
		s->recipient = NULL;
	}
}

static bool late_stages(struct explanation *x)
{
	enter(x, "DATA", PH_STAGE_DATA);
	if (!verdict(x, ph_smtpd_check_data(x->s), NULL))
		return false;
	enter(x, "END-OF-MESSAGE", PH_STAGE_EOD);
	return verdict(x, ph_smtpd_check_eod(x->s), NULL);
}

/* ---- behind it ---- */

static void header_lines(struct explanation *x)
{
	const struct ph_conf *conf = x->s->svc->cleanup_conf;
	const char *list = ph_conf_get(conf, "header_checks"), *value;
	struct ph_maps *maps;

	if (!list || !*list)
		return;
	maps = ph_maps_open(conf, "header_checks", list);
	for (size_t i = 0; i < x->q->n_headers; i++)
		if (ph_maps_find(maps, x->q->headers[i], false, x->s->t->arena, &value, NULL) == PH_LOOKUP_FOUND)
			tell(x, "action", "header_checks", origin(x, "header_checks"), x->q->headers[i], value);
}

/* What access tables asked for besides their verdicts. */
static void actions(struct explanation *x, struct ph_intake *in)
{
	for (struct ph_smtpd_action *a = x->s->t->actions; a; a = a->next) {
		tell(x, "action", a->verb, NULL, NULL, a->arg);
		if (strcmp(a->verb, "REDIRECT") == 0)
			in->env.redirect = a->arg;
		else if (strcmp(a->verb, "FILTER") == 0)
			in->env.filter = a->arg;
	}
}

static void tell_rewriting(struct explanation *x, const struct ph_intake *in)
{
	if (strcmp(in->env.sender, x->s->t->sender) != 0)
		tell(x, "rewrite", "sender", NULL, x->s->t->sender, in->env.sender);
	for (size_t i = 0; i < in->env.n_rcpts; i++)
		if (strcmp(in->env.rcpts[i].address, in->env.rcpts[i].original) != 0)
			tell(x, "rewrite", "recipient", NULL, in->env.rcpts[i].original, in->env.rcpts[i].address);
}

static bool clean_up(struct explanation *x, struct ph_intake *in)
{
	struct ph_session *s = x->s;
	struct ph_smtpd_trans *t = s->t;
	char text[600];

	enter(x, "CLEANUP", PH_STAGE_EOD);
	in->c = ph_cleanup_of(s->svc->cleanup_conf);
	in->arena = t->arena;
	in->p.arena = t->arena;
	in->p.flags = s->svc->intake_flags;
	in->p.local_origin = ph_smtpd_rewrite_local(s);
	snprintf(in->queue_id, sizeof(in->queue_id), "explain");
	in->env.sender = t->sender;
	in->env.filter = *s->set->content_filter ? s->set->content_filter : NULL;
	in->rcpts = ph_arena_alloc(t->arena, (t->n_rcpts + 1) * sizeof(*in->rcpts));
	for (size_t i = 0; i < t->n_rcpts; i++)
		in->rcpts[in->n_rcpts++].address = t->rcpts[i];
	header_lines(x);
	actions(x, in);
	if (ph_cleanup_envelope(in) < 0) {
		snprintf(text, sizeof(text), "%d %s %.500s", in->why.code, in->why.dsn, in->why.text ? in->why.text : "");
		return verdict(x, text, NULL);
	}
	tell_rewriting(x, in);
	return true;
}

static const char *class_name(enum ph_address_class c)
{
	switch (c) {
	case PH_CLASS_LOCAL: return "local";
	case PH_CLASS_VIRTUAL_ALIAS: return "virtual alias";
	case PH_CLASS_VIRTUAL_MAILBOX: return "virtual mailbox";
	case PH_CLASS_RELAY: return "relay";
	case PH_CLASS_DEFAULT: return "default";
	}
	return "?";
}

static void tell_route(struct explanation *x, const char *recipient, const struct ph_resolved *res, const char *filter)
{
	const struct ph_service *svc;
	struct ph_arena *a = x->s->t->arena;
	const char *transport = res->transport, *nexthop = res->nexthop, *colon = filter ? strchr(filter, ':') : NULL;
	const char *where;

	if (colon) {
		transport = ph_arena_strndup(a, filter, (size_t)(colon - filter));
		if (colon[1])
			nexthop = colon + 1;
	}
	svc = ph_config_service(x->q->config, transport, PH_SVC_UNIX);
	where = svc ? ph_arena_printf(a, "%s:%d", svc->file, svc->line) : NULL;
	tell(x, "resolve", class_name(res->cls), where, recipient,
	     ph_arena_printf(a, "transport=%s nexthop=%s recipient=%s%s", transport, nexthop, res->recipient,
			     !svc ? " (no such service in master.cf)" : colon ? " (by content filter)" : ""));
}

static void resolve(struct explanation *x, struct ph_intake *in)
{
	struct ph_arena *a = x->s->t->arena;
	struct ph_route *route = x->s->svc->route;
	struct ph_rcpt one = { .address = in->env.redirect };
	struct ph_rcpt *list = in->env.redirect ? &one : in->env.rcpts;
	size_t n = in->env.redirect ? 1 : in->env.n_rcpts;

	enter(x, "RESOLVE", PH_STAGE_EOD);
	for (size_t i = 0; i < n; i++) {
		struct ph_err err = { 0 };
		struct ph_resolved res;

		if (ph_route_resolve(route, in->env.sender, list[i].address, a, &res, &err) == PH_LOOKUP_FOUND)
			tell_route(x, list[i].address, &res, in->env.filter);
		else
			tell(x, "resolve", NULL, NULL, list[i].address, ph_arena_printf(a, "deferred: %s", err.text));
	}
}

static void explain(struct explanation *x)
{
	struct ph_intake in = { 0 };

	if (!early_stages(x))
		return;
	recipients(x);
	if (x->s->t->n_rcpts == 0 || !late_stages(x))
		return;
	if (clean_up(x, &in))
		resolve(x, &in);
}

int ph_explain(const struct ph_explain_query *q, ph_explain_fn *fn, void *arg, struct ph_err *err)
{
	const struct ph_service *service = find_service(q->config, q->service);
	struct explanation x = { .q = q, .fn = fn, .arg = arg, .stage = "CONNECT" };
	struct ph_smtpd_tracer tracer = { on_trace, &x, q->ask_servers };
	struct ph_smtpd_service *svc;
	int fds[2], r = 0;

	if (!service)
		return ph_err_set(err, -ENOENT, "no smtpd service %s in master.cf", q->service ? q->service : "");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return ph_err_errno(err, -errno, "socketpair");
	svc = ph_smtpd_service_new(q->config, service, NULL);
	if (svc->fatal) {
		r = ph_err_set(err, -EINVAL, "%s", svc->fatal);
		close(fds[0]);
	} else {
		running = &x;
		x.s = ph_smtpd_session_new(svc, ph_stream_from_fd(fds[0]));
		x.s->tracer = &tracer;
		ph_maps_set_trace(on_table);
		ph_match_set_trace(on_match);
		set_client(x.s, q);
		explain(&x);
		ph_maps_set_trace(NULL);
		ph_match_set_trace(NULL);
		ph_smtpd_session_free(&x.s);
		running = NULL;
		r = x.refused;
	}
	close(fds[1]);
	ph_smtpd_service_free(&svc);
	return r;
}
