/* unknown.c: other transports for local recipients, and those that are neither alias nor account. */
#include "local.h"

#include <string.h>

static int pass_on(struct local_state *st, const char *transport)
{
	struct ph_err err;
	int rc;

	if (ph_delivery_probe(st->d)) {
		local_result(st, PH_SENT, "2.0.0", "passes on to %s", transport);
		return 1;
	}
	ph_log(PH_LOG_INFO, "%s: passing <%s> to transport=%.*s", ph_delivery_queue_id(st->d), ph_address_external(st->arena, st->address),
	       (int)strcspn(transport, ":"), transport);
	rc = st->shared->expanded ? ph_delivery_pass_part(st->d, st->rcpt, st->address, st->sender, transport, &err)
				  : ph_delivery_pass(st->d, st->rcpt, st->address, transport, &err);
	if (rc < 0)
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
	return 1;
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
