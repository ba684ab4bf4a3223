/* forwarder.c: the root agent's child that forwards mail as the mail owner: the root agent itself parses no message.
 *
 * State: one child, started at the first use and again after its death; requests under way.  Yields. */
#include "agent/forward.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pack.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPLY_MS PH_SECONDS(600)

enum { FW_SUBMIT = 1 /* u64 id, bytes struct ph_forward */, FW_RESULT /* u64 id, u8 ok, str queue id or error */ };

struct request {
	struct ph_list node;
	uint64_t id;
	bool done, ok;
	char text[512];
	struct ph_waitq waiter;
};

static struct ph_list requests = PH_LIST_INIT(requests);
static struct ph_ipc *to_child;
static uint64_t last_id;

/* ---- the child ---- */

static struct ph_ipc *to_parent;

static void child_one(void *arg)
{
	struct ph_slice *frame = arg;
	struct ph_arena *arena = ph_arena_new();
	struct ph_buf b = PH_BUF_INIT(4096);
	char id[PH_QUEUE_ID_MAX];
	struct ph_forward *f;
	struct ph_err err = { .text = "the request cannot be read" };
	struct ph_unpack u;
	uint64_t number;
	bool ok;

	ph_unpack_init(&u, *frame);
	number = ph_unpack_u64(&u);
	ok = ph_forward_decode(ph_unpack_bytes(&u), arena, &f) == 0 && ph_forward_submit(ph_agent_self.queue_dirfd, f, arena, id, &err) == 0;
	ph_pack_u64(&b, number);
	ph_pack_u8(&b, ok);
	ph_pack_str(&b, ok ? id : err.text);
	(void)ph_ipc_send(to_parent, FW_RESULT, b.data, b.len);
	ph_buf_done(&b);
	ph_arena_free(&arena);
	free((void *)frame->p);
	free(frame);
}

static void child_serve(void *unused)
{
	struct ph_slice payload, *copy;
	uint16_t type;

	while (ph_ipc_recv(to_parent, &type, &payload, PH_NEVER) == 0) {
		copy = ph_alloc(sizeof *copy);
		copy->p = memcpy(ph_alloc(payload.n + 1), payload.p, payload.n);
		copy->n = payload.n;
		ph_co_spawn("forward", child_one, copy);
	}
	ph_loop_stop();
}

static void child_main(int sock, int dirfd, const struct stat *owner)
{
	signal(SIGTERM, SIG_IGN);
	if (ph_loop_init() < 0 || setgroups(1, &owner->st_gid) < 0 || setresgid(owner->st_gid, owner->st_gid, owner->st_gid) < 0 ||
	    setresuid(owner->st_uid, owner->st_uid, owner->st_uid) < 0 || setuid(0) == 0)
		_exit(1);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	umask(077);
	ph_agent_children_forget();
	/* Among what the parent has open are the pipes of commands and mailboxes under way: their readers wait for an end of file. */
	ph_agent_close_others(sock, dirfd);
	ph_agent_self.queue_dirfd = dirfd;
	ph_agent_self.is_child = true;
	to_parent = ph_ipc_new(sock);
	ph_co_spawn("forward requests", child_serve, NULL);
	ph_loop_run();
	ph_log_flush();
	_exit(0);
}

/* ---- the parent ---- */

struct start { int sock[2]; pid_t pid; struct stat owner; struct ph_co *co; };

