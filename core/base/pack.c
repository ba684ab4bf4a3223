/* pack.c: little-endian packing.  No state; no yield; any thread (but for arenas). */
#include <errno.h>
#include <string.h>

#include "base/pack.h"

static int pack_number(struct ph_buf *b, uint64_t v, size_t bytes)
{
	unsigned char raw[8];
	size_t i;

	for (i = 0; i < bytes; i++)
		raw[i] = (unsigned char)(v >> (8 * i));
	return ph_buf_append(b, raw, bytes);
}

int ph_pack_u8(struct ph_buf *b, uint8_t v)
{
	return pack_number(b, v, 1);
}

int ph_pack_u16(struct ph_buf *b, uint16_t v)
{
	return pack_number(b, v, 2);
}

int ph_pack_u32(struct ph_buf *b, uint32_t v)
{
	return pack_number(b, v, 4);
}

int ph_pack_u64(struct ph_buf *b, uint64_t v)
{
	return pack_number(b, v, 8);
}

int ph_pack_i64(struct ph_buf *b, int64_t v)
{
	return pack_number(b, (uint64_t)v, 8);
}

int ph_pack_bytes(struct ph_buf *b, const void *p, size_t n)
{
	int r;

	if (n > UINT32_MAX || n > SIZE_MAX - 4)
		return -ENOBUFS;
	r = ph_buf_reserve(b, n + 4);           /* all or nothing */
	if (r < 0)
		return r;
	ph_pack_u32(b, (uint32_t)n);
	return ph_buf_append(b, p, n);
}

int ph_pack_str(struct ph_buf *b, const char *s)
{
	return ph_pack_bytes(b, s ? s : "", s ? strlen(s) : 0);
}

void ph_unpack_init(struct ph_unpack *u, struct ph_slice from)
{
	u->p = (const unsigned char *)from.p;
	u->n = from.n;
	u->bad = false;
}

static uint64_t unpack_number(struct ph_unpack *u, size_t bytes)
{
	uint64_t v = 0;
	size_t i;

	if (u->bad || u->n < bytes) {
		u->bad = true;
		return 0;
	}
	for (i = 0; i < bytes; i++)
		v |= (uint64_t)u->p[i] << (8 * i);
	u->p += bytes;
	u->n -= bytes;
	return v;
}

uint8_t ph_unpack_u8(struct ph_unpack *u)
{
	return (uint8_t)unpack_number(u, 1);
}

uint16_t ph_unpack_u16(struct ph_unpack *u)
{
	return (uint16_t)unpack_number(u, 2);
}

uint32_t ph_unpack_u32(struct ph_unpack *u)
{
	return (uint32_t)unpack_number(u, 4);
}

uint64_t ph_unpack_u64(struct ph_unpack *u)
{
	return unpack_number(u, 8);
}

int64_t ph_unpack_i64(struct ph_unpack *u)
{
	return (int64_t)unpack_number(u, 8);
}

struct ph_slice ph_unpack_raw(struct ph_unpack *u, size_t n)
{
	struct ph_slice s = { "", 0 };

	if (u->bad || u->n < n) {
		u->bad = true;
		return s;
	}
	s = (struct ph_slice){ (const char *)u->p, n };
	u->p += n;
	u->n -= n;
	return s;
}

struct ph_slice ph_unpack_bytes(struct ph_unpack *u)
{
	uint32_t n = ph_unpack_u32(u);

	return ph_unpack_raw(u, n);
}

char *ph_unpack_str(struct ph_unpack *u, struct ph_arena *arena)
{
	struct ph_slice s = ph_unpack_bytes(u);

	if (s.n > 0 && memchr(s.p, '\0', s.n)) {
		u->bad = true;
		s.n = 0;
	}
	return ph_arena_strndup(arena, s.p, s.n);
}

bool ph_unpack_done(const struct ph_unpack *u)
{
	return !u->bad && u->n == 0;
}
