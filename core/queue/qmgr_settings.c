/* qmgr_settings.c: the queue manager's parameters, and those of its transports.
 * No state; does not yield.  Source: postconf(5), qmgr(8). */
#include <stdlib.h>
#include <string.h>

#include "module/loader.h"
#include "queue/qmgr_private.h"
#include <posthouse/delivery.h>

typedef struct ph_qmgr_settings S;

static const struct ph_param table[] = {
	PH_P_TIME(S, minimal_backoff_ms, "minimal_backoff_time", "300s", 's', 1, 0, "least time between two attempts; how long a dead destination is left alone"),
	PH_P_TIME(S, maximal_backoff_ms, "maximal_backoff_time", "4000s", 's', 1, 0, "longest time between two attempts"),
	PH_P_TIME(S, queue_run_ms, "queue_run_delay", "300s", 's', 1, 0, "how often deferred mail is looked through for what is due"),
	PH_P_TIME(S, lifetime_ms, "maximal_queue_lifetime", "5d", 'd', 0, 0, "mail is returned when it has waited that long"),
	PH_P_TIME(S, bounce_lifetime_ms, "bounce_queue_lifetime", "5d", 'd', 0, 0, "the same for mail from the null sender"),
	PH_P_TIME(S, delay_warning_ms, "delay_warning_time", "0h", 'h', 0, 0, "the sender is told when mail has waited that long (0: never)"),
	PH_P_TIME(S, transport_retry_ms, "transport_retry_time", "60s", 's', 1, 0, "how long a transport that is not to be had is left alone"),
	/* Postfix's default is 1s, a brake for a queue of one file a message; here intake and delivery do not share a directory. */
	PH_P_TIME(S, in_flow_delay_ms, "in_flow_delay", "0s", 's', 0, 10000, "pause before a new message is taken while mail comes in faster than it goes out"),
	PH_P_TIME(S, clog_warn_ms, "qmgr_clog_warn_time", "300s", 's', 0, 0, "least time between warnings that one destination clogs the active queue"),
	PH_P_INT(S, active_limit, "qmgr_message_active_limit", "20000", 1, 0, "messages that are delivered or scheduled at once"),
	PH_P_INT(S, recipient_limit, "qmgr_message_recipient_limit", "20000", 1, 0, "their recipients"),
	PH_P_INT(S, recipient_minimum, "qmgr_message_recipient_minimum", "10", 1, 0, "recipients that each of them may have scheduled in any case"),
	PH_P_BOOL(S, confirm_delay_cleared, "confirm_delay_cleared", "no", "tell the sender when mail arrives for which a delay warning was sent"),
	PH_P_BOOL(S, soft_bounce, "soft_bounce", "no", "defer instead of bouncing"),
	PH_P_BOOL(S, helpful_warnings, "helpful_warnings", "yes", "warn about problems in the configuration and give hints"),
	PH_P_BOOL(S, long_ids, "enable_long_queue_ids", "no", "queue ids that are not used again"),
	PH_P_BOOL(S, disable_verp_bounces, "disable_verp_bounces", "no", "one bounce for all recipients of a VERP message"),
	PH_P_BOOL(S, feedback_debug, "destination_concurrency_feedback_debug", "no", "log each change of a destination's concurrency"),
	PH_P_INT(S, delay_digits, "delay_logging_resolution_limit", "2", 0, 6, "digits behind the point in logged delays"),
	PH_P_STR(S, defer_transports, "defer_transports", "", "transports whose mail is deferred until it is flushed"),
	PH_P_STR(S, notify_classes, "notify_classes", "resource, software", "what the postmaster is told"),
	PH_P_STR1(S, double_bounce_sender, "double_bounce_sender", "double-bounce", "sender of what must not bounce"),
	PH_P_STR1(S, bounce_notice, "bounce_notice_recipient", "postmaster", "recipient of copies of bounces"),
	PH_P_STR1(S, two_bounce_notice, "2bounce_notice_recipient", "postmaster", "recipient of undeliverable bounces"),
	PH_P_STR1(S, delay_notice, "delay_notice_recipient", "postmaster", "recipient of copies of delay warnings"),
	PH_P_STR1(S, bounce_service, "bounce_service_name", "bounce", "master.cf line whose settings bounces use"),
	PH_P_STR1(S, defer_service, "defer_service_name", "defer", "the same for delay warnings"),
	PH_P_STR1(S, trace_service, "trace_service_name", "trace", "the same for delivery reports"),
	PH_P_STR1(S, rewrite_service, "rewrite_service_name", "rewrite", "master.cf line whose settings resolving uses"),
	PH_P_STR1(S, cleanup_service, "cleanup_service_name", "cleanup", "master.cf line whose settings clean-up uses"),
	PH_P_STR1(S, pickup_service, "pickup_service_name", "pickup", "master.cf line whose settings local submission uses"),
	PH_P_STR(S, filter_nexthop, "default_filter_nexthop", "", "next hop of a content_filter that names none (empty: the recipient's domain)"),
	PH_P_STR(S, myhostname, "myhostname", "", "this host"),
	PH_P_STR(S, fast_flush_domains, "fast_flush_domains", "$relay_domains", "sites whose mail may be asked for"),
	PH_P_STR1(S, mail_owner, "mail_owner", "postfix", "owner of the queue"),
};
PH_SETTINGS_TABLE("qmgr", table)

