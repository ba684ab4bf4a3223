/* test_qmgr.c: a whole queue manager in a child process; intake and delivery agents are played by this one, over the real sockets.
 * Messages lie in a real store where a test reads them again, else nowhere: the queue manager gets envelopes with the announcement. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <posthouse/co.h>
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pack.h"
#include "config/config.h"
#include "module/loader.h"
#include "net/listen.h"
#include "queue/control_client.h"
#include "queue/journal.h"
#include "queue/maildrop.h"
#include "queue/parts.h"
#include "queue/proto.h"
#include "queue/qmgr.h"
#include "queue/recover_offline.h"
#include "tap.h"

static char dir[64];
static struct ph_config *config;
static pid_t qmgr_pid;
static int sock[2] = { -1, -1 };
static struct ph_store *store;

static const char master_text[] =
	"smtp unix - - n - - smtp\n"
	"slow unix - - n - 2 smtp\n"
	"error unix - - n - - error\n"
	"retry unix - - n - - error\n"
	"local unix - n n - - local\n";

static const char *const main_base =
	"compatibility_level = 3.6\nmyhostname = mx.test\nmydestination =\nrelay_domains = relay.test\nalias_maps =\n"
	"transport_maps = inline:{slow.test=slow:x, held.test=uucp:x, nowhere.test=nosuch:x}\ndefer_transports = uucp\n"
	"mail_owner = root\nsetgid_group = root\n";

static void config_make(const char *more)
{
	struct ph_err err;
	struct ph_buf b = PH_BUF_INIT(65536);

	ph_buf_printf(&b, "%squeue_directory = %s\n%s", main_base, dir, more);
	if (ph_config_parse(b.data, master_text, &config, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	ph_buf_done(&b);
}

static void dir_make(void)
{
	struct ph_err err;

	strcpy(dir, "/tmp/ph-qmgr-XXXXXX");
	if (mkdtemp(dir) == NULL || ph_queue_dirs_make(dir, getuid(), getgid(), &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
}

static void dir_remove(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# rm failed\n");
}

static void sockets_make(void)
{
	static const char *const names[] = { "private/qmgr", "public/qmgr" };
	char path[128];
	struct ph_err err;
	int i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		if (sock[i] < 0)
			sock[i] = ph_listen_unix(path, 0600, 1000, &err);
	}
}

static void qmgr_start_under(unsigned slot, int control)
{
	struct ph_log_config log = { .syslog_name = "postfix", .prog = "qmgr" };
	char logfile[128];

	snprintf(logfile, sizeof(logfile), "%s/log", dir);
	fflush(stdout);
	qmgr_pid = fork();
	if (qmgr_pid == 0) {
		struct ph_qmgr_config cfg = { config, dir, slot, sock[0], sock[1], control };
		int fd = open(logfile, O_WRONLY | O_CREAT | O_APPEND, 0600);

		ph_log_open(&log);
		ph_log_set_fd(fd);
		ph_queue_id_init(slot);
		_exit(ph_qmgr_run(&cfg) < 0);
	}
}

static void qmgr_start(unsigned slot)
{
	qmgr_start_under(slot, -1);
}

/* A frame from the master, which is this process: agent pid lives, or is gone. */
static void master_says(struct ph_ipc *master, uint16_t type, uint32_t pid)
{
	struct ph_buf b = PH_BUF_INIT(64);

	if (type == PH_F_AGENTS)
		ph_pack_u32(&b, 1);
	ph_pack_u32(&b, pid);
	if (type == PH_F_AGENT_GONE)
		ph_pack_u8(&b, 9);
	ph_ipc_send(master, type, b.data, b.len);
	ph_buf_done(&b);
}

/* Recovered mail waits until agent pid has said hello. */
static struct ph_ipc *qmgr_start_mastered(unsigned slot, uint32_t pid)
{
	struct ph_ipc *master;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) < 0) {
		printf("Bail out! socketpair\n");
		exit(1);
	}
	qmgr_start_under(slot, fd[1]);
	close(fd[1]);
	master = ph_ipc_new(fd[0]);
	master_says(master, PH_F_AGENTS, pid);
	return master;
}

static int qmgr_stop(int sig)
{
	int status = 0;

	kill(qmgr_pid, sig);
	waitpid(qmgr_pid, &status, 0);
	return status;
}

static struct ph_ipc *dial(const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", dir, name);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		close(fd);
		return NULL;
	}
	return ph_ipc_new(fd);
}

/* ---- an agent ---- */

