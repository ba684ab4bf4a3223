/* session.c: the life of a session and of its transactions.  Owns every string of the session.  Does not yield. */
#include "smtpd/proxy.h"
#include "smtpd/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/filters.h"

void ph_smtpd_set(char **field, const char *value)
{
	char *copy = value ? ph_strdup(value) : NULL;

	free(*field);
	*field = copy;
}

void ph_smtpd_set_namaddr(struct ph_session *s)
{
	char text[400];

	if (s->set->client_port_logging)
		snprintf(text, sizeof(text), "%s[%s]:%d", s->name, s->addr, s->port);
	else
		snprintf(text, sizeof(text), "%s[%s]", s->name, s->addr);
	ph_smtpd_set(&s->namaddr, text);
}

void ph_smtpd_set_args(struct ph_session *s, const struct ph_smtpd_cmdline *c, size_t from)
{
	size_t n = c->n > from ? c->n - from : 0;
	struct ph_slice *args = n && s->filters ? ph_arena_alloc(ph_session_arena(s), n * sizeof(*args)) : NULL;

	for (size_t i = 0; args && i < n; i++)
		args[i] = c->w[from + i].text;
	s->args = args;
	s->n_args = args ? n : 0;
}

struct ph_session *ph_smtpd_session_new(struct ph_smtpd_service *svc, struct ph_stream *io)
{
	struct ph_session *s = ph_alloc(sizeof(*s));

	s->magic = PH_SMTPD_SESSION_MAGIC;
	s->svc = svc;
	s->set = &svc->set;
	s->io = io;
	s->proto = "SMTP";
	s->where = "CONNECT";
	s->stage = PH_STAGE_CONNECT;
	s->born_us = ph_wall_us();
	s->ehlo_discard = svc->ehlo_discard;
	s->limit_scope = svc->set.counter_scope;
	ph_smtpd_set(&s->name, "unknown");
	ph_smtpd_set(&s->reverse_name, "unknown");
	s->name_status = s->reverse_status = 5;
	return s;
}

static void xforward_free(struct ph_smtpd_xforward **x)
{
	if (!*x)
		return;
	free((*x)->name);
	free((*x)->addr);
	free((*x)->port);
	free((*x)->proto);
	free((*x)->helo);
	free((*x)->ident);
	free((*x)->source);
	free(*x);
	*x = NULL;
}

void ph_smtpd_session_free(struct ph_session **sp)
{
	struct ph_session *s = *sp;

	if (!s)
		return;
	ph_assert(s->magic == PH_SMTPD_SESSION_MAGIC);
	ph_smtpd_trans_end(s);
	ph_smtpd_filters_close(s);
	xforward_free(&s->xforward);
	ph_arena_free(&s->scratch);
	ph_stream_close(&s->io);
	free(s->name);
	free(s->reverse_name);
	free(s->namaddr);
	free(s->helo);
	free(s->sasl_method);
	free(s->sasl_user);
	free(s->sasl_mechs);
	free(s->limit_client);
	ph_buf_done(&s->history);
	s->magic = 0;
	free(s);
	*sp = NULL;
}

struct ph_smtpd_trans *ph_smtpd_trans_begin(struct ph_session *s)
{
	struct ph_arena *a;
	struct ph_smtpd_trans *t;

	ph_assert(!s->t);
	a = ph_arena_new();
	t = ph_arena_alloc(a, sizeof(*t));
	t->arena = a;
	t->arrival_us = ph_wall_us();
	t->actions_tail = &t->actions;
	ph_buf_init(&t->part, (size_t)s->set->line_length_limit + 64);
	s->t = t;
	s->n_trans++;
	return t;
}

void ph_smtpd_trans_end(struct ph_session *s)
{
	struct ph_smtpd_trans *t = s->t;
	struct ph_arena *a;

	s->recipient = NULL;
	s->refusal = NULL;              /* its text goes with the arena */
	s->defer_if_permit.active = s->defer_if_reject.active = false;
	if (s->scratch)
		ph_arena_reset(s->scratch);
	if (!t)
		return;
	ph_smtpd_filters_abort(s);
	ph_intake_abort(&t->intake);
	ph_smtpd_proxy_close(s);
	ph_buf_done(&t->part);
	s->t = NULL;
	a = t->arena;
	ph_arena_free(&a);
	xforward_free(&s->xforward);
}

void ph_smtpd_session_restart(struct ph_session *s)
{
	ph_smtpd_trans_end(s);
	ph_smtpd_filters_restart(s);
	ph_smtpd_set(&s->helo, NULL);
	ph_smtpd_set(&s->sasl_method, NULL);
	ph_smtpd_set(&s->sasl_user, NULL);
	ph_smtpd_set(&s->sasl_mechs, NULL);
	s->proto = "SMTP";
	s->ehlo = false;
	s->dip_client = s->dip_helo = s->dip_sender = false;
	s->rewrite_local_known = false;
}

bool ph_smtpd_matches(struct ph_session *s, struct ph_match *m, const char *title)
{
	struct ph_err err;

	switch (m ? ph_match_find(m, s->name, s->addr, &err) : PH_LOOKUP_NOTFOUND) {
	case PH_LOOKUP_FOUND:
		return true;
	case PH_LOOKUP_NOTFOUND:
		return false;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	ph_log(PH_LOG_WARNING, "%s: %s lookup error: %s", s->namaddr, title, err.text);
	return false;
}