static void start_fork(void *arg)
{
	struct start *s = arg;

	ph_log_flush();
	s->pid = fork();
	if (s->pid == 0) {
		close(s->sock[0]);
		child_main(s->sock[1], openat(ph_agent_self.queue_dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &s->owner);
	}
	ph_co_wake(s->co, s->pid < 0 ? -errno : 0);
}

static void finish(struct request *r, bool ok, const char *text)
{
	r->done = true;
	r->ok = ok;
	snprintf(r->text, sizeof r->text, "%s", text);
	ph_list_del(&r->node);
	ph_waitq_wake_all(&r->waiter);
}

static void parent_read(void *arg)
{
	struct ph_ipc *ipc = arg;
	struct ph_arena *arena = ph_arena_new();
	struct ph_slice payload;
	struct ph_unpack u;
	uint16_t type;

	while (ph_ipc_recv(ipc, &type, &payload, PH_NEVER) == 0) {
		uint64_t id;
		bool ok;
		const char *text;

		ph_unpack_init(&u, payload);
		id = ph_unpack_u64(&u);
		ok = ph_unpack_u8(&u);
		text = ph_unpack_str(&u, arena);
		ph_list_for_each_safe(r, &requests, struct request, node)
			if (r->id == id)
				finish(r, ok, text);
		ph_arena_reset(arena);
	}
	/* It is gone.  What it had accepted is in the queue; what it had not answered is tried again. */
	ph_list_for_each_safe(r, &requests, struct request, node)
		finish(r, false, "the forwarding process died");
	if (to_child == ipc)
		to_child = NULL;
	ph_ipc_close(&ipc);
	ph_arena_free(&arena);
}

static int child_start(struct ph_err *err)
{
	struct start s = { .co = ph_co_self() };
	int rc;

	if (fstatat(ph_agent_self.queue_dirfd, "incoming", &s.owner, 0) < 0 || s.owner.st_uid == 0)
		return ph_err_set(err, -EPERM, "the queue's incoming directory must belong to mail_owner");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s.sock) < 0)
		return ph_err_errno(err, -errno, "socketpair");
	ph_loop_defer(start_fork, &s);
	rc = ph_co_park_hard("fork");
	close(s.sock[1]);
	if (rc < 0) {
		close(s.sock[0]);
		return ph_err_errno(err, rc, "fork");
	}
	to_child = ph_ipc_new(s.sock[0]);
	ph_co_spawn("forwarder", parent_read, to_child);
	return 0;
}

static int ask_child(struct ph_delivery *d, const struct ph_forward *f, char ret_id[PH_QUEUE_ID_MAX], struct ph_err *err)
{
	struct ph_buf inner = PH_BUF_INIT(PH_IPC_FRAME_MAX - 64), b = PH_BUF_INIT(PH_IPC_FRAME_MAX);
	struct request *r = ph_arena_alloc(d->arena, sizeof *r);
	int rc = to_child ? 0 : child_start(err);

	if (rc < 0)
		return rc;
	r->id = ++last_id;
	ph_list_append(&requests, &r->node);
	ph_pack_u64(&b, r->id);
	rc = ph_forward_encode(f, d->request, &inner);
	if (rc == 0)
		rc = ph_pack_bytes(&b, inner.data, inner.len);
	if (rc == 0)
		rc = ph_ipc_send(to_child, FW_SUBMIT, b.data, b.len);
	ph_buf_done(&inner);
	ph_buf_done(&b);
	if (rc < 0)
		finish(r, false, strerror(-rc));
	while (!r->done) {
		if (ph_waitq_wait(&r->waiter, ph_deadline(REPLY_MS)) < 0 && !r->done)
			finish(r, false, "forwarding took too long");
	}
	if (!r->ok)
		return ph_err_set(err, -EAGAIN, "%s", r->text);
	snprintf(ret_id, PH_QUEUE_ID_MAX, "%.*s", PH_QUEUE_ID_MAX - 1, r->text);
	return 0;
}

int ph_forward_mail(struct ph_delivery *d, const struct ph_forward *f, char ret_id[PH_QUEUE_ID_MAX], struct ph_err *err)
{
	if (geteuid() == 0)
		return ask_child(d, f, ret_id, err);
	if (ph_agent_self.is_child)
		return ph_err_set(err, -EPERM, "a delivery that runs as a user cannot forward mail");
	return ph_forward_submit(ph_agent_self.queue_dirfd, f, d->arena, ret_id, err);
}