struct agent {
	struct ph_ipc *ipc;
	struct ph_journal *journal;
	uint32_t pid;
	bool root, keep;                /* keep: take requests, do nothing */
	enum ph_delivery_status status; /* for all recipients */
	const char *dsn, *text;
	bool down;
	const char *pass;               /* what comes by another service goes to this route; NULL: nothing does */
	unsigned requests, rcpts;
	uint64_t ids[64];               /* kept */
	char queue_ids[64][PH_QUEUE_ID_MAX];
	uint32_t kept_rcpts[64];
	unsigned n_kept;
	unsigned max_rcpts;
	char last_sender[200], last_rcpt[200], last_nexthop[200], last_service[64];
};

static void agent_hello(struct agent *a, bool with_kept)
{
	struct ph_buf b = PH_BUF_INIT(1 << 20);
	unsigned i;

	ph_pack_u32(&b, a->pid);
	ph_pack_u8(&b, 9);
	ph_pack_u8(&b, a->root);
	ph_pack_str(&b, a->journal ? ph_journal_file(a->journal) : "");
	ph_pack_u32(&b, with_kept ? a->n_kept : 0);
	for (i = 0; with_kept && i < a->n_kept; i++) {
		ph_pack_u64(&b, a->ids[i]);
		ph_pack_str(&b, a->queue_ids[i]);
		ph_pack_u32(&b, 1);
		ph_pack_u32(&b, a->kept_rcpts[i]);
	}
	ph_ipc_send(a->ipc, PH_F_HELLO_AGENT, b.data, b.len);
	ph_buf_done(&b);
}

static void agent_frame(struct agent *a, uint64_t id, const struct ph_request_rcpt *r, unsigned status, const char *text, const char *relay)
{
	struct ph_buf b = PH_BUF_INIT(65536);

	ph_pack_u64(&b, id);
	ph_pack_u32(&b, r->index);
	ph_pack_u8(&b, (uint8_t)status);
	ph_pack_str(&b, a->dsn);
	ph_pack_str(&b, text);
	ph_pack_str(&b, relay);
	ph_pack_str(&b, NULL);
	ph_pack_str(&b, NULL);
	ph_pack_u8(&b, 0);
	if (r->route) {
		ph_pack_str(&b, r->route);
		ph_pack_str(&b, r->address);
	}
	ph_ipc_send(a->ipc, PH_F_RESULT, b.data, b.len);
	ph_buf_done(&b);
}

static void agent_result(struct agent *a, uint64_t id, const char *queue_id, const struct ph_request_rcpt *r)
{
	if (a->pass && strncmp(a->pass, a->last_service, strlen(a->last_service)) != 0) {
		agent_frame(a, id, r, PH_RESULT_PASS, r->address, a->pass);
		return;
	}

	if (a->journal) {
		struct ph_journal_rec rec = { .type = a->status == PH_DEFERRED ? PH_J_DEFERRED : PH_J_RESULT, .rcpt = r->index,
			.status = (uint8_t)a->status, .dsn = { a->dsn, strlen(a->dsn) }, .text = { a->text, strlen(a->text) } };
		struct ph_err err;

		snprintf(rec.queue_id, sizeof(rec.queue_id), "%s", queue_id);
		ph_journal_append(a->journal, &rec, &err);
	}
	agent_frame(a, id, r, a->status, a->text, "mx.example[192.0.2.1]:25");
}

static void agent_done(struct agent *a, uint64_t id)
{
	struct ph_buf b = PH_BUF_INIT(4096);

	ph_pack_u64(&b, id);
	ph_pack_u8(&b, a->down);
	ph_pack_str(&b, a->down ? a->dsn : "");
	ph_pack_str(&b, a->down ? a->text : "");
	ph_ipc_send(a->ipc, PH_F_DONE, b.data, b.len);
	ph_buf_done(&b);
}

static void agent_deliver(struct agent *a, struct ph_slice payload, struct ph_arena *arena)
{
	struct ph_delivery_request *r;
	size_t i;

	if (ph_request_decode(payload, arena, &r) < 0) {
		printf("# bad request\n");
		return;
	}
	a->requests++;
	a->rcpts += (unsigned)r->n_rcpts;
	if (r->n_rcpts > a->max_rcpts)
		a->max_rcpts = (unsigned)r->n_rcpts;
	snprintf(a->last_sender, sizeof(a->last_sender), "%s", r->sender);
	snprintf(a->last_rcpt, sizeof(a->last_rcpt), "%s", r->rcpts[0].address);
	snprintf(a->last_nexthop, sizeof(a->last_nexthop), "%s", r->nexthop);
	snprintf(a->last_service, sizeof(a->last_service), "%s", r->service);
	if (a->keep && !(a->pass && strncmp(a->pass, r->service, strlen(r->service)) != 0)) {
		if (a->n_kept < 64) {
			a->ids[a->n_kept] = r->id;
			a->kept_rcpts[a->n_kept] = r->rcpts[0].index;
			memcpy(a->queue_ids[a->n_kept++], r->ref.queue_id, PH_QUEUE_ID_MAX);
		}
		return;
	}
	for (i = 0; i < r->n_rcpts; i++)
		agent_result(a, r->id, r->ref.queue_id, &r->rcpts[i]);
	agent_done(a, r->id);
}

