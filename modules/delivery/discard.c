/* discard.c: take mail and forget it; the nexthop is the text in the log.  Source: discard(8). */
#include <posthouse/delivery.h>

static int discard_start(const struct ph_conf *conf, const void *settings, void **ret, struct ph_err *err)
{
	*ret = NULL;
	return 0;
}

static void discard_deliver(void *service, struct ph_delivery *d)
{
	ph_delivery_result_all(d, PH_SENT, "2.0.0", "none", "%s", ph_delivery_nexthop(d));
}

static const struct ph_delivery_ops ops = { .size = sizeof ops, .start = discard_start, .deliver = discard_deliver };

PH_MODULE(PH_KIND_DELIVERY, "discard", "1.0", "discard mail", .ops.delivery = &ops);
