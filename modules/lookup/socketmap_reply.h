/* socketmap_reply.h: netstrings, and the answers of socketmap servers in them.  Pure.  Source: socketmap_table(5). */
#ifndef LOOKUP_SOCKETMAP_REPLY_H
#define LOOKUP_SOCKETMAP_REPLY_H

#include <posthouse/lookup.h>

/* The head of a netstring ("5:") at the start of the n bytes.  1 with *ret_len and *ret_used (bytes of the head); 0: more bytes are needed; -EPROTO. */
int smap_head(const char *p, size_t n, size_t *ret_len, size_t *ret_used);
/* What an answer says.  FOUND: *ret_text is the value; TEMPFAIL, PERMERR: err. */
enum ph_lookup smap_reply(const char *reply, const char **ret_text, struct ph_err *err);
#endif
