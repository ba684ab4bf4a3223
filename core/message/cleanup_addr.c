/* cleanup_addr.c: one address through rewriting, canonical maps and masquerading.
 *
 * Owns nothing; results live in the message's arena.  Yields where tables do.  A table that fails marks the message: 451, nothing is kept.
 * Sources: canonical(5), ADDRESS_REWRITING_README. */
#include "message/cleanup.h"
#include "message/cleanup_map.h"
#include "route/token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CANONICAL_ROUNDS 10

void ph_cleanup_map_failed(struct ph_intake *in, const char *title, const char *addr, const struct ph_err *err)
{
	ph_log_as("cleanup", PH_LOG_WARNING, "%s: %s map lookup problem for %s -- message not accepted, try again later", in->queue_id, title, addr);
	if (err && *err->text)
		ph_log_as("cleanup", PH_LOG_WARNING, "%s: %s", in->queue_id, err->text);
	ph_intake_fail(in, -EAGAIN, 451, "4.3.0", "Error: queue file write error");
}

void ph_cleanup_mapping_error(struct ph_intake *in, const char *fmt, ...)
{
	struct ph_err err;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err.text, sizeof(err.text), fmt, ap);
	va_end(ap);
	ph_log_as("cleanup", PH_LOG_WARNING, "%s: %s -- message not accepted, try again later", in->queue_id, err.text);
	ph_intake_fail(in, -E2BIG, 451, "4.6.0", "Alias expansion error");
}

struct collect { struct ph_intake *in; const char *orig, *ext; bool propagate; struct ph_addr_vec *out; bool full; };

/* One address of a table's result: "@other" keeps the local part; incomplete ones are completed; an extension is put back. */
static const char *collect_one(void *arg, const char *addr)
{
	struct collect *c = arg;
	struct ph_intake *in = c->in;
	struct ph_slice local;
	const char *domain;

	if (c->out->n >= c->out->max) {
		c->full = true;
		return NULL;
	}
	if (addr[0] == '@') {
		ph_address_split(c->orig, &local, &domain);
		addr = ph_arena_printf(in->arena, "%.*s%s", (int)local.n, local.p, addr);
	} else if (c->ext && c->propagate) {
		ph_address_split(addr, &local, &domain);
		addr = ph_arena_printf(in->arena, "%.*s%s%s%s", (int)local.n, local.p, c->ext, domain ? "@" : "", domain ? domain : "");
	}
	ph_route_rewrite(in->c->route, true, addr, in->arena, &addr);
	ph_addr_vec_add(in->arena, c->out, addr);
	return NULL;
}

void ph_addr_vec_add(struct ph_arena *arena, struct ph_addr_vec *v, const char *addr)
{
	if (v->n == v->cap) {
		const char **more;

		v->cap = v->cap ? 2 * v->cap : 8;
		more = ph_arena_alloc(arena, v->cap * sizeof(*more));
		if (v->n)
			memcpy(more, v->list, v->n * sizeof(*more));
		v->list = more;
	}
	v->list[v->n++] = addr;
}

enum ph_lookup ph_cleanup_find(struct ph_intake *in, struct ph_maps *maps, const char *title, const char *addr, const char **ret_value,
			       const char **ret_ext)
{
	struct ph_err err = { 0 };
	enum ph_lookup l;

	if (!*addr)             /* the null sender, in its external form */
		l = ph_maps_find(maps, "\"\"", false, in->arena, ret_value, &err);
	else
		l = ph_maps_find_address(maps, in->c->conf, addr, PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_LOCALPART | PH_ADDR_AT_DOMAIN, NULL, in->arena,
				 ret_value, ret_ext, &err);
	if (l < 0)
		ph_cleanup_map_failed(in, title, addr, &err);
	return l;
}

enum ph_lookup ph_cleanup_lookup(struct ph_intake *in, struct ph_maps *maps, const char *title, const char *addr, bool propagate, struct ph_addr_vec *out)
{
	struct collect c = { in, addr, NULL, propagate, out, false };
	const char *value = NULL;
	enum ph_lookup l = ph_cleanup_find(in, maps, title, addr, &value, &c.ext);

	if (l == PH_LOOKUP_FOUND) {
		ph_addrlist_each(value, strlen(value), 1000000, in->arena, collect_one, &c);
		if (c.full)
			l = PH_LOOKUP_PERMERR;
		else if (!out->n)
			l = PH_LOOKUP_NOTFOUND;
	}
	return l;
}

