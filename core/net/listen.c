/* listen.c: listening sockets and accepting.
 *
 * When descriptors run out, a client must neither hang in the backlog nor keep the loop spinning: a spare
 * descriptor is given up for a moment to accept and close the connection.  When the system as a whole has run out,
 * accepting stops for a second.  Either is logged once until it is over.
 * State: struct ph_listener, and the spare descriptor of the process.  No yield. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fdw.h"
#include "net/listen.h"
#include "net/stream.h"

#define ACCEPTS_PER_TURN 64
#define EXHAUSTED_MS 1000

struct ph_listener {
	int fd;
	bool tcp;
	bool nodelay_inherited;         /* by what is accepted */
	struct ph_endpoint local;       /* bound to; len 0: more than one address */
	bool exhausted;                 /* logged */
	struct ph_fdw w;
	struct ph_timer *resume;
	void (*on_accept)(void *arg, struct ph_stream *s);
	void *arg;
};

static int spare_fd = -1;

static void spare_open(void)
{
	if (spare_fd < 0)
		spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (spare_fd < 0)               /* no /dev in a chroot */
		spare_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

/* ---- binding ------------------------------------------------------------------------------ */

static int set_options(int fd, int family, bool reuseport)
{
	int on = 1;

	if (family == AF_UNIX)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return -errno;
	if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	return 0;
}

/* A socket file that nobody listens on any more is in the way of bind; one that answers is not ours to remove. */
static void remove_stale(const struct ph_endpoint *where)
{
	const char *path = ((const struct sockaddr_un *)&where->addr.ss)->sun_path;
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, &where->addr.sa, where->len) < 0 && errno == ECONNREFUSED)
		(void)unlink(path);
	close(fd);
}

static int bind_mode(const struct ph_endpoint *where, bool reuseport, int backlog, mode_t mode, struct ph_err *err)
{
	const char *path = ((const struct sockaddr_un *)&where->addr.ss)->sun_path;
	int family = where->addr.sa.sa_family, fd, r;
	char text[128];

	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return ph_err_errno(err, -errno, "socket");
	if (family == AF_UNIX)
		remove_stale(where);
	r = set_options(fd, family, reuseport);
	if (r == 0 && bind(fd, &where->addr.sa, where->len) < 0)
		r = -errno;
	/* Before listen: nobody can connect until the permissions are right. */
	if (r == 0 && family == AF_UNIX && mode && chmod(path, mode) < 0)
		r = -errno;
	if (r == 0 && listen(fd, backlog) < 0)
		r = -errno;
	if (r == 0)
		return fd;
	close(fd);
	if (family == AF_UNIX)
		return ph_err_errno(err, r, "bind %s", path);
	return ph_err_errno(err, r, "bind %s port %d", ph_endpoint_addr(where, text, sizeof(text)),
			    ph_endpoint_port(where));
}

int ph_listen_bind(const struct ph_endpoint *where, bool reuseport, int backlog, struct ph_err *err)
{
	return bind_mode(where, reuseport, backlog, 0, err);
}

int ph_listen_unix(const char *path, mode_t mode, int backlog, struct ph_err *err)
{
	struct ph_endpoint e;
	int r = ph_endpoint_unix(&e, path);

	if (r < 0)
		return ph_err_errno(err, r, "%s", path);
	return bind_mode(&e, false, backlog, mode, err);
}

/* ---- accepting ---------------------------------------------------------------------------- */

/* Descriptors of this process have run out: make the oldest waiting client go away.  0, or the error of accept: EAGAIN when none waits (the
 * kernel looks for a descriptor first, so it says EMFILE then, too). */
static int accept_and_close(struct ph_listener *l)
{
	int fd, e;

	if (spare_fd < 0)
		return EMFILE;
	close(spare_fd);
	spare_fd = -1;
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	e = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	spare_open();
	return e;
}

