/* pack.h: numbers and texts as bytes (little-endian), and back without ever reading outside.
 *
 * Packing appends to a ph_buf and returns 0 or -ENOBUFS.  Unpacking takes from the front of struct ph_unpack; a
 * read behind the end yields 0 or an empty slice and sets bad, which is checked once at the end.  No yield. */
#ifndef PH_BASE_PACK_H
#define PH_BASE_PACK_H

#include <posthouse/base.h>

int ph_pack_u8(struct ph_buf *b, uint8_t v);
int ph_pack_u16(struct ph_buf *b, uint16_t v);
int ph_pack_u32(struct ph_buf *b, uint32_t v);
int ph_pack_u64(struct ph_buf *b, uint64_t v);
int ph_pack_i64(struct ph_buf *b, int64_t v);
/* u32 length, then the bytes.  A NULL string is packed as an empty one. */
int ph_pack_bytes(struct ph_buf *b, const void *p, size_t n);
int ph_pack_str(struct ph_buf *b, const char *s);

struct ph_unpack {
	const unsigned char *p;
	size_t n;               /* bytes left */
	bool bad;               /* something was missing or out of bounds */
};

void ph_unpack_init(struct ph_unpack *u, struct ph_slice from);
uint8_t ph_unpack_u8(struct ph_unpack *u);
uint16_t ph_unpack_u16(struct ph_unpack *u);
uint32_t ph_unpack_u32(struct ph_unpack *u);
uint64_t ph_unpack_u64(struct ph_unpack *u);
int64_t ph_unpack_i64(struct ph_unpack *u);
struct ph_slice ph_unpack_bytes(struct ph_unpack *u);
/* A copy with NUL in arena, "" when bad.  A NUL inside the text is bad. */
char *ph_unpack_str(struct ph_unpack *u, struct ph_arena *arena);
/* n bytes without a length in front. */
struct ph_slice ph_unpack_raw(struct ph_unpack *u, size_t n);
/* All was well and nothing is left. */
bool ph_unpack_done(const struct ph_unpack *u);

#endif