const struct ph_conf *ph_qmgr_service_conf(struct ph_qmgr *q, const char *service)
{
	const struct ph_service *s = ph_config_service(q->cfg->config, service, PH_SVC_UNIX);

	return s ? s->conf : q->conf;
}

const struct ph_service *ph_qmgr_transport_service(struct ph_qmgr *q, const char *transport)
{
	return ph_config_service(q->cfg->config, transport, PH_SVC_UNIX);
}

int ph_qmgr_settings_load(struct ph_qmgr *q, struct ph_err *err)
{
	const struct ph_service *s = ph_config_service(q->cfg->config, "qmgr", PH_SVC_UNIX);
	int r;

	q->conf = s ? s->conf : ph_config_main(q->cfg->config);
	r = ph_conf_settings(q->conf, table, PH_ARRAY_LEN(table), &q->set, err);
	if (r < 0)
		return r;
	if (q->set.maximal_backoff_ms < q->set.minimal_backoff_ms) {
		ph_log(PH_LOG_WARNING, "maximal_backoff_time is less than minimal_backoff_time; using minimal_backoff_time for both");
		q->set.maximal_backoff_ms = q->set.minimal_backoff_ms;
	}
	if (q->set.bounce_lifetime_ms > q->set.lifetime_ms) {
		ph_log(PH_LOG_WARNING, "bounce_queue_lifetime is larger than maximal_queue_lifetime - adjusting bounce_queue_lifetime");
		q->set.bounce_lifetime_ms = q->set.lifetime_ms;
	}
	q->route_conf = ph_qmgr_service_conf(q, q->set.rewrite_service);
	return 0;
}

/* ---- transports ---- */

/* What a transport without parameters of its own gets.  Declared for the check and postconf; read by name, since "smtp_destination_rate_delay"
 * goes before "default_destination_rate_delay". */
struct transport_defaults {
	int concurrency, initial, failed_cohorts, recipients, slot_cost, slot_loan, slot_discount, minimum_slots, in_memory, extra, refill;
	const char *positive, *negative;
	int64_t rate_delay_ms, transport_delay_ms, refill_delay_ms;
};
#define D struct transport_defaults
static const struct ph_param transport_table[] = {
	PH_P_INT(D, concurrency, "default_destination_concurrency_limit", "20", 0, 0, "deliveries to one destination at once; 0: no limit"),
	PH_P_INT(D, initial, "initial_destination_concurrency", "5", 1, 0, "deliveries to a destination at once to begin with"),
	PH_P_STR1(D, positive, "default_destination_concurrency_positive_feedback", "1", "how fast the concurrency grows with successes"),
	PH_P_STR1(D, negative, "default_destination_concurrency_negative_feedback", "1", "how fast it shrinks with failures"),
	PH_P_INT(D, failed_cohorts, "default_destination_concurrency_failed_cohort_limit", "1", 0, 0, "failures in a row, in units of the concurrency, that make a destination dead"),
	PH_P_INT(D, recipients, "default_destination_recipient_limit", "50", 0, 0, "recipients of one delivery; 0: no limit"),
	PH_P_TIME(D, rate_delay_ms, "default_destination_rate_delay", "0s", 's', 0, 0, "pause between deliveries to one destination"),
	PH_P_TIME(D, transport_delay_ms, "default_transport_rate_delay", "0s", 's', 0, 0, "pause between deliveries of one transport"),
	PH_P_INT(D, slot_cost, "default_delivery_slot_cost", "5", 0, 0, "deliveries that earn a message one slot for overtaking"),
	PH_P_INT(D, slot_loan, "default_delivery_slot_loan", "3", 0, 0, "slots that are lent before they are earned"),
	PH_P_INT(D, slot_discount, "default_delivery_slot_discount", "50", 0, 100, "share of the slots that is lent, in percent"),
	PH_P_INT(D, minimum_slots, "default_minimum_delivery_slots", "3", 0, 0, "slots that a message must be able to earn to be overtaken"),
	PH_P_INT(D, in_memory, "default_recipient_limit", "20000", 1, 0, "recipients of a transport that are scheduled at once"),
	PH_P_INT(D, extra, "default_extra_recipient_limit", "1000", 0, 0, "further ones for messages that overtake"),
	PH_P_INT(D, refill, "default_recipient_refill_limit", "100", 1, 0, "recipients that are taken up together"),
	PH_P_TIME(D, refill_delay_ms, "default_recipient_refill_delay", "5s", 's', 0, 0, "longest time until more recipients are taken up"),
};
#undef D
PH_SETTINGS_TABLE("qmgr", transport_table)

