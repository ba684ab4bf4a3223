/* permit_mx_backup.c: accept recipients whose domain names this system as a mail exchanger, and (permit_mx_backup_networks) whose primary
 * exchangers are where we expect them.  What anybody's DNS says opens the door, so it should be narrow.  Yields.  Source: postconf(5). */
#include <posthouse/dns.h>
#include <posthouse/module.h>
#include <posthouse/restriction.h>
#include <stdlib.h>
#include <string.h>

#include "common/hostname.h"

#define LOOKUP_MS 60000

struct settings { const char *networks, *myhostname; };
static const struct ph_param params[] = {
	PH_P_STR(struct settings, networks, "permit_mx_backup_networks", "", "where the primary mail exchangers must be for permit_mx_backup"),
	PH_P_STR(struct settings, myhostname, "myhostname", "", "name of this mail system"),
};

struct use {
	struct ph_match *networks;      /* NULL: anywhere */
};

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const struct settings *set = settings;
	struct use *u = ph_alloc(sizeof(*u));

	if (*set->networks)
		u->networks = ph_match_open(conf, "permit_mx_backup_networks", set->networks, PH_MATCH_DOMAIN | PH_MATCH_PARENT | PH_MATCH_ADDR);
	*ret = u;
	return 0;
}

struct question {
	struct use *use;
	const struct settings *set;
	struct ph_session *s;
	const char *rcpt;
};

/* DNS does not answer: what would be refused is put off. */
static enum ph_lookup no_answer(struct question *q, const char *what, const char *host, const char *why, struct ph_verdict *ret)
{
	const char *text = ph_arena_printf(ph_session_arena(q->s), "%s%s: %s", what, host, why ? why : "Host not found, try again");

	*ret = ph_verdict_text(q->s, PH_DEFER_IF_REJECT, 450, "4.4.4", "<%s>: Recipient address rejected: %s", q->rcpt, text);
	return PH_LOOKUP_TEMPFAIL;
}

/* Is host this machine? */
static enum ph_lookup is_me(struct question *q, const char *host, struct ph_verdict *ret)
{
	struct ph_endpoint *list;
	struct ph_err err = { 0, "" };
	const char *why = NULL;
	char text[108];
	size_t n = 0;

	if (ph_str_ieq(host, q->set->myhostname))
		return PH_LOOKUP_FOUND;
	switch ((enum ph_lookup)ph_session_is_local_domain(q->s, host, &err)) {
	case PH_LOOKUP_FOUND:
		return PH_LOOKUP_FOUND;
	case PH_LOOKUP_NOTFOUND:
		break;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		*ret = ph_verdict_lookup_failed(q->s, PH_LOOKUP_TEMPFAIL, q->rcpt, &err);
		return PH_LOOKUP_TEMPFAIL;
	}
	switch (ph_dns_addresses(ph_session_arena(q->s), host, ph_session_address_family(q->s), true, ph_now_ms() + LOOKUP_MS, &list, &n, &why)) {
	case PH_DNS_OK:
		break;
	case PH_DNS_TEMPFAIL:
		return no_answer(q, "Unable to look up mail exchanger host ", host, why, ret);
	case PH_DNS_NXDOMAIN:
	case PH_DNS_NODATA:
	case PH_DNS_BADNAME:
		return PH_LOOKUP_NOTFOUND;
	}
	for (size_t i = 0; i < n; i++)
		if (ph_session_is_own_address(q->s, ph_endpoint_addr(&list[i], text, sizeof(text))))
			return PH_LOOKUP_FOUND;
	return PH_LOOKUP_NOTFOUND;
}

static unsigned best_preference(const struct ph_dns_answer *mx)
{
	unsigned best = 65536;

	for (size_t i = 0; i < mx->n; i++)
		if (mx->rr[i].type == PH_DNS_MX && mx->rr[i].pref < best)
			best = mx->rr[i].pref;
	return best;
}

/* All addresses of the best exchangers are in permit_mx_backup_networks. */
static enum ph_lookup primary_ok(struct question *q, const struct ph_dns_answer *mx, struct ph_verdict *ret)
{
	unsigned best = best_preference(mx);
	struct ph_endpoint *list;
	const char *why = NULL;
	char text[108];
	struct ph_err err = { 0, "" };
	enum ph_lookup r;
	size_t n;

