/* error.c: the services error and retry: bounce or defer with the text that stands as the nexthop, "5.1.1 text" or plain text.
 * Source: error(8). */
#include <posthouse/delivery.h>

#include <stdio.h>
#include <string.h>

struct error_service { bool defers; };

static int error_start(const struct ph_conf *conf, const void *settings, void **ret, struct ph_err *err)
{
	struct error_service *svc = ph_alloc(sizeof *svc);

	/* The one program serves both: the service's name says which it is. */
	svc->defers = strcmp(ph_conf_service(conf), "retry") == 0;
	*ret = svc;
	return 0;
}

/* The status in front of the text if its class is ours, else none; the text behind it. */
static const char *split_status(const char *text, bool defers, char dsn[12])
{
	unsigned a, b, c;
	int used = 0;

	snprintf(dsn, 12, "%d.0.0", defers ? 4 : 5);
	if (sscanf(text, "%1u.%3u.%3u%n", &a, &b, &c, &used) == 3 && (a == 2 || a == 4 || a == 5) && (text[used] == ' ' || !text[used])) {
		if (a == (defers ? 4u : 5u))
			snprintf(dsn, 12, "%u.%u.%u", a, b, c);
		else
			ph_log(PH_LOG_WARNING, "%s_append: ignoring dsn code \"%u.%u.%u\"", defers ? "defer" : "bounce", a, b, c);
		text += used + strspn(text + used, " ");
	}
	return text;
}

static void error_deliver(void *service, struct ph_delivery *d)
{
	const struct error_service *svc = service;
	char dsn[12];
	const char *text = split_status(ph_delivery_nexthop(d), svc->defers, dsn);

	ph_delivery_result_all(d, svc->defers ? PH_DEFERRED : PH_BOUNCED, dsn, "none", "%s", text);
}

static const struct ph_delivery_ops ops = { .size = sizeof ops, .start = error_start, .deliver = error_deliver };

PH_MODULE(PH_KIND_DELIVERY, "error", "1.0", "bounce mail (service error) or defer it (service retry) with a text", .ops.delivery = &ops);
