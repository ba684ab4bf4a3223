/* stream.c: life of a stream, and its reading side.  State: struct ph_stream.  Yields where io.h says so. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/co_private.h"
#include "net/stream.h"

#define IN_FIRST 2048           /* enough for commands; grows when a read fills it */
#define IN_MAX 16384

/* ---- life --------------------------------------------------------------------------------- */

struct ph_stream *ph_stream_new(int fd, bool connecting)
{
	struct ph_stream *s = ph_alloc(sizeof(*s));
	int r = ph_fdw_open(&s->w, fd, connecting);

	s->magic = PH_STREAM_MAGIC;
	s->in_max = IN_MAX;
	if (r < 0)
		s->err = r;             /* every call fails with it, and close still works */
	return s;
}

struct ph_stream *ph_stream_from_fd(int fd)
{
	return ph_stream_new(fd, false);
}

int ph_stream_fd(const struct ph_stream *s)
{
	return s->w.fd;
}

static const struct ph_endpoint *ask_name(struct ph_endpoint **slot, int fd,
					  int (*ask)(int, struct sockaddr *, socklen_t *))
{
	if (*slot == NULL) {
		*slot = ph_alloc(sizeof(**slot));
		(*slot)->len = sizeof((*slot)->addr);
		if (ask(fd, &(*slot)->addr.sa, &(*slot)->len) < 0)
			(*slot)->len = 0;
	}
	return *slot;
}

const struct ph_endpoint *ph_stream_peer(const struct ph_stream *s)
{
	return ask_name(&((struct ph_stream *)s)->peer, s->w.fd, getpeername);
}

const struct ph_endpoint *ph_stream_local(const struct ph_stream *s)
{
	return ask_name(&((struct ph_stream *)s)->local, s->w.fd, getsockname);
}

static struct ph_endpoint *copy_of(const struct ph_endpoint *e)
{
	return e ? memcpy(ph_alloc(sizeof(*e)), e, sizeof(*e)) : NULL;
}

void ph_stream_set_names(struct ph_stream *s, const struct ph_endpoint *peer, const struct ph_endpoint *local)
{
	ph_assert(s->peer == NULL && s->local == NULL);
	s->peer = copy_of(peer);
	s->local = copy_of(local);
}

void ph_stream_last(struct ph_stream *s)
{
	s->last = s->in_start == s->in_end && !s->tls;
}

int ph_stream_broken(struct ph_stream *s, int err)
{
	if (s->err == 0)
		s->err = err;
	return err;
}

void ph_stream_close(struct ph_stream **sp)
{
	struct ph_stream *s = *sp;

	if (s == NULL)
		return;
	ph_assert(s->magic == PH_STREAM_MAGIC);
	if (s->tls)
		ph_tls_close(s);
	ph_fdw_close(&s->w);
	close(s->w.fd);
	free(s->in);
	free(s->out);
	free(s->peer);
	free(s->local);
	s->magic = 0;
	free(s);
	*sp = NULL;
}

/* ---- the socket --------------------------------------------------------------------------- */

