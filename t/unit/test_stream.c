/* Streams over socket pairs: lines and their limits, partial writes, end of file, deadlines. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <posthouse/co.h>
#include <posthouse/io.h>
#include "base/loop.h"
#include "net/listen.h"
#include "net/stream.h"
#include "tap.h"

static void pair(struct ph_stream **a, struct ph_stream **b)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	*a = ph_stream_from_fd(fds[0]);
	*b = ph_stream_from_fd(fds[1]);
}

static bool slice_is(struct ph_slice s, const char *want)
{
	return s.n == strlen(want) && memcmp(s.p, want, s.n) == 0;
}

#define SOON (ph_now_ms() + 5000)

static void test_lines(void)
{
	struct ph_stream *a, *b;
	struct ph_slice line;

	pair(&a, &b);
	ph_stream_puts(a, "EHLO there\r\nbare\nx\r\r\n\r\npart", SOON);
	tap_ok(ph_stream_peek(b).n == 0, "nothing is sent before the flush");
	ph_stream_flush(a, SOON);
	tap_ok(ph_stream_getline(b, 512, &line, SOON) == 10 && slice_is(line, "EHLO there"), "CRLF is taken off");
	tap_ok(ph_stream_getline(b, 512, &line, SOON) == 4 && slice_is(line, "bare"), "so is a bare LF");
	tap_ok(ph_stream_getline(b, 512, &line, SOON) == 2 && slice_is(line, "x\r"), "but only one CR");
	tap_ok(ph_stream_getline(b, 512, &line, SOON) == 0, "an empty line");
	tap_ok(ph_stream_getline(b, 512, &line, ph_now_ms() + 20) == -ETIMEDOUT, "no whole line: time-out");
	ph_stream_close(&a);
	ph_stream_close(&b);
	tap_ok(a == NULL && b == NULL, "close nulls the pointer");
	ph_stream_close(&a);
}

static void test_limits(void)
{
	struct ph_stream *a, *b;
	struct ph_slice line;

	pair(&a, &b);
	ph_stream_puts(a, "1234567890\r\nshort\r\n", SOON);
	ph_stream_flush(a, SOON);
	tap_ok(ph_stream_getline(b, 8, &line, SOON) == -EMSGSIZE, "too long");
	tap_ok(slice_is(ph_stream_peek(b), "1234567890\r\nshort\r\n"), "and nothing consumed");
	tap_ok(ph_stream_getline(b, 12, &line, SOON) == 10, "max counts the line end");
	tap_ok(ph_stream_getline(b, 12, &line, SOON) == 5, "the next one is there");
	tap_ok(ph_stream_set_input_max(b, 64) == 0, "small buffer");
	for (int i = 0; i < 100; i++)
		ph_stream_puts(a, "x", SOON);
	ph_stream_flush(a, SOON);
	tap_ok(ph_stream_getline(b, 1000, &line, SOON) == -EMSGSIZE, "the buffer's bound counts, too");
	tap_ok(ph_stream_peek(b).n == 64, "it holds what it may hold");
	ph_stream_close(&a);
	ph_stream_close(&b);
}

static void on_connection(void *arg, struct ph_stream *s)
{
	*(struct ph_stream **)arg = s;
}

static bool same_end(const struct ph_endpoint *e, int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_in want;
	socklen_t len = sizeof(want);

	return ask(fd, (struct sockaddr *)&want, &len) == 0 && ph_endpoint_port(e) == ntohs(want.sin_port) &&
	       ((const struct sockaddr_in *)(const void *)&e->addr.ss)->sin_addr.s_addr == want.sin_addr.s_addr;
}

/* address: what the socket is bound to. */
static void test_accepted(const char *address)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	struct ph_stream *in = NULL, *out;
	struct ph_listener *l;
	struct ph_endpoint where;
	struct ph_err err;
	char got[8];
	int fd, client, on = 0;

	ph_endpoint_ip(&where, address, 1);
	((struct sockaddr_in *)(void *)&where.addr.ss)->sin_port = 0;
	fd = ph_listen_bind(&where, false, 5, &err);
	if (fd < 0) {
		tap_ok(false, "%s", err.text);
		return;
	}
	l = ph_listener_start(fd, on_connection, &in);
	tap_ok(getsockname(fd, (struct sockaddr *)&sin, &len) == 0, "listening on %s", address);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tap_ok(connect(client, (struct sockaddr *)&sin, sizeof(sin)) == 0, "connected");
	for (int i = 0; i < 5000 && !in; i++)
		ph_co_sleep(1);
	tap_ok(same_end(ph_stream_peer(in), client, getsockname), "the peer is the client");
	tap_ok(same_end(ph_stream_local(in), client, getpeername), "our end is what the client has connected to");
	len = sizeof(on);
	tap_ok(getsockopt(ph_stream_fd(in), IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on, "output does not wait");
	out = ph_stream_from_fd(client);
	ph_stream_puts(in, "bye", SOON);
	ph_stream_last(in);
	tap_ok(ph_stream_flush(in, SOON) == 0, "the last words");
	ph_stream_close(&in);
	tap_ok(ph_stream_read_full(out, got, 3, SOON) == 0 && memcmp(got, "bye", 3) == 0 && ph_stream_fill(out, SOON) == 0, "arrive, and the end behind them");
	ph_stream_close(&out);
	ph_listener_free(&l);
	close(fd);
}