	for (size_t i = 0; i < mx->n; i++) {
		if (mx->rr[i].type != PH_DNS_MX || mx->rr[i].pref != best)
			continue;
		n = 0;
		if (ph_dns_addresses(ph_session_arena(q->s), mx->rr[i].name, ph_session_address_family(q->s), true, ph_now_ms() + LOOKUP_MS, &list, &n, &why) != PH_DNS_OK)
			return no_answer(q, "Unable to look up host ", ph_arena_printf(ph_session_arena(q->s), "%s as mail exchanger", mx->rr[i].name), why, ret);
		for (size_t k = 0; k < n; k++) {
			r = ph_match_find(q->use->networks, ph_endpoint_addr(&list[k], text, sizeof(text)), text, &err);
			if (r < 0)
				*ret = ph_verdict_lookup_failed(q->s, PH_LOOKUP_TEMPFAIL, q->rcpt, &err);
			if (r != PH_LOOKUP_FOUND)
				return r;
		}
	}
	return PH_LOOKUP_FOUND;
}

/* Is one of the exchangers with the best preference (or: of the others) this machine?  One whose addresses cannot be looked up does not hide the rest. */
static enum ph_lookup any_is_me(struct question *q, const struct ph_dns_answer *mx, bool primary, struct ph_verdict *ret)
{
	unsigned best = best_preference(mx);
	enum ph_lookup all = PH_LOOKUP_NOTFOUND, r;

	for (size_t i = 0; i < mx->n && all != PH_LOOKUP_FOUND; i++)
		if (mx->rr[i].type == PH_DNS_MX && *mx->rr[i].name && (mx->rr[i].pref == best) == primary) {
			r = is_me(q, mx->rr[i].name, ret);
			all = r == PH_LOOKUP_NOTFOUND ? all : r;
		}
	return all;
}

/* A primary exchanger is no backup, even when we are one, too: such a domain has to be in the lists of ours.  Servers give records in any order. */
static enum ph_lookup names_me(struct question *q, const struct ph_dns_answer *mx, struct ph_verdict *ret)
{
	enum ph_lookup primary = any_is_me(q, mx, true, ret), backup;

	if (primary == PH_LOOKUP_FOUND)
		return PH_LOOKUP_NOTFOUND;
	/* A primary that nobody can look up now is what there are backups for. */
	backup = any_is_me(q, mx, false, ret);
	return backup == PH_LOOKUP_NOTFOUND ? primary : backup;
}

static enum ph_lookup backup_for(struct question *q, const char *domain, struct ph_verdict *ret)
{
	struct ph_dns_answer *mx;
	enum ph_lookup r;

	switch ((enum ph_dns_status)ph_session_dns_query(q->s, domain, PH_DNS_MX, ph_now_ms() + LOOKUP_MS, &mx)) {
	case PH_DNS_OK:
		break;
	case PH_DNS_TEMPFAIL:
		return no_answer(q, "Unable to look up mail exchanger information", "", mx->text, ret);
	case PH_DNS_NXDOMAIN:
	case PH_DNS_NODATA:
	case PH_DNS_BADNAME:
		return PH_LOOKUP_NOTFOUND;      /* to have our address is not to name us as exchanger */
	}
	r = names_me(q, mx, ret);
	return r == PH_LOOKUP_FOUND && q->use->networks ? primary_ok(q, mx, ret) : r;
}

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	struct question q = { use, settings, s, ph_session_recipient(s) };
	struct ph_err err = { 0, "" };
	struct ph_verdict v = ph_verdict_dunno();
	const char *domain;

	if (!q.rcpt)
		return v;
	switch (ph_session_is_authorized_destination(s, q.rcpt, &err)) {
	case PH_LOOKUP_FOUND:
		return ph_verdict_permit();
	case PH_LOOKUP_NOTFOUND:
		break;
	default:
		return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, q.rcpt, &err);
	}
	/* Whoever writes the route into the local part wants mail to go somewhere else than the domain says. */
	domain = domain_of(q.rcpt);
	if (!host_name_valid(domain) || strcspn(q.rcpt, "%!@") != (size_t)(domain - 1 - q.rcpt))
		return v;
	switch (backup_for(&q, domain, &v)) {
	case PH_LOOKUP_FOUND:
		return ph_verdict_permit();
	case PH_LOOKUP_NOTFOUND:
		return ph_verdict_dunno();
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	return v;
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .prepare = prepare, .check = check, .release = free };

PH_MODULE(PH_KIND_RESTRICTION, "permit_mx_backup", "1.0", "accept recipients whose domain has this system as a mail exchanger",
	  PH_MODULE_PARAMS(params, struct settings), .ops.restriction = &ops);
