/* mailhost.h: can mail go to this domain, as far as DNS says?  RFC 5321 5.1, RFC 7505.  Yields. */
#ifndef MODULES_RESTRICTION_COMMON_MAILHOST_H
#define MODULES_RESTRICTION_COMMON_MAILHOST_H

#include <posthouse/dns.h>
#include <posthouse/restriction.h>
#include <string.h>
#include <strings.h>

enum mailhost { MAILHOST_OK, MAILHOST_NONE, MAILHOST_NULLMX, MAILHOST_TEMPFAIL };

#define MAILHOST_MS 60000

static inline enum mailhost mailhost_ask(struct ph_arena *a, const char *domain, bool null_mx_matters)
{
	struct ph_dns_question q[] = { { domain, PH_DNS_MX, NULL }, { domain, PH_DNS_A, NULL }, { domain, PH_DNS_AAAA, NULL } };
	const struct ph_dns_answer *mx;
	bool temporary = false;

	ph_dns_query_all(a, q, PH_ARRAY_LEN(q), ph_now_ms() + MAILHOST_MS);
	mx = q[0].answer;
	if (null_mx_matters && mx->status == PH_DNS_OK && mx->n == 1 && mx->rr[0].type == PH_DNS_MX && !*mx->rr[0].name)
		return MAILHOST_NULLMX;
	for (size_t i = 0; mx->status == PH_DNS_OK && i < mx->n; i++)
		if (mx->rr[i].type == PH_DNS_MX && *mx->rr[i].name && strspn(mx->rr[i].name, "0123456789.") == strlen(mx->rr[i].name))
			ph_log(PH_LOG_WARNING, "numeric domain name in resource data of MX record for %s: %s", domain, mx->rr[i].name);
	for (size_t i = 0; i < PH_ARRAY_LEN(q); i++) {
		if (q[i].answer->status == PH_DNS_OK && q[i].answer->n > 0)
			return MAILHOST_OK;
		temporary = temporary || q[i].answer->status == PH_DNS_TEMPFAIL;
	}
	return temporary ? MAILHOST_TEMPFAIL : MAILHOST_NONE;
}

/* reject_tempfail_action and its kind: what to do when DNS does not answer. */
static inline enum ph_verdict_class mailhost_tempfail_class(const char *action)
{
	if (strcasecmp(action, "defer") == 0)
		return PH_DEFER;
	if (strcasecmp(action, "defer_if_reject") == 0)
		return PH_DEFER_IF_REJECT;
	if (strcasecmp(action, "dunno") == 0)
		return PH_DUNNO;
	return PH_DEFER_IF_PERMIT;
}

#endif
