/* stream_write.c: the writing side of a stream.  Yields where io.h says so. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/co_private.h"
#include "base/format.h"
#include "net/stream.h"

static ssize_t layer_write(struct ph_stream *s, const void *p, size_t n, short *ret_want)
{
	return s->tls ? ph_tls_write(s, p, n, ret_want) : ph_stream_raw_write(s, p, n, ret_want);
}

/* Write all of p. */
static int write_wait(struct ph_stream *s, const char *p, size_t n, size_t *ret_done, int64_t deadline_ms)
{
	short want;
	ssize_t r;
	int e;

	while (*ret_done < n) {
		r = layer_write(s, p + *ret_done, n - *ret_done, &want);
		if (r == -EAGAIN) {
			e = ph_fdw_wait(&s->w, want, deadline_ms);
			if (e < 0)
				return ph_stream_broken(s, e);
			continue;
		}
		if (r < 0)
			return ph_stream_broken(s, (int)r);
		*ret_done += (size_t)r;
		(void)ph_co_io_tick();  /* a cancelled coroutine finds out when it has to wait */
	}
	return 0;
}

int ph_stream_flush(struct ph_stream *s, int64_t deadline_ms)
{
	int r;

	ph_assert(s->magic == PH_STREAM_MAGIC);
	if (s->err)
		return s->err;
	if (s->out_start == s->out_end)
		return 0;
	r = write_wait(s, s->out, s->out_end, &s->out_start, deadline_ms);
	if (r < 0)
		return r;
	s->out_start = s->out_end = 0;
	return 0;
}

static void out_room(struct ph_stream *s, size_t n)
{
	size_t cap = s->out_cap ? s->out_cap : 512;

	while (cap < s->out_end + n)
		cap *= 2;
	if (cap == s->out_cap)
		return;
	s->out = ph_realloc(s->out, cap);
	s->out_cap = cap;
}

int ph_stream_write(struct ph_stream *s, const void *p, size_t n, int64_t deadline_ms)
{
	const char *from = p;
	size_t part, done = 0;
	int r;

	ph_assert(s->magic == PH_STREAM_MAGIC);
	if (s->err)
		return s->err;
	while (n > 0) {
		if (s->out_end == 0 && n >= PH_STREAM_OUT_BYTES)
			return write_wait(s, from, n, &done, deadline_ms);      /* no copy */
		part = PH_STREAM_OUT_BYTES - s->out_end;
		if (part > n)
			part = n;
		out_room(s, part);
		memcpy(s->out + s->out_end, from, part);
		s->out_end += part;
		from += part;
		n -= part;
		if (s->out_end == PH_STREAM_OUT_BYTES) {
			r = ph_stream_flush(s, deadline_ms);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int ph_stream_puts(struct ph_stream *s, const char *text, int64_t deadline_ms)
{
	return ph_stream_write(s, text, strlen(text), deadline_ms);
}

int ph_stream_printf(struct ph_stream *s, int64_t deadline_ms, const char *fmt, ...)
{
	char small[1024], *text = small;
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = ph_vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	if ((size_t)n >= sizeof(small)) {
		text = ph_alloc((size_t)n + 1);
		va_start(ap, fmt);
		ph_vsnprintf(text, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	r = ph_stream_write(s, text, (size_t)n, deadline_ms);
	if (text != small)
		free(text);
	return r;
}
