/* child.c: deliveries as another user: the root agent's side.
 *
 * State: the children of this process, one for each user, group and module; each works on many deliveries at once and is kept for a while when it has none.
 * The root agent parses nothing that came with a message: it asks the module who the user is, opens the message and passes descriptor and request on.  What the
 * child says about a recipient goes to the queue manager as it is.  Yields. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent_private.h"
#include "base/log.h"
#include "base/co_private.h"
#include "base/loop.h"
#include "base/pack.h"
#include "base/time.h"

#define CHILD_IDLE_MS PH_SECONDS(30)
#define CHILDREN_MAX 500
#define REAP_MS PH_SECONDS(5)

struct ph_agent_child {
	struct ph_list node;            /* children */
	char key[160];                  /* "uid:gid:module" */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	struct ph_ipc *ipc;
	size_t under_way;
	int64_t idle_since;
	bool no_new_privs;              /* its module runs no commands, which might be set-uid */
	bool ending;                    /* STOP was sent, or the connection has ended: no more work for it */
	bool journal_ok;                /* writes to the journal's current file */
	struct ph_waitq changed;
};

static struct ph_list children = PH_LIST_INIT(children);
static size_t n_children;
static struct ph_waitq child_gone;

/* ---- starting ----------------------------------------------------------------------------- */

struct start {
	struct ph_agent_child *child;
	struct ph_co *co;
	int sock[2];
};

/* In the loop, not in a coroutine: the child goes on with a loop of its own from here. */
static void start_fork(void *arg)
{
	struct start *s = arg;

	ph_log_flush();
	s->child->pid = fork();
	if (s->child->pid == 0)
		ph_agent_child_main(s->sock[1], s->child->uid, s->child->gid, s->child->no_new_privs);
	ph_co_wake(s->co, s->child->pid < 0 ? -errno : 0);
}

static void send_journal(struct ph_agent_child *c)
{
	struct ph_journal *j = ph_agent_self.journal;
	struct ph_buf b = PH_BUF_INIT(4096);

	c->journal_ok = false;
	ph_pack_str(&b, ph_journal_file(j));
	(void)ph_ipc_send_fd(c->ipc, PH_CF_JOURNAL, b.data, b.len, ph_journal_fd(j));
	ph_buf_done(&b);
}

static void child_read(void *arg);

static struct ph_agent_child *child_start(const struct ph_delivery_ops *ops, const char *key, uid_t uid, gid_t gid)
{
	struct ph_agent_child *c = ph_alloc(sizeof(*c));
	struct start s = { .child = c, .co = ph_co_self() };
	int r;

	snprintf(c->key, sizeof(c->key), "%s", key);
	c->uid = uid;
	c->gid = gid;
	c->no_new_privs = !ops->runs_commands;  /* what an older module does not know is zero */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s.sock) < 0) {
		ph_log(PH_LOG_ERROR, "socketpair: %s", strerror(errno));
		free(c);
		return NULL;
	}
	ph_loop_defer(start_fork, &s);
	r = ph_co_park_hard("fork");
	close(s.sock[1]);
	if (r < 0) {
		ph_log(PH_LOG_ERROR, "fork: %s", strerror(-r));
		close(s.sock[0]);
		free(c);
		return NULL;
	}
	c->ipc = ph_ipc_new(s.sock[0]);
	ph_list_append(&children, &c->node);
	n_children++;
	send_journal(c);
	ph_co_spawn("delivery child", child_read, c);
	return c;
}

static void child_stop(struct ph_agent_child *c)
{
	if (c->ending)
		return;
	c->ending = true;
	(void)ph_ipc_send(c->ipc, PH_CF_STOP, "", 0);
}

static struct ph_agent_child *child_find(const char *key)
{
	ph_list_for_each(c, &children, struct ph_agent_child, node) {
		if (!c->ending && strcmp(c->key, key) == 0)
			return c;
	}
	return NULL;
}

