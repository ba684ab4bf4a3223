/* requiretls.c: mail whose sender asks for REQUIRETLS (RFC 8689): which servers may have it.
 *
 * smtp_requiretls_policy says how much of the promise counts at a destination.  A server that cannot keep it is passed over; when all that were tried cannot, the
 * mail goes back.  When one of them was only down, it waits.  No state but the service's parsed policy.  Yields where tables do.  Source: postconf(5). */
#include "smtp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ITEMS_MAX 100

struct item {
	int action;             /* SMTP_RT_BAD: ask the table */
	struct ph_maps *table;
	bool parents;           /* asked for ".parent.domain", too */
};

struct smtp_requiretls {
	size_t n;
	struct item item[];
};

static int action_of(const char *word)
{
	static const struct { const char *word; int action; } actions[] = {
		{ "disable", SMTP_RT_OFF }, { "opportunistic", SMTP_RT_OPPORTUNISTIC }, { "opportunistic+starttls", SMTP_RT_STARTTLS }, { "enforce", SMTP_RT_ENFORCE },
	};
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(actions); i++) {
		if (strcasecmp(word, actions[i].word) == 0)
			return actions[i].action;
	}
	return SMTP_RT_BAD;
}

/* Tables of patterns are asked once, and so are servers that have no use for parts of names. */
static bool asked_for_parents(struct ph_maps *table, const char *text)
{
	return !(ph_maps_flags(table) & PH_LOOKUP_PATTERN) && strncmp(text, "tcp:", 4) != 0 && strncmp(text, "socketmap:", 10) != 0;
}

int smtp_requiretls_start(struct smtp_service *svc, struct ph_err *err)
{
	static const char title[] = SMTP_PREFIX "requiretls_policy";
	char *copy = ph_strdup(svc->set->requiretls_policy), *cursor = copy, *word;
	struct smtp_requiretls *p = ph_alloc(sizeof(*p) + ITEMS_MAX * sizeof(*p->item));
	int r = 0;

	while (r == 0 && (word = ph_str_token(&cursor, PH_SEP_LIST))) {
		struct item *i = &p->item[p->n];

		if (p->n++ == ITEMS_MAX - 1)
			r = ph_err_set(err, -EINVAL, "%s: more than %d items", title, ITEMS_MAX - 1);
		i->action = action_of(word);
		if (i->action == SMTP_RT_BAD && !strchr(word, ':')) {
			r = ph_err_set(err, -EINVAL, "%s: unknown action \"%s\"", title, word);
		} else if (i->action == SMTP_RT_BAD) {
			i->table = ph_maps_open(svc->conf, title, word);
			i->parents = asked_for_parents(i->table, word);
		}
	}
	free(copy);
	if (r < 0)
		free(p);
	else
		svc->requiretls = p;
	return r;
}

void smtp_requiretls_stop(struct smtp_service *svc)
{
	free(svc->requiretls);
	svc->requiretls = NULL;
}

/* ---- the policy of a destination ---------------------------------------------------------- */

/* true: *ret_action is what the table says, or SMTP_RT_BAD. */
static bool ask(struct smtp_state *st, const struct item *i, const char *name, int *ret_action)
{
	const char *key = name, *value;
	struct ph_err err;

	while (key) {
		switch (ph_maps_find(i->table, key, key != name, st->arena, &value, &err)) {
		case PH_LOOKUP_FOUND:
			*ret_action = action_of(value);
			if (*ret_action == SMTP_RT_BAD)
				ph_log(PH_LOG_WARNING, "%srequiretls_policy: unknown action \"%s\" for %s", SMTP_PREFIX, value, key);
			return true;
		case PH_LOOKUP_NOTFOUND:
			break;
		case PH_LOOKUP_TEMPFAIL:
		case PH_LOOKUP_PERMERR:
			ph_log(PH_LOG_WARNING, "%srequiretls_policy: %s", SMTP_PREFIX, err.text);
			*ret_action = SMTP_RT_BAD;
			return true;
		}
		key = i->parents && *key ? strchr(key + 1, '.') : NULL;
	}
	return false;
}

