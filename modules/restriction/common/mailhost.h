/* mailhost.h: can mail go to this domain, as far as DNS says?  RFC 5321 5.1, RFC 7505.  Yields. */
#ifndef MODULES_RESTRICTION_COMMON_MAILHOST_H
#define MODULES_RESTRICTION_COMMON_MAILHOST_H

#include <posthouse/dns.h>
#include <posthouse/restriction.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

enum mailhost { MAILHOST_OK, MAILHOST_NONE, MAILHOST_NULLMX, MAILHOST_TEMPFAIL };

#define MAILHOST_MS 60000

/* An exchanger whose name is an address: asked for all the same, and told. */
static inline void mailhost_gripe(const char *domain, const struct ph_dns_answer *a)
{
	for (size_t k = 0; k < a->n; k++)
		if (a->rr[k].type == PH_DNS_MX && *a->rr[k].name && strspn(a->rr[k].name, "0123456789.") == strlen(a->rr[k].name))
			ph_log(PH_LOG_WARNING, "numeric domain name in resource data of MX record for %s: %s", domain, a->rr[k].name);
}

/* mx_first: exchangers count before addresses, and a null MX is one (senders, recipients); else addresses first (HELO).  Yields. */
static inline enum mailhost mailhost_ask(struct ph_session *s, const char *domain, bool mx_first)
{
	static const int types[2][3] = { { PH_DNS_A, PH_DNS_AAAA, PH_DNS_MX }, { PH_DNS_MX, PH_DNS_A, PH_DNS_AAAA } };
	struct ph_dns_question q[3];
	bool temporary = false;

	for (size_t i = 0; i < PH_ARRAY_LEN(q); i++)
		q[i] = (struct ph_dns_question){ domain, types[mx_first][i], NULL };
	ph_dns_query_all(ph_session_arena(s), q, PH_ARRAY_LEN(q), ph_now_ms() + MAILHOST_MS);
	for (size_t i = 0; i < PH_ARRAY_LEN(q); i++) {
		struct ph_dns_answer *a = q[i].answer;
		int status = ph_session_dns_filter(s, a);

		if (mx_first && q[i].type == PH_DNS_MX && status == PH_DNS_OK && a->n == 1 && a->rr[0].type == PH_DNS_MX && !*a->rr[0].name)
			return MAILHOST_NULLMX;
		if (status == PH_DNS_OK)
			mailhost_gripe(domain, a);
		if (status == PH_DNS_OK && a->n > 0)
			return MAILHOST_OK;
		if (status == PH_DNS_TEMPFAIL && a->text && strcmp(a->text, PH_DNS_FILTER_DROPPED) == 0) {
			ph_log(PH_LOG_WARNING, "%s: %s lookup error: %s", domain, mx_first ? "MX or address" : "address or MX", a->text);
			return MAILHOST_OK;     /* there was something */
		}
		temporary = temporary || status == PH_DNS_TEMPFAIL;
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

/* Is it one of these words?  0, or -EINVAL with err.  For prepare. */
static inline int mailhost_tempfail_valid(const char *parameter, const char *action, struct ph_err *err)
{
	static const char *const words[] = { "defer", "defer_if_permit", "defer_if_reject", "dunno" };

	for (size_t i = 0; i < PH_ARRAY_LEN(words); i++)
		if (strcasecmp(action, words[i]) == 0)
			return 0;
	return ph_err_set(err, -EINVAL, "bad configuration: %s = %.100s", parameter, action);
}

#endif
