/* echo: request/response turns over loopback TCP: a server process with a session per connection, a client process
 * that keeps all of them busy.  echo [CONNECTIONS [SECONDS [tls]]] */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <netinet/in.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/co_private.h"
#include "base/loop.h"
#include "net/listen.h"
#include "net/tls.h"

#define LONG (ph_now_ms() + 300000)

static struct ph_endpoint where;
static struct ph_tls_ctx *ctx;
static bool tls;
static long turns, conns = 100, seconds = 3;
static struct ph_waitq idle;
static long connected;

static void session(void *arg)
{
	struct ph_stream *s = arg;
	struct ph_slice line;
	struct ph_err err;

	if (tls && ph_stream_tls_accept(s, ctx, LONG, &err) < 0)
		fprintf(stderr, "accept: %s\n", err.text);
	while (ph_stream_getline(s, 512, &line, LONG) >= 0) {
		ph_stream_puts(s, "250 2.1.5 Ok\r\n", LONG);
		if (ph_stream_flush(s, LONG) < 0)
			break;
		ph_stream_trim(s);
	}
	ph_stream_close(&s);
}

static void on_accept(void *arg, struct ph_stream *s)
{
	ph_co_spawn("session", session, s);
}

static long rss_kib(void)
{
	long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static long rss_start;
static size_t heap_start;

static void on_usr1(int signo, void *arg)
{
	double n = (double)(ph_co_count() ? ph_co_count() : 1);

	printf("server: %.0f sessions, %.1f KiB each resident, of that %.1f KiB allocated\n", n,
	       (double)(rss_kib() - rss_start) / n, (double)(mallinfo2().uordblks - heap_start) / 1024 / n);
	fflush(stdout);
}

static void make_ctx(void)
{
	struct ph_tls_settings s = { .chain_files = "/tmp/echo-bench.pem", .exclude_ciphers = "aNULL" };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	struct ph_err err;
	FILE *f = fopen(s.chain_files, "w");

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	X509_sign(x, key, EVP_sha256());
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	PEM_write_X509(f, x);
	fclose(f);
	if (ph_tls_server_ctx(&s, &ctx, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
	unlink(s.chain_files);
}

static void server(int fd)
{
	struct ph_listener *l;

	if (tls)
		make_ctx();
	ph_loop_init();
	l = ph_listener_start(fd, on_accept, NULL);
	ph_signal_on(SIGUSR1, on_usr1, NULL);
	rss_start = rss_kib();
	heap_start = mallinfo2().uordblks;
	ph_loop_run();
	ph_listener_free(&l);
}

static void client(void *arg)
{
	struct ph_stream *s;
	struct ph_slice line;
	struct ph_err err;

	if (ph_stream_connect(&where, NULL, LONG, &s, &err) < 0 ||
	    (tls && ph_stream_tls_connect(s, ctx, NULL, LONG, &err) < 0)) {
		fprintf(stderr, "connect: %s\n", err.text);
		_exit(1);
	}
	connected++;
	ph_waitq_wait(&idle, LONG);
	while (!ph_co_cancelled()) {
		ph_stream_puts(s, "RCPT TO:<somebody@example.org>\r\n", LONG);
		if (ph_stream_flush(s, LONG) < 0 || ph_stream_getline(s, 512, &line, LONG) < 0)
			break;
		turns++;
	}
	ph_stream_close(&s);
}

static void bench(void *arg)
{
	struct ph_tls_settings cs = { .protocols = ">=TLSv1.2", .session_timeout_ms = -1 };
	struct rusage before, after;
	int64_t start;
	long i;

	if (tls && ph_tls_client_ctx(&cs, &ctx, NULL) < 0)
		return;
	start = ph_now_ms_exact();
	for (i = 0; i < conns; i++) {
		ph_co_spawn("client", client, NULL);
		while (i - connected > 50)      /* not all in the middle of a handshake at once */
			ph_co_sleep(0);
	}
	while (connected < conns)
		ph_co_sleep(1);
	printf("%ld connections in %lld ms\n", conns, (long long)(ph_now_ms_exact() - start));
	fflush(stdout);
	kill(*(pid_t *)arg, SIGUSR1);
	ph_co_sleep(300);
	getrusage(RUSAGE_SELF, &before);
	start = ph_now_ms_exact();
	ph_waitq_wake_all(&idle);
	ph_co_sleep(seconds * 1000);
	getrusage(RUSAGE_SELF, &after);
	printf("%.0f turns/s\n", (double)turns * 1000 / (double)(ph_now_ms_exact() - start));
	ph_co_cancel_all();
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	struct rusage ru;
	pid_t pid;
	int fd;

	if (argc > 1)
		conns = atol(argv[1]);
	if (argc > 2)
		seconds = atol(argv[2]);
	tls = argc > 3;
	setrlimit(RLIMIT_NOFILE, &files);
	ph_endpoint_ip(&where, "127.0.0.1", 1);
	((struct sockaddr_in *)(void *)&where.addr.ss)->sin_port = 0;
	fd = ph_listen_bind(&where, false, 4096, NULL);
	if (fd < 0 || getsockname(fd, &where.addr.sa, &where.len) < 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		server(fd);
		_exit(0);
	}
	close(fd);
	ph_run_blocking(bench, &pid);
	kill(pid, SIGTERM);
	wait4(pid, NULL, 0, &ru);
	printf("server: %.2f us of processor time a turn (%ld%% system)\n",
	       ((double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 + (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec)) /
	       (double)turns, 100 * (ru.ru_stime.tv_sec * 1000000 + ru.ru_stime.tv_usec) /
	       ((ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 + ru.ru_utime.tv_usec + ru.ru_stime.tv_usec + 1));
	return 0;
}
