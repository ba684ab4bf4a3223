/* qmgr.c: the queue manager's process: sockets, timers, start and end.
 * State: the one struct ph_qmgr.  Its coroutines yield; ph_qmgr_run returns at the end of the process. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/log.h"
#include "base/fdw.h"
#include "base/pack.h"
#include "base/watchdog.h"
#include "queue/control.h"
#include "queue/qmgr_private.h"

#define CONTROL_MAX 200         /* command connections at once; as many more of root and the mail owner: nobody shall keep them out */

struct ph_qmgr *ph_qmgr;

/* ---- connections ---- */

static void private_main(void *arg)
{
	struct ph_ipc *ipc = arg;
	struct ph_slice payload;
	uint16_t type;

	if (ph_ipc_recv(ipc, &type, &payload, ph_now_ms() + PH_SECONDS(60)) == 0) {
		if (type == PH_F_HELLO_INTAKE)
			ph_qmgr_intake_serve(ph_qmgr, ipc, payload);
		else if (type == PH_F_HELLO_AGENT)
			ph_qmgr_agent_serve(ph_qmgr, ipc, payload);
		else
			ph_log(PH_LOG_WARNING, "a connection began with frame %u", type);
	}
	ph_ipc_close(&ipc);
}

static unsigned controls;

static void control_main(void *arg)
{
	struct ph_ipc *ipc = arg;

	ph_qmgr_control_serve(ph_qmgr, ipc);
	ph_ipc_close(&ipc);
	controls--;
}

