/* The delivery host: services, results, soft_bounce and status filters, children that run as other users, a queue manager that goes away. */
#include "agent_world.h"
#include "agent/agent_private.h"

static void test_delays(void)
{
	static const struct { int64_t us; const char *text; } cases[] = {
		{ 0, "0" }, { 4000, "0" }, { 5000, "0.01" }, { 49000, "0.05" }, { 120000, "0.12" }, { 500000, "0.5" }, { 999000, "1" },
		{ 1230000, "1.2" }, { 9960000, "10" }, { 10400000, "10" }, { 30600000, "31" }, { 123456000000, "123456" }, { -5, "0" },
	};
	char buf[32];
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(cases); i++) {
		ph_delay_format(cases[i].us, 2, buf, sizeof(buf));
		tap_is(buf, cases[i].text, "a delay");
	}
	ph_delay_format(1234, 6, buf, sizeof(buf));
	tap_is(buf, "0.0012", "more digits");
}

static void test_simple(void)
{
	struct outcome *o = DELIVER(.service = "error", .nexthop = "5.1.1 no such thing", .rcpts = { "a@x.test" });

	tap_ok(result_is(o, 0, PH_BOUNCED, "5.1.1", "no such thing"), "error bounces");
	o = DELIVER(.service = "retry", .nexthop = "4.4.1 later", .rcpts = { "a@x.test", "b@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.4.1", "later") && result_is(o, 1, PH_DEFERRED, "4.4.1", "later"), "retry defers");
	o = DELIVER(.service = "discard", .nexthop = "silently", .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_SENT, "2.0.0", "silently"), "discard");
	o = DELIVER(.service = "nothing", .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.3.0", "mail transport unavailable"), "a service that does not exist");
	o = DELIVER(.service = "broken", .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.3.0", "mail transport unavailable") && logged("service broken (nosuchmodule) cannot start"), "a module that does not exist");
	o = DELIVER(.service = "soft", .nexthop = "5.1.1 no", .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.1.1", "no") && logged("dsn=4.1.1, status=SOFTBOUNCE (no)"), "soft_bounce");
	o = DELIVER(.service = "filtered", .nexthop = "5.1.1 no", .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.9.9", "other words"), "a status filter");
	o = DELIVER(.service = "filtered", .nexthop = "5.1.2 no", .rcpts = { "a@x.test" });
	tap_ok(result_is(o, 0, PH_BOUNCED, "5.1.2", "no") && logged("bad status code: 2.0.0 fine"), "which cannot turn failure into success");
}

/* A Maildir holds how many files? */
static int count_files(const char *dir)
{
	char cmd[256];
	int n = -1;
	FILE *p;

	snprintf(cmd, sizeof(cmd), "ls %s 2>/dev/null | wc -l", dir);
	p = popen(cmd, "r");
	if (p == NULL || fscanf(p, "%d", &n) != 1)
		n = -1;
	pclose(p);
	return n;
}

static void test_children(void)
{
	struct outcome *o;
	struct stat st;
	char path[160];
	int i;

	if (geteuid() != 0) {
		o = DELIVER(.service = "virtual", .rcpts = { "other@v.test" });
		tap_ok(o->status[0] == PH_DEFERRED, "not root: mail for another user waits");
		return;
	}
	o = DELIVER(.service = "virtual", .rcpts = { "dir@v.test" });
	tap_ok(result_is(o, 0, PH_SENT, "2.0.0", "delivered to maildir"), "a Maildir of another user");
	path_in(path, sizeof(path), "vmail/dir/new");
	tap_ok(count_files(path) == 1 && stat(path, &st) == 0 && st.st_uid == 65534, "made by that user");
	o = DELIVER(.service = "virtual", .rcpts = { "box@v.test" });
	tap_ok(result_is(o, 0, PH_SENT, "2.0.0", "delivered to mailbox"), "an mbox");
	path_in(path, sizeof(path), "vmail/box");
	tap_ok(strstr(slurp(path), "Delivered-To: box@v.test\nSubject: x\n\nhello\n\n"), "with headers, and an empty line at the end");
	tap_ok(logged("postfix/virtual["), "it logs under its own name");
	o = DELIVER(.service = "virtual", .rcpts = { "none@v.test" });
	tap_ok(o->status[0] == PH_BOUNCED && !strcmp(o->dsn[0], "5.1.1"), "unknown user");
	o = DELIVER(.service = "virtual", .rcpts = { "low@v.test" });
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.3.5", "mail system configuration error"), "a user id below the least");
	path_in(path, sizeof(path), "vmail/link");
	(void)!symlink("/etc/passwd", path);
	o = DELIVER(.service = "virtual", .rcpts = { "link@v.test" });
	tap_ok(o->status[0] != PH_SENT, "a symbolic link is not followed: %s", o->text[0]);
	for (i = 0; i < 20; i++)
		o = DELIVER(.service = "virtual", .rcpts = { "dir@v.test" }, .no_wait = i < 19);
	ph_co_sleep(300);
	path_in(path, sizeof(path), "vmail/dir/new");
	tap_ok(count_files(path) == 21, "many at once");
}

/* Kill the children of the agent. */
static int kill_children(void)
{
	char cmd[128], *p, *end;
	int n = 0;
	FILE *f;
	long pid;

	snprintf(cmd, sizeof(cmd), "/proc/%d/task/%d/children", (int)w.agent, (int)w.agent);
	f = fopen(cmd, "r");
	if (f == NULL)
		return 0;
	if (fgets(cmd, sizeof(cmd), f) == NULL)
		cmd[0] = '\0';
	fclose(f);
	for (p = cmd; (pid = strtol(p, &end, 10)) > 0; p = end)
		n += kill((pid_t)pid, SIGKILL) == 0;
	return n;
}

static void test_child_dies(void)
{
	struct outcome *o;
	char path[160];

	if (geteuid() != 0)
		return;
	path_in(path, sizeof(path), "vmail/fifo");
	if (mkfifo(path, 0600) < 0)
		abort();
	path_in(path, sizeof(path), "vmail/locked.lock");       /* the delivery waits for this one */
	fclose(fopen(path, "w"));
	o = DELIVER(.service = "virtual", .rcpts = { "locked@v.test" }, .no_wait = true);
	ph_co_sleep(300);
	tap_ok(kill_children() > 0, "a child is killed");
	while (!o->done && ph_waitq_wait(&w.changed, ph_now_ms() + 5000) == 0)
		;
	tap_ok(result_is(o, 0, PH_DEFERRED, "4.3.0", "delivery agent failed"), "its delivery is put off");
	o = DELIVER(.service = "virtual", .rcpts = { "dir@v.test" });
	tap_ok(o->status[0] == PH_SENT, "the next one gets a new child");
	o = DELIVER(.service = "virtual", .rcpts = { "fifo@v.test" });
	tap_ok(o->status[0] != PH_SENT, "a FIFO does not block: %s", o->text[0]);
}

static int count_record(void *arg, const struct ph_journal_rec *rec)
{
	++*(int *)arg;
	return 0;
}

static void test_journal(void)
{
	int dirfd = open(w.dir, O_PATH | O_DIRECTORY), n = 0, before;
	struct ph_err err;
	uint64_t offset = 0;
	char old[64];

	strcpy(old, w.journal);
	ph_journal_read(dirfd, w.journal, &offset, count_record, &n, &err);
	tap_ok(n > 10, "results are in the journal: %d", n);
	ph_ipc_send(w.ipc, PH_F_ROTATE, "", 0);
	while (!w.rotated[0] && ph_waitq_wait(&w.changed, ph_now_ms() + 10000) == 0)
		;
	tap_ok(w.rotated[0] && strcmp(w.rotated, old) != 0, "a new journal");
	if (geteuid() == 0)
		DELIVER(.service = "virtual", .rcpts = { "dir@v.test" });
	DELIVER(.service = "discard", .rcpts = { "dir@v.test" });
	before = n;
	n = 0;
	offset = 0;
	ph_journal_read(dirfd, w.rotated, &offset, count_record, &n, &err);
	tap_ok(n == (geteuid() == 0 ? 2 : 1), "takes the results from now on: %d", n);
	n = 0;
	offset = 0;
	ph_journal_read(dirfd, old, &offset, count_record, &n, &err);
	tap_ok(n == before, "and the old one does not");
	close(dirfd);
}

static void test_damaged(void)
{
	struct order o = { .service = "virtual", .sender = "s@x.test", .content = "a: b\n\nx\n", .rcpts = { "dir@v.test" }, .wrong_offset = true };
	struct outcome *out;

	if (geteuid() != 0)
		return;
	out = deliver(&o);
	tap_ok(out->status[0] == PH_DEFERRED, "a message that cannot be read waits: %s", out->text[0]);
}

static void test_qmgr_restart(void)
{
	struct outcome *o;
	int port = SINK("slow", "eod=!sleep 1 250 2.0.0 Ok late");
	char hop[64];

	snprintf(hop, sizeof(hop), "[127.0.0.1]:%d", port);
	o = DELIVER(.service = "smtp", .nexthop = hop, .rcpts = { "a@x.test", "b@x.test" }, .no_wait = true);
	ph_co_sleep(500);
	shutdown(ph_ipc_fd(w.ipc), SHUT_RDWR);
	ph_co_sleep(20);
	w.hello_deliveries = -1;
	while (w.hello_deliveries < 0 && ph_waitq_wait(&w.changed, ph_now_ms() + 5000) == 0)
		;
	tap_ok(w.hello_deliveries == 1, "the new queue manager hears what is under way");
	while (!o->done && ph_waitq_wait(&w.changed, ph_now_ms() + 5000) == 0)
		;
	tap_ok(o->done && o->status[0] == PH_SENT && o->status[1] == PH_SENT, "and how it ends");
}

static void test_leave(void)
{
	struct outcome *o, *late;
	int port = SINK("slow2", "eod=!sleep 1 250 2.0.0 Ok late");
	char hop[64];

	snprintf(hop, sizeof(hop), "[127.0.0.1]:%d", port);
	o = DELIVER(.service = "smtp", .nexthop = hop, .rcpts = { "a@x.test" }, .no_wait = true);
	ph_co_sleep(300);
	kill(w.agent, SIGTERM);
	ph_co_sleep(50);
	late = DELIVER(.service = "discard", .rcpts = { "a@x.test" }, .no_wait = true);
	while (!o->done && ph_waitq_wait(&w.changed, ph_now_ms() + 5000) == 0)
		;
	tap_ok(o->status[0] == PH_SENT, "told to end, it finishes what is under way");
	tap_ok(w.refused == 1 && !late->done, "and gives back what is new");
}

static void all_tests(void *arg)
{
	world_open();
	test_simple();
	test_children();
	test_child_dies();
	test_damaged();
	test_journal();
	test_qmgr_restart();
	test_leave();
}

int main(void)
{
	static const char master[] = "smtp unix - - n - - smtp\nerror unix - - n - - error\nretry unix - - n - - error\ndiscard unix - - n - - discard\n"
		"virtual unix - n n - - virtual\nbroken unix - - n - - nosuchmodule\nsoft unix - - n - - error\n -o soft_bounce=yes -o syslog_name=postfix/soft\n"
		"filtered unix - - n - - error\n -o { default_delivery_status_filter = inline:{ {5.1.1 no = 4.9.9 other words}, {5.1.2 no = 2.0.0 fine} } }\n";
	char main_cf[600], path[100];
	int status;

	test_delays();
	world_dirs();
	path_in(path, sizeof(path), "vmail");
	if (mkdir(path, 0700) < 0 || (geteuid() == 0 && chown(path, 65534, 65534) < 0))
		return 1;
	snprintf(main_cf, sizeof(main_cf), "virtual_mailbox_base = %s\nvirtual_minimum_uid = 1000\nvirtual_gid_maps = static:65534\n"
		 "virtual_mailbox_maps = inline:{ dir@v.test=dir/, box@v.test=box, low@v.test=low, link@v.test=link, locked@v.test=locked, fifo@v.test=fifo, other@v.test=x }\n"
		 "virtual_uid_maps = inline:{ low@v.test=10, @v.test=65534 }\n", path);
	world_start(main_cf, master, geteuid() == 0);
	ph_run_blocking(all_tests, NULL);
	status = world_end();
	tap_ok(status == 0, "the agent ends when it is told to: %d", status);
	return tap_done();
}