static void test_eof(void)
{
	struct ph_stream *a, *b;
	struct ph_slice line;
	char got[8];

	pair(&a, &b);
	ph_stream_puts(a, "last\r\npart", SOON);
	ph_stream_flush(a, SOON);
	ph_stream_close(&a);
	/* Data and end of file arrive with one edge: the short read must not be taken for "drained". */
	ph_co_sleep(1);
	tap_ok(ph_stream_getline(b, 512, &line, SOON) == 4, "the line before the end");
	tap_ok(ph_stream_getline(b, 512, &line, SOON) == -ECONNRESET, "an unfinished line at the end of file");
	tap_ok(slice_is(ph_stream_peek(b), "part"), "which can be seen");
	ph_stream_consume(b, 4);
	tap_ok(ph_stream_getline(b, 512, &line, SOON) == -ENODATA, "clean end of file");
	tap_ok(ph_stream_fill(b, SOON) == 0, "fill says 0");
	tap_ok(ph_stream_read_full(b, got, 1, SOON) == -ENODATA, "read_full says -ENODATA");
	ph_stream_close(&b);
}

struct bulk {
	struct ph_stream *s;
	size_t bytes;
	unsigned sum;
	int result;
	bool done;
};

static void send_bulk(void *arg)
{
	struct bulk *k = arg;
	char *block = ph_alloc(100000);
	size_t left = k->bytes, i, n;

	for (i = 0; i < 100000; i++)
		block[i] = (char)(i * 7 + i / 256);
	while (left > 0 && k->result == 0) {
		n = left < 100000 ? left : left % 100000 + 1;
		for (i = 0; i < n; i++)
			k->sum = k->sum * 31 + (unsigned char)block[i];
		k->result = ph_stream_write(k->s, block, n, SOON);
		left -= n;
	}
	if (k->result == 0)
		k->result = ph_stream_flush(k->s, SOON);
	free(block);
	ph_stream_close(&k->s);
	k->done = true;
}