struct transport_conf { const struct ph_conf *conf; const char *name; };

static int number(const struct transport_conf *t, const char *suffix, const char *fallback, int64_t min, int64_t def)
{
	const char *text = ph_conf_service_param(t->conf, t->name, suffix, fallback);
	int64_t v = def;

	if (text && ph_str_int64(text, min, INT32_MAX, &v) < 0) {
		ph_log(PH_LOG_WARNING, "%s_%s: bad value \"%s\"; using %lld", t->name, suffix, text, (long long)def);
		v = def;
	}
	return (int)v;
}

static int64_t duration(const struct transport_conf *t, const char *suffix, const char *fallback)
{
	const char *text = ph_conf_service_param(t->conf, t->name, suffix, fallback);
	int64_t v = 0;

	if (text && ph_parse_time(text, 's', &v) < 0) {
		ph_log(PH_LOG_WARNING, "%s_%s: bad time \"%s\"; using 0", t->name, suffix, text);
		v = 0;
	}
	return v;
}

static struct ph_sched_feedback feedback(const struct transport_conf *t, const char *suffix, const char *fallback)
{
	const char *text = ph_conf_service_param(t->conf, t->name, suffix, fallback);
	struct ph_sched_feedback f = { PH_FEEDBACK_CONST, 1 };

	if (text && ph_sched_feedback_parse(text, &f) < 0)
		ph_log(PH_LOG_WARNING, "%s_%s: bad feedback \"%s\"; using 1", t->name, suffix, text);
	return f;
}

/* Does the module behind the service deliver to one recipient at a time? */
static bool takes_one(const char *command)
{
	struct ph_err err;
	const struct ph_module *m = ph_module_load(PH_KIND_DELIVERY, command, &err);

	return m && m->ops.delivery->single_recipient;
}

void ph_qmgr_transport_params(void *arg, const char *transport, struct ph_sched_params *p)
{
	struct ph_qmgr *q = arg;
	const struct ph_service *s = ph_qmgr_transport_service(q, transport);
	struct transport_conf t = { q->conf, transport };

	memset(p, 0, sizeof(*p));
	p->process_limit = s ? s->maxproc : 0;
	p->dest_concurrency_limit = number(&t, "destination_concurrency_limit", "default_destination_concurrency_limit", 0, 20);
	p->initial_concurrency = number(&t, "initial_destination_concurrency", "initial_destination_concurrency", 1, 5);
	p->positive = feedback(&t, "destination_concurrency_positive_feedback", "default_destination_concurrency_positive_feedback");
	p->negative = feedback(&t, "destination_concurrency_negative_feedback", "default_destination_concurrency_negative_feedback");
	p->failed_cohort_limit = number(&t, "destination_concurrency_failed_cohort_limit",
					"default_destination_concurrency_failed_cohort_limit", 0, 1);
	p->dest_recipient_limit = number(&t, "destination_recipient_limit", "default_destination_recipient_limit", 0, 50);
	if (s && takes_one(s->command))
		p->dest_recipient_limit = 1;
	p->dest_rate_delay_ms = duration(&t, "destination_rate_delay", "default_destination_rate_delay");
	p->transport_rate_delay_ms = duration(&t, "transport_rate_delay", "default_transport_rate_delay");
	p->slot_cost = number(&t, "delivery_slot_cost", "default_delivery_slot_cost", 0, 5);
	p->slot_loan = number(&t, "delivery_slot_loan", "default_delivery_slot_loan", 0, 3);
	p->slot_discount = number(&t, "delivery_slot_discount", "default_delivery_slot_discount", 0, 50);
	p->minimum_slots = number(&t, "minimum_delivery_slots", "default_minimum_delivery_slots", 0, 3);
	p->recipient_limit = number(&t, "recipient_limit", "default_recipient_limit", 1, 20000);
	p->extra_recipient_limit = number(&t, "extra_recipient_limit", "default_extra_recipient_limit", 0, 1000);
	p->refill_limit = number(&t, "recipient_refill_limit", "default_recipient_refill_limit", 1, 100);
	p->refill_delay_ms = duration(&t, "recipient_refill_delay", "default_recipient_refill_delay");
	p->dead_ms = q->set.minimal_backoff_ms;
	p->retry_ms = q->set.transport_retry_ms;
	if (p->slot_discount > 100)
		p->slot_discount = 100;
}
