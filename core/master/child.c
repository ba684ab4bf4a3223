/* child.c: fork workers, give them their slot and their sockets, take away their rights, notice their death.
 *
 * A worker is forked, not executed: it has the checked configuration in memory.  Does not yield. */
#include "master/internal.h"
#include "master/sandbox.h"
#include "agent/agent.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/log_rotate.h"
#include "base/pack.h"
#include "base/queue_id.h"
#include "base/watchdog.h"
#include "config/general.h"
#include "module/loader.h"
#include "net/dns_private.h"
#include "net/stream.h"
#include "queue/proto.h"
#include "queue/qmgr.h"
#include "smtpd/limits.h"
#include "smtpd/smtpd.h"
#include "spawn/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUICK_MS 1000           /* a worker that lived shorter died "at once" */
#define QUICK_FREE 5            /* so many quick deaths in a row cost no pause */
#define WATCHDOG_MS 100         /* a coroutine that holds its worker's loop longer is named in the log */

static const struct { const char *name, *prog; } roles[] = {
	[PH_ROLE_SMTPD] = { "smtpd", "smtpd" },
	[PH_ROLE_PICKUP] = { "pickup", "pickup" },
	[PH_ROLE_QMGR] = { "qmgr", "qmgr" },
	[PH_ROLE_AGENT] = { "agent", "smtp" },
	[PH_ROLE_ROOT_AGENT] = { "root agent", "local" },
	[PH_ROLE_SPAWN] = { "spawn", "spawn" },
};

const char *ph_role_name(enum ph_role role)
{
	return roles[role].name;
}

bool ph_role_single(enum ph_role role)
{
	return role == PH_ROLE_QMGR || role == PH_ROLE_PICKUP;
}

static int slot_take(struct ph_master *m)
{
	for (unsigned i = 0; i < 256; i++) {
		unsigned slot = (m->guard->next_slot + i) % 256;

		if (!m->slot_used[slot]) {
			m->slot_used[slot] = true;
			m->guard->next_slot = (slot + 1) % 256;
			return (int)slot;
		}
	}
	return -1;
}

static void drop_rights(const struct ph_master *m)
{
	if (!m->is_root)
		return;
	if (setgroups(1, &m->owner_gid) < 0 || setresgid(m->owner_gid, m->owner_gid, m->owner_gid) < 0 ||
	    setresuid(m->owner_uid, m->owner_uid, m->owner_uid) < 0) {
		ph_log(PH_LOG_FATAL, "cannot give up root: %m");
		_exit(1);
	}
}

/* Counters that all SMTP workers share: mapped once, inherited by each. */
static struct ph_limits *limits;

static bool runs_commands(enum ph_role role)
{
	return role == PH_ROLE_ROOT_AGENT || role == PH_ROLE_SPAWN;
}

static void worker_setup(struct ph_master *m, enum ph_role role, unsigned slot, pid_t master, int log_control)
{
	const struct ph_general_settings *g = ph_conf_general(ph_config_main(m->current->config));
	struct ph_log_config log = {
		.syslog_name = g->syslog_name, .prog = roles[role].prog, .facility = g->syslog_facility_code,
		.maillog_file = *g->maillog_file ? g->maillog_file : NULL, .maillog_mode = g->maillog_mode, .also_stderr = false,
	};
	static const int ignored[] = { SIGPIPE, SIGXFSZ, SIGALRM, SIGHUP };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	/* Neither a stray signal nor a file-size limit (write says EFBIG then) ends the sessions of this process. */
	for (size_t i = 0; i < PH_ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	ph_log_follow(log_control);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close(m->signal_fd);
	close(m->pid_fd);
	if (m->ready_fd >= 0)
		close(m->ready_fd);
	if (m->qmgr_control >= 0)
		close(m->qmgr_control);
	ph_list_for_each(c, &m->children, struct ph_child, link)
		close(c->log_control);
	ph_log_open(&log);
	ph_log_set_immediate(false);
	ph_crash_report();
	if (!runs_commands(role))
		ph_rootfiles_open(m);
	if (role == PH_ROLE_SMTPD)
		ph_smtpd_prepare(m->current->config);
	if (!runs_commands(role))
		drop_rights(m);
	ph_tcp_set_window(ph_conf_general(ph_config_main(m->current->config))->tcp_windowsize);
	ph_dns_set_idna2003(ph_conf_general(ph_config_main(m->current->config))->idna2003);
	prctl(PR_SET_NAME, role == PH_ROLE_ROOT_AGENT ? "root-agent" : roles[role].name, 0, 0, 0);
	/* Commands may be set-id programs: who re-injects mail runs postdrop. */
	if (!runs_commands(role))
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != master)
		_exit(0);
	ph_sandbox_enter(m->current, role);     /* before there are threads, which would stay outside */
	ph_watchdog_start(WATCHDOG_MS);
	ph_queue_id_init(slot);
	umask(077);
}

