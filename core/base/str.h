/* str.h: text helpers of the core beyond posthouse/base.h. */
#ifndef PH_BASE_STR_H
#define PH_BASE_STR_H

#include <posthouse/base.h>

/* Copy n bytes of src to dst (n + 1 bytes; may be src itself) with every byte that is not printable ASCII
 * as '?'; valid UTF-8 is kept when utf8_ok.  NUL-terminates.  Any thread. */
void ph_str_make_printable(char *dst, const char *src, size_t n, bool utf8_ok);

#endif