/* True: there may be more to accept. */
static bool accept_failed(struct ph_listener *l, int e)
{
	int closed;

	switch (e) {
	case EAGAIN:
		return false;
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case EPERM:             /* a firewall rule */
	case ENETDOWN: case ENOPROTOOPT: case EHOSTDOWN: case ENONET: case EHOSTUNREACH: case EOPNOTSUPP:
	case ENETUNREACH:       /* errors of the new connection; accept(2) */
		return true;
	}
	closed = e == EMFILE ? accept_and_close(l) : e;
	if (closed == EAGAIN)
		return false;
	if (!l->exhausted)
		ph_log(PH_LOG_WARNING, "accept connection: %s", strerrordesc_np(e));
	l->exhausted = true;
	if (closed == 0)
		return true;
	ph_fdw_close(&l->w);            /* ENFILE, ENOMEM ...: not before a second has passed */
	ph_timer_set(l->resume, ph_now_ms() + EXHAUSTED_MS);
	return false;
}

/* We collect output ourselves and flush when it is complete.  On Linux a connection inherits that from the listening socket; those that
 * came before ph_listener_start do not, and they are the first. */
static void set_nodelay(struct ph_listener *l, int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	if (l->nodelay_inherited)
		return;
	l->nodelay_inherited = getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on;
	on = 1;
	if (!l->nodelay_inherited)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void on_readable(void *arg)
{
	struct ph_listener *l = arg;
	struct ph_endpoint peer;
	struct ph_stream *s;
	int n, fd;

	for (n = 0; n < ACCEPTS_PER_TURN && l->w.registered; n++) {
		peer.len = sizeof(peer.addr);
		fd = accept4(l->fd, &peer.addr.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (!accept_failed(l, errno))
				return;
			continue;
		}
		l->exhausted = false;
		if (l->tcp)
			set_nodelay(l, fd);
		s = ph_stream_new(fd, false);
		ph_stream_set_names(s, &peer, l->local.len ? &l->local : NULL);
		l->on_accept(l->arg, s);
	}
}

static void on_resume(void *arg)
{
	ph_listener_resume(arg);
}

/* A socket that is bound to one address has that for each of its connections. */
static void find_local(struct ph_listener *l)
{
	const struct sockaddr_in6 *s6 = (const void *)&l->local.addr.ss;
	const struct sockaddr_in *s4 = (const void *)&l->local.addr.ss;
	bool any;

	l->local.len = sizeof(l->local.addr);
	if (getsockname(l->fd, &l->local.addr.sa, &l->local.len) < 0) {
		l->local.len = 0;
		return;
	}
	switch (l->local.addr.sa.sa_family) {
	case AF_INET:
		any = s4->sin_addr.s_addr == htonl(INADDR_ANY);
		break;
	case AF_INET6:                  /* a link-local one may be completed by its connections */
		any = IN6_IS_ADDR_UNSPECIFIED(&s6->sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&s6->sin6_addr);
		break;
	default:
		any = true;
	}
	if (any)
		l->local.len = 0;
}

struct ph_listener *ph_listener_start(int fd, void (*on_accept)(void *arg, struct ph_stream *s), void *arg)
{
	struct ph_listener *l = ph_alloc(sizeof(*l));
	socklen_t len = sizeof(int);
	int family = 0, on = 1;

	spare_open();
	l->fd = fd;
	l->on_accept = on_accept;
	l->arg = arg;
	l->resume = ph_timer_new(on_resume, l);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0)
		l->tcp = family != AF_UNIX;
	len = sizeof(on);
	if (l->tcp)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, len);
	find_local(l);
	ph_listener_resume(l);
	return l;
}

void ph_listener_pause(struct ph_listener *l)
{
	ph_timer_clear(l->resume);
	ph_fdw_close(&l->w);
}

void ph_listener_resume(struct ph_listener *l)
{
	int r;

	ph_timer_clear(l->resume);
	if (l->w.registered)
		return;
	r = ph_fdw_open_level(&l->w, l->fd, on_readable, l);
	if (r < 0) {
		ph_log(PH_LOG_ERROR, "cannot watch a listening socket: %s", strerrordesc_np(-r));
		ph_timer_set(l->resume, ph_now_ms() + EXHAUSTED_MS);
	}
}

void ph_listener_free(struct ph_listener **lp)
{
	struct ph_listener *l = *lp;

	if (l == NULL)
		return;
	ph_listener_pause(l);
	ph_timer_free(&l->resume);
	free(l);
	*lp = NULL;
}
