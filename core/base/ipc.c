/* ipc.c: framed messages over a unix-domain stream.
 *
 * A descriptor is sent with the first byte of its frame; the kernel does not let one receive run across such a
 * byte, so descriptors arrive in the order of their frames, which are marked in the type's top bit.
 * State: struct ph_ipc.  ph_ipc_recv and ph_ipc_drain yield. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/fdw.h"
#include "base/ipc.h"
#include "base/log.h"

#define IPC_MAGIC 0x19c0a001u
#define HEAD 6                  /* u32 length, u16 type */
#define TYPE_HAS_FD 0x8000
#define LIMIT ((size_t)32 * 1024 * 1024)
#define KEEP_BYTES 65536        /* larger buffers are given back when they are empty */
#define FDS_PER_RECV 16

struct fd_at {
	int fd;
	size_t at;              /* sending: offset in out of its frame */
};

struct ph_ipc {
	uint32_t magic;
	int err;                /* sticky */
	bool eof, deferred;
	struct ph_fdw w;
	struct ph_buf out;
	size_t sent;            /* bytes of out that are gone */
	size_t limit;
	struct fd_at *out_fds;  /* in order; [out_fds_sent .. out_fds_n) wait */
	size_t out_fds_n, out_fds_sent, out_fds_cap;
	struct ph_waitq drained;
	char *in;
	size_t in_start, in_end, in_cap;
	int *in_fds;            /* received, not yet given to a frame */
	size_t in_fds_n, in_fds_cap;
	int frame_fd;           /* of the last frame */
};

static void ipc_on_event(void *arg);

struct ph_ipc *ph_ipc_new(int fd)
{
	struct ph_ipc *ipc = ph_alloc(sizeof(*ipc));
	int flags = fcntl(fd, F_GETFL);

	ipc->magic = IPC_MAGIC;
	ipc->limit = LIMIT;
	ipc->frame_fd = -1;
	ph_buf_init(&ipc->out, SIZE_MAX / 2);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		ipc->err = -errno;
	else
		ipc->err = ph_fdw_open(&ipc->w, fd, false);
	ipc->w.fd = fd;
	ipc->w.on_event = ipc_on_event;
	ipc->w.arg = ipc;
	return ipc;
}

int ph_ipc_fd(const struct ph_ipc *ipc)
{
	return ipc->w.fd;
}

void ph_ipc_set_limit(struct ph_ipc *ipc, size_t bytes)
{
	ipc->limit = bytes;
}

size_t ph_ipc_pending(const struct ph_ipc *ipc)
{
	return ipc->out.len - ipc->sent;
}

/* ---- sending ------------------------------------------------------------------------------ */

static void out_fds_forget(struct ph_ipc *ipc)
{
	while (ipc->out_fds_sent < ipc->out_fds_n)
		close(ipc->out_fds[ipc->out_fds_sent++].fd);
	ipc->out_fds_sent = ipc->out_fds_n = 0;
}

static int ipc_broken(struct ph_ipc *ipc, int err)
{
	if (ipc->err == 0)
		ipc->err = err;
	out_fds_forget(ipc);
	ph_waitq_wake_all(&ipc->drained);
	return err;
}