static void agent_main(void *arg)
{
	struct agent *a = arg;
	struct ph_arena *arena = ph_arena_new();
	struct ph_slice payload;
	uint16_t type;

	while (a->ipc && ph_ipc_recv(a->ipc, &type, &payload, INT64_MAX) == 0) {
		if (type == PH_F_DELIVER)
			agent_deliver(a, payload, arena);
		ph_arena_reset(arena);
	}
	ph_arena_free(&arena);
	ph_ipc_close(&a->ipc);
}

static struct agent *agent_new(uint32_t pid)
{
	struct agent *a = ph_alloc(sizeof(*a));

	a->pid = pid;
	a->status = PH_SENT;
	a->dsn = "2.0.0";
	a->text = "250 ok";
	return a;
}

static void agent_connect(struct agent *a, bool with_kept)
{
	int i;

	for (i = 0; i < 100 && (a->ipc = dial("private/qmgr")) == NULL; i++)
		ph_co_sleep(20);
	agent_hello(a, with_kept);
	ph_co_spawn("test agent", agent_main, a);
}

static void agent_leave(struct agent *a)
{
	if (a->ipc)
		shutdown(ph_ipc_fd(a->ipc), SHUT_RDWR);
	while (a->ipc)
		ph_co_sleep(5);
}

/* ---- intake ---- */

static struct ph_ipc *intake;
static unsigned msg_no;

static void intake_connect(void)
{
	struct ph_buf b = PH_BUF_INIT(1 << 16);
	struct ph_msg_ref refs[16];
	size_t n = store ? ph_store_open_segments(store, refs, 16) : 0, i;

	while ((intake = dial("private/qmgr")) == NULL)
		ph_co_sleep(20);
	ph_pack_u32(&b, (uint32_t)getpid());
	ph_pack_u8(&b, 1);
	ph_pack_u32(&b, (uint32_t)n);
	for (i = 0; i < n; i++)
		ph_ref_encode(&refs[i], &b);
	ph_ipc_send(intake, PH_F_HELLO_INTAKE, b.data, b.len);
	ph_buf_done(&b);
}

struct mail { const char *sender; const char *const *rcpts; unsigned n; uint32_t flags; unsigned notify; const char *filter, *redirect, *verp; int64_t age_s; bool stored; };

/* Announce a message; returns its queue id (static). */
static const char *mail(const struct mail *m)
{
	static char id[PH_QUEUE_ID_MAX];
	struct ph_rcpt *rcpts = ph_alloc((m->n + 1) * sizeof(*rcpts));
	struct ph_envelope env = { .arrival_us = ph_wall_us() - m->age_s * 1000000, .content_bytes = 1000, .flags = m->flags, .sender = m->sender,
		.encoding = "7bit", .filter = m->filter, .redirect = m->redirect, .n_rcpts = m->n, .rcpts = rcpts };
	struct ph_attr verp = { "verp_delimiters", m->verp };
	struct ph_buf b = PH_BUF_INIT(1 << 24), e = PH_BUF_INIT(1 << 24);
	struct ph_msg_ref ref;
	struct ph_err err;
	unsigned i;

	memset(&ref, 0, sizeof(ref));
	if (m->verp) {
		env.attrs = &verp;
		env.n_attrs = 1;
	}
	for (i = 0; i < m->n; i++)
		rcpts[i] = (struct ph_rcpt){ .address = m->rcpts[i], .original = m->rcpts[i], .dsn_notify = m->notify };
	if (m->stored) {
		struct ph_store_msg *sm;

		ph_queue_id_new(id, false);
		sm = ph_store_begin(store, id);
		ph_store_write(sm, "Subject: x\n\nbody\n", 17);
		if (ph_store_commit(&sm, &env, &ref, &err) < 0)
			printf("# commit: %s\n", err.text);
	} else {
		snprintf(ref.queue_id, sizeof(ref.queue_id), "A%09X", ++msg_no);
		strcpy(ref.file, "incoming/SFE.00000001");
		ref.instance = 1;
		ref.offset = 4096 + (uint64_t)msg_no * 2048;
		ref.length = 2048;
		ref.env_length = 200;
		strcpy(id, ref.queue_id);
	}
	ph_envelope_encode(&env, &e);
	ph_ref_encode(&ref, &b);
	ph_pack_bytes(&b, e.data, e.len);
	if (intake)
		ph_ipc_send(intake, PH_F_NEW, b.data, b.len);
	ph_buf_done(&b);
	ph_buf_done(&e);
	free(rcpts);
	return id;
}