static int run_smtpd(struct ph_master *m, const char *queue_dir, unsigned slot, unsigned index)
{
	struct ph_generation *g = m->current;
	struct ph_smtpd_config cfg = { .config = g->config, .queue_dir = queue_dir, .slot = slot, .n_workers = g->n_smtpd, .limits = limits };
	struct ph_smtpd_listener *l;
	size_t n = 0;

	for (size_t i = 0; i < g->n_listeners; i++)
		n += g->listeners[i].bound->n;
	l = ph_alloc((n + 1) * sizeof *l);
	cfg.listeners = l;
	/* Each socket has one worker, also those left from a time with more workers. */
	for (size_t i = 0; i < g->n_listeners; i++)
		for (unsigned k = index; k < g->listeners[i].bound->n; k += g->n_smtpd)
			l[cfg.n_listeners++] = (struct ph_smtpd_listener){ g->listeners[i].bound->fds[k], g->listeners[i].service };
	return ph_smtpd_run(&cfg);
}

static int run_spawn(struct ph_master *m)
{
	struct ph_generation *g = m->current;
	struct ph_spawn_listener *l = ph_alloc((g->n_spawn_listeners + 1) * sizeof *l);
	struct ph_spawn_config cfg = { .config = g->config, .listeners = l, .n_listeners = g->n_spawn_listeners };

	for (size_t i = 0; i < g->n_spawn_listeners; i++)
		l[i] = (struct ph_spawn_listener){ g->spawn_listeners[i].bound->fds[0], g->spawn_listeners[i].service };
	return ph_spawn_run(&cfg);
}

static int worker_main(struct ph_master *m, enum ph_role role, unsigned slot, unsigned index, int control)
{
	const struct ph_general_settings *g = ph_conf_general(ph_config_main(m->current->config));
	struct ph_pickup_config pickup = { m->current->config, g->queue_directory, slot, m->pickup_trigger };
	struct ph_qmgr_config qmgr = { m->current->config, g->queue_directory, slot, m->qmgr_private, m->qmgr_public, control };
	struct ph_agent_config agent = { m->current->config, g->queue_directory, slot, role == PH_ROLE_ROOT_AGENT };

	switch (role) {
	case PH_ROLE_SMTPD: return run_smtpd(m, g->queue_directory, slot, index);
	case PH_ROLE_PICKUP: return ph_pickup_run(&pickup);
	case PH_ROLE_QMGR: return ph_qmgr_run(&qmgr);
	case PH_ROLE_AGENT:
	case PH_ROLE_ROOT_AGENT: return ph_agent_run(&agent);
	case PH_ROLE_SPAWN: return run_spawn(m);
	case PH_ROLE_COUNT: break;
	}
	return 1;
}

int ph_child_start(struct ph_master *m, enum ph_role role, unsigned index)
{
	int slot = slot_take(m), pair[2] = { -1, -1 }, log_pair[2] = { -1, -1 };
	struct ph_child *c;
	pid_t pid, master = getpid();

	if (slot < 0) {
		ph_log(PH_LOG_WARNING, "too many processes: all 256 slots are in use");
		return -EAGAIN;
	}
	if (role == PH_ROLE_QMGR && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		ph_log(PH_LOG_WARNING, "socketpair: %m");
		m->slot_used[slot] = false;
		return -errno;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, log_pair) < 0)
		ph_log(PH_LOG_WARNING, "socketpair: %m");
	if (!limits)
		limits = ph_limits_create();
	ph_log_flush();
	pid = fork();
	if (pid < 0) {
		ph_log(PH_LOG_WARNING, "fork: %m");
		m->slot_used[slot] = false;
		return -errno;
	}
	if (pid == 0) {
		if (pair[0] >= 0)
			close(pair[0]);
		close(log_pair[0]);
		worker_setup(m, role, (unsigned)slot, master, log_pair[1]);
		int rc = worker_main(m, role, (unsigned)slot, index, pair[1]);

		ph_log_flush();
		_exit(rc < 0 ? 1 : 0);
	}
	close(log_pair[1]);
	c = ph_alloc(sizeof *c);
	c->log_control = log_pair[0];
	c->pid = pid;
	c->role = role;
	c->index = index;
	c->slot = (unsigned)slot;
	c->gen = m->current;
	c->gen->refs++;
	c->started_ms = ph_now_ms_exact();
	ph_list_append(&m->children, &c->link);
	if (role == PH_ROLE_QMGR) {
		close(pair[1]);
		if (m->qmgr_control >= 0)
			close(m->qmgr_control);
		m->qmgr_control = pair[0];
		ph_qmgr_tell_agents(m);
	}
	return 0;
}

/* ---- death ---- */

