/* tls.h: the core's side of posthouse/tls.h. */
#ifndef PH_NET_TLS_H
#define PH_NET_TLS_H

#include <posthouse/tls.h>

/* Protocol list in Postfix's syntax -> bounds (0: open) and SSL_OP_NO_* bits.  0 or -EINVAL. */
struct ph_tls_protocols {
	int min, max;
	uint64_t no;
};
int ph_tls_protocols_parse(const char *list, struct ph_tls_protocols *ret, struct ph_err *err);

/* Before the process gives up root: read a PEM file that root alone can read, for all contexts made later.  What cannot be read is left to them. */
void ph_tls_keep_file(const char *path);
#endif