#define MAIL(...) mail(&(struct mail){ .sender = "s@x.test", __VA_ARGS__ })
#define TO(...) .rcpts = (const char *const[]){ __VA_ARGS__ }, .n = sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)

/* ---- questions ---- */

static int add_text(void *arg, const char *text, size_t n)
{
	ph_buf_append(arg, text, n);
	return 0;
}

static struct ph_buf answer = PH_BUF_INIT(64 << 20);
static struct ph_err answer_err;

static int ask(const char *json)
{
	ph_buf_clear(&answer);
	return ph_qmgr_ctl(dir, json, add_text, &answer, ph_now_ms() + 60000, &answer_err);
}

static long stat_of(const char *name)
{
	json_t *j;
	long v;

	if (ask("{\"cmd\":\"show\",\"what\":\"stats\"}") < 0)
		return -1;
	j = json_loads(answer.data, 0, NULL);
	v = (long)json_integer_value(json_object_get(j, name));
	json_decref(j);
	return v;
}

static bool wait_stat(const char *name, long v)
{
	int i;

	for (i = 0; i < 400; i++) {
		if (stat_of(name) == v)
			return true;
		ph_co_sleep(25);
	}
	printf("# %s is %ld, not %ld\n", name, stat_of(name), v);
	return false;
}

static bool logged(const char *text)
{
	char path[128], *all = ph_alloc(1 << 24);
	ssize_t n;
	bool found = false;
	int fd, i;

	snprintf(path, sizeof(path), "%s/log", dir);
	for (i = 0; i < 50 && !found; i++) {
		fd = open(path, O_RDONLY);
		n = fd >= 0 ? pread(fd, all, (1 << 24) - 1, 0) : 0;
		all[n > 0 ? n : 0] = '\0';
		found = strstr(all, text) != NULL;
		if (fd >= 0)
			close(fd);
		if (!found)
			ph_co_sleep(20);
	}
	free(all);
	return found;
}

/* ---- scenarios ---- */

static void test_flow(void *arg)
{
	struct agent *a = agent_new(1001);
	const char *id;
	char text[300];

	qmgr_start(3);
	agent_connect(a, false);
	intake_connect();
	id = MAIL(TO("u@far.test"));
	tap_ok(wait_stat("finished", 1), "a message is delivered and removed");
	snprintf(text, sizeof(text), "%s: from=<s@x.test>, size=1000, nrcpt=1 (queue active)", id);
	tap_ok(logged(text), "log: queue active");
	snprintf(text, sizeof(text), "%s: removed", id);
	tap_ok(logged(text), "log: removed");
	tap_is(a->last_nexthop, "far.test", "next hop");
	tap_is(a->last_service, "smtp", "service");

	MAIL(TO("a@one.test", "b@one.test", "c@two.test"));
	tap_ok(wait_stat("finished", 2) && a->requests == 3 && a->max_rcpts == 2, "recipients are batched by destination");

	MAIL(TO("u@far.test"), .filter = "slow:[127.0.0.1]:10026");
	tap_ok(wait_stat("finished", 3), "content filter");
	tap_is(a->last_service, "slow", "its transport");
	tap_is(a->last_nexthop, "[127.0.0.1]:10026", "its next hop");

	id = MAIL(TO("u@held.test", "v@nowhere.test"));
	tap_ok(wait_stat("deferred", 1), "deferred");
	tap_ok(logged("dsn=4.3.2, status=deferred (deferred transport)"), "defer_transports");
	tap_ok(logged("connect to transport private/nosuch: No such file or directory"), "unknown transport: warning");
	tap_ok(logged("dsn=4.3.0, status=deferred (mail transport unavailable)"), "and deferral");
	ask("{\"cmd\":\"list\",\"format\":\"json\"}");
	tap_ok(answer.len && strstr(answer.data, "\"queue_name\": \"deferred\"") && strstr(answer.data, "{\"address\": \"u@held.test\", \"delay_reason\": \"deferred transport\"}"),
	       "JSON listing");
	ask("{\"cmd\":\"list\",\"format\":\"mailq\"}");
	tap_ok(strstr(answer.data, "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n") == answer.data &&
	       strstr(answer.data, "\n                                                          (deferred transport)\n"
				   "                                         u@held.test\n"), "mailq listing");
	tap_ok(strstr(answer.data, "\n-- 0 Kbytes in 1 Request.\n") != NULL, "its end");

	snprintf(text, sizeof(text), "{\"cmd\":\"super\",\"op\":\"hold\",\"ids\":[\"%s\",\"NOSUCH\"]}", id);
	tap_ok(ask(text) == 0 && strstr(answer.data, "\"count\":1"), "hold");
	tap_ok(stat_of("hold") == 1, "is on hold");
	snprintf(text, sizeof(text), "{\"cmd\":\"super\",\"op\":\"delete\",\"all\":true,\"queues\":[\"deferred\"]}");
	tap_ok(ask(text) == 0 && strstr(answer.data, "\"count\":0"), "delete ALL deferred leaves it alone");
	tap_ok(ask("{\"cmd\":\"super\",\"op\":\"delete\",\"all\":true}") == 0 && strstr(answer.data, "\"count\":1") && stat_of("messages") == 0, "delete ALL");

	tap_ok(ask("{\"cmd\":\"flush-id\",\"id\":\"NOSUCH\"}") == -ESRCH, "flush of an unknown id");
	tap_ok(ask("{\"cmd\":\"flush-site\",\"site\":\"x.test\"}") == -EACCES, "flush of a site that is not eligible");
	tap_is(answer_err.text, "Flush service is not configured for destination \"x.test\"", "says so");
	tap_ok(ask("{\"cmd\":\"flush-site\",\"site\":\"relay.test\"}") == 0, "flush of one that is");
	tap_ok(ask("{\"cmd\":") == -EINVAL && ask("[1]") == -EINVAL && ask("{\"cmd\":\"x\"}") == -EINVAL && ask("{\"cmd\":\"super\",\"op\":\"x\"}") == -EINVAL &&
	       ask("{\"cmd\":\"super\",\"op\":\"delete\",\"ids\":[1,null,{}]}") == 0, "nonsense is refused");

	/* a dead destination */
	a->status = PH_DEFERRED;
	a->dsn = "4.4.1";
	a->text = "connect to dead.test[192.0.2.9]:25: Connection refused";
	a->down = true;
	for (int i = 0; i < 20; i++)
		MAIL(TO("u@dead.test"));
	tap_ok(wait_stat("deferred", 20), "20 messages to a dead destination are deferred");
	tap_ok(a->requests < 4 + 20, "after a cohort of failures, not %u", a->requests - 4);
	tap_ok(logged("relay=none") && logged("dsn=4.4.1, status=deferred (delivery temporarily suspended: connect to dead.test[192.0.2.9]:25: Connection refused)"),
	       "delivery temporarily suspended");
	ask("{\"cmd\":\"show\",\"what\":\"destinations\"}");
	tap_ok(strstr(answer.data, "\"destination\":\"dead.test\"") != NULL, "show destinations");
	tap_ok(ask("{\"cmd\":\"super\",\"op\":\"delete\",\"all\":true}") == 0 && stat_of("messages") == 0, "delete them");

	agent_leave(a);
	ph_ipc_close(&intake);
	tap_ok(qmgr_stop(SIGTERM) == 0, "ends when told to");
	free(a);
	ph_loop_stop();
}

