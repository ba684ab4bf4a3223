/* cleanup_env.c: the envelope as it goes into the queue: sender, blind copies, virtual aliases, each recipient once.
 *
 * Owns nothing; all is in the message's arena.  Yields where tables do.  Sources: cleanup(8), virtual(5), ADDRESS_REWRITING_README. */
#include "message/cleanup.h"
#include "message/cleanup_map.h"

#include "base/htab.h"

#include <errno.h>
#include <string.h>

struct ph_expander {                    /* in the message's arena; seen on the heap */
	struct ph_intake *in;
	struct ph_htab seen;            /* recipients that are in: see dup_key */
	size_t cap;
};

static const char *fold(const struct ph_intake *in, const char *text)
{
	return ph_str_fold(in->arena, text, in->c->s.smtputf8);
}

/* "type;address" of RFC 3461, for who gave none. */
static const char *make_orcpt(struct ph_intake *in, const char *address)
{
	const char *type = in->env.flags & PH_ENV_SMTPUTF8 && !ph_str_ascii(address) ? "utf-8" : "rfc822";

	return ph_arena_printf(in->arena, "%s;%s", type, ph_address_quote(in->arena, address));
}

/* Two that differ in what their reports say are two; where nobody asks what a recipient was before, the address alone counts. */
static const char *dup_key(struct ph_intake *in, const char *addr, const char *original, const char *orcpt, unsigned notify)
{
	if (!in->c->s.original_rcpt)
		return fold(in, addr);
	if (!orcpt && !(notify & PH_NOTIFY_NEVER))
		orcpt = ph_arena_printf(in->arena, "rfc822;%s", ph_address_quote(in->arena, original));
	return fold(in, ph_arena_printf(in->arena, "%s\n%u\n%s\n%s", orcpt ? orcpt : "", notify, original, addr));
}

/* Put a final recipient into the envelope, once. */
static void emit(struct ph_expander *x, const char *addr, const char *original, const char *orcpt, unsigned notify)
{
	struct ph_intake *in = x->in;
	struct ph_envelope *e = &in->env;
	const char *key = dup_key(in, addr, original, orcpt, notify);

	if (!(notify & PH_NOTIFY_EXPANDED) && ph_htab_get(&x->seen, key))
		return;
	if (!(notify & PH_NOTIFY_EXPANDED) && x->seen.n < (size_t)in->c->s.dup_limit)
		ph_htab_put(&x->seen, key, x);
	if (e->n_rcpts == x->cap) {
		struct ph_rcpt *more;

		x->cap = x->cap ? 2 * x->cap : in->n_rcpts + 2;
		more = ph_arena_alloc(in->arena, x->cap * sizeof(*more));
		if (e->n_rcpts)
			memcpy(more, e->rcpts, e->n_rcpts * sizeof(*more));
		e->rcpts = more;
	}
	e->rcpts[e->n_rcpts++] = (struct ph_rcpt){
		.address = addr, .original = *original ? original : addr, .dsn_orcpt = orcpt, .dsn_notify = notify,
	};
}

/* RFC 3461 section 5.2.7.3, as Postfix does it: who wants to hear of success hears that the alias was expanded, and of what it stands for only the rest. */
static unsigned emit_expanded(struct ph_expander *x, const char *addr, const char *original, const char *orcpt, unsigned notify)
{
	if (!(notify & PH_NOTIFY_SUCCESS))
		return notify;
	emit(x, addr, original, orcpt, notify | PH_NOTIFY_EXPANDED);
	notify &= ~(unsigned)PH_NOTIFY_SUCCESS;
	return notify ? notify : PH_NOTIFY_NEVER;
}

/* Put what an alias stands for in place of list[at]: the first result there, the others behind all.  An address that is among its own
 * results stands for itself from now on.  0 or negative. */
static int take_results(struct ph_intake *in, struct ph_addr_vec *list, size_t at, const struct ph_addr_vec *found, struct ph_htab *settled)
{
	const char *alias = list->list[at];

	for (size_t i = 0; i < found->n; i++) {
		const char *addr = found->list[i];

		if (strlen(addr) > (size_t)in->c->s.address_limit) {
			ph_cleanup_mapping_error(in, "unreasonable virtual_alias_maps result %.300s...", addr);
			return in->lost;
		}
		if (i == 0)
			list->list[at] = addr;
		else
			ph_addr_vec_add(in->arena, list, addr);
		if (ph_str_fold_eq(addr, alias, in->c->s.smtputf8))
			ph_htab_put(settled, fold(in, alias), list);
	}
	return 0;
}

/* Look list[at] up, and what it stands for, until there is nothing more to be found.  0 or negative. */
static int follow(struct ph_intake *in, struct ph_addr_vec *list, size_t at, struct ph_htab *settled, const char *start)
{
	for (int count = 0; !ph_htab_get(settled, fold(in, list->list[at])); count++) {
		struct ph_addr_vec found = { .max = (size_t)in->c->s.expansion_limit + 1 };
		enum ph_lookup l;

		if (count >= in->c->s.recursion_limit) {
			ph_cleanup_mapping_error(in, "unreasonable virtual_alias_maps map nesting for %s", start);
			return in->lost;
		}
		if (!*list->list[at])
			return 0;
		l = ph_cleanup_lookup(in, in->c->virtual_alias, "virtual_alias_maps", list->list[at], in->c->propagate_virtual, &found);
		if (l == PH_LOOKUP_PERMERR && !in->lost)
			ph_cleanup_mapping_error(in, "unreasonable virtual_alias_maps map expansion size for %s", start);
		if (l < 0)
			return in->lost;
		if (l == PH_LOOKUP_NOTFOUND)
			return 0;
		if (take_results(in, list, at, &found, settled) < 0)
			return in->lost;
	}
	return 0;
}

