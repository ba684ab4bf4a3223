/* qp.h: body lines as quoted-printable (RFC 2045 section 6.7).  Pure. */
#ifndef CORE_MESSAGE_QP_H
#define CORE_MESSAGE_QP_H

#include <posthouse/base.h>

/* Encode a line, or a piece of one (more: it goes on), and hand each line of the result to put, without its end. */
void ph_qp_encode(const char *p, size_t n, bool more, void (*put)(void *arg, const char *line, size_t n), void *arg);
#endif