/* ---- attempts that are begun a second time ---- */

static bool wait_kept(const struct agent *a, unsigned n)
{
	for (int i = 0; i < 400 && a->n_kept < n; i++)
		ph_co_sleep(10);
	return a->n_kept == n;
}

static void over(struct agent *a, struct ph_ipc *master)
{
	agent_leave(a);
	ph_ipc_close(&intake);
	ph_ipc_close(&master);
	qmgr_stop(SIGTERM);
	free(a);
	ph_loop_stop();
}

static void test_again(void *arg)
{
	struct agent *a = agent_new(1003), *b = agent_new(1004), *c = agent_new(1005);
	struct ph_ipc *master = qmgr_start_mastered(5, a->pid);

	a->keep = true;
	agent_connect(a, false);
	intake_connect();
	MAIL(TO("u@far.test", "v@far.test", "w@other.test"), .redirect = "all@there.test");
	tap_ok(wait_kept(a, 1) && stat_of("deliveries") == 1, "REDIRECT: one delivery for all recipients");
	tap_is(a->last_rcpt, "all@there.test", "to whom it was redirected");
	tap_is(a->last_nexthop, "there.test", "and there");
	master_says(master, PH_F_AGENT_GONE, a->pid);
	agent_leave(a);
	agent_connect(b, false);
	tap_ok(wait_stat("finished", 1) && b->requests == 1, "its agent dies: delivered by the next one");
	tap_is(b->last_nexthop, "there.test", "to the same place");

	b->keep = true;
	b->pass = "slow:x";
	MAIL(TO("u@far.test"));
	tap_ok(wait_kept(b, 1), "passed on to another transport");
	master_says(master, PH_F_AGENT_GONE, b->pid);
	agent_leave(b);
	c->pass = "slow:x";
	agent_connect(c, false);
	tap_ok(wait_stat("finished", 2) && c->requests == 2, "its agent dies: passed on again");
	tap_is(c->last_service, "slow", "to the same transport");
	free(a);
	free(b);
	over(c, master);
}

/* ---- deliveries that were under way before ---- */

static const char *const by_slow = "slow:x";