/* There are too many: end the one that has been idle longest. */
static void child_evict(void)
{
	struct ph_agent_child *oldest = NULL;

	ph_list_for_each(c, &children, struct ph_agent_child, node) {
		if (!c->ending && c->under_way == 0 && (oldest == NULL || c->idle_since < oldest->idle_since))
			oldest = c;
	}
	if (oldest)
		child_stop(oldest);
}

/* NULL: none can be started now. */
static struct ph_agent_child *child_get(struct ph_delivery *d, uid_t uid, gid_t gid)
{
	struct ph_agent_child *c;
	char key[160];

	snprintf(key, sizeof(key), "%ld:%ld:%s", (long)uid, (long)gid, d->service->svc->command);
	for (;;) {
		c = child_find(key);
		if (c || n_children < CHILDREN_MAX)
			break;
		child_evict();
		if (ph_waitq_wait(&child_gone, ph_now_ms() + PH_SECONDS(60)) == -ECANCELED)
			return NULL;
	}
	return c ? c : child_start(d->service->ops, key, uid, gid);
}

/* ---- what it says ------------------------------------------------------------------------- */

static struct ph_delivery *delivery_find(struct ph_agent_child *c, uint64_t id)
{
	ph_list_for_each(d, &ph_agent_self.deliveries, struct ph_delivery, node) {
		if (d->child == c && d->req->id == id)
			return d;
	}
	return NULL;
}

static void on_result(struct ph_agent_child *c, struct ph_slice payload)
{
	struct ph_buf copy = { (char *)payload.p, payload.n, payload.n, payload.n };
	struct ph_delivery *d;
	struct ph_unpack u;
	uint32_t index;
	size_t i;

	ph_unpack_init(&u, payload);
	d = delivery_find(c, ph_unpack_u64(&u));
	index = ph_unpack_u32(&u);
	if (d == NULL || u.bad)
		return;
	ph_journal_touched(ph_agent_self.journal);      /* the child has written into it */
	for (i = 0; i < d->req->n_rcpts; i++) {
		if (d->req->rcpts[i].index == index && !d->rcpts[i].done) {
			d->rcpts[i].done = true;
			ph_journal_touched(ph_agent_self.journal);
			ph_agent_send(PH_F_RESULT, &copy);
		}
	}
}

static void child_left(struct ph_agent_child *c, struct ph_delivery *d)
{
	d->child = NULL;
	ph_waitq_wake_all(&d->child_done);
	if (--c->under_way == 0)
		c->idle_since = ph_now_ms();
}

static void on_done(struct ph_agent_child *c, struct ph_slice payload)
{
	struct ph_delivery *d;
	struct ph_unpack u;

	ph_unpack_init(&u, payload);
	d = delivery_find(c, ph_unpack_u64(&u));
	if (d == NULL)
		return;
	d->dest_down = ph_unpack_u8(&u);
	d->down_dsn = ph_unpack_str(&u, d->arena);
	d->down_text = ph_unpack_str(&u, d->arena);
	child_left(c, d);
}

static void child_reap(struct ph_agent_child *c)
{
	int64_t until = ph_now_ms() + REAP_MS;
	int status = 0;
	pid_t r;

	while ((r = waitpid(c->pid, &status, WNOHANG)) == 0) {
		if (ph_now_ms() >= until)
			kill(c->pid, SIGKILL);
		if (ph_co_sleep(10) < 0)
			kill(c->pid, SIGKILL);
	}
	if (r == c->pid && WIFSIGNALED(status))
		ph_log(PH_LOG_WARNING, "delivery process %ld (user %ld) was killed by signal %d", (long)c->pid, (long)c->uid, WTERMSIG(status));
	else if (r == c->pid && WEXITSTATUS(status) != 0)
		ph_log(PH_LOG_WARNING, "delivery process %ld (user %ld) ended with status %d", (long)c->pid, (long)c->uid, WEXITSTATUS(status));
}