void smtp_requiretls_site(struct smtp_state *st)
{
	const struct smtp_requiretls *p = st->service->requiretls;
	const char *name;
	int action;
	size_t i;

	st->requiretls = SMTP_RT_OFF;
	if (p == NULL || ph_delivery_tls_request(st->d) != PH_TLS_REQUEST_REQUIRE)
		return;
	name = smtp_nexthop_domain(st);
	for (i = 0; i < p->n; i++) {
		action = p->item[i].action;
		if (action != SMTP_RT_BAD || ask(st, &p->item[i], name, &action)) {
			st->requiretls = action;
			return;
		}
	}
	st->requiretls = SMTP_RT_ENFORCE;
}

/* ---- what follows for a server ------------------------------------------------------------ */

/* 4.7.x as long as there may be a server that can, else 5.7.x; the end of the delivery has the last word. */
static void lacking(struct smtp_state *st, const char *detail, const char *text)
{
	smtp_why_set(st, ph_arena_printf(st->arena, "%c.%s", st->final_server && !st->soft_failed ? '5' : '4', detail), "%s", text);
	st->why.requiretls = st->why.message_only = true;
}

static void policy_failed(struct smtp_state *st)
{
	smtp_why_set(st, "4.7.5", "client TLS configuration problem");
	st->why.message_only = true;
}

void smtp_requiretls_no_tls(struct smtp_state *st)
{
	lacking(st, "7.10", ph_arena_printf(st->arena, "REQUIRETLS was asked for, but TLS was not offered by host %s", st->session->namaddr));
}

void smtp_requiretls_no_match(struct smtp_state *st)
{
	lacking(st, "7.10", "REQUIRETLS was asked for, but the server certificate is not verified");
}

int smtp_requiretls_demand(struct smtp_state *st, const char *host)
{
	int level = st->tls->level;

	if (st->requiretls == SMTP_RT_BAD) {
		policy_failed(st);
		return -1;
	}
	if (st->requiretls >= SMTP_RT_STARTTLS && level == SMTP_TLS_NONE) {
		lacking(st, "7.10", ph_arena_printf(st->arena, "REQUIRETLS was asked for, but TLS is switched off for host %s", host));
		return -1;
	}
	if (st->requiretls == SMTP_RT_ENFORCE && level < SMTP_TLS_DANE) {
		lacking(st, "7.10", ph_arena_printf(st->arena, "REQUIRETLS was asked for, but no policy says how to verify the certificate of host %s", host));
		return -1;
	}
	return 0;
}

bool smtp_requiretls_fits(const struct smtp_state *st, const struct smtp_session *s)
{
	return st->requiretls != SMTP_RT_BAD && (st->requiretls < SMTP_RT_STARTTLS || s->tls_on) && (st->requiretls != SMTP_RT_ENFORCE || s->verified);
}

bool smtp_requiretls_alone(const struct smtp_state *st)
{
	return st->requiretls >= SMTP_RT_STARTTLS && st->tls->level < SMTP_TLS_ENCRYPT;
}

int smtp_requiretls_session(struct smtp_state *st)
{
	const struct smtp_session *s = st->session;

	if (st->requiretls == SMTP_RT_BAD) {
		policy_failed(st);
		return -1;
	}
	if (st->requiretls >= SMTP_RT_STARTTLS && !s->tls_on) {
		smtp_requiretls_no_tls(st);
		return -1;
	}
	if (st->requiretls == SMTP_RT_ENFORCE && !s->verified) {
		smtp_requiretls_no_match(st);
		return -1;
	}
	if (st->requiretls == SMTP_RT_ENFORCE && !(s->features & EHLO_REQUIRETLS)) {
		lacking(st, "7.30", ph_arena_printf(st->arena, "REQUIRETLS was asked for, but was not offered by host %s", s->namaddr));
		return -1;
	}
	return 0;
}

bool smtp_requiretls_said(const struct smtp_state *st)
{
	return st->requiretls >= SMTP_RT_OPPORTUNISTIC && st->session->tls_on && (st->session->features & EHLO_REQUIRETLS);
}
