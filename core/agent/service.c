/* service.c: master.cf services and the modules that serve them.
 *
 * State: the table of services in use.  A service that cannot start is kept with its reason; its mail is deferred.  The command's name is the module's name,
 * so "lmtp" and "smtp" may be one module under two names. */
#include <stdlib.h>
#include <string.h>

#include "agent/agent_private.h"
#include "module/loader.h"

static const struct ph_param agent_params[] = {
	PH_P_BOOL(struct ph_agent_settings, soft_bounce, "soft_bounce", "no", "Keep mail that would be bounced in the queue, for testing"),
	PH_P_INT(struct ph_agent_settings, delay_digits, "delay_logging_resolution_limit", "2", 0, 6, "Digits behind the point in delays that are logged"),
	PH_P_STR(struct ph_agent_settings, status_filter, "default_delivery_status_filter", "", "Table that changes the status code or text of deliveries"),
	/* Read by name, for the service's command. */
	PH_P_STR(struct ph_agent_settings, local_filter, "local_delivery_status_filter", "$default_delivery_status_filter", "The same for local"),
	PH_P_STR(struct ph_agent_settings, pipe_filter, "pipe_delivery_status_filter", "$default_delivery_status_filter", "The same for pipe"),
	PH_P_STR(struct ph_agent_settings, virtual_filter, "virtual_delivery_status_filter", "$default_delivery_status_filter", "The same for virtual"),
	PH_P_STR1(struct ph_agent_settings, syslog_name, "syslog_name", "${multi_instance_name?{$multi_instance_name}:{postfix}}", "Put in front of the process name in logs"),
	PH_P_STR(struct ph_agent_settings, trust_anchor, "dnssec_trust_anchor_file", "/usr/share/dns/root.key", "DNSSEC trust anchors (DS or DNSKEY records, or unbound's form) for DANE; of the main configuration"),
};
PH_SETTINGS_TABLE("agent", agent_params)

/* <command>_delivery_status_filter where such a parameter is known, else the default one. */
static struct ph_maps *filter_open(struct ph_agent_service *s)
{
	char name[128];
	const char *text;

	snprintf(name, sizeof(name), "%s_delivery_status_filter", s->svc->command);
	text = ph_conf_get(s->conf, name);
	if (text == NULL) {
		text = s->set.status_filter;
		snprintf(name, sizeof(name), "default_delivery_status_filter");
	}
	return *text ? ph_maps_open(s->conf, name, text) : NULL;
}

static int service_start(struct ph_agent_service *s)
{
	const struct ph_module *m;
	const void *settings = NULL;

	if (ph_conf_settings(s->conf, agent_params, PH_ARRAY_LEN(agent_params), &s->set, &s->err) < 0)
		return -1;
	m = ph_module_load(PH_KIND_DELIVERY, s->svc->command, &s->err);
	if (m == NULL)
		return -1;
	if (m->n_params) {
		settings = ph_module_settings(m, s->conf, &s->err);
		if (settings == NULL)
			return -1;
	}
	s->filter = filter_open(s);
	if (m->ops.delivery->start && m->ops.delivery->start(s->conf, settings, &s->state, &s->err) < 0)
		return -1;
	s->ops = m->ops.delivery;
	return 0;
}

struct ph_agent_service *ph_agent_service_get(const char *name)
{
	struct ph_agent *a = &ph_agent_self;
	struct ph_agent_service *s = ph_htab_get(&a->services, name);

	if (s)
		return s;
	s = ph_alloc(sizeof(*s));
	s->svc = ph_config_service(a->cfg->config, name, PH_SVC_UNIX);
	s->conf = s->svc ? s->svc->conf : ph_config_main(a->cfg->config);
	s->set.syslog_name = "postfix";
	s->set.delay_digits = 2;
	if (s->svc == NULL)
		ph_err_set(&s->err, -2, "mail transport unavailable");
	else if (service_start(s) < 0)
		ph_log(PH_LOG_ERROR, "service %s (%s) cannot start: %s", name, s->svc->command, s->err.text);
	ph_htab_put(&a->services, s->svc ? s->svc->name : ph_strdup(name), s);
	return s;
}

void ph_agent_services_stop(void)
{
	struct ph_agent_service *s;
	size_t cursor = 0;

	while ((s = ph_htab_next(&ph_agent_self.services, &cursor, NULL))) {
		if (s->ops && s->ops->stop)
			s->ops->stop(s->state);
		s->ops = NULL;
	}
}
