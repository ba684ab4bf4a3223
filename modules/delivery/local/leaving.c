/* leaving.c: addresses that leave as new messages: one for each envelope sender and Delivered-To: address, when the recipient is done.
 *
 * If a destination was deferred, none leaves: the whole recipient is done again later. */
#include "local.h"

#include <stdlib.h>
#include <string.h>

static struct local_leaving *message_for(struct local_state *st)
{
	struct local_leaving **p;

	for (p = &st->shared->leaving; *p; p = &(*p)->next)
		if (strcmp((*p)->sender, st->sender) == 0 && strcmp((*p)->delivered, st->delivered) == 0)
			return *p;
	*p = ph_arena_alloc(st->arena, sizeof **p);
	(*p)->sender = st->sender;
	(*p)->delivered = st->delivered;
	(*p)->owned = st->sender != ph_delivery_sender(st->d);
	return *p;
}

void local_leave(struct local_state *st)
{
	struct local_leaving *m;

	if (local_seen(st, "indirect %s", st->address))
		return;
	m = message_for(st);
	if (m->n == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 8;
		m->rcpts = ph_realloc(m->rcpts, m->cap * sizeof *m->rcpts);
	}
	m->rcpts[m->n++] = st->address;
}

static void send_one(struct local_state *st, struct local_leaving *m)
{
	const struct ph_rcpt *r = ph_delivery_rcpt(st->d, st->rcpt);
	const char *id, *top = "";
	struct ph_err err;

	if (ph_delivery_probe(st->d)) {
		for (size_t i = 0; i < m->n; i++)
			local_result(st, PH_SENT, "2.0.0", "forwards to %s", m->rcpts[i]);
		return;
	}
	if (st->svc->delivered_hdr & LOCAL_HDR_FORWARD)
		top = ph_arena_printf(st->arena, "Delivered-To: %s\n", ph_address_external(st->arena, m->delivered));
	if (ph_delivery_forward(st->d, m->sender, m->rcpts, m->n, m->owned || !*r->original ? NULL : r->original, top, &id, &err) < 0) {
		ph_log(PH_LOG_WARNING, "%s: forwarding failed: %s", ph_delivery_queue_id(st->d), err.text);
		local_result(st, PH_DEFERRED, "4.3.0", "unable to forward message");
	} else {
		local_result(st, PH_SENT, "2.0.0", "forwarded as %s", id);
	}
}

void local_leave_all(struct local_state *st)
{
	for (struct local_leaving *m = st->shared->leaving; m; m = m->next) {
		if (!st->shared->deferred)
			send_one(st, m);
		free(m->rcpts);
		m->rcpts = NULL;
	}
}
