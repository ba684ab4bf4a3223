/* connect.c: connecting a stream.  State: the process's tcp_windowsize.  Yields. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/co_private.h"
#include "net/stream.h"

#define UNIX_RETRY_MS 10        /* a unix-domain server whose backlog is full gives no event to wait for */

static int window;              /* tcp_windowsize */

void ph_tcp_set_window(int bytes)
{
	window = bytes;
}

void ph_tcp_limit_window(int fd, int bytes)
{
	if (bytes <= 0)
		return;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0)
		ph_log(PH_LOG_WARNING, "tcp_windowsize: %s", strerrordesc_np(errno));
}

static int socket_make(const struct ph_endpoint *to, const struct ph_endpoint *source, struct ph_err *err)
{
	int family = to->addr.sa.sa_family, on = 1, fd, r;

	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return ph_err_errno(err, -errno, "socket");
	if (family != AF_UNIX)          /* we collect output ourselves and flush when it is complete */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (family != AF_UNIX)
		ph_tcp_limit_window(fd, window);
	if (source == NULL)
		return fd;
#ifdef IP_BIND_ADDRESS_NO_PORT
	if (family != AF_UNIX && ph_endpoint_port(source) == 0)
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
#endif
	if (bind(fd, &source->addr.sa, source->len) < 0) {
		r = ph_err_errno(err, -errno, "bind");
		close(fd);
		return r;
	}
	return fd;
}

static int connect_start(int fd, const struct ph_endpoint *to, int64_t deadline_ms)
{
	int r;

	for (;;) {
		if (connect(fd, &to->addr.sa, to->len) == 0)
			return 0;
		if (errno == EINPROGRESS || errno == EINTR)
			return -EINPROGRESS;
		if (errno != EAGAIN || to->addr.sa.sa_family != AF_UNIX)
			return -errno;
		if (ph_now_ms() >= deadline_ms)
			return -ETIMEDOUT;
		r = ph_co_sleep(UNIX_RETRY_MS);
		if (r < 0)
			return r;
	}
}

static int connect_finish(struct ph_stream *s, int64_t deadline_ms)
{
	int r = ph_fdw_wait(&s->w, EV_WRITE, deadline_ms);
	socklen_t len = sizeof(int);
	int e = 0;

	if (r < 0)
		return r;
	if (getsockopt(s->w.fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		return -errno;
	return -e;
}

int ph_stream_connect(const struct ph_endpoint *to, const struct ph_endpoint *source,
		      int64_t deadline_ms, struct ph_stream **ret, struct ph_err *err)
{
	struct ph_stream *s = NULL;
	int fd, r;

	fd = socket_make(to, source, err);
	if (fd < 0)
		return fd;
	r = connect_start(fd, to, deadline_ms);
	if (r == 0 || r == -EINPROGRESS) {
		s = ph_stream_new(fd, r == -EINPROGRESS);
		r = s->err;
		if (r == 0 && !s->w.writable)
			r = connect_finish(s, deadline_ms);
	}
	if (r == 0) {
		*ret = s;
		return 0;
	}
	if (s)
		ph_stream_close(&s);
	else
		close(fd);
	if (r == -ETIMEDOUT)
		return ph_err_set(err, r, "Connection timed out");
	if (r == -ECANCELED)
		return ph_err_set(err, r, "Operation canceled");
	return ph_err_set(err, r, "%s", strerrordesc_np(-r));
}
