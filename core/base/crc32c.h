/* crc32c.h: CRC-32C (Castagnoli), as in RFC 3720 appendix B.4. */
#ifndef PH_BASE_CRC32C_H
#define PH_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc: 0 for the start, or the result for the bytes before p.  Any thread. */
uint32_t ph_crc32c(uint32_t crc, const void *p, size_t n);
/* The fallback for processors without the instruction; for the test that holds both against each other. */
uint32_t ph_crc32c_table(uint32_t crc, const void *p, size_t n);

#endif