/* Expand one recipient.  0 or negative. */
static int expand(struct ph_expander *x, const char *addr, const char *original, const char *orcpt, unsigned notify)
{
	struct ph_intake *in = x->in;
	struct ph_addr_vec list = { 0 };
	struct ph_htab settled = { 0 };         /* addresses that have been among their own results */
	int r = 0;

	if (!in->c->virtual_alias || (in->p.flags & PH_INTAKE_NO_MAPPINGS)) {
		emit(x, addr, original, orcpt, notify);
		return 0;
	}
	ph_addr_vec_add(in->arena, &list, addr);
	for (size_t i = 0; i < list.n && r == 0; i++) {
		if (list.n > (size_t)in->c->s.expansion_limit) {
			ph_cleanup_mapping_error(in, "unreasonable virtual_alias_maps map expansion size for %s", addr);
			r = in->lost;
		} else {
			r = follow(in, &list, i, &settled, addr);
		}
	}
	ph_htab_done(&settled);
	if (r == 0 && (list.n > 1 || !ph_str_ieq(list.list[0], addr)))
		notify = emit_expanded(x, addr, original, orcpt, notify);
	for (size_t i = 0; i < list.n && r == 0; i++)
		emit(x, list.list[i], original, orcpt, notify);
	return r;
}

/* A blind copy: no notifications, no recipient_bcc of its own. */
static int add_bcc(struct ph_expander *x, const char *addr)
{
	struct ph_intake *in = x->in;

	ph_route_rewrite(in->c->route, true, addr, in->arena, &addr);
	if (ph_cleanup_map_rcpt(in, PH_CLS_ENV_RCPT, &addr) < 0)
		return in->lost;
	return expand(x, addr, addr, NULL, PH_NOTIFY_NEVER);
}

/* A result is one address in its internal form, never a list. */
static int bcc_by_map(struct ph_expander *x, struct ph_maps *maps, const char *title, const char *addr)
{
	const char *copy, *ext;
	enum ph_lookup l;

	if (!maps || !*addr || (x->in->p.flags & (PH_INTAKE_NO_BCC | PH_INTAKE_NO_MAPPINGS)))
		return 0;
	l = ph_cleanup_find(x->in, maps, title, addr, &copy, &ext);
	if (l < 0)
		return x->in->lost;
	return l == PH_LOOKUP_FOUND ? add_bcc(x, copy) : 0;
}

static int add_rcpt(struct ph_expander *x, const struct ph_intake_rcpt_in *rc)
{
	struct ph_intake *in = x->in;
	const char *addr = rc->address, *orcpt = rc->orcpt;
	int r;

	ph_route_rewrite(in->c->route, true, addr, in->arena, &addr);
	if (ph_cleanup_map_rcpt(in, PH_CLS_ENV_RCPT, &addr) < 0)
		return in->lost;
	/* An SMTP client's recipient is what it wrote; that of others is what it stands for here. */
	if (!orcpt && !in->p.session && !rc->original && strcmp(addr, rc->address) != 0)
		orcpt = make_orcpt(in, addr);
	r = expand(x, addr, rc->original ? rc->original : rc->address, orcpt, rc->notify);
	return r < 0 ? r : bcc_by_map(x, in->c->rcpt_bcc, "recipient_bcc_maps", addr);
}

static int map_sender(struct ph_intake *in)
{
	const char *s = in->env.sender;

	if (*s)
		ph_route_rewrite(in->c->route, true, s, in->arena, &s);
	if (ph_cleanup_map_sender(in, PH_CLS_ENV_SENDER, &s) < 0)
		return in->lost;
	in->clean_sender = s;
	return 0;
}

int ph_cleanup_envelope_begin(struct ph_intake *in)
{
	struct ph_expander *x = in->expander;
	int r;

	if (x)
		return in->lost;
	in->expander = x = ph_arena_alloc(in->arena, sizeof(*x));
	x->in = in;
	in->env.rcpts = NULL;
	in->env.n_rcpts = 0;
	r = map_sender(in);
	for (size_t i = 0; r == 0 && i < in->n_rcpts; i++)
		r = add_rcpt(x, &in->rcpts[i]);
	return in->lost;
}

void ph_cleanup_envelope_done(struct ph_intake *in)
{
	if (in->expander)
		ph_htab_done(&in->expander->seen);
	in->expander = NULL;
}

/* Blind copies, and what the content's filters wanted. */
int ph_cleanup_envelope(struct ph_intake *in)
{
	bool bcc = !(in->p.flags & (PH_INTAKE_NO_BCC | PH_INTAKE_NO_MAPPINGS));
	int r = ph_cleanup_envelope_begin(in);

	if (r < 0)
		return r;
	in->env.sender = in->clean_sender;
	if (bcc && *in->c->s.always_bcc)
		r = add_bcc(in->expander, in->c->s.always_bcc);
	if (r == 0)
		r = bcc_by_map(in->expander, in->c->sender_bcc, "sender_bcc_maps", in->env.sender);
	for (size_t i = 0; r == 0 && i < in->n_bccs; i++)
		r = add_bcc(in->expander, in->bccs[i]);
	if (r == 0 && in->env.redirect)
		ph_route_rewrite(in->c->route, true, in->env.redirect, in->arena, &in->env.redirect);
	if (r == 0 && !in->env.n_rcpts)
		ph_intake_fail(in, -EINVAL, 554, "5.1.0", "Error: no recipients specified");
	return in->lost;
}
