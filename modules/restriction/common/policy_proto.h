/* policy_proto.h: the policy delegation protocol: lines name=value, an empty line ends them.  Pure.  Source: SMTPD_POLICY_README. */
#ifndef MODULES_RESTRICTION_COMMON_POLICY_PROTO_H
#define MODULES_RESTRICTION_COMMON_POLICY_PROTO_H

#include <posthouse/base.h>

#define POLICY_REPLY_MAX ((size_t)8 * 1024)     /* bytes of an answer, all lines together */

/* Append "name=value".  Control characters of value become "?": a value can neither end its line nor begin another.  0, -ENOBUFS. */
int policy_put(struct ph_buf *b, const char *name, const char *value);
/* The same with everything but printable ASCII, blanks and "+" as "+XX" (xtext). */
int policy_put_xtext(struct ph_buf *b, const char *name, const char *value);

/* Look for a whole answer at the front of p.  1: *ret_action is its action, never empty (within p), *ret_used its bytes; 0: more is needed; -EPROTO
 * (err): this is no answer. */
int policy_reply(const char *p, size_t n, struct ph_slice *ret_action, size_t *ret_used, struct ph_err *err);
#endif
