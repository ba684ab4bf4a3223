/* unknown.c: other transports for local recipients, and those that are neither alias nor account. */
#include "local.h"

#include <string.h>

static int pass_on(struct local_state *st, const char *transport)
{
	struct local_passing **p;

	ph_log(PH_LOG_INFO, "%s: passing <%s> to transport=%.*s", ph_delivery_queue_id(st->d), ph_address_external(st->arena, st->address),
	       (int)strcspn(transport, ":"), transport);
	for (p = &st->shared->passing; *p; p = &(*p)->next)
		;
	*p = ph_arena_alloc(st->arena, sizeof **p);
	**p = (struct local_passing){ .address = st->address, .sender = st->sender, .transport = transport };
	return 1;
}

static void pass_one(struct local_state *st, const struct local_passing *p, bool whole)
{
	struct local_state part = *st;
	struct ph_err err;
	int rc = whole ? ph_delivery_pass(st->d, st->rcpt, p->address, p->transport, &err)
		       : ph_delivery_pass_part(st->d, st->rcpt, p->address, p->sender, p->transport, &err);

	if (rc < 0) {
		part.address = p->address;
		part.sender = p->sender;
		local_result(&part, PH_DEFERRED, "4.3.0", "%s", err.text);
	}
}

void local_pass_all(struct local_state *st)
{
	struct local_shared *sh = st->shared;
	const struct local_passing *first = sh->passing;
	bool whole = first && !first->next && !sh->parts && !sh->leaving && first->sender == ph_delivery_sender(st->d);

	if (first && !whole)
		sh->expanded = true;
	for (const struct local_passing *p = first; p && !sh->deferred; p = p->next)
		pass_one(st, p, whole);
}

int local_pass(struct local_state *st, struct ph_maps *maps, const char *fixed)
{
	const char *value;
	struct ph_err err;

	switch (ph_maps_empty(maps) ? PH_LOOKUP_NOTFOUND : ph_maps_find(maps, st->user, false, st->arena, &value, &err)) {
	case PH_LOOKUP_FOUND:
		return pass_on(st, value);
	case PH_LOOKUP_NOTFOUND:
		return *fixed ? pass_on(st, fixed) : 0;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	ph_log(PH_LOG_WARNING, "transport lookup of %s failed: %s", st->user, err.text);
	local_result(st, PH_DEFERRED, "4.3.0", "table lookup failure");
	return -1;
}

static void relay(struct local_state *st, const char *text)
{
	struct local_state sub = *st;

	if (st->depth >= LOCAL_DEPTH_MAX) {
		ph_log(PH_LOG_WARNING, "luser_relay loop for %s", st->address);
		local_result(st, PH_BOUNCED, "5.4.6", "luser_relay loop for %s", st->address);
		return;
	}
	sub.unmatched = NULL;
	st->shared->expanded = true;
	local_addresses(&sub, local_expand(st, NULL, text, NULL, NULL));
}

void local_unknown(struct local_state *st)
{
	const struct local_settings *set = st->svc->set;
	const char *fallback = ph_conf_expand(st->svc->conf, st->arena, set->fallback_transport, NULL);

	if (local_pass(st, st->svc->fallback_transports, fallback ? fallback : "") != 0)
		return;
	if (*set->luser_relay) {
		relay(st, set->luser_relay);
		return;
	}
	/* Names that every host must have are not refused, but somebody should know. */
	if (ph_str_ieq(st->user, "mailer-daemon") || ph_str_ieq(st->user, "postmaster")) {
		ph_log(PH_LOG_WARNING, "required alias not found: %s", st->user);
		local_result(st, PH_SENT, "2.0.0", "discarded");
		return;
	}
	local_result(st, PH_BOUNCED, "5.1.1", "unknown user: \"%s\"", st->user);
}
