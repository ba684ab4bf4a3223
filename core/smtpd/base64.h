/* base64.h: RFC 4648 section 4, strict.  Pure. */
#ifndef CORE_SMTPD_BASE64_H
#define CORE_SMTPD_BASE64_H

#include <posthouse/base.h>

/* Decode in.n bytes to out (room for in.n / 4 * 3 + 1; NUL-terminated).  Length, or -EINVAL: bad alphabet, padding or length. */
ssize_t ph_smtpd_base64_decode(struct ph_slice in, char *out);
/* Encode to out, (n + 2) / 3 * 4 + 1 bytes. */
void ph_smtpd_base64_encode(struct ph_slice in, char *out);
#endif
