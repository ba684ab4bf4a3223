/* child_main.c: the process that delivers as a recipient's user.
 *
 * Forked from the root agent's loop: it has the configuration and the modules, drops every privilege and every descriptor but its socket and the log, and then
 * works through requests with the same code as other agents.  State: ph_agent_self, started over. */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/co_private.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pack.h"
#include "base/time.h"

void ph_agent_close_others(int keep, int keep_too)
{
	struct dirent *e;
	struct stat st;
	int fd, log = ph_log_fd();
	DIR *dir = opendir("/proc/self/fd");

	if (dir == NULL) {
		ph_agent_children_forget();
		return;
	}
	while ((e = readdir(dir))) {
		fd = atoi(e->d_name);
		if (fd <= 2 || fd == keep || fd == keep_too || fd == log || fd == dirfd(dir))
			continue;
		if (fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) != 0)
			close(fd);
	}
	closedir(dir);
}

static void become(uid_t uid, gid_t gid, bool no_new_privs)
{
	if (geteuid() == 0 && (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)) {
		ph_log(PH_LOG_FATAL, "cannot become user %ld, group %ld: %s", (long)uid, (long)gid, strerror(errno));
		ph_log_flush();
		_exit(1);
	}
	ph_assert(getuid() == uid && geteuid() == uid && uid != 0);
	if (no_new_privs)
		ph_assert(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	umask(077);
	if (chdir("/") < 0)
		_exit(1);
}

static void take_journal(struct ph_agent *a, struct ph_slice payload)
{
	struct ph_arena *arena = ph_arena_new();
	struct ph_buf b = PH_BUF_INIT(4096);
	struct ph_unpack u;
	struct ph_err err;
	char *file;
	int fd = ph_ipc_take_fd(a->link);

	ph_unpack_init(&u, payload);
	file = ph_unpack_str(&u, arena);
	if (u.bad || fd < 0) {
		ph_log(PH_LOG_ERROR, "no journal came with its frame");
	} else {
		if (a->journal)
			ph_journal_close(&a->journal);
		if (ph_journal_adopt(fd, file, &a->journal, &err) < 0)
			ph_log(PH_LOG_ERROR, "journal: %s", err.text);
	}
	ph_pack_str(&b, file);
	ph_agent_send(PH_CF_JOURNAL_OK, &b);
	ph_buf_done(&b);
	ph_arena_free(&arena);
}

static void run(void *arg)
{
	struct ph_delivery *d = arg;
	int fd = d->stored ? d->stored->fd : -1;

	ph_co_set_ident(d->service->set.syslog_name, d->service->svc ? d->service->svc->command : "error");
	ph_delivery_run_module(d);
	ph_delivery_end(d);
	if (fd >= 0)
		close(fd);
}

static void take_delivery(struct ph_agent *a, struct ph_slice payload)
{
	int fd = ph_ipc_take_fd(a->link);
	struct ph_delivery *d;
	struct ph_unpack u;
	struct ph_err err;
	uint32_t n;

	ph_unpack_init(&u, payload);
	d = ph_delivery_new(ph_unpack_bytes(&u));
	if (d == NULL || fd < 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (n = ph_unpack_u32(&u); n > 0 && !u.bad; n--) {
		const char *name = ph_unpack_str(&u, d->arena);

		ph_delivery_note_set(d, name, ph_unpack_str(&u, d->arena));
	}
	d->started_us = ph_unpack_i64(&u);
	d->service = ph_agent_service_get(d->req->service);
	if (ph_stored_open_fd(fd, &d->req->ref, d->arena, &d->stored, &err) < 0) {
		ph_log(PH_LOG_WARNING, "%s: %s", d->req->ref.queue_id, err.text);
		ph_delivery_lacking(d, "4.3.0", "queue file cannot be read");
		ph_delivery_end(d);
		close(fd);
		return;
	}
	ph_co_spawn("delivery", run, d);
}

static void serve(void *unused)
{
	struct ph_agent *a = &ph_agent_self;
	struct ph_slice payload;
	uint16_t type;

	while (ph_ipc_recv(a->link, &type, &payload, PH_NEVER) == 0 && type != PH_CF_STOP) {
		if (type == PH_CF_DELIVER)
			take_delivery(a, payload);
		else if (type == PH_CF_JOURNAL)
			take_journal(a, payload);
	}
	while (a->n_deliveries > 0)
		(void)ph_waitq_wait(&a->idle, ph_now_ms() + PH_SECONDS(60));
	(void)ph_ipc_drain(a->link, ph_now_ms() + PH_SECONDS(5));
	ph_loop_stop();
}

void ph_agent_child_main(int sock, uid_t uid, gid_t gid, bool no_new_privs)
{
	struct ph_agent *a = &ph_agent_self;

	signal(SIGTERM, SIG_IGN);       /* the parent says when to end: what is under way is finished */
	signal(SIGCHLD, SIG_DFL);
	if (ph_loop_init() < 0)
		_exit(1);
	ph_agent_close_others(sock, -1);
	become(uid, gid, no_new_privs);
	ph_list_init(&a->deliveries);
	a->n_deliveries = 0;
	a->queue_dirfd = -1;
	a->journal = NULL;
	a->is_child = true;
	memset(&a->idle, 0, sizeof(a->idle));
	a->link = ph_ipc_new(sock);
	ph_co_spawn("delivery requests", serve, NULL);
	ph_loop_run();
	ph_log_flush();
	_exit(0);
}
