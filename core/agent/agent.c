/* agent.c: the life of a process that hosts delivery modules.
 *
 * State: ph_agent_self, the one agent of this process.  Runs the loop; everything else happens in coroutines: one that talks to the queue manager (link.c),
 * one for each delivery (delivery.c), one for each child (child.c). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/co_private.h"
#include "base/loop.h"
#include "net/dns_private.h"

struct ph_agent ph_agent_self;

/* The last delivery has ended, or there was none: leave the loop. */
static void stop_when_idle(void *unused)
{
	struct ph_agent *a = &ph_agent_self;

	while (a->n_deliveries > 0)
		(void)ph_waitq_wait(&a->idle, ph_now_ms() + PH_SECONDS(60));
	ph_agent_children_stop();
	ph_agent_services_stop();
	if (a->link)
		(void)ph_ipc_drain(a->link, ph_now_ms() + PH_SECONDS(5));
	ph_co_cancel(a->link_co);
	while (a->link_co)
		(void)ph_co_sleep(1);
	ph_loop_stop();
}

static void on_term(int signo, void *unused)
{
	struct ph_buf empty = PH_BUF_INIT(1);

	if (ph_agent_self.stopping)
		return;
	ph_agent_self.stopping = true;
	ph_agent_send(PH_F_AGENT_LEAVE, &empty);
	ph_co_spawn("agent stop", stop_when_idle, NULL);
}

static void on_child(int signo, void *unused)
{
	/* Children are reaped where their connection ends; the signal only has to interrupt the wait. */
}

/* DANE needs answers that we have validated ourselves.  Without the file there is nothing to validate with, and who asks for security will say so. */
static void read_trust_anchor(const struct ph_config *config)
{
	const char *file = ph_conf_get(ph_config_main(config), "dnssec_trust_anchor_file");

	if (file && *file && access(file, R_OK) == 0)
		ph_dns_set_trust_anchor(ph_strdup(file));
}

static int agent_open(struct ph_agent *a, const struct ph_agent_config *cfg)
{
	struct ph_err err;

	memset(a, 0, sizeof(*a));
	a->cfg = cfg;
	ph_list_init(&a->deliveries);
	read_trust_anchor(cfg->config);
	a->queue_dirfd = open(cfg->queue_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->queue_dirfd < 0) {
		ph_log(PH_LOG_FATAL, "open queue directory %s: %s", cfg->queue_dir, strerror(errno));
		return -1;
	}
	if (ph_journal_open(a->queue_dirfd, cfg->slot, &a->journal, &err) < 0) {
		ph_log(PH_LOG_FATAL, "cannot create a journal file: %s", err.text);
		return -1;
	}
	return 0;
}

int ph_agent_run(const struct ph_agent_config *cfg)
{
	struct ph_agent *a = &ph_agent_self;
	int r = ph_loop_init();

	if (r < 0 || agent_open(a, cfg) < 0)
		return 1;
	r = ph_signal_on(SIGTERM, on_term, NULL);
	if (r == 0 && cfg->root)
		r = ph_signal_on(SIGCHLD, on_child, NULL);
	if (r < 0)
		return 1;
	a->link_co = ph_co_spawn("queue manager", ph_agent_link_run, NULL);
	ph_loop_run();
	ph_journal_close(&a->journal);
	return 0;
}