static void test_bulk(void)
{
	struct bulk k = { .bytes = 3000000 };
	struct ph_stream *b;
	struct ph_slice s;
	unsigned sum = 0;
	size_t total = 0, i;
	ssize_t r;
	int small = 4096;

	pair(&k.s, &b);
	setsockopt(ph_stream_fd(k.s), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	ph_co_spawn("sender", send_bulk, &k);
	while ((r = ph_stream_fill(b, SOON)) > 0) {
		s = ph_stream_peek(b);
		for (i = 0; i < s.n; i++)
			sum = sum * 31 + (unsigned char)s.p[i];
		total += s.n;
		ph_stream_consume(b, s.n);
	}
	tap_ok(r == 0 && total == 3000000, "all of %zu bytes came through a small socket buffer", total);
	tap_ok(k.done && k.result == 0 && k.sum == sum, "unchanged");
	ph_stream_close(&b);
}

static void test_write_errors(void)
{
	struct ph_stream *a, *b;
	char *block = ph_alloc(1000000);
	int r;

	pair(&a, &b);
	r = ph_stream_write(a, block, 1000000, ph_now_ms() + 20);
	tap_ok(r == -ETIMEDOUT, "nobody reads: time-out");
	tap_ok(ph_stream_puts(a, "x", SOON) == -ETIMEDOUT, "which sticks");
	ph_stream_close(&a);
	ph_stream_close(&b);
	pair(&a, &b);
	ph_stream_close(&b);
	r = ph_stream_puts(a, "hello", SOON);
	if (r == 0)
		r = ph_stream_flush(a, SOON);
	tap_ok(r == -EPIPE, "the peer is gone: %d", r);
	ph_stream_close(&a);
	free(block);
}

static void cancelled_reader(void *arg)
{
	struct bulk *k = arg;

	k->result = (int)ph_stream_fill(k->s, SOON);
	k->done = true;
}

static void test_cancel(void)
{
	struct ph_stream *a, *b;
	struct bulk k = { 0 };
	struct ph_co *co;

	pair(&a, &b);
	k.s = b;
	co = ph_co_spawn("reader", cancelled_reader, &k);
	ph_co_sleep(0);
	ph_co_cancel(co);
	ph_co_sleep(0);
	tap_ok(k.done && k.result == -ECANCELED, "a cancelled reader");
	ph_stream_close(&a);
	ph_stream_close(&b);
}

static void test_pipe(void)
{
	struct ph_stream *r;
	struct ph_slice line;
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		abort();
	r = ph_stream_from_fd(fds[0]);
	if (write(fds[1], "output\n", 7) != 7)
		abort();
	close(fds[1]);
	ph_co_sleep(1);
	tap_ok(ph_stream_getline(r, 100, &line, SOON) == 6, "a line from a pipe");
	tap_ok(ph_stream_getline(r, 100, &line, SOON) == -ENODATA, "and its end, although no further edge comes");
	ph_stream_close(&r);
}

static void test_connect(void)
{
	struct ph_endpoint e, here;
	struct ph_stream *c = NULL;
	struct ph_err err;
	char text[128];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	tap_ok(ph_endpoint_ip(&e, "[127.0.0.1]", 1) == 0, "bracketed address");
	tap_ok(ph_endpoint_ip(&e, "IPv6:::1", 25) == 0 && ph_endpoint_port(&e) == 25, "IPv6 with its tag");
	tap_is(ph_endpoint_addr(&e, text, sizeof(text)), "::1", "shortest text");
	tap_ok(ph_endpoint_ip(&e, "::1", 0) == -EINVAL && ph_endpoint_ip(&e, "1.2.3", 1) == -EINVAL, "bad ones");
	ph_endpoint_ip(&e, "127.0.0.1", 9);
	here = e;
	((struct sockaddr_in *)(void *)&here.addr.ss)->sin_port = 0;
	if (bind(fd, &here.addr.sa, here.len) < 0 || getsockname(fd, &e.addr.sa, &e.len) < 0)
		abort();
	r = ph_stream_connect(&e, NULL, SOON, &c, &err);
	tap_ok(r == -ECONNREFUSED && c == NULL, "refused");
	tap_is(err.text, "Connection refused", "in words");
	listen(fd, 5);
	r = ph_stream_connect(&e, &here, SOON, &c, &err);
	tap_ok(r == 0, "connected");
	if (r == 0)
		tap_ok(ph_endpoint_port(ph_stream_peer(c)) == ph_endpoint_port(&e), "peer is known");
	ph_stream_close(&c);
	close(fd);
}

static void all_tests(void *arg)
{
	test_lines();
	test_limits();
	test_accepted("127.0.0.1");
	test_accepted("0.0.0.0");
	test_eof();
	test_bulk();
	test_write_errors();
	test_cancel();
	test_pipe();
	test_connect();
}

int main(void)
{
	ph_run_blocking(all_tests, NULL);
	return tap_done();
}
