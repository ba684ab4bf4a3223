/* site.c: what delivery modules may ask about this site (posthouse/delivery.h).  No state of its own, no yield. */
#include "agent/agent_private.h"
#include "route/route.h"

bool ph_conf_own_address(const struct ph_conf *conf, const struct ph_endpoint *e)
{
	char text[108];

	return ph_route_own_address(ph_route_of(conf), ph_endpoint_addr(e, text, sizeof(text)));
}

const char *ph_address_external(struct ph_arena *arena, const char *internal)
{
	return ph_address_quote(arena, internal);
}
