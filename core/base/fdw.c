/* fdw.c: descriptors watched by our own epoll.
 *
 * The epoll descriptor is itself watched by libevent, so that one wait covers both; under load the loop asks it
 * directly.  State: the epoll descriptor of this process.  ph_fdw_wait yields. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/fdw.h"
#include "base/loop_private.h"

#define BATCH 256

static int epfd = -1;
static struct event *epfd_event;
static struct epoll_event batch[BATCH];
static int batch_n;             /* events in batch that are not handled yet end here; 0 outside of ph_fdw_poll */

static void on_epfd(evutil_socket_t fd, short what, void *arg)
{
	ph_fdw_poll();
}

/* In a forked child the old descriptor is the parent's instance: closing our copy leaves that one alone. */
int ph_fdw_init_process(struct event_base *base)
{
	if (epfd >= 0)
		close(epfd);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		return -errno;
	epfd_event = event_new(base, epfd, EV_READ | EV_PERSIST, on_epfd, NULL);
	if (epfd_event == NULL || event_add(epfd_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static void fdw_event(struct ph_fdw *w, uint32_t events)
{
	short now = 0;

	if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
		w->hup = true;
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
		w->readable = true;
		now |= EV_READ;
	}
	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
		w->writable = true;
		now |= EV_WRITE;
	}
	if (w->waiter && (w->waiting & now)) {
		struct ph_co *co = w->waiter;

		w->waiter = NULL;
		ph_co_wake(co, 0);
	}
	if (w->on_event)
		w->on_event(w->arg);
}

int ph_fdw_poll(void)
{
	int i, n;

	n = batch_n = epoll_wait(epfd, batch, BATCH, 0);
	for (i = 0; i < n; i++)
		if (batch[i].data.ptr)
			fdw_event(batch[i].data.ptr, batch[i].events);
	batch_n = 0;
	return n > 0 ? n : 0;
}

/* No coroutine runs while a batch is handled, but hooks do, and they may close what comes later in it. */
static void batch_forget(const struct ph_fdw *w)
{
	int i;

	for (i = 0; i < batch_n; i++)
		if (batch[i].data.ptr == w)
			batch[i].data.ptr = NULL;
}

static int fdw_register(struct ph_fdw *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = w };

	ph_assert(epfd >= 0);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, w->fd, &e) == 0) {
		w->registered = true;
		return 0;
	}
	return -errno;
}

int ph_fdw_open(struct ph_fdw *w, int fd, bool connecting)
{
	int r;

	memset(w, 0, sizeof(*w));
	w->fd = fd;
	r = fdw_register(w, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	if (r == -EPERM) {              /* a plain file: always ready */
		w->readable = w->writable = true;
		return 0;
	}
	w->writable = !connecting;      /* what can be read already is told by the first poll */
	return r;
}

int ph_fdw_open_level(struct ph_fdw *w, int fd, void (*on_event)(void *arg), void *arg)
{
	memset(w, 0, sizeof(*w));
	w->fd = fd;
	w->on_event = on_event;
	w->arg = arg;
	return fdw_register(w, EPOLLIN);
}

/* Explicitly, although close() would do: a copy of the descriptor in another process keeps the
 * registration, and so a pointer to freed memory, alive. */
void ph_fdw_close(struct ph_fdw *w)
{
	if (!w->registered)
		return;
	ph_assert(w->waiter == NULL);
	w->registered = false;
	batch_forget(w);
	(void)epoll_ctl(epfd, EPOLL_CTL_DEL, w->fd, NULL);
}

int ph_fdw_wait(struct ph_fdw *w, short ev, int64_t deadline_ms)
{
	int r;

	for (;;) {
		if (((ev & EV_READ) && w->readable) || ((ev & EV_WRITE) && w->writable))
			return 0;
		ph_assert(w->waiter == NULL);
		w->waiter = ph_co_self();
		w->waiting = ev;
		r = ph_co_park(ev & EV_READ ? ev & EV_WRITE ? "io" : "read" : "write", deadline_ms);
		w->waiter = NULL;
		if (r < 0)
			return r;
	}
}