/* In the queue before the queue manager begins. */
static const char *left_behind(const struct mail *m)
{
	struct ph_store_config cfg = { .queue_dir = dir, .slot = 7, .segment_bytes = 2 << 20 };
	struct ph_err err;
	const char *id;

	ph_queue_id_init(7);
	if (ph_store_open(&cfg, &store, &err) < 0)
		printf("# %s\n", err.text);
	id = mail(m);
	ph_store_close(&store);
	return id;
}

/* An agent's journal says that recipient rcpt was expanded, and what became of its parts. */
static void expanded_before(const char *queue_id, uint32_t rcpt, const struct ph_part *parts, size_t n)
{
	struct ph_buf b = PH_BUF_INIT(PH_PARTS_MAX);
	struct ph_journal_rec rec = { .type = PH_J_DEFERRED, .status = PH_DEFERRED, .rcpt = rcpt, .time_ms = ph_wall_us() / 1000, .dsn = { "4.3.0", 5 } };
	struct ph_journal *j = NULL;
	struct ph_err err;
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	for (size_t i = 0; i < n; i++)
		ph_parts_add(&b, &parts[i]);
	rec.diag = (struct ph_slice){ b.data, b.len };
	snprintf(rec.queue_id, sizeof(rec.queue_id), "%s", queue_id);
	if (ph_journal_open(fd, 9, &j, &err) < 0 || ph_journal_append(j, &rec, &err) < 0)
		printf("# %s\n", err.text);
	ph_journal_close(&j);
	close(fd);
	ph_buf_done(&b);
}

static void begun_before(struct agent *a, const char *queue_id, uint32_t rcpt)
{
	a->ids[a->n_kept] = 70 + a->n_kept;
	a->kept_rcpts[a->n_kept] = rcpt;
	snprintf(a->queue_ids[a->n_kept++], PH_QUEUE_ID_MAX, "%s", queue_id);
}

static void test_redirect_adopted(void *arg)
{
	struct agent *a = agent_new(1006);
	struct ph_ipc *master;

	begun_before(a, left_behind(&(struct mail){ .sender = "", TO("u@far.test", "v@far.test"), .redirect = "all@there.test", .stored = true }), 0);
	master = qmgr_start_mastered(5, a->pid);
	agent_connect(a, true);
	tap_ok(wait_stat("active", 1), "REDIRECT: its delivery goes on after a restart");
	agent_result(a, a->ids[0], a->queue_ids[0], &(struct ph_request_rcpt){ .index = 0 });
	agent_done(a, a->ids[0]);
	tap_ok(wait_stat("finished", 1) && a->requests == 0, "and stands for the other recipients");
	over(a, master);
}

static void test_redirect_done(void *arg)
{
	struct agent *a = agent_new(1007);
	const char *id = left_behind(&(struct mail){ .sender = "", TO("u@far.test", "v@far.test"), .redirect = "all@there.test", .stored = true });
	struct ph_ipc *master;
	struct ph_journal_rec rec = { .type = PH_J_RESULT, .status = PH_SENT, .time_ms = ph_wall_us() / 1000, .dsn = { "2.0.0", 5 } };
	struct ph_journal *j = NULL;
	struct ph_err err;
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	snprintf(rec.queue_id, sizeof(rec.queue_id), "%s", id);
	if (ph_journal_open(fd, 9, &j, &err) < 0 || ph_journal_append(j, &rec, &err) < 0)
		printf("# %s\n", err.text);
	ph_journal_close(&j);
	close(fd);
	master = qmgr_start_mastered(5, a->pid);
	agent_connect(a, false);
	tap_ok(wait_stat("finished", 1) && a->requests == 0, "REDIRECT: a delivery that was over before a restart stands, too");
	over(a, master);
}

static void test_parts_adopted(void *arg)
{
	static const struct ph_part parts[2] = { { .state = PH_PART_PENDING, .address = "p@far.test", .dsn = "", .text = "", .route = "slow:x" },
						 { .state = PH_PART_PENDING, .address = "q@far.test", .dsn = "", .text = "", .route = "slow:x" } };
	struct agent *a = agent_new(1008);
	const char *id = left_behind(&(struct mail){ .sender = "", TO("u@far.test", "all@here.test"), .stored = true });
	struct ph_ipc *master;

	expanded_before(id, 1, parts, 2);
	begun_before(a, id, 1);
	begun_before(a, id, 1);
	a->keep = true;
	master = qmgr_start_mastered(5, a->pid);
	agent_connect(a, true);
	tap_ok(wait_kept(a, 3) && a->requests == 1, "two parts are under way since before, another recipient begins");
	for (int i = 0; i < 3; i += 2) {
		struct ph_request_rcpt r = { .index = a->kept_rcpts[i], .address = parts[0].address, .route = i == 0 ? by_slow : NULL };

		agent_result(a, a->ids[i], a->queue_ids[i], &r);
		agent_done(a, a->ids[i]);
	}
	tap_ok(wait_stat("active_recipients", 0) && stat_of("active") == 1 && a->requests == 1, "one part is done: the other is not begun a second time");
	agent_result(a, a->ids[1], a->queue_ids[1], &(struct ph_request_rcpt){ .index = 1, .address = parts[1].address, .route = by_slow });
	agent_done(a, a->ids[1]);
	tap_ok(wait_stat("finished", 1), "with the last one it is over");
	over(a, master);
}

