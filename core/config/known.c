/* known.c: the names that Postfix knows (known.def), and the per-transport templates.  No state; no yield. */
#include <stdlib.h>
#include <string.h>

#include "config/private.h"
#include "config/known.h"

#define KNOWN(name, def, flags) { name, def, flags },
static const struct ph_known known[] = {
#include "config/known.def"
};
#undef KNOWN

/* "<transport>_" + these; the transport is the name of a master.cf service. */
static const char *const templates[] = {
	"delivery_slot_cost", "$default_delivery_slot_cost",
	"delivery_slot_discount", "$default_delivery_slot_discount",
	"delivery_slot_loan", "$default_delivery_slot_loan",
	"destination_concurrency_failed_cohort_limit", "$default_destination_concurrency_failed_cohort_limit",
	"destination_concurrency_limit", "$default_destination_concurrency_limit",
	"destination_concurrency_negative_feedback", "$default_destination_concurrency_negative_feedback",
	"destination_concurrency_positive_feedback", "$default_destination_concurrency_positive_feedback",
	"destination_rate_delay", "$default_destination_rate_delay",
	"destination_recipient_limit", "$default_destination_recipient_limit",
	"extra_recipient_limit", "$default_extra_recipient_limit",
	"initial_destination_concurrency", "$initial_destination_concurrency",
	"minimum_delivery_slots", "$default_minimum_delivery_slots",
	"recipient_limit", "$default_recipient_limit",
	"recipient_refill_delay", "$default_recipient_refill_delay",
	"recipient_refill_limit", "$default_recipient_refill_limit",
	"transport_rate_delay", "$default_transport_rate_delay",
	"time_limit", "$command_time_limit",
	NULL,
};

static int by_name(const void *key, const void *elem)
{
	return strcmp(key, ((const struct ph_known *)elem)->name);
}

const struct ph_known *ph_known_find(const char *name)
{
	return bsearch(name, known, PH_ARRAY_LEN(known), sizeof(known[0]), by_name);
}

const struct ph_known *ph_known_all(size_t *n)
{
	*n = PH_ARRAY_LEN(known);
	return known;
}

const char *const *ph_template_suffixes(void)
{
	return templates;
}

/* The longest suffix counts: "x_destination_recipient_limit" is not the recipient_limit of "x_destination". */
const char *ph_template_default(const char *name, size_t *ret_service_bytes)
{
	size_t len = strlen(name), best = 0, n;
	const char *def = NULL;
	int i;

	for (i = 0; templates[i]; i += 2) {
		n = strlen(templates[i]);
		if (n <= best || len < n + 2 || name[len - n - 1] != '_' || strcmp(name + len - n, templates[i]) != 0)
			continue;
		best = n;
		def = templates[i + 1];
	}
	if (def)
		*ret_service_bytes = len - best - 1;
	return def;
}
