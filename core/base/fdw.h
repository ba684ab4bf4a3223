/* fdw.h: a watched descriptor, registered once with an edge-triggered epoll.
 *
 * readable and writable say what is known: a read that is short or ends with EAGAIN clears readable (see
 * ph_fdw_read_done), the next edge sets it again, so a wait costs no system call.  After a hang-up, an error or
 * the peer's shutdown no further edge comes, so from then on (hup) readable stays set until read() itself says
 * so.  The event mask is ours rather than libevent's because libevent does not tell a hang-up from "readable". */
#ifndef PH_BASE_FDW_H
#define PH_BASE_FDW_H

#include "base/loop.h"

struct ph_fdw {
	int fd;
	bool registered;
	bool readable, writable;
	bool hup;               /* EPOLLRDHUP, EPOLLHUP or EPOLLERR was seen */
	short waiting;          /* EV_READ | EV_WRITE: what waiter waits for */
	struct ph_co *waiter;   /* at most one */
	void (*on_event)(void *arg);    /* called in the loop after the flags were set; must not free the fdw it is called for */
	void *arg;
};

/* Watch fd.  level: level-triggered, for reading only (listening sockets).  connecting: the socket is not writable
 * before the first event.  A descriptor that cannot be polled (a plain file) counts as always ready.  0 or -errno. */
int ph_fdw_open(struct ph_fdw *w, int fd, bool connecting);
int ph_fdw_open_level(struct ph_fdw *w, int fd, void (*on_event)(void *arg), void *arg);
/* Stop watching; the descriptor stays open.  Harmless when not watching. */
void ph_fdw_close(struct ph_fdw *w);

/* Park until one of ev's flags is set.  0 (at once when it is), -ETIMEDOUT, -ECANCELED.  Yields. */
int ph_fdw_wait(struct ph_fdw *w, short ev, int64_t deadline_ms);

/* Account for a read() that wanted "want" bytes and returned n, or -errno.  Call after every read.  */
static inline void ph_fdw_read_done(struct ph_fdw *w, ssize_t n, size_t want)
{
	if (n == -11 /* EAGAIN */ || (n > 0 && (size_t)n < want && !w->hup))
		w->readable = !w->registered;
}
static inline void ph_fdw_write_done(struct ph_fdw *w, ssize_t n)
{
	if (n == -11 /* EAGAIN */)
		w->writable = !w->registered;
}

#endif
