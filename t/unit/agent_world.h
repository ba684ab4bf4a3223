/* agent_world.h: an agent process, a fake queue manager and scripted servers for tests of delivery.
 *
 * world_start() makes a queue directory and forks the agent; deliver() stores a message, sends the request and waits for DONE. */
#ifndef T_UNIT_AGENT_WORLD_H
#define T_UNIT_AGENT_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <posthouse/co.h>
#include "agent/agent.h"
#include "base/queue_id.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pack.h"
#include "queue/proto.h"
#include "tap.h"

#define RCPTS 60

struct outcome {
	int status[RCPTS];              /* enum ph_delivery_status; -1: none */
	char dsn[RCPTS][16], text[RCPTS][600], relay[RCPTS][200], mta[RCPTS][100], diag[RCPTS][300];
	bool dsn_passed[RCPTS];
	bool done, dest_down, gone;
	int results;
};

/* Not every test needs all of it. */
static struct world {
	char dir[64], log[96];
	pid_t agent, servers[64];
	int n_servers;
	int listen_fd;
	struct ph_ipc *ipc;
	struct ph_store *store;
	struct outcome *wait[64];       /* by delivery number */
	uint64_t next_id;
	struct ph_waitq changed;
	char journal[64];
	int hello_deliveries;
	char rotated[64];
	int refused;
} w;

static void path_in(char *out, size_t n, const char *name)
{
	snprintf(out, n, "%s/%s", w.dir, name);
}

/* ---- servers ------------------------------------------------------------------------------ */

/* python3 t/lib/SCRIPT ARGS...; returns the port that it says. */
__attribute__((unused))
static int server_start(const char *script, const char *const *args)
{
	const char *src = getenv("PH_SRC");
	const char *argv[32] = { "python3" };
	char path[512];
	int fds[2], port = -1, n = 2, i;
	FILE *in;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/t/lib/%s", src ? src : "..", script);
	argv[1] = path;
	for (i = 0; args && args[i]; i++)
		argv[n++] = args[i];
	argv[n] = NULL;
	if (pipe(fds) < 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execvp("python3", (char *const *)argv);
		_exit(127);
	}
	close(fds[1]);
	w.servers[w.n_servers++] = pid;
	in = fdopen(fds[0], "r");
	if (in == NULL || fscanf(in, "port %d", &port) != 1)
		abort();
	fclose(in);
	return port;
}

/* A sink with rules; its log is DIR/sink.NAME. */
__attribute__((unused))
static int sink_start(const char *name, const char *const *more)
{
	const char *args[30] = { "--log" };
	char log[128];
	int n = 2, i;

	snprintf(log, sizeof(log), "%s/sink.%s", w.dir, name);
	args[1] = log;
	for (i = 0; more && more[i]; i++)
		args[n++] = more[i];
	args[n] = NULL;
	return server_start("sink.py", args);
}
#define SINK(name, ...) sink_start(name, (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL })

