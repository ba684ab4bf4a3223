/* How much processor time does the delivery host need for a message that it relays over a reused connection (or puts into a Maildir)?
 * agent_relay PORT COUNT CONCURRENCY BYTES [SERVICE]: a server must listen on PORT.  Prints microseconds of the agent's user and system time per message. */
#include "../unit/agent_world.h"

static int port, count, concurrency;
static size_t bytes;
static const char *service = "smtp";
static int done, sent;

static double cpu_of(pid_t pid)
{
	unsigned long u, s, cu, cs;
	char path[64], *text, *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	text = slurp(path);
	p = strrchr(text, ')');
	if (p == NULL || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &u, &s, &cu, &cs) != 4)
		return 0;
	return (double)(u + s) / (double)sysconf(_SC_CLK_TCK);
}

static void bench(void *arg)
{
	char *content = calloc(1, bytes + 1), hop[64];
	struct ph_msg_ref ref;
	struct order o = { .sender = "s@x.test", .content = content, .rcpts = { "user@x.test" } };
	struct ph_delivery_request req = { .service = service, .nexthop = hop, .sender = "s@x.test", .encoding = "", .content_bytes = (int64_t)bytes, .n_rcpts = 1 };
	struct ph_request_rcpt rcpt = { 0, "user@x.test", "user@x.test", NULL, 0 };
	struct ph_buf b = PH_BUF_INIT(65536);
	struct outcome out = { { 0 } };
	int64_t start;
	double cpu;
	size_t i;

	world_open();
	memset(content, 'x', bytes);
	memcpy(content, "Subject: x\n\n", 12);
	for (i = 72; i < bytes; i += 61)
		content[i] = '\n';
	snprintf(hop, sizeof(hop), "[127.0.0.1]:%d", port);
	message_store(&o, &req.ref);
	ref = req.ref;
	req.rcpts = &rcpt;
	while (w.ipc == NULL)
		ph_waitq_wait(&w.changed, ph_now_ms() + 1000);
	w.wait[1] = &out;
	req.id = 1;
	cpu = cpu_of(w.agent);
	start = ph_now_ms_exact();
	while (done < count) {
		while (sent < count && sent - done < concurrency) {
			req.ref = ref;
			req.arrival_us = req.active_us = ph_wall_us();
			ph_buf_clear(&b);
			ph_request_encode(&req, &b);
			ph_ipc_send(w.ipc, PH_F_DELIVER, b.data, b.len);
			sent++;
		}
		ph_waitq_wait(&w.changed, ph_now_ms() + 5000);
		if (out.done) {
			out.done = false;
		}
		done = out.results;
	}
	cpu = cpu_of(w.agent) - cpu;
	printf("%d messages in %lld ms: %.1f us of the agent's processor time each; last: %d %s %s\n", done, (long long)(ph_now_ms_exact() - start), cpu * 1e6 / count,
	       out.status[0], out.dsn[0], out.text[0]);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	port = atoi(argv[1]);
	count = atoi(argv[2]);
	concurrency = atoi(argv[3]);
	bytes = (size_t)atoi(argv[4]);
	if (argc > 5)
		service = argv[5];
	world_dirs();
	world_start("", "smtp unix - - n - - smtp\ndiscard unix - - n - - discard\n", false);
	ph_run_blocking(bench, NULL);
	return world_end() != 0;
}
