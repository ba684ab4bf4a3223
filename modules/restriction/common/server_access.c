/* server_access.c: see server_access.h.  No state.  Yields.  Source: postconf(5), check_sender_mx_access. */
#include "common/server_access.h"

#include <string.h>

#include "common/hostname.h"
#include "common/mailhost.h"

#define LOOKUP_MS 60000

struct walk {
	struct access_use *use;
	struct ph_session *s;
	const char *restriction, *what, *name;
	enum ph_access_class cls;
	int type;
	struct ph_verdict verdict;
	bool found;
};

static const char *type_name(int type)
{
	return type == PH_DNS_MX ? "MX" : type == PH_DNS_NS ? "NS" : "A";
}

/* What a table has answered about one name or address. */
static void answered(struct walk *w, enum ph_lookup r, const char *action, const struct ph_err *err)
{
	if (r == PH_LOOKUP_NOTFOUND)
		return;
	w->found = true;
	w->verdict = access_answer(w->use, w->s, r, action, w->what, w->cls, err);
	if (w->verdict.cls != PH_PERMIT || ph_session_discards(w->s))
		return;
	ph_log(PH_LOG_WARNING, "restriction %s returns OK for %s", w->restriction, w->name);
	ph_log(PH_LOG_WARNING, "this is not allowed for security reasons");
	ph_log(PH_LOG_WARNING, "use DUNNO instead of OK if you want to make an exception");
	w->verdict = ph_verdict_text(w->s, PH_DEFER, 451, "4.3.5", "Server configuration error");
}

static void try_address(struct walk *w, const char *addr)
{
	struct ph_err err = { 0, "" };
	const char *action;
	enum ph_lookup r = access_addr(w->use, w->s, addr, &action, &err);

	answered(w, r, action, &err);
}

static void try_name(struct walk *w, const char *name)
{
	struct ph_err err = { 0, "" };
	const char *action;
	enum ph_lookup r = access_domain(w->use, w->s, ph_str_lower(ph_arena_strdup(ph_session_arena(w->s), name)), &action, &err);

	answered(w, r, action, &err);
}

/* As the system's resolver says it. */
static const char *why_not(enum ph_dns_status status)
{
	return status == PH_DNS_NODATA ? "No address associated with hostname" : status == PH_DNS_TEMPFAIL ? "Temporary failure in name resolution"
													  : "Name or service not known";
}

static void try_addresses_of(struct walk *w, const char *host)
{
	struct ph_endpoint *list;
	enum ph_dns_status r;
	const char *why;
	char text[108];
	size_t n = 0;

	r = ph_dns_addresses(ph_session_arena(w->s), host, ph_session_address_family(w->s), true, ph_now_ms() + LOOKUP_MS, &list, &n, &why);
	if (r != PH_DNS_OK) {
		if (w->type != PH_DNS_A)        /* that a name has no address is no news */
			ph_log(PH_LOG_WARNING, "Unable to look up %s host %s for %s %s: %s", type_name(w->type), host, access_class_name(w->cls), w->what, why_not(r));
		return;
	}
	for (size_t i = 0; i < n && !w->found; i++)
		try_address(w, ph_endpoint_addr(&list[i], text, sizeof(text)));
}

static void try_servers(struct walk *w, const struct ph_dns_answer *list)
{
	for (size_t i = 0; i < list->n && !w->found; i++) {
		if (list->rr[i].type != w->type || !*list->rr[i].name)
			continue;
		try_name(w, list->rr[i].name);
		if (!w->found)
			try_addresses_of(w, list->rr[i].name);
	}
}

static void no_servers(struct walk *w, const char *domain, const struct ph_dns_answer *answer)
{
	const char *why = answer->text ? answer->text : "Host not found";

	ph_log(PH_LOG_WARNING, "Unable to look up %s host for %s: %s", type_name(w->type), domain ? domain : w->name,
	       strcmp(why, PH_DNS_FILTER_DROPPED) == 0 ? "DNS reply filter policy" : why);
}

static bool is_none(int status)
{
	return status == PH_DNS_NXDOMAIN || status == PH_DNS_NODATA || status == PH_DNS_BADNAME;
}

/* Without exchangers the domain is its own. */
static void walk_mx(struct walk *w, const char *domain)
{
	struct ph_dns_answer *answer;
	int r = host_name_valid(domain) ? ph_session_dns_query(w->s, domain, PH_DNS_MX, ph_now_ms() + LOOKUP_MS, &answer) : PH_DNS_BADNAME;

	if (r == PH_DNS_OK) {
		mailhost_gripe(domain, answer);
		try_servers(w, answer);
	} else if (is_none(r)) {
		try_name(w, domain);
		if (!w->found)
			try_addresses_of(w, domain);
	} else {
		no_servers(w, domain, answer);
	}
}

/* Without name servers those of the parent count. */
static void walk_ns(struct walk *w, const char *domain)
{
	struct ph_dns_answer *answer;
	int r;

	for (;;) {
		r = ph_session_dns_query(w->s, domain, PH_DNS_NS, ph_now_ms() + LOOKUP_MS, &answer);
		if (!is_none(r))
			break;
		domain = strchr(domain, '.');
		if (!domain || !*++domain) {
			domain = NULL;
			break;
		}
	}
	if (r == PH_DNS_OK)
		try_servers(w, answer);
	else
		no_servers(w, domain, answer);
}

struct ph_verdict server_access(struct access_use *u, struct ph_session *s, const char *restriction, const char *name, int type, const char *what,
				enum ph_access_class cls)
{
	struct walk w = { .use = u, .s = s, .restriction = restriction, .what = what, .cls = cls, .type = type, .name = name };
	const char *at, *domain, *addr;
	size_t n;

	if (!name || !*name || ph_str_ieq(name, "unknown"))
		return ph_verdict_dunno();
	at = strrchr(name, '@');
	domain = at ? at + 1 : name;
	n = strlen(domain);
	w.verdict = ph_verdict_dunno();
	if (n > 2 && domain[0] == '[' && domain[n - 1] == ']') {
		addr = ph_arena_strndup(ph_session_arena(s), domain + 1, n - 2);
		if (ph_str_istarts(addr, "IPv6:"))
			addr += 5;
		if (host_addr_valid(addr) && type != PH_DNS_NS)
			try_address(&w, addr);
	} else if (n && *domain != '[') {
		if (type == PH_DNS_A)
			try_addresses_of(&w, domain);
		else if (type == PH_DNS_MX)
			walk_mx(&w, domain);
		else
			walk_ns(&w, domain);
	}
	return w.verdict;
}