/* The coroutine of one child: reads until it ends. */
static void child_read(void *arg)
{
	struct ph_agent_child *c = arg;
	struct ph_slice payload;
	uint16_t type;
	int r;

	c->idle_since = ph_now_ms();
	for (;;) {
		r = ph_ipc_recv(c->ipc, &type, &payload, ph_now_ms() + CHILD_IDLE_MS);
		if (r == -ETIMEDOUT) {
			if (c->under_way == 0 && ph_now_ms() - c->idle_since >= CHILD_IDLE_MS)
				child_stop(c);
			continue;
		}
		if (r < 0)
			break;
		if (type == PH_CF_RESULT)
			on_result(c, payload);
		else if (type == PH_CF_DONE)
			on_done(c, payload);
		else if (type == PH_CF_JOURNAL_OK)
			c->journal_ok = true;
		ph_waitq_wake_all(&c->changed);
	}
	c->ending = true;
	ph_list_del(&c->node);
	ph_list_for_each_safe(d, &ph_agent_self.deliveries, struct ph_delivery, node) {
		if (d->child == c)
			child_left(c, d);
	}
	ph_waitq_wake_all(&c->changed);
	ph_ipc_close(&c->ipc);
	child_reap(c);
	n_children--;
	ph_waitq_wake_all(&child_gone);
	while (c->changed.first)
		(void)ph_co_sleep(1);
	free(c);
}

/* ---- work for it -------------------------------------------------------------------------- */

static int send_request(struct ph_agent_child *c, struct ph_delivery *d)
{
	struct ph_buf b = PH_BUF_INIT(PH_IPC_FRAME_MAX);
	size_t i;
	int r;

	ph_pack_bytes(&b, d->request.p, d->request.n);
	ph_pack_u32(&b, (uint32_t)d->n_notes);
	for (i = 0; i < d->n_notes; i++) {
		ph_pack_str(&b, d->notes[i].name);
		ph_pack_str(&b, d->notes[i].value);
	}
	ph_pack_i64(&b, d->started_us);
	r = ph_ipc_send_fd(c->ipc, PH_CF_DELIVER, b.data, b.len, d->stored->fd);
	ph_buf_done(&b);
	return r;
}

void ph_agent_child_deliver(struct ph_delivery *d, uid_t uid, gid_t gid)
{
	struct ph_agent_child *c;
	struct ph_err err;

	if (uid == 0 || gid == 0) {
		ph_log(PH_LOG_WARNING, "service %s: refusing to deliver to %s as root", d->service->svc->name, d->rcpts[0].address);
		ph_delivery_lacking(d, "4.3.5", "mail system configuration error");
		return;
	}
	if (ph_delivery_open(d, &err) < 0) {
		ph_log(PH_LOG_WARNING, "%s: open %s: %s", d->req->ref.queue_id, d->req->ref.file, err.text);
		ph_delivery_lacking(d, "4.3.0", "queue file cannot be read");
		return;
	}
	c = child_get(d, uid, gid);
	if (c == NULL) {
		ph_delivery_lacking(d, "4.3.0", "system resource problem: cannot start a delivery process");
		return;
	}
	d->child = c;
	c->under_way++;
	if (send_request(c, d) < 0)
		child_left(c, d);
	while (d->child)
		(void)ph_waitq_wait(&d->child_done, PH_NEVER);
}

void ph_agent_children_rotate(void)
{
	int64_t until = ph_now_ms() + PH_SECONDS(10);

	ph_list_for_each(c, &children, struct ph_agent_child, node)
		send_journal(c);
again:
	ph_list_for_each(c, &children, struct ph_agent_child, node) {
		if (c->journal_ok || ph_now_ms() >= until)
			continue;
		(void)ph_waitq_wait(&c->changed, until);
		goto again;             /* the list may have changed */
	}
}

void ph_agent_children_stop(void)
{
	ph_list_for_each(c, &children, struct ph_agent_child, node)
		child_stop(c);
	while (n_children > 0)
		(void)ph_waitq_wait(&child_gone, ph_now_ms() + PH_SECONDS(60));
}

/* In a child after the fork: the parent's connections to the others are none of our business. */
void ph_agent_children_forget(void)
{
	ph_list_for_each(c, &children, struct ph_agent_child, node) {
		if (c->ipc)
			close(ph_ipc_fd(c->ipc));
	}
	ph_list_init(&children);
	n_children = 0;
}
