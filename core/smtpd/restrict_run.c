/* restrict_run.c: running restriction lists and carrying out their verdicts.  Yields where modules do.
 *
 * The order of things is Postfix's: the first decisive answer of a list ends it; warn_if_reject holds for one restriction and all that
 * it contains; deferrals that depend on the outcome are kept in the session until the outcome is known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpd/restrict_private.h"

/* ---- verdicts ---- */

void ph_dsn_fix(char dsn[12], const char *cls)
{
	static const struct { const char *cls; int from, to; } map[] = {
		{ "Sender address", 1, 7 }, { "Sender address", 2, 8 }, { "Sender address", 3, 7 }, { "Sender address", 4, 7 },
		{ "Sender address", 5, 0 }, { "Sender address", 6, 7 }, { "Sender address", 9, 0 }, { "Sender address", 10, 0 },
		{ "Recipient address", 7, 3 }, { "Recipient address", 8, 2 }, { "Recipient address", 9, 0 },
		{ "Recipient address", 10, 0 },
	};
	char fixed[12];
	int detail;

	if (sscanf(dsn + 1, ".1.%d", &detail) != 1)
		return;
	strcpy(fixed, dsn);
	if (strcmp(cls, "Sender address") != 0 && strcmp(cls, "Recipient address") != 0) {
		snprintf(fixed, sizeof(fixed), "%c.0.0", dsn[0]);
	} else {
		for (size_t i = 0; i < PH_ARRAY_LEN(map); i++)
			if (map[i].from == detail && strcmp(map[i].cls, cls) == 0)
				snprintf(fixed, sizeof(fixed), "%c.1.%d", dsn[0], map[i].to);
	}
	if (strcmp(fixed, dsn) == 0)
		return;
	ph_log(PH_LOG_INFO, "mapping DSN status %s into %s status %s", dsn, cls, fixed);
	strcpy(dsn, fixed);
}

const char *ph_access_class_name(enum ph_access_class acl)
{
	switch (acl) {
	case PH_ACCESS_CLIENT: return "Client host";
	case PH_ACCESS_HELO: return "Helo command";
	case PH_ACCESS_SENDER: return "Sender address";
	case PH_ACCESS_RECIPIENT: return "Recipient address";
	case PH_ACCESS_ETRN: return "Etrn command";
	case PH_ACCESS_DATA: return "Data command";
	case PH_ACCESS_EOD: return "End-of-data";
	case PH_ACCESS_CCERT: return "Client certificate";
	case PH_ACCESS_SASL: return "SASL login name";
	case PH_ACCESS_REVERSE_CLIENT: return "Unverified Client host";
	}
	return "Access";
}

void ph_status_fit(char dsn[12], enum ph_access_class cls)
{
	ph_dsn_fix(dsn, ph_access_class_name(cls));
}

const char *ph_check_reply(const struct ph_session *s)
{
	return s->refusal ? s->refusal : "451 4.3.5 Server configuration error";
}

/* "550 5.7.1 <name>: cls rejected: text" */
static char *refusal_text(struct ph_session *s, const struct ph_verdict *v, const char *name, const char *cls)
{
	bool reject = v->cls == PH_REJECT;
	int code = v->code ? v->code : reject ? s->set->reject_code : v->cls == PH_DISCONNECT ? 421 : s->set->defer_code;
	const char *text = v->text && *v->text ? v->text : "Access denied";
	char dsn[12];

	/* A reply code that no server may give: the table or the parameter is wrong. */
	if (code < 400 || code > 599) {
		ph_log(PH_LOG_WARNING, "SMTP reply code configuration error: %d %.200s", code, text);
		return ph_arena_strdup(ph_session_arena(s), "450 4.7.1 Service unavailable");
	}
	snprintf(dsn, sizeof(dsn), "%s", v->dsn[0] ? v->dsn : "5.7.1");
	dsn[0] = (char)('0' + code / 100);
	if (v->complete)
		return ph_arena_printf(ph_session_arena(s), "%d %s %.1400s", code, dsn, text);
	return ph_arena_printf(ph_session_arena(s), "%d %s <%.500s>: %s rejected: %.900s", code, dsn, name, cls, text);
}

static void keep_defer(struct ph_smtpd_defer *d, const char *reply)
{
	if (d->active)
		return;                 /* the first reason is told */
	d->active = true;
	snprintf(d->text, sizeof(d->text), "%s", reply);
}

/* Trouble of our own is not turned into a warning, unless it is the rule itself that would only have warned. */
static bool our_fault(const char *reply)
{
	return strncmp(reply, "451 4.3.", 8) == 0 && !strstr(reply, " rejected: ");
}