/* A table with single results, applied until nothing changes. */
static enum ph_lookup map_one(struct ph_intake *in, struct ph_maps *maps, const char *title, const char **addr)
{
	const char *start = *addr;

	for (int round = 0; round < CANONICAL_ROUNDS; round++) {
		struct ph_addr_vec v = { .max = 1000 };
		enum ph_lookup l = ph_cleanup_lookup(in, maps, title, *addr, in->c->propagate_canonical, &v);

		if (l < 0)
			return l;
		if (l == PH_LOOKUP_NOTFOUND)
			return *addr == start ? l : PH_LOOKUP_FOUND;
		if (v.n > 1)
			ph_log_as("cleanup", PH_LOG_WARNING, "%s: multi-valued %s entry for %s", in->queue_id, title, *addr);
		if (strcasecmp(v.list[0], *addr) == 0) {
			*addr = v.list[0];
			return PH_LOOKUP_FOUND;
		}
		*addr = v.list[0];
	}
	/* The words are Postfix's, and so is what it does: the last result counts. */
	ph_log_as("cleanup", PH_LOG_WARNING, "%s: unreasonable %s map nesting for %s -- message not accepted, try again later", in->queue_id, title, start);
	return PH_LOOKUP_FOUND;
}

/* masquerade_domains: the first entry that the domain ends in decides; "!x" protects. */
static enum ph_lookup masquerade(struct ph_intake *in, const char **addr)
{
	const char *domain;
	struct ph_slice local;

	ph_address_split(*addr, &local, &domain);
	if (!domain || !*domain)
		return PH_LOOKUP_NOTFOUND;
	for (char **e = in->c->masquerade_except; e && *e; e++)
		if (strlen(*e) == local.n && strncasecmp(*e, local.p, local.n) == 0)
			return PH_LOOKUP_NOTFOUND;
	for (char **m = in->c->masquerade; *m; m++) {
		bool keep = **m == '!';
		const char *parent = *m + keep;
		size_t n = strlen(domain), k = strlen(parent);

		if (n == k && strcasecmp(domain, parent) == 0)
			return PH_LOOKUP_NOTFOUND;
		if (n > k && domain[n - k - 1] == '.' && strcasecmp(domain + n - k, parent) == 0) {
			if (keep)
				return PH_LOOKUP_NOTFOUND;
			*addr = ph_arena_printf(in->arena, "%.*s@%s", (int)local.n, local.p, parent);
			return PH_LOOKUP_FOUND;
		}
	}
	return PH_LOOKUP_NOTFOUND;
}

/* The common tail: the side's own canonical map, the general one, masquerading. */
static enum ph_lookup map_all(struct ph_intake *in, struct ph_maps *own, unsigned own_cls, const char *own_title, unsigned cls, const char **addr)
{
	const char *start = *addr;
	enum ph_lookup l = PH_LOOKUP_NOTFOUND;

	if (in->p.flags & PH_INTAKE_NO_MAPPINGS)
		return l;
	if (own && (own_cls & cls))
		l = map_one(in, own, own_title, addr);
	if (l >= 0 && in->c->canonical && (in->c->canonical_cls & cls))
		l = map_one(in, in->c->canonical, "canonical_maps", addr);
	if (l >= 0 && in->c->masquerade && (in->c->masquerade_cls & cls))
		l = masquerade(in, addr);
	if (l < 0)
		return l;
	return strcmp(start, *addr) ? PH_LOOKUP_FOUND : PH_LOOKUP_NOTFOUND;
}

enum ph_lookup ph_cleanup_map_sender(struct ph_intake *in, unsigned cls, const char **addr)
{
	return map_all(in, in->c->sender_canonical, in->c->sender_canonical_cls, "sender_canonical_maps", cls, addr);
}

enum ph_lookup ph_cleanup_map_rcpt(struct ph_intake *in, unsigned cls, const char **addr)
{
	return map_all(in, in->c->rcpt_canonical, in->c->rcpt_canonical_cls, "recipient_canonical_maps", cls, addr);
}

const char *ph_cleanup_header_addr(struct ph_intake *in, bool sender, const char *addr)
{
	ph_route_rewrite(in->c->route, in->p.local_origin, addr, in->arena, &addr);
	if (in->lost)
		return addr;
	if (sender)
		ph_cleanup_map_sender(in, PH_CLS_HDR_SENDER, &addr);
	else
		ph_cleanup_map_rcpt(in, PH_CLS_HDR_RCPT, &addr);
	return addr;
}
