/* site.c: what delivery modules may ask about this site (posthouse/delivery.h).  No state of its own, no yield. */
#include "agent/agent_private.h"
#include "route/route.h"
#include "route/token.h"

#include <string.h>

bool ph_conf_own_address(const struct ph_conf *conf, const struct ph_endpoint *e)
{
	char text[108];

	return ph_route_own_address(ph_route_of(conf), ph_endpoint_addr(e, text, sizeof(text)));
}

const char *ph_address_external(struct ph_arena *arena, const char *internal)
{
	return ph_address_quote(arena, internal);
}

struct address_list { struct ph_arena *arena; const char **list; int n, cap; };

static const char *collect(void *arg, const char *internal)
{
	struct address_list *l = arg;

	if (l->n == l->cap) {
		int cap = l->cap ? 2 * l->cap : 4;
		const char **more = ph_arena_alloc(l->arena, (size_t)cap * sizeof(*more));

		if (l->n)
			memcpy(more, l->list, (size_t)l->n * sizeof(*more));
		l->list = more;
		l->cap = cap;
	}
	l->list[l->n++] = internal;
	return NULL;
}

int ph_address_list(struct ph_arena *arena, const char *text, size_t n, size_t max, const char *const **ret_list)
{
	struct address_list l = { .arena = arena };
	int rc = ph_addrlist_each(text, n, max, arena, collect, &l);

	if (rc >= 0)
		*ret_list = l.list;
	return rc < 0 ? rc : l.n;
}