static enum ph_check refuse(struct ph_session *s, char *reply)
{
	bool warn = s->warn_if_reject && !our_fault(reply);

	if (!warn && s->defer_if_reject.active && reply[0] == '5') {
		/* An earlier trouble may have kept us from accepting: tell that instead. */
		s->warn_if_reject = 0;
		s->defer_if_reject.active = false;
		reply = ph_arena_strdup(ph_session_arena(s), s->defer_if_reject.text);
	}
	if (s->set->soft_bounce && reply[0] == '5') {
		reply[0] = '4';
		if (reply[4] == '5')
			reply[4] = '4';
	}
	ph_smtpd_log_whatsup(s, warn ? "reject_warning" : "reject", reply);
	if (warn)
		return PH_CHECK_DUNNO;
	s->refusal = reply;
	return PH_CHECK_REJECT;
}

enum ph_check ph_check_apply(struct ph_session *s, const struct ph_verdict *v, const char *name, const char *cls)
{
	switch (v->cls) {
	case PH_DUNNO:
		return PH_CHECK_DUNNO;
	case PH_PERMIT:
		return PH_CHECK_OK;
	case PH_REJECT:
	case PH_DEFER:
	case PH_DISCONNECT:
		return refuse(s, refusal_text(s, v, name, cls));
	case PH_DEFER_IF_PERMIT:
		if (s->warn_if_reject)
			return refuse(s, refusal_text(s, v, name, cls));
		keep_defer(&s->defer_if_permit, refusal_text(s, v, name, cls));
		return PH_CHECK_DUNNO;
	case PH_DEFER_IF_REJECT:
		keep_defer(&s->defer_if_reject, refusal_text(s, v, name, cls));
		return PH_CHECK_DUNNO;
	}
	return PH_CHECK_DUNNO;
}

void ph_check_log_permit(struct ph_session *s, const char *action, const char *cls, const char *name, const char *table)
{
	struct ph_match *m = s->svc->log_permit;
	const char *text;

	if (!m || s->quiet || s->defer_if_permit.active || ph_match_find(m, action, NULL, NULL) != PH_LOOKUP_FOUND)
		return;
	text = ph_arena_printf(ph_session_arena(s), "action=%s for %s=%s %s%s", action, cls, name, table ? "from " : "", table ? table : "");
	ph_smtpd_log_whatsup(s, "permit", text);
}

/* ---- lists ---- */

static enum ph_check server_error(struct ph_session *s, const char *why)
{
	ph_log(PH_LOG_WARNING, "%s", why);
	return refuse(s, ph_arena_strdup(ph_session_arena(s), "451 4.3.5 Server configuration error"));
}

static const char *verdict_name(enum ph_verdict_class c)
{
	static const char *const names[] = { "DUNNO", "PERMIT", "REJECT", "DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT", "DISCONNECT" };

	return names[c];
}

static void log_permit(struct ph_session *s, const struct ph_ruse *u, const char *name, const char *cls)
{
	if (strcasecmp(u->name, "permit_auth_destination") == 0 && s->recipient)
		ph_check_log_permit(s, u->name, "Recipient address", s->recipient, NULL);
	else if (strncasecmp(u->name, "permit_", 7) == 0)
		ph_check_log_permit(s, u->name, "Client host", s->namaddr, NULL);
	else if (strncasecmp(u->name, "check_", 6) != 0)        /* tables tell their own */
		ph_check_log_permit(s, u->name, cls, name, NULL);
}

static void trace_verdict(struct ph_session *s, const struct ph_ruse *u, const struct ph_verdict *v)
{
	struct ph_arena *a;

	if (!ph_trace_on(s))
		return;
	a = ph_session_arena(s);
	ph_smtpd_trace(s, "restriction", u->arg && *u->arg ? ph_arena_printf(a, "%s %s", u->name, u->arg) : u->name,
		       v->text && *v->text ? ph_arena_printf(a, "%s %s", verdict_name(v->cls), v->text) : verdict_name(v->cls));
}

static enum ph_check run_module(struct ph_session *s, struct ph_ruse *u, const char *name, const char *cls)
{
	struct ph_verdict v;

	s->refusal = NULL;
	v = u->ops->check(u->use, u->settings, s);
	trace_verdict(s, u, &v);
	if (v.cls == PH_REJECT && s->refusal)
		return PH_CHECK_REJECT;         /* by a list inside an access table: carried out there */
	s->refusal = NULL;
	if (v.cls == PH_PERMIT)
		log_permit(s, u, name, cls);
	return ph_check_apply(s, &v, name, cls);
}

