/* probe.c: dnssec_probe: who asked for validated answers and got none is told once that there may be no validation at all.
 *
 * State: of the process, whether a validated answer was ever seen, and whether the probe was made.  Yields.  Source: postconf(5). */
#include "smtp.h"

#include <errno.h>
#include <string.h>

static bool seen, probed;

static int type_of(const char *text, size_t n)
{
	static const struct { const char *name; int type; } types[] = {
		{ "a", PH_DNS_A }, { "ns", PH_DNS_NS }, { "cname", PH_DNS_CNAME }, { "ptr", PH_DNS_PTR }, { "mx", PH_DNS_MX }, { "txt", PH_DNS_TXT },
		{ "aaaa", PH_DNS_AAAA }, { "srv", PH_DNS_SRV }, { "tlsa", PH_DNS_TLSA }, { "soa", 6 }, { "ds", 43 }, { "dnskey", 48 },
	};

	for (size_t i = 0; i < PH_ARRAY_LEN(types); i++)
		if (strlen(types[i].name) == n && strncasecmp(types[i].name, text, n) == 0)
			return types[i].type;
	return 0;
}

int smtp_dnssec_probe_check(const char *text, struct ph_err *err)
{
	const char *colon = strchr(text, ':');

	if (*text && (!colon || !type_of(text, (size_t)(colon - text)) || !colon[1]))
		return ph_err_set(err, -EINVAL, "dnssec_probe: \"%.100s\" is not type:name with a type of DNS records", text);
	return 0;
}

void smtp_dnssec_note(struct smtp_state *st, const struct ph_dns_answer *answer)
{
	const char *probe = st->service->set->dnssec_probe, *colon = strchr(probe, ':');
	struct ph_dns_answer *ans;
	enum ph_dns_status status;

	seen |= answer->secure;
	if (seen || probed || !colon)
		return;
	probed = true;
	status = ph_dns_query_secure(st->arena, colon + 1, type_of(probe, (size_t)(colon - probe)), ph_now_ms() + PH_SECONDS(60), &ans);
	seen |= ans->secure;
	if (seen)
		return;
	ph_log(PH_LOG_WARNING, "DNSSEC validation may be unavailable");
	if (status == PH_DNS_TEMPFAIL)
		ph_log(PH_LOG_WARNING, "reason: dnssec_probe '%s' received no response: Server failure", probe);
	else
		ph_log(PH_LOG_WARNING, "reason: dnssec_probe '%s' received a response that is not DNSSEC validated", probe);
}
