/* listen.h: listening sockets. */
#ifndef PH_NET_LISTEN_H
#define PH_NET_LISTEN_H

#include <posthouse/io.h>

/* Bind and listen.  reuseport: SO_REUSEPORT (one socket a process).  A unix-domain path is replaced when nobody
 * listens on it.  IPv6 sockets are for IPv6 only, as in Postfix.  Returns the descriptor (close-on-exec,
 * non-blocking), or negative. */
int ph_listen_bind(const struct ph_endpoint *where, bool reuseport, int backlog, struct ph_err *err);
/* The same for a unix-domain path with permission bits. */
int ph_listen_unix(const char *path, mode_t mode, int backlog, struct ph_err *err);

/* Accept on fd, which stays the caller's.  on_accept is called in the loop (not in a coroutine) with a new stream,
 * which is its to close; typically it spawns a coroutine. */
struct ph_listener;
struct ph_listener *ph_listener_start(int fd, void (*on_accept)(void *arg, struct ph_stream *s), void *arg);
void ph_listener_pause(struct ph_listener *l);          /* connections wait in the backlog */
void ph_listener_resume(struct ph_listener *l);
void ph_listener_free(struct ph_listener **l);          /* NULL-safe */

#endif