static enum ph_check run_table(struct ph_session *s, struct ph_ruse *u, const char *name, const char *cls, enum ph_access_class acl)
{
	static const char *const modules[] = {
		[PH_ACCESS_CLIENT] = "check_client_access", [PH_ACCESS_HELO] = "check_helo_access",
		[PH_ACCESS_SENDER] = "check_sender_access", [PH_ACCESS_RECIPIENT] = "check_recipient_access",
		[PH_ACCESS_ETRN] = "check_etrn_access", [PH_ACCESS_SASL] = NULL,
	};
	struct ph_ruse *m = u->by_class[acl];

	if (!modules[acl])
		return server_error(s, ph_arena_printf(ph_session_arena(s),
			"specify one of (check_client_access, check_reverse_client_hostname_access, check_helo_access, check_sender_access, check_recipient_access, "
			"check_etrn_access) before %s restriction \"%s\"", cls, u->name));
	if (!m) {
		m = u->by_class[acl] = ph_alloc(sizeof(*m));
		m->kind = PH_RUSE_MODULE;
		m->name = ph_strdup(modules[acl]);
		ph_ruse_load(s->svc, m, modules[acl], u->name);
	}
	if (m->kind == PH_RUSE_BROKEN)
		return server_error(s, m->why);
	return run_module(s, m, name, cls);
}

/* "reject, something": the something is never reached. */
static void warn_unreachable(struct ph_session *s, const struct ph_rlist *l, size_t i)
{
	static const char *const final[] = { "permit", "reject", "defer", "check_relay_domains" };

	if (i + 1 == l->n || s->warn_if_reject || l->u[i].kind != PH_RUSE_MODULE)
		return;
	for (size_t k = 0; k < PH_ARRAY_LEN(final); k++)
		if (strcasecmp(l->u[i].name, final[k]) == 0)
			ph_log(PH_LOG_WARNING, "restriction `%s' after `%s' is ignored", l->u[i + 1].name, final[k]);
}

static bool prefetches(const struct ph_ruse *u)
{
	return u->kind == PH_RUSE_MODULE && u->ops->size > offsetof(struct ph_restriction_ops, prefetch) && u->ops->prefetch;
}

/* At the first of a row of restrictions that ask servers, all others in the row begin to ask. */
static void prefetch_row(struct ph_session *s, const struct ph_rlist *l, size_t i)
{
	if (!prefetches(&l->u[i]) || (i && prefetches(&l->u[i - 1])))
		return;
	for (i++; i < l->n && prefetches(&l->u[i]); i++)
		l->u[i].ops->prefetch(l->u[i].use, l->u[i].settings, s);
}

static enum ph_check run_one(struct ph_session *s, struct ph_ruse *u, const char *name, const char *cls, enum ph_access_class acl)
{
	switch (u->kind) {
	case PH_RUSE_MODULE:
		return run_module(s, u, name, cls);
	case PH_RUSE_CLASS:
		return ph_rlist_run(s, u->list, name, cls, acl);
	case PH_RUSE_TABLE:
		return run_table(s, u, name, cls, acl);
	case PH_RUSE_BROKEN:
		if (!u->passed_over)
			return server_error(s, u->why);
		ph_log(PH_LOG_WARNING, "%s", u->why);
		break;
	case PH_RUSE_WARN:
		break;
	}
	return PH_CHECK_DUNNO;
}

enum ph_check ph_rlist_run(struct ph_session *s, struct ph_rlist *l, const char *name, const char *cls, enum ph_access_class acl)
{
	const char *outer_what = s->list_what;
	enum ph_access_class outer_class = s->list_class;
	enum ph_check r = PH_CHECK_DUNNO;

	if (ph_rlist_empty(l))
		return PH_CHECK_DUNNO;
	if (s->recursion >= PH_SMTPD_RECURSION_MAX + 2)         /* an access table that calls itself is said with its name: access.c */
		return server_error(s, "restriction lists cause unreasonable recursion");
	if (ph_trace_on(s))
		ph_smtpd_trace(s, "list", l->title, NULL);
	s->recursion++;
	s->list_what = name;
	s->list_class = acl;
	for (size_t i = 0; i < l->n && !ph_session_discards(s); i++) {
		if (l->u[i].kind == PH_RUSE_WARN) {
			if (!s->warn_if_reject)
				s->warn_if_reject = s->recursion;
			continue;
		}
		warn_unreachable(s, l, i);
		prefetch_row(s, l, i);
		r = run_one(s, &l->u[i], name, cls, acl);
		if (s->warn_if_reject >= s->recursion)
			s->warn_if_reject = 0;
		if (r != PH_CHECK_DUNNO)
			break;
		if (s->defer_if_permit.active && s->defer_if_reject.active)
			break;
	}
	s->recursion--;
	s->list_what = outer_what;
	s->list_class = outer_class;
	return r;
}
