/* agent.h: the process that hosts delivery modules.
 *
 * One process serves all transports of its kind: "mail" agents run as mail_owner (smtp, lmtp, error, discard, ...), "root" agents hold services whose
 * unpriv column is 'n' and hand each delivery to a child that runs as the recipient's user. */
#ifndef CORE_AGENT_AGENT_H
#define CORE_AGENT_AGENT_H

#include "config/config.h"

struct ph_agent_config {
	const struct ph_config *config;
	const char *queue_dir;
	unsigned slot;
	bool root;              /* serves the services with unpriv 'n' */
};
/* Runs the loop until told to stop (SIGTERM: finish deliveries under way, then end).  Called in the worker process after fork. */
int ph_agent_run(const struct ph_agent_config *cfg);
#endif
