/* qmgr_line.c: further qmgr lines of master.cf.  "cleanup -o queue_service_name=x" hands its mail to the qmgr line x, whose
 * rewrite_service_name says how its recipients are resolved, and whose syslog_name stands in the log.  There is one scheduler all the same.
 * State: q->lines, filled when a message first asks for one; lives as long as the process.  Does not yield. */
#include <stdlib.h>
#include <string.h>

#include "queue/qmgr_private.h"

static const struct ph_service *line_service(const struct ph_config *config, const char *name)
{
	const struct ph_service *s = ph_config_service(config, name, PH_SVC_UNIX);

	return s && strcmp(s->command, "qmgr") == 0 ? s : NULL;
}

static struct ph_qmgr_line *line_new(struct ph_qmgr *q, const struct ph_service *s)
{
	struct ph_qmgr_line *l = ph_alloc(sizeof(*l));
	const char *rewrite = ph_conf_get(s->conf, "rewrite_service_name");

	l->name = s->name;
	l->syslog_name = ph_conf_get(s->conf, "syslog_name");
	l->route_conf = ph_qmgr_service_conf(q, rewrite && *rewrite ? rewrite : "rewrite");
	l->route = ph_route_of(l->route_conf);
	l->next = q->lines;
	q->lines = l;
	return l;
}

const struct ph_qmgr_line *ph_qmgr_line(struct ph_qmgr *q, const struct ph_envelope *env)
{
	const char *name = ph_envelope_attr(env, "queue_service");
	const struct ph_service *s;
	struct ph_qmgr_line *l;

	if (name == NULL)
		return NULL;
	for (l = q->lines; l; l = l->next)
		if (strcmp(l->name, name) == 0)
			return l;
	s = line_service(q->cfg->config, name);
	if (s == NULL)                  /* a wrong name, or gone from master.cf meanwhile */
		ph_log(PH_LOG_WARNING, "queue_service_name: master.cf has no qmgr line \"%s\"; its mail goes the ordinary way", name);
	return s ? line_new(q, s) : NULL;
}
