/* crc32c.c: CRC-32C with the processor's instruction where there is one, else eight tables.
 * State: the tables, made once before main().  No yield; any thread. */
#include <string.h>

#include "base/crc32c.h"

#define POLY 0x82f63b78u        /* 0x1edc6f41 bit-reversed */

static uint32_t table[8][256];

static uint32_t (*crc_fn)(uint32_t, const unsigned char *, size_t);

static uint32_t crc_bytes(uint32_t c, const unsigned char *p, size_t n)
{
	while (n-- > 0)
		c = table[0][(c ^ *p++) & 0xff] ^ (c >> 8);
	return c;
}

static uint32_t crc_table(uint32_t c, const unsigned char *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8) {
		uint32_t lo = c ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);

		c = table[7][lo & 0xff] ^ table[6][lo >> 8 & 0xff] ^ table[5][lo >> 16 & 0xff] ^ table[4][lo >> 24] ^
		    table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	return crc_bytes(c, p, n);
}

#if defined(__x86_64__)
__attribute__((target("sse4.2")))
static uint32_t crc_sse42(uint32_t c, const unsigned char *p, size_t n)
{
	uint64_t c64 = c, v;

	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&v, p, 8);
		c64 = __builtin_ia32_crc32di(c64, v);
	}
	c = (uint32_t)c64;
	while (n-- > 0)
		c = __builtin_ia32_crc32qi(c, *p++);
	return c;
}
#endif

__attribute__((constructor)) static void crc_init(void)
{
	uint32_t c;
	int i, k;

	for (i = 0; i < 256; i++) {
		c = (uint32_t)i;
		for (k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ POLY : c >> 1;
		table[0][i] = c;
	}
	for (i = 0; i < 256; i++)
		for (k = 1; k < 8; k++)
			table[k][i] = table[0][table[k - 1][i] & 0xff] ^ table[k - 1][i] >> 8;
	crc_fn = crc_table;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (__builtin_cpu_supports("sse4.2"))
		crc_fn = crc_sse42;
#endif
}

uint32_t ph_crc32c(uint32_t crc, const void *p, size_t n)
{
	return ~crc_fn(~crc, p, n);
}

uint32_t ph_crc32c_table(uint32_t crc, const void *p, size_t n)
{
	return ~crc_table(~crc, p, n);
}
