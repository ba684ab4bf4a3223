/* qmgr.h: the process that owns the queue's state: index, scheduling, retries, bounces, and the answers to postqueue and postsuper. */
#ifndef CORE_QUEUE_QMGR_H
#define CORE_QUEUE_QMGR_H

#include "config/config.h"

struct ph_qmgr_config {
	const struct ph_config *config;
	const char *queue_dir;
	unsigned slot;
	int listen_private, listen_public;      /* bound sockets: private/qmgr, public/qmgr */
	int control;                            /* from the master: AGENTS, AGENT_GONE frames; -1: none */
};
int ph_qmgr_run(const struct ph_qmgr_config *cfg);
#endif
