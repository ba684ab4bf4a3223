/* tcp_reply.h: requests and answers of tcp tables.  Pure.  Source: tcp_table(5). */
#ifndef LOOKUP_TCP_REPLY_H
#define LOOKUP_TCP_REPLY_H

#include <posthouse/lookup.h>

/* "get key\n" with %XX for what is not printable, and for '%' and blanks.  0 or -ENOBUFS. */
int tcp_request(const char *key, struct ph_buf *out);
/* Read an answer, without its line end, in place.  0 with *ret_status and *ret_text (the decoded value, or the server's words), or -EPROTO: it is none. */
int tcp_reply(char *line, enum ph_lookup *ret_status, char **ret_text);
#endif
