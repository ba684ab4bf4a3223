/* dns_filter.c: dropping records of DNS answers by a table (posthouse/dns.h).  No state.  May yield, as the table does. */
#include <arpa/inet.h>
#include <posthouse/dns.h>
#include <posthouse/lookup.h>
#include <strings.h>

static const char *type_name(int type)
{
	switch (type) {
	case PH_DNS_A: return "A";
	case PH_DNS_AAAA: return "AAAA";
	case PH_DNS_NS: return "NS";
	case PH_DNS_CNAME: return "CNAME";
	case PH_DNS_PTR: return "PTR";
	case PH_DNS_TXT: return "TXT";
	}
	return NULL;
}

/* "name ttl IN TYPE [preference] value", as the table has it.  NULL: nothing that could be written so. */
static const char *record_text(struct ph_arena *arena, const char *owner, const struct ph_dns_rr *rr)
{
	const char *type = type_name(rr->type);
	char addr[64];

	switch (rr->type) {
	case PH_DNS_MX:
		return ph_arena_printf(arena, "%s. %u IN MX %u %s.", owner, rr->ttl, rr->pref, rr->name);
	case PH_DNS_SRV:
		return ph_arena_printf(arena, "%s. %u IN SRV %u %u %u %s.", owner, rr->ttl, rr->pref, rr->weight, rr->port, rr->name);
	case PH_DNS_A:
	case PH_DNS_AAAA:
		if (rr->data.n != (rr->type == PH_DNS_A ? 4 : 16) || !inet_ntop(rr->type == PH_DNS_A ? AF_INET : AF_INET6, rr->data.p, addr, sizeof(addr)))
			return NULL;
		return ph_arena_printf(arena, "%s. %u IN %s %s", owner, rr->ttl, type, addr);
	case PH_DNS_TXT:
		return ph_arena_printf(arena, "%s. %u IN TXT %s", owner, rr->ttl, ph_str_printable(arena, rr->data.p, rr->data.n, true));
	case PH_DNS_NS:
	case PH_DNS_CNAME:
	case PH_DNS_PTR:
		return ph_arena_printf(arena, "%s. %u IN %s %s.", owner, rr->ttl, type, rr->name);
	}
	return NULL;
}

/* True: keep.  A table that fails makes the whole answer a temporary failure. */
static bool keep(struct ph_maps *maps, const char *parameter, struct ph_arena *arena, struct ph_dns_answer *ans, const struct ph_dns_rr *rr)
{
	const char *text = record_text(arena, ans->owner, rr), *value;
	struct ph_err err = { 0, "" };

	if (!text)
		return true;
	switch (ph_maps_find(maps, text, false, arena, &value, &err)) {
	case PH_LOOKUP_NOTFOUND:
		return true;
	case PH_LOOKUP_FOUND:
		if (strcasecmp(value, "ignore") == 0) {
			ph_log(PH_LOG_INFO, "ignoring DNS RR: %s", text);
			return false;
		}
		ph_log(PH_LOG_WARNING, "%s: unknown DNS filter action: \"%s\"", parameter, value);
		break;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		ph_log(PH_LOG_WARNING, "%s", err.text);
	}
	ans->status = PH_DNS_TEMPFAIL;
	ans->text = PH_DNS_FILTER_BAD;
	return false;
}

void ph_dns_answer_filter(struct ph_maps *maps, const char *parameter, struct ph_arena *arena, struct ph_dns_answer *ans)
{
	size_t i, n = 0;

	if (!maps || ans->status != PH_DNS_OK)
		return;
	for (i = 0; i < ans->n && ans->status == PH_DNS_OK; i++)
		if (keep(maps, parameter, arena, ans, &ans->rr[i]))
			ans->rr[n++] = ans->rr[i];
	ans->n = ans->status == PH_DNS_OK ? n : 0;
	if (ans->status != PH_DNS_OK || n > 0)
		return;
	ans->status = PH_DNS_TEMPFAIL;
	ans->text = PH_DNS_FILTER_DROPPED;
}