/* One sendmsg: up to the next frame that has a descriptor, or that frame's bytes with its descriptor. */
static ssize_t send_part(struct ph_ipc *ipc)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(sizeof(struct cmsghdr))));
	size_t i = ipc->out_fds_sent, end = ipc->out.len;
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	bool with_fd = i < ipc->out_fds_n && ipc->out_fds[i].at == ipc->sent;
	struct cmsghdr *c;
	ssize_t n;

	if (with_fd) {
		memset(control, 0, sizeof(control));
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &ipc->out_fds[i].fd, sizeof(int));
		i++;
	}
	if (i < ipc->out_fds_n)
		end = ipc->out_fds[i].at;
	iov.iov_base = ipc->out.data + ipc->sent;
	iov.iov_len = end - ipc->sent;
	do {
		n = sendmsg(ipc->w.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (with_fd)
		close(ipc->out_fds[ipc->out_fds_sent++].fd);
	return n;
}

int ph_ipc_flush(struct ph_ipc *ipc)
{
	ssize_t n;

	if (ipc->err)
		return ipc->err;
	while (ipc->sent < ipc->out.len) {
		if (!ipc->w.writable)
			return -EAGAIN;
		n = send_part(ipc);
		ph_fdw_write_done(&ipc->w, n);
		if (n == -EAGAIN)
			return -EAGAIN;
		if (n < 0)
			return ipc_broken(ipc, (int)n);
		ipc->sent += (size_t)n;
	}
	ipc->sent = 0;
	ipc->out_fds_sent = ipc->out_fds_n = 0;
	if (ipc->out.cap > KEEP_BYTES)
		ph_buf_done(&ipc->out);
	else
		ph_buf_clear(&ipc->out);
	ph_waitq_wake_all(&ipc->drained);
	return 0;
}

static void flush_deferred(void *arg)
{
	struct ph_ipc *ipc = arg;

	ipc->deferred = false;
	if (ipc->magic != IPC_MAGIC) {          /* closed in this turn */
		free(ipc);
		return;
	}
	ph_log_flush();                 /* what the log says of this turn stands before what others log in consequence of it */
	(void)ph_ipc_flush(ipc);
}

static void ipc_defer(struct ph_ipc *ipc)
{
	if (ipc->deferred)
		return;
	ipc->deferred = true;
	ph_loop_defer(flush_deferred, ipc);
}

static void ipc_on_event(void *arg)
{
	struct ph_ipc *ipc = arg;

	if (ipc->w.writable && ipc->sent < ipc->out.len)
		ipc_defer(ipc);
}

static int put_frame(struct ph_ipc *ipc, uint16_t type, const void *payload, size_t n)
{
	uint32_t len = (uint32_t)n + 2;
	unsigned char head[HEAD] = { len & 0xff, len >> 8 & 0xff, len >> 16 & 0xff, len >> 24 & 0xff,
				     type & 0xff, type >> 8 & 0xff };

	if (n > PH_IPC_FRAME_MAX)
		return -EMSGSIZE;
	if (ph_ipc_pending(ipc) + HEAD + n > ipc->limit)
		return -ENOBUFS;
	ph_buf_reserve(&ipc->out, HEAD + n);
	ph_buf_append(&ipc->out, head, HEAD);
	return ph_buf_append(&ipc->out, payload, n);
}

int ph_ipc_send(struct ph_ipc *ipc, uint16_t type, const void *payload, size_t n)
{
	int r;

	ph_assert(ipc->magic == IPC_MAGIC && (type & TYPE_HAS_FD) == 0);
	if (ipc->err)
		return ipc->err;
	r = put_frame(ipc, type, payload, n);
	if (r == 0)
		ipc_defer(ipc);
	return r;
}

int ph_ipc_send_fd(struct ph_ipc *ipc, uint16_t type, const void *payload, size_t n, int fd)
{
	size_t at = ipc->out.len;
	int copy, r;

	ph_assert(ipc->magic == IPC_MAGIC && (type & TYPE_HAS_FD) == 0);
	if (ipc->err)
		return ipc->err;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	r = put_frame(ipc, type | TYPE_HAS_FD, payload, n);
	if (r < 0) {
		close(copy);
		return r;
	}
	if (ipc->out_fds_n == ipc->out_fds_cap) {
		ipc->out_fds_cap = ipc->out_fds_cap ? ipc->out_fds_cap * 2 : 8;
		ipc->out_fds = ph_realloc(ipc->out_fds, ipc->out_fds_cap * sizeof(ipc->out_fds[0]));
	}
	ipc->out_fds[ipc->out_fds_n++] = (struct fd_at){ copy, at };
	ipc_defer(ipc);
	return 0;
}

int ph_ipc_drain(struct ph_ipc *ipc, int64_t deadline_ms)
{
	int r = ph_ipc_flush(ipc);

	while (r == -EAGAIN) {
		r = ph_waitq_wait(&ipc->drained, deadline_ms);
		if (r == 0)
			r = ph_ipc_flush(ipc);
	}
	return r;
}

/* ---- receiving ---------------------------------------------------------------------------- */

static void take_fds(struct ph_ipc *ipc, struct msghdr *msg)
{
	struct cmsghdr *c;
	size_t n;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (ipc->in_fds_n + n > ipc->in_fds_cap) {
			ipc->in_fds_cap = ipc->in_fds_n + n + 8;
			ipc->in_fds = ph_realloc(ipc->in_fds, ipc->in_fds_cap * sizeof(int));
		}
		memcpy(ipc->in_fds + ipc->in_fds_n, CMSG_DATA(c), n * sizeof(int));
		ipc->in_fds_n += n;
	}
}