static char *slurp(const char *path)
{
	static char *text;
	FILE *f = fopen(path, "r");
	size_t n = 0;

	free(text);
	text = calloc(1, 4 * 1024 * 1024);
	if (f) {
		n = fread(text, 1, 4 * 1024 * 1024 - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	return text;
}

__attribute__((unused))
static char *sink_log(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/sink.%s", w.dir, name);
	return slurp(path);
}

/* Wait until the sink has noted this (it notes what it hears a little later than we say it). */
__attribute__((unused))
static bool sink_saw(const char *name, const char *text)
{
	int i;

	for (i = 0; i < 200; i++) {
		if (strstr(sink_log(name), text))
			return true;
		ph_co_sleep(10);
	}
	printf("# sink %s said:\n# %s\n", name, sink_log(name));
	return false;
}

__attribute__((unused))
static bool logged(const char *text)
{
	int i;

	for (i = 0; i < 100; i++) {
		if (strstr(slurp(w.log), text))
			return true;
		ph_co_sleep(10);
	}
	printf("# not in the log: %s\n%s\n", text, slurp(w.log));
	return false;
}

/* ---- the fake queue manager --------------------------------------------------------------- */

static void copy_field(char *to, size_t n, struct ph_unpack *u)
{
	struct ph_slice s = ph_unpack_bytes(u);

	snprintf(to, n, "%.*s", (int)s.n, s.p ? s.p : "");
}

static void on_result(struct ph_unpack *u)
{
	uint64_t id = ph_unpack_u64(u);
	uint32_t i = ph_unpack_u32(u);
	struct outcome *o = id < 64 ? w.wait[id] : NULL;

	if (o == NULL || i >= RCPTS)
		return;
	o->results++;
	o->status[i] = ph_unpack_u8(u);
	copy_field(o->dsn[i], sizeof(o->dsn[i]), u);
	copy_field(o->text[i], sizeof(o->text[i]), u);
	copy_field(o->relay[i], sizeof(o->relay[i]), u);
	copy_field(o->mta[i], sizeof(o->mta[i]), u);
	copy_field(o->diag[i], sizeof(o->diag[i]), u);
	o->dsn_passed[i] = ph_unpack_u8(u);
}

static void on_hello(struct ph_unpack *u)
{
	ph_unpack_u32(u);
	ph_unpack_u8(u);
	ph_unpack_u8(u);
	copy_field(w.journal, sizeof(w.journal), u);
	w.hello_deliveries = (int)ph_unpack_u32(u);
}

static void qmgr_read(struct ph_ipc *ipc)
{
	struct ph_slice payload;
	struct ph_unpack u;
	uint16_t type;
	uint64_t id;

	while (ph_ipc_recv(ipc, &type, &payload, PH_NEVER) == 0) {
		ph_unpack_init(&u, payload);
		if (type == PH_F_HELLO_AGENT) {
			on_hello(&u);
		} else if (type == PH_F_RESULT) {
			on_result(&u);
		} else if (type == PH_F_DONE) {
			id = ph_unpack_u64(&u);
			if (id < 64 && w.wait[id]) {
				w.wait[id]->dest_down = ph_unpack_u8(&u);
				w.wait[id]->done = true;
			}
		} else if (type == PH_F_ROTATED) {
			copy_field(w.rotated, sizeof(w.rotated), &u);
		} else if (type == PH_F_REFUSED) {
			w.refused++;
		}
		ph_waitq_wake_all(&w.changed);
	}
}

static void qmgr_run(void *unused)
{
	int fd;

	for (;;) {
		if (ph_fd_wait(w.listen_fd, EV_READ, PH_NEVER) < 0)
			return;
		fd = accept4(w.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			continue;
		w.ipc = ph_ipc_new(fd);
		qmgr_read(w.ipc);
		ph_ipc_close(&w.ipc);
		ph_waitq_wake_all(&w.changed);
	}
}

/* ---- messages ----------------------------------------------------------------------------- */

struct order {
	const char *service, *nexthop, *sender, *content, *encoding, *envid, *ret;
	size_t content_n;               /* 0: strlen */
	const char *rcpts[RCPTS];
	unsigned notify;
	uint32_t flags;
	struct ph_attr *attrs;
	size_t n_attrs;
	bool no_wait;
	bool wrong_offset;              /* the queue manager asks for what is not there */
	int64_t age_s;                  /* of the message */
};

static void message_store(const struct order *o, struct ph_msg_ref *ref)
{
	struct ph_envelope env = { .arrival_us = ph_wall_us(), .sender = o->sender ? o->sender : "", .encoding = "" };
	size_t n = o->content_n ? o->content_n : strlen(o->content);
	struct ph_store_msg *m;
	struct ph_rcpt rcpts[RCPTS] = { { 0 } };
	char id[PH_QUEUE_ID_MAX];
	struct ph_err err;

	for (env.n_rcpts = 0; env.n_rcpts < RCPTS && o->rcpts[env.n_rcpts]; env.n_rcpts++) {
		rcpts[env.n_rcpts].address = rcpts[env.n_rcpts].original = o->rcpts[env.n_rcpts];
	}
	env.rcpts = rcpts;
	env.content_bytes = (int64_t)n;
	ph_queue_id_new(id, false);
	m = ph_store_begin(w.store, id);
	if (ph_store_write(m, o->content, n) < 0 || ph_store_commit(&m, &env, ref, &err) < 0)
		abort();
}

static void request_send(const struct order *o, uint64_t id)
{
	struct ph_delivery_request req = { .id = id, .service = o->service, .nexthop = o->nexthop ? o->nexthop : "", .sender = o->sender ? o->sender : "",
		.envid = o->envid, .ret = o->ret, .encoding = o->encoding ? o->encoding : "", .flags = o->flags, .attrs = o->attrs, .n_attrs = o->n_attrs };
	struct ph_request_rcpt rcpts[RCPTS] = { { 0 } };
	struct ph_buf b = PH_BUF_INIT(1024 * 1024);

	message_store(o, &req.ref);
	if (o->wrong_offset)
		req.ref.offset += 8;
	req.content_bytes = (int64_t)(o->content_n ? o->content_n : strlen(o->content));
	req.arrival_us = req.active_us = ph_wall_us() - o->age_s * 1000000;
	for (req.n_rcpts = 0; o->rcpts[req.n_rcpts]; req.n_rcpts++) {
		rcpts[req.n_rcpts].index = (uint32_t)req.n_rcpts;
		rcpts[req.n_rcpts].address = rcpts[req.n_rcpts].original = o->rcpts[req.n_rcpts];
		rcpts[req.n_rcpts].dsn_notify = o->notify;
	}
	req.rcpts = rcpts;
	if (ph_request_encode(&req, &b) < 0 || ph_ipc_send(w.ipc, PH_F_DELIVER, b.data, b.len) < 0)
		abort();
	ph_buf_done(&b);
}

/* Deliver and wait for DONE (at most a minute). */
__attribute__((unused))
static struct outcome *deliver(const struct order *o)
{
	struct outcome *out = calloc(1, sizeof(*out));
	int64_t until = ph_now_ms() + 60000;
	uint64_t id = w.next_id++ % 64;
	int i;

	for (i = 0; i < RCPTS; i++)
		out->status[i] = -1;
	w.wait[id] = out;
	while (w.ipc == NULL && ph_waitq_wait(&w.changed, until) == 0)
		;
	request_send(o, id);
	while (!o->no_wait && !out->done && ph_waitq_wait(&w.changed, until) == 0)
		;
	return out;
}
#define DELIVER(...) deliver(order_of((struct order){ __VA_ARGS__ }))

/* What is not said is what most tests want. */
__attribute__((unused))
static const struct order *order_of(struct order o)
{
	static struct order filled;

	filled = o;
	filled.service = o.service ? o.service : "smtp";
	filled.sender = o.sender ? o.sender : "s@example.com";
	filled.content = o.content ? o.content : "Subject: x\n\nhello\n";
	return &filled;
}

__attribute__((unused))
static bool result_is(const struct outcome *o, int i, int status, const char *dsn, const char *text)
{
	bool ok = o->status[i] == status && strcmp(o->dsn[i], dsn) == 0 && strcmp(o->text[i], text) == 0;

	if (!ok)
		printf("# got %d %s (%s) relay %s\n", o->status[i], o->dsn[i], o->text[i], o->relay[i]);
	return ok;
}

/* ---- start and end ------------------------------------------------------------------------ */

static void agent_main(const char *main_cf, const char *master_cf, bool root)
{
	struct ph_agent_config cfg = { .queue_dir = w.dir, .slot = 7, .root = root };
	struct ph_log_config log = { .syslog_name = "postfix", .prog = "agent", .maillog_file = w.log };
	struct ph_config *config;
	struct ph_err err;

	if (ph_config_parse(main_cf, master_cf, &config, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
	ph_log_open(&log);
	cfg.config = config;
	_exit(ph_agent_run(&cfg));
}

static void world_dirs(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct ph_err err;

	strcpy(w.dir, "/tmp/test_agent.XXXXXX");
	if (mkdtemp(w.dir) == NULL || chmod(w.dir, 0755) < 0 || ph_queue_dirs_make(w.dir, geteuid(), getegid(), &err) < 0)
		abort();
	path_in(w.log, sizeof(w.log), "log");
	path_in(addr.sun_path, sizeof(addr.sun_path), "private/qmgr");
	w.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (w.listen_fd < 0 || bind(w.listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(w.listen_fd, 5) < 0)
		abort();
}

/* Before any loop runs: forks.  main_cf gets queue_directory put in front. */
static void world_start(const char *main_cf, const char *master_cf, bool root)
{
	char *text;

	if (asprintf(&text, "queue_directory = %s\nmaillog_file = %s\nmaillog_file_prefixes = /\nmyhostname = me.test\nmydomain = test\n%s", w.dir, w.log, main_cf) < 0)
		abort();
	w.agent = fork();
	if (w.agent == 0)
		agent_main(text, master_cf, root);
	free(text);
}

/* In the loop. */
static void world_open(void)
{
	struct ph_store_config cfg = { .queue_dir = w.dir, .slot = 9, .segment_bytes = 4 * 1024 * 1024, .memory_max = 16 * 1024 * 1024 };
	struct ph_err err;

	ph_queue_id_init(9);
	if (ph_store_open(&cfg, &w.store, &err) < 0)
		abort();
	ph_co_spawn("qmgr", qmgr_run, NULL);
}

static int world_end(void)
{
	char text[128];
	int i, status = -1;

	kill(w.agent, SIGTERM);
	waitpid(w.agent, &status, 0);
	for (i = 0; i < w.n_servers; i++) {
		kill(w.servers[i], SIGTERM);
		waitpid(w.servers[i], NULL, 0);
	}
	snprintf(text, sizeof(text), "rm -rf %s", w.dir);
	if (getenv("KEEP") == NULL && system(text) != 0)
		return 1;
	return status;
}

#endif