static void test_parts_soft(void *arg)
{
	static const struct ph_part parts[2] = { { .state = PH_PART_BOUNCED, .address = "p@far.test", .dsn = "5.1.1", .text = "no such user" },
						 { .state = PH_PART_PENDING, .address = "q@far.test", .dsn = "", .text = "", .route = "slow:x" } };
	struct agent *a = agent_new(1009);
	const char *id = left_behind(&(struct mail){ .sender = "", TO("all@here.test"), .stored = true });
	struct ph_ipc *master;

	expanded_before(id, 0, parts, 2);
	master = qmgr_start_mastered(5, a->pid);
	agent_connect(a, false);
	tap_ok(wait_stat("finished", 1) && a->requests == 1, "soft_bounce: a part that bounced before does not make others begin again");
	tap_is(a->last_rcpt, "q@far.test", "the pending one was delivered");
	over(a, master);
}

/* ---- postsuper -r while the mail system is down ---- */

/* Those that the answer names. Once in a directory: the lock is the process's. */
static void requeue(const char *queue_id, const char *other)
{
	struct ph_offline *o;
	struct ph_err err;
	char text[150];

	ph_buf_clear(&answer);
	snprintf(text, sizeof(text), "{\"cmd\":\"super\",\"op\":\"requeue\",\"ids\":[\"%s\",\"%s\"]}", queue_id, other);
	if (ph_offline_open(config, dir, true, &o, &err) < 0 || ph_offline_request(o, text, add_text, &answer, &err) < 0)
		printf("# %s\n", err.text);
	ph_offline_close(&o);
}

/* The flags, attributes and recipients of the only file in maildrop/, as a text. */
static void dropped(struct ph_buf *ret)
{
	char **names;
	int top = open(dir, O_RDONLY | O_DIRECTORY), fd;
	size_t n = ph_queue_names(top, "maildrop", "", &names);
	struct ph_maildrop_reader *r;
	struct ph_maildrop_rec rec;
	struct ph_err err;

	fd = n == 1 ? openat(top, names[0], O_RDONLY) : -1;
	r = ph_maildrop_reader_new(fd);
	while (fd >= 0 && ph_maildrop_next(r, &rec, &err) > 0) {
		if (rec.type == PH_DROP_FLAGS && rec.data.n == 4)
			ph_buf_printf(ret, "f%u ", (unsigned)rec.data.p[0] & 0xff);
		else if (rec.type == PH_DROP_ATTR)
			ph_buf_printf(ret, "%.*s ", (int)rec.data.n, rec.data.p);
		else if (rec.type == PH_DROP_RCPT)
			ph_buf_printf(ret, "%.*s ", (int)rec.data.n - 2, rec.data.p + 2);
	}
	ph_maildrop_reader_free(&r);
	ph_queue_names_free(names, n);
	close(fd);
	close(top);
}

static void test_requeue_flags(void *arg)
{
	struct ph_buf text = PH_BUF_INIT(1000);
	char want[100];

	requeue(left_behind(&(struct mail){ .sender = "s@x.test", TO("u@far.test"), .flags = PH_ENV_VERP | PH_ENV_SMTPUTF8, .verp = "-=", .stored = true }), "");
	dropped(&text);
	snprintf(want, sizeof(want), "verp_delimiters=-= f%u u@far.test ", (unsigned)(PH_ENV_VERP | PH_ENV_SMTPUTF8) & 0xff);
	tap_is(ph_buf_str(&text), want, "requeued without the mail system: VERP and SMTPUTF8 are kept");
	ph_buf_done(&text);
	ph_loop_stop();
}

static void test_requeue_untold(void *arg)
{
	static const struct ph_part parts[2] = { { .state = PH_PART_BOUNCED, .address = "p@far.test", .dsn = "5.1.1", .text = "no such user" },
						 { .state = PH_PART_PENDING, .address = "q@far.test", .dsn = "", .text = "", .route = "slow:x" } };
	const struct mail m = { .sender = "s@x.test", TO("all@here.test"), .stored = true };
	struct ph_buf text = PH_BUF_INIT(1000);
	char with[PH_QUEUE_ID_MAX], without[PH_QUEUE_ID_MAX];

	strcpy(with, left_behind(&m));
	strcpy(without, left_behind(&m));
	expanded_before(with, 0, parts, 2);
	expanded_before(without, 0, parts + 1, 1);
	requeue(with, without);
	tap_ok(strstr(ph_buf_str(&answer), with) == NULL, "a message with a bounced part that nobody was told of is not requeued");
	tap_ok(strstr(ph_buf_str(&answer), without) != NULL, "one without is");
	dropped(&text);
	tap_is(ph_buf_str(&text), "q@far.test ", "as what is left of it");
	ph_buf_done(&text);
	ph_loop_stop();
}