static ssize_t recv_part(struct ph_ipc *ipc)
{
	char control[CMSG_SPACE(sizeof(int) * FDS_PER_RECV)] __attribute__((aligned(sizeof(struct cmsghdr))));
	struct iovec iov = { ipc->in + ipc->in_end, ipc->in_cap - ipc->in_end };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	ssize_t n;

	if (!ipc->w.readable)
		return -EAGAIN;
	do {
		n = recvmsg(ipc->w.fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		n = -errno;
	/* A receive that a descriptor cut short has not drained the socket. */
	if (n < 0 || msg.msg_controllen == 0)
		ph_fdw_read_done(&ipc->w, n, iov.iov_len);
	if (n >= 0) {
		take_fds(ipc, &msg);
		if (msg.msg_flags & MSG_CTRUNC)
			return -EMFILE;         /* a descriptor was lost: its frame cannot be trusted */
	}
	return n;
}

/* Room for a frame of need bytes at in_start. */
static void in_room(struct ph_ipc *ipc, size_t need)
{
	size_t have = ipc->in_end - ipc->in_start, cap;

	if (ipc->in_start > 0) {
		memmove(ipc->in, ipc->in + ipc->in_start, have);
		ipc->in_start = 0;
		ipc->in_end = have;
	}
	if (have == 0 && ipc->in_cap > KEEP_BYTES && need <= KEEP_BYTES) {
		free(ipc->in);
		ipc->in = NULL;
		ipc->in_cap = 0;
	}
	cap = ipc->in_cap ? ipc->in_cap : 4096;
	while (cap < need)
		cap *= 2;
	if (cap == ipc->in_cap && ipc->in_end == cap)
		cap *= 2;
	if (cap != ipc->in_cap) {
		ipc->in = ph_realloc(ipc->in, cap);
		ipc->in_cap = cap;
	}
}

/* Is a whole frame there?  1 yes, 0 no (*ret_need: bytes it needs), -EPROTO. */
static int frame_look(const struct ph_ipc *ipc, size_t *ret_need)
{
	const unsigned char *p = (const unsigned char *)ipc->in + ipc->in_start;
	size_t have = ipc->in_end - ipc->in_start, len;

	*ret_need = HEAD;
	if (have < HEAD)
		return 0;
	len = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
	if (len < 2 || len > PH_IPC_FRAME_MAX + 2)
		return -EPROTO;
	*ret_need = len + 4;
	return have >= len + 4;
}

static int frame_take(struct ph_ipc *ipc, size_t bytes, uint16_t *ret_type, struct ph_slice *ret_payload)
{
	const unsigned char *p = (const unsigned char *)ipc->in + ipc->in_start;
	uint16_t type = (uint16_t)(p[4] | p[5] << 8);

	if (type & TYPE_HAS_FD) {
		if (ipc->in_fds_n == 0)
			return -EPROTO;
		ipc->frame_fd = ipc->in_fds[0];
		memmove(ipc->in_fds, ipc->in_fds + 1, --ipc->in_fds_n * sizeof(int));
	}
	*ret_type = type & ~TYPE_HAS_FD;
	*ret_payload = (struct ph_slice){ (const char *)p + HEAD, bytes - HEAD };
	ipc->in_start += bytes;
	return 0;
}

int ph_ipc_recv(struct ph_ipc *ipc, uint16_t *ret_type, struct ph_slice *ret_payload, int64_t deadline_ms)
{
	size_t need;
	ssize_t n;
	int r;

	ph_assert(ipc->magic == IPC_MAGIC);
	if (ipc->frame_fd >= 0)
		close(ipc->frame_fd);
	ipc->frame_fd = -1;
	for (;;) {
		r = frame_look(ipc, &need);
		if (r > 0) {
			r = frame_take(ipc, need, ret_type, ret_payload);
			if (r < 0)
				return ipc_broken(ipc, r);
			(void)ph_co_io_tick();
			return 0;
		}
		if (r < 0)
			return ipc_broken(ipc, r);
		if (ipc->eof)
			return ipc->in_end == ipc->in_start ? -ENODATA : -ECONNRESET;
		if (ipc->err && ipc->err != -EPIPE)     /* what a peer sent before it went away is still read */
			return ipc->err;
		in_room(ipc, need);
		n = recv_part(ipc);
		if (n == -EAGAIN) {
			r = ph_fdw_wait(&ipc->w, EV_READ, deadline_ms);
			if (r < 0)
				return r;
			continue;
		}
		if (n < 0)
			return ipc_broken(ipc, (int)n);
		ipc->eof = n == 0;
		ipc->in_end += (size_t)n;
	}
}

int ph_ipc_take_fd(struct ph_ipc *ipc)
{
	int fd = ipc->frame_fd;

	ipc->frame_fd = -1;
	return fd;
}

void ph_ipc_close(struct ph_ipc **ipcp)
{
	struct ph_ipc *ipc = *ipcp;

	if (ipc == NULL)
		return;
	ph_assert(ipc->magic == IPC_MAGIC && ipc->drained.first == NULL);
	*ipcp = NULL;
	(void)ph_ipc_flush(ipc);
	out_fds_forget(ipc);
	ph_fdw_close(&ipc->w);
	close(ipc->w.fd);
	if (ipc->frame_fd >= 0)
		close(ipc->frame_fd);
	while (ipc->in_fds_n > 0)
		close(ipc->in_fds[--ipc->in_fds_n]);
	free(ipc->in_fds);
	free(ipc->out_fds);
	free(ipc->in);
	ph_buf_done(&ipc->out);
	ipc->magic = 0;
	if (!ipc->deferred)
		free(ipc);
}
