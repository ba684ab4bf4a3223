/* stream.h: the inside of a stream, for the files of core/net. */
#ifndef PH_NET_STREAM_H
#define PH_NET_STREAM_H

#include <posthouse/io.h>
#include "base/fdw.h"

#define PH_STREAM_MAGIC 0x57e4a001u
#define PH_STREAM_OUT_BYTES 32768       /* what is buffered before it is sent */

struct ph_tls;

struct ph_stream {
	uint32_t magic;
	int err;                        /* sticky: the first error that broke the stream */
	bool eof;
	bool in_filled;                 /* the last read took all the room there was */
	bool last;                      /* what is written now is the end: it may wait for the FIN */
	struct ph_fdw w;
	char *in;                       /* in[in_start .. in_end) is unread */
	size_t in_start, in_end, in_cap, in_max;
	size_t in_seen;                 /* no LF in the first in_seen unread bytes */
	char *out;
	size_t out_start, out_end, out_cap;
	struct ph_endpoint *peer, *local;       /* NULL: not asked for yet */
	struct ph_tls *tls;             /* NULL: plaintext */
};

/* tcp_windowsize of this process: of connections that it makes; and of a socket, before connect or listen.  0: not limited. */
void ph_tcp_set_window(int bytes);
void ph_tcp_limit_window(int fd, int bytes);
/* Watch fd, which connect() has just been called on.  NULL: errno. */
struct ph_stream *ph_stream_new(int fd, bool connecting);
/* The names of both ends are known already; either may be NULL. */
void ph_stream_set_names(struct ph_stream *s, const struct ph_endpoint *peer, const struct ph_endpoint *local);
/* What is flushed next is the last before the close, which follows at once, and the peer has nothing more to say: one segment carries both.
 * (Input that is not read makes the kernel throw unsent output away.)  Not for TLS. */
void ph_stream_last(struct ph_stream *s);
/* -err, remembered for later calls. */
int ph_stream_broken(struct ph_stream *s, int err);

/* One read or write of the layer below, without waiting: bytes, 0 at end of file (read), -EAGAIN with *ret_want =
 * EV_READ or EV_WRITE, or another error. */
ssize_t ph_stream_raw_read(struct ph_stream *s, void *p, size_t n, short *ret_want);
ssize_t ph_stream_raw_write(struct ph_stream *s, const void *p, size_t n, short *ret_want);

/* tls_stream.c */
ssize_t ph_tls_read(struct ph_stream *s, void *p, size_t n, short *ret_want);
ssize_t ph_tls_write(struct ph_stream *s, const void *p, size_t n, short *ret_want);
void ph_tls_close(struct ph_stream *s);

#endif
