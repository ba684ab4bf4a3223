/* buf.c: a growing byte buffer with a bound.  No state of its own; no yield; any thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/base.h>
#include "base/format.h"

void ph_buf_init(struct ph_buf *b, size_t max)
{
	*b = (struct ph_buf)PH_BUF_INIT(max);
}

int ph_buf_reserve(struct ph_buf *b, size_t more)
{
	size_t cap;

	if (more > b->max || b->len > b->max - more)
		return -ENOBUFS;
	if (b->data && b->cap - b->len > more)
		return 0;
	cap = b->cap ? b->cap : 64;
	while (cap - b->len <= more)            /* one more for the NUL */
		cap = cap > SIZE_MAX / 2 ? b->len + more + 1 : cap * 2;
	if (cap > b->max && b->len + more < b->max)
		cap = b->max + (b->max < SIZE_MAX);
	b->data = ph_realloc(b->data, cap);
	b->data[b->len] = '\0';
	b->cap = cap;
	return 0;
}

int ph_buf_append(struct ph_buf *b, const void *p, size_t n)
{
	int r = ph_buf_reserve(b, n);

	if (r < 0)
		return r;
	if (n > 0)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
	return 0;
}

int ph_buf_puts(struct ph_buf *b, const char *s)
{
	return ph_buf_append(b, s, strlen(s));
}

int ph_buf_putc(struct ph_buf *b, int c)
{
	char byte = (char)c;

	return ph_buf_append(b, &byte, 1);
}

int ph_buf_vprintf(struct ph_buf *b, const char *fmt, va_list ap)
{
	size_t room = b->data ? b->cap - b->len : 0;
	va_list again;
	int n, r;

	va_copy(again, ap);
	n = ph_vsnprintf(room ? b->data + b->len : NULL, room, fmt, again);
	va_end(again);
	if (n < 0)
		return -EINVAL;
	if ((size_t)n >= room || (size_t)n > b->max - b->len) {
		r = ph_buf_reserve(b, (size_t)n);
		if (r < 0) {
			if (room)
				b->data[b->len] = '\0'; /* take back what was written behind the end */
			return r;
		}
		ph_vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	}
	b->len += (size_t)n;
	return 0;
}

int ph_buf_printf(struct ph_buf *b, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = ph_buf_vprintf(b, fmt, ap);
	va_end(ap);
	return r;
}

void ph_buf_clear(struct ph_buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

void ph_buf_consume(struct ph_buf *b, size_t n)
{
	ph_assert(n <= b->len);
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
	b->data[b->len] = '\0';
}

const char *ph_buf_str(const struct ph_buf *b)
{
	return b->data ? b->data : "";
}

void ph_buf_done(struct ph_buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}