ssize_t ph_stream_raw_read(struct ph_stream *s, void *p, size_t n, short *ret_want)
{
	ssize_t r;

	*ret_want = EV_READ;
	if (!s->w.readable)
		return -EAGAIN;
	do {
		r = read(s->w.fd, p, n);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		r = -errno;
	ph_fdw_read_done(&s->w, r, n);
	return r;
}

ssize_t ph_stream_raw_write(struct ph_stream *s, const void *p, size_t n, short *ret_want)
{
	ssize_t r;

	*ret_want = EV_WRITE;
	if (!s->w.writable)
		return -EAGAIN;
	do {
		r = s->last ? send(s->w.fd, p, n, MSG_MORE) : write(s->w.fd, p, n);     /* SIGPIPE is ignored (ph_loop_init) */
		if (r < 0 && errno == ENOTSOCK)
			r = write(s->w.fd, p, n);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		r = -errno;
	ph_fdw_write_done(&s->w, r);
	return r;
}

/* ---- the input buffer --------------------------------------------------------------------- */

struct ph_slice ph_stream_peek(const struct ph_stream *s)
{
	return (struct ph_slice){ s->in + s->in_start, s->in_end - s->in_start };
}

void ph_stream_consume(struct ph_stream *s, size_t bytes)
{
	ph_assert(bytes <= s->in_end - s->in_start);
	s->in_start += bytes;
	s->in_seen = s->in_seen > bytes ? s->in_seen - bytes : 0;
	if (s->in_start == s->in_end)
		s->in_start = s->in_end = 0;
}

static void in_grow(struct ph_stream *s)
{
	size_t cap = s->in_cap ? s->in_cap * 2 : IN_FIRST;

	if (cap > s->in_max)
		cap = s->in_max;
	if (cap <= s->in_cap)
		return;
	s->in = ph_realloc(s->in, cap);
	s->in_cap = cap;
}

/* Room for more input: by moving what is unread to the front when little is left at the end, and by growing when
 * the last read has filled all there was. */
static int in_room(struct ph_stream *s)
{
	size_t unread = s->in_end - s->in_start;

	if (unread >= s->in_max)
		return -EMSGSIZE;
	if (s->in_start > 0 && s->in_cap - s->in_end < s->in_cap / 2) {
		memmove(s->in, s->in + s->in_start, unread);
		s->in_start = 0;
		s->in_end = unread;
	}
	if (s->in_end == s->in_cap || s->in_filled)
		in_grow(s);
	return 0;
}

static ssize_t layer_read(struct ph_stream *s, void *p, size_t n, short *ret_want)
{
	return s->tls ? ph_tls_read(s, p, n, ret_want) : ph_stream_raw_read(s, p, n, ret_want);
}

/* Read up to n bytes, waiting for the first. */
static ssize_t read_wait(struct ph_stream *s, void *p, size_t n, int64_t deadline_ms)
{
	short want;
	ssize_t r;
	int e;

	if (s->err)
		return s->err;
	if (s->eof)
		return 0;
	for (;;) {
		r = layer_read(s, p, n, &want);
		if (r != -EAGAIN)
			break;
		e = ph_fdw_wait(&s->w, want, deadline_ms);
		if (e < 0)
			return e;       /* nothing was lost: a server that gives up waiting still wants to say so */
	}
	if (r < 0)
		return ph_stream_broken(s, (int)r);
	if (r == 0)
		s->eof = true;
	(void)ph_co_io_tick();          /* a cancelled coroutine finds out when it has to wait */
	return r;
}

ssize_t ph_stream_fill(struct ph_stream *s, int64_t deadline_ms)
{
	size_t room;
	ssize_t r;

	ph_assert(s->magic == PH_STREAM_MAGIC);
	r = in_room(s);
	if (r < 0)
		return r;
	room = s->in_cap - s->in_end;
	if (room > s->in_max - (s->in_end - s->in_start))
		room = s->in_max - (s->in_end - s->in_start);   /* the limit has been lowered */
	r = read_wait(s, s->in + s->in_end, room, deadline_ms);
	if (r > 0)
		s->in_end += (size_t)r;
	s->in_filled = r > 0 && (size_t)r == room;
	return r;
}

ssize_t ph_stream_getline(struct ph_stream *s, size_t max, struct ph_slice *ret, int64_t deadline_ms)
{
	size_t have, look;
	char *start, *lf;
	ssize_t r;

	for (;;) {
		start = s->in + s->in_start;
		have = s->in_end - s->in_start;
		look = have < max ? have : max;
		lf = look > s->in_seen ? memchr(start + s->in_seen, '\n', look - s->in_seen) : NULL;
		if (lf)
			break;
		if (have >= max)
			return -EMSGSIZE;
		s->in_seen = look;
		r = ph_stream_fill(s, deadline_ms);
		if (r < 0)
			return r;
		if (r == 0)
			return have ? -ECONNRESET : -ENODATA;
	}
	ret->p = start;
	ret->n = (size_t)(lf - start);
	if (ret->n > 0 && start[ret->n - 1] == '\r')
		ret->n--;
	s->in_start += (size_t)(lf - start) + 1;        /* not consume: the line must stay where it is */
	s->in_seen = 0;
	return (ssize_t)ret->n;
}

int ph_stream_read_full(struct ph_stream *s, void *dst, size_t n, int64_t deadline_ms)
{
	size_t have;
	char *p = dst;
	ssize_t r;

	while (n > 0) {
		have = s->in_end - s->in_start;
		if (have > 0) {
			have = have < n ? have : n;
			memcpy(p, s->in + s->in_start, have);
			ph_stream_consume(s, have);
			r = (ssize_t)have;
		} else if (n >= s->in_max) {
			r = read_wait(s, p, n, deadline_ms);    /* past the buffer */
		} else {
			r = ph_stream_fill(s, deadline_ms);
			if (r > 0)
				continue;
		}
		if (r < 0)
			return (int)r;
		if (r == 0)
			return -ENODATA;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

int ph_stream_set_input_max(struct ph_stream *s, size_t bytes)
{
	if (bytes == 0)
		return -EINVAL;
	s->in_max = bytes;
	return 0;
}

void ph_stream_trim(struct ph_stream *s)
{
	if (s->in_start == s->in_end) {
		free(s->in);
		s->in = NULL;
		s->in_cap = s->in_start = s->in_end = s->in_seen = 0;
	}
	if (s->out_start == s->out_end) {
		free(s->out);
		s->out = NULL;
		s->out_cap = s->out_start = s->out_end = 0;
	}
}
