/* ipc.h: messages between our own processes over a unix-domain stream socket.
 *
 * A frame is u32 length (of type and payload), u16 type, payload; little-endian.  Frames sent in one loop turn
 * share one write at its end.  A descriptor can travel with a frame. */
#ifndef PH_BASE_IPC_H
#define PH_BASE_IPC_H

#include <posthouse/base.h>

struct ph_ipc;

#define PH_IPC_FRAME_MAX ((size_t)16 * 1024 * 1024)     /* payload bytes */

/* Takes over fd, a connected AF_UNIX SOCK_STREAM socket (it is made non-blocking). */
struct ph_ipc *ph_ipc_new(int fd);
/* Append a frame.  type: below 0x8000.  0; -ENOBUFS when too much waits to be sent (32 MiB, or what
 * ph_ipc_set_limit says); -EMSGSIZE; -EPIPE or another error when the connection is broken.  Never blocks; no yield. */
int ph_ipc_send(struct ph_ipc *ipc, uint16_t type, const void *payload, size_t n);
/* The same with a descriptor, of which a copy is sent; the caller keeps its own. */
int ph_ipc_send_fd(struct ph_ipc *ipc, uint16_t type, const void *payload, size_t n, int fd);
void ph_ipc_set_limit(struct ph_ipc *ipc, size_t bytes);
/* Bytes that wait to be sent. */
size_t ph_ipc_pending(const struct ph_ipc *ipc);
/* Send what the socket takes now, without waiting for the end of the turn.  0, -EAGAIN or an error. */
int ph_ipc_flush(struct ph_ipc *ipc);
/* Wait until all has been handed to the kernel.  Yields. */
int ph_ipc_drain(struct ph_ipc *ipc, int64_t deadline_ms);

/* The next frame.  *ret_payload is valid until the next call.  0, -ENODATA at the end (the peer has closed),
 * -EPROTO for a broken frame, -ETIMEDOUT, -ECANCELED, -errno.  Yields. */
int ph_ipc_recv(struct ph_ipc *ipc, uint16_t *ret_type, struct ph_slice *ret_payload, int64_t deadline_ms);
/* The descriptor that came with the last frame, now the caller's; -1: none.  Not taken: closed by the next recv. */
int ph_ipc_take_fd(struct ph_ipc *ipc);

int ph_ipc_fd(const struct ph_ipc *ipc);
/* Sends what the socket takes, closes, sets *ipc to NULL.  NULL-safe.  Nobody may wait in it. */
void ph_ipc_close(struct ph_ipc **ipc);

#endif