/* ---- CPU ---- */

static double child_cpu(void)
{
	char path[64], buf[1024];
	unsigned long ut = 0, st = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)qmgr_pid);
	f = fopen(path, "r");
	if (f && fgets(buf, sizeof(buf), f))
		sscanf(strrchr(buf, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut, &st);
	if (f)
		fclose(f);
	return (double)(ut + st) / (double)sysconf(_SC_CLK_TCK);
}

static void bench(void *arg)
{
	enum { N = 50000, BURST = 200 };
	struct agent *a = agent_new(1002);
	double cpu;
	char to[64];
	int i;
	const int64_t t0 = ph_now_ms_exact();

	qmgr_start(4);
	agent_connect(a, false);
	intake_connect();
	cpu = child_cpu();
	for (i = 0; i < N; i++) {
		snprintf(to, sizeof(to), "user%d@dest%d.test", i, i % 50);
		MAIL(TO(to));
		if (i % BURST == BURST - 1) {
			ph_ipc_drain(intake, INT64_MAX);
			while ((int)a->rcpts < i - 5000)
				ph_co_sleep(1);
		}
	}
	ph_ipc_drain(intake, INT64_MAX);
	wait_stat("finished", N);
	cpu = child_cpu() - cpu;
	printf("# %d messages: %.1f us of queue manager CPU each, %.1f s in all\n", N, cpu / N * 1e6, (double)(ph_now_ms_exact() - t0) / 1e3);
	tap_ok(stat_of("messages") == 0, "all %d delivered", N);

	/* a large deferred queue: listing, hold, delete */
	a->status = PH_DEFERRED;
	a->dsn = "4.2.0";
	a->text = "mailbox full";
	for (i = 0; i < 200000; i++) {
		snprintf(to, sizeof(to), "user%d@held.test", i);
		MAIL(TO(to));
		if (i % BURST == BURST - 1)
			ph_ipc_drain(intake, INT64_MAX);
	}
	ph_ipc_drain(intake, INT64_MAX);
	for (i = 0; i < 600 && stat_of("deferred") != 200000; i++)
		ph_co_sleep(100);
	printf("# %ld deferred, index %.0f bytes a message\n", stat_of("deferred"), (double)stat_of("index_bytes") / 200000);
	{
		int64_t t1 = ph_now_ms_exact(), t2, t3, t4;

		ask("{\"cmd\":\"list\",\"format\":\"mailq\"}");
		t2 = ph_now_ms_exact();
		printf("# listing of 200000: %lld ms, %zu bytes\n", (long long)(t2 - t1), answer.len);
		ask("{\"cmd\":\"list\",\"format\":\"json\"}");
		t3 = ph_now_ms_exact();
		printf("# as JSON: %lld ms\n", (long long)(t3 - t2));
		ask("{\"cmd\":\"super\",\"op\":\"delete\",\"all\":true}");
		t4 = ph_now_ms_exact();
		printf("# delete ALL: %lld ms: %s\n", (long long)(t4 - t3), ph_buf_str(&answer));
	}
	tap_ok(stat_of("messages") == 0, "all gone");
	agent_leave(a);
	ph_ipc_close(&intake);
	qmgr_stop(SIGTERM);
	free(a);
	ph_loop_stop();
}

static void scenario(void (*fn)(void *), const char *more)
{
	dir_make();
	config_make(more);
	sockets_make();
	ph_run_blocking(fn, NULL);
	close(sock[0]);
	close(sock[1]);
	sock[0] = sock[1] = -1;
	dir_remove();
}

int main(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "test", .only_stderr = true };

	ph_log_open(&log);
	ph_modules_init(getenv("PH_MODULE_PATH") ? getenv("PH_MODULE_PATH") : ".libs");
	alarm(120);
	scenario(test_flow, "");
	scenario(test_again, "");
	scenario(test_redirect_adopted, "");
	scenario(test_redirect_done, "");
	scenario(test_parts_adopted, "qmgr_message_recipient_limit = 1\nqmgr_message_recipient_minimum = 1\ndefault_extra_recipient_limit = 0\n");
	scenario(test_parts_soft, "soft_bounce = yes\n");
	scenario(test_requeue_flags, "");
	scenario(test_requeue_untold, "");
	if (argc > 1)
		scenario(bench, "");
	return tap_done();
}