static void on_accept(void *arg)
{
	struct ph_fdw *w = arg;
	bool public = w->fd == ph_qmgr->cfg->listen_public;
	int fd, n = 0;

	while (n++ < 64 && (fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		if (!public) {
			ph_co_spawn("qmgr peer", private_main, ph_ipc_new(fd));
		} else if (controls < (ph_control_trusted(fd) ? 2 * CONTROL_MAX : CONTROL_MAX)) {
			controls++;
			ph_co_spawn("qmgr command", control_main, ph_ipc_new(fd));
		} else {
			close(fd);
		}
	}
}

/* ---- the master's words ---- */

static void on_agents(struct ph_qmgr *q, struct ph_slice payload)
{
	struct ph_unpack u;
	uint32_t n, i, pid;

	ph_unpack_init(&u, payload);
	n = ph_unpack_u32(&u);
	if (u.bad || n > u.n / 4)
		return;
	q->expected = ph_realloc(q->expected, (n + 1) * sizeof(q->expected[0]));
	q->n_expected = 0;
	for (i = 0; i < n; i++) {
		bool here = false;

		pid = ph_unpack_u32(&u);
		ph_list_for_each(g, &q->agents, struct ph_qagent, node)
			here = here || (g->pid == pid && g->ready);
		if (!here)
			q->expected[q->n_expected++] = pid;
	}
	q->agents_known = true;
	ph_qmgr_pump(q);
}

static void master_main(void *arg)
{
	struct ph_qmgr *q = arg;
	struct ph_ipc *ipc = ph_ipc_new(q->cfg->control);
	struct ph_slice payload;
	struct ph_unpack u;
	uint16_t type;

	while (ph_ipc_recv(ipc, &type, &payload, PH_NEVER) == 0) {
		ph_unpack_init(&u, payload);
		if (type == PH_F_AGENTS)
			on_agents(q, payload);
		else if (type == PH_F_AGENT_GONE) {
			uint32_t pid = ph_unpack_u32(&u);

			ph_qmgr_agent_gone(q, pid, ph_unpack_u8(&u));
		}
	}
	ph_ipc_close(&ipc);
	/* The master is gone: so shall we be (workers die with it). */
	if (!q->stopping)
		ph_loop_stop();
}

/* ---- timers ---- */

static void on_pump_timer(void *arg)
{
	ph_qmgr_pump(arg);
}

static void on_scan_timer(void *arg)
{
	struct ph_qmgr *q = arg;

	ph_retry_scan(q);
	ph_timer_set(q->scan_timer, ph_now_ms() + q->set.queue_run_ms);
}

static void on_tick_timer(void *arg)
{
	struct ph_qmgr *q = arg;

	ph_timer_set(q->tick_timer, ph_now_ms() + 1000);
	ph_retry_tick(q);
}

static void on_stop(int signo, void *arg)
{
	struct ph_qmgr *q = arg;

	q->stopping = true;
	ph_loop_stop();
}

/* ---- announcements of our own ---- */

static void on_own(const struct ph_msg_ref *ref, const struct ph_envelope *env)
{
	struct ph_buf b = PH_BUF_INIT(PH_IPC_FRAME_MAX);
	struct ph_slice s = { NULL, 0 };

	if (ph_envelope_encode(env, &b) == 0)
		s = (struct ph_slice){ b.data, b.len };
	ph_qmgr_add(ph_qmgr, ref, s, NULL);
	ph_buf_done(&b);
}

/* ---- start and end ---- */

/* Held until the process ends. */
int ph_qmgr_lock(int dirfd)
{
	int fd = openat(dirfd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);
	return r;
}

/* The one before us may be about to end. */
static int lock_wait(struct ph_qmgr *q, struct ph_err *err)
{
	int i, r = -EBUSY;

	for (i = 0; i < 200 && r == -EBUSY; i++) {
		r = ph_qmgr_lock(q->dirfd);
		if (r == -EBUSY)
			usleep(50000);
	}
	return r < 0 ? ph_err_errno(err, r, "the queue is in use by another process") : 0;
}

static void lists_init(struct ph_qmgr *q)
{
	ph_list_init(&q->agents);
	ph_list_init(&q->intakes);
	ph_list_init(&q->active);
	ph_list_init(&q->to_resolve);
	ph_list_init(&q->to_end);
	ph_list_init(&q->partial);
	ph_buf_init(&q->out, PH_IPC_FRAME_MAX);
	q->scratch = ph_arena_new();
	/* Ids of an earlier queue manager's deliveries may still be in use. */
	q->next_delivery = (uint64_t)ph_wall_us() << 8;
	q->wall_minus_mono_ms = ph_wall_us() / 1000 - ph_now_ms_exact();
	q->agents_known = q->cfg->control < 0;
}

static void start_main(void *arg)
{
	struct ph_qmgr *q = arg;
	struct ph_err err;

	if (ph_recover_start(q, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		q->failed = true;
		ph_loop_stop();
		return;
	}
	on_scan_timer(q);
	on_tick_timer(q);
	ph_fdw_open_level(&q->listen[0], q->cfg->listen_private, on_accept, &q->listen[0]);
	ph_fdw_open_level(&q->listen[1], q->cfg->listen_public, on_accept, &q->listen[1]);
	if (q->cfg->control >= 0)
		ph_co_spawn("qmgr master", master_main, q);
}

static int open_store(struct ph_qmgr *q, struct ph_err *err)
{
	struct ph_store_config cfg = { .queue_dir = q->cfg->queue_dir, .slot = q->cfg->slot };

	ph_qmgr_announce_hook(on_own);
	return ph_store_open(&cfg, &q->store, err);
}

static void log_feedback(void *arg, const struct ph_sched_change *c)
{
	ph_log(PH_LOG_INFO, "feedback: queue %s/%s: limit %d window %g success %g failure %g fail_cohorts %g", c->transport, c->destination, c->limit,
	       c->window, c->success, c->failure, c->cohorts);
}

int ph_qmgr_run(const struct ph_qmgr_config *cfg)
{
	struct ph_qmgr *q = ph_qmgr = ph_alloc(sizeof(*q));
	struct ph_err err;
	int r;

	q->cfg = cfg;
	r = ph_loop_init();
	if (r < 0)
		return r;
	lists_init(q);
	r = ph_qmgr_settings_load(q, &err);
	if (r == 0) {
		q->dirfd = open(cfg->queue_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (q->dirfd < 0)
			r = ph_err_errno(&err, -errno, "open %s", cfg->queue_dir);
	}
	if (r == 0)
		r = lock_wait(q, &err);
	if (r == 0)
		r = open_store(q, &err);
	if (r == 0)
		r = ph_journal_open(q->dirfd, cfg->slot, &q->journal, &err);
	if (r < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return r;
	}
	q->ix = ph_index_new();
	q->sched = ph_sched_new(ph_qmgr_transport_params, q);
	if (q->set.feedback_debug)
		ph_sched_watch(q->sched, log_feedback, q);
	q->route = ph_route_of(q->route_conf);
	q->pump_timer = ph_timer_new(on_pump_timer, q);
	q->scan_timer = ph_timer_new(on_scan_timer, q);
	q->tick_timer = ph_timer_new(on_tick_timer, q);
	ph_signal_on(SIGTERM, on_stop, q);
	ph_signal_on(SIGINT, on_stop, q);
	ph_watchdog_start(100);
	ph_co_spawn("qmgr start", start_main, q);
	ph_loop_run();
	/* Batched records were written at the end of the last turn; deliveries under way go on without us. */
	ph_journal_close(&q->journal);
	ph_log_flush();
	return q->failed ? -EIO : 0;
}