static void report_death(const struct ph_child *c, int status)
{
	if (WIFSIGNALED(status))
		ph_log(PH_LOG_WARNING, "process %s pid %d killed by signal %d", ph_role_name(c->role), (int)c->pid, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		ph_log(PH_LOG_WARNING, "process %s pid %d exit status %d", ph_role_name(c->role), (int)c->pid, WEXITSTATUS(status));
}

/* How long to wait before the next start: nothing for the first few deaths, then doubling up to service_throttle_time. */
static int64_t restart_pause(const struct ph_master *m, unsigned quick_deaths)
{
	int64_t limit = ph_conf_general(ph_config_main(m->current->config))->service_throttle_time_ms, pause = 250;

	if (quick_deaths <= QUICK_FREE)
		return 0;
	for (unsigned i = QUICK_FREE + 1; i < quick_deaths && pause < limit; i++)
		pause *= 2;
	return pause < limit ? pause : limit;
}

static void child_gone(struct ph_master *m, struct ph_child *c, int status)
{
	static unsigned quick[PH_ROLE_COUNT];
	int64_t now = ph_now_ms_exact();

	m->slot_used[c->slot] = false;
	if (c->role == PH_ROLE_SMTPD)
		ph_limits_forget(limits, c->slot);
	if (c->role == PH_ROLE_AGENT || c->role == PH_ROLE_ROOT_AGENT)
		ph_qmgr_tell_gone(m, c);
	if (c->role == PH_ROLE_QMGR && m->qmgr_control >= 0) {
		close(m->qmgr_control);
		m->qmgr_control = -1;
	}
	if (!c->stopping)
		report_death(c, status);
	/* Of an old generation only those are replaced of which there may be just one at a time. */
	if (!m->stop_signal && ((c->gen == m->current && !c->stopping) || ph_role_single(c->role))) {
		quick[c->role] = now - c->started_ms < QUICK_MS && !c->stopping ? quick[c->role] + 1 : 0;
		int64_t pause = restart_pause(m, quick[c->role]);

		if (pause > 0)
			ph_log(PH_LOG_WARNING, "%s: bad command startup -- throttling for %lld ms", ph_role_name(c->role), (long long)pause);
		ph_start_at(m, c->role, c->index, now + pause, quick[c->role]);
	}
	ph_list_del(&c->link);
	ph_generation_unref(&c->gen);
	close(c->log_control);
	free(c);
}

void ph_children_reap(struct ph_master *m)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		ph_list_for_each_safe(c, &m->children, struct ph_child, link) {
			if (c->pid == pid) {
				child_gone(m, c, status);
				break;
			}
		}
	}
}

void ph_children_signal(struct ph_master *m, int sig)
{
	ph_list_for_each(c, &m->children, struct ph_child, link) {
		c->stopping = true;
		kill(c->pid, sig);
	}
}

/* ---- starts ---- */

void ph_start_at(struct ph_master *m, enum ph_role role, unsigned index, int64_t at_ms, unsigned quick_deaths)
{
	struct ph_start *s = ph_alloc(sizeof *s);

	*s = (struct ph_start){ .role = role, .index = index, .at_ms = at_ms, .quick_deaths = quick_deaths };
	ph_list_append(&m->starts, &s->link);
}

int ph_starts_run(struct ph_master *m)
{
	int64_t now = ph_now_ms_exact(), next = INT64_MAX;

	ph_list_for_each_safe(s, &m->starts, struct ph_start, link) {
		if (s->at_ms > now) {
			next = s->at_ms < next ? s->at_ms : next;
			continue;
		}
		ph_list_del(&s->link);
		if (ph_child_start(m, s->role, s->index) < 0) {
			ph_start_at(m, s->role, s->index, now + 1000, s->quick_deaths);
			next = now + 1000 < next ? now + 1000 : next;
		}
		free(s);
	}
	return next == INT64_MAX ? -1 : (int)(next - now);
}

/* ---- words to the queue manager: frames as base/ipc.h has them, small enough for one write ---- */

static void control_send(struct ph_master *m, enum ph_frame type, const struct ph_buf *payload)
{
	struct ph_buf frame = PH_BUF_INIT(64 * 1024);

	if (m->qmgr_control < 0)
		return;
	ph_pack_u32(&frame, (uint32_t)payload->len + 2);
	ph_pack_u16(&frame, type);
	ph_buf_append(&frame, payload->data, payload->len);
	if (send(m->qmgr_control, frame.data, frame.len, MSG_NOSIGNAL) != (ssize_t)frame.len && !m->stop_signal)
		ph_log(PH_LOG_WARNING, "queue manager's control channel: %m");
	ph_buf_done(&frame);
}

void ph_qmgr_tell_agents(struct ph_master *m)
{
	struct ph_buf b = PH_BUF_INIT(64 * 1024);
	uint32_t n = 0;

	ph_list_for_each(c, &m->children, struct ph_child, link)
		n += c->role == PH_ROLE_AGENT || c->role == PH_ROLE_ROOT_AGENT;
	ph_pack_u32(&b, n);
	ph_list_for_each(c, &m->children, struct ph_child, link)
		if (c->role == PH_ROLE_AGENT || c->role == PH_ROLE_ROOT_AGENT)
			ph_pack_u32(&b, (uint32_t)c->pid);
	control_send(m, PH_F_AGENTS, &b);
	ph_buf_done(&b);
}

void ph_qmgr_tell_gone(struct ph_master *m, const struct ph_child *c)
{
	struct ph_buf b = PH_BUF_INIT(64);

	ph_pack_u32(&b, (uint32_t)c->pid);
	ph_pack_u8(&b, (uint8_t)c->slot);
	control_send(m, PH_F_AGENT_GONE, &b);
	ph_buf_done(&b);
}
