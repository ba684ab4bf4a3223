/* proxy.h: smtpd_proxy_filter: mail goes through a filter before it is taken; the filter's replies are the client's.
 *
 * There is no intake in such a session: the filter sends the message on to another listener of ours, and its 250 is the promise.  When anything is wrong with the
 * filter the client gets 451 and keeps the message. */
#ifndef CORE_SMTPD_PROXY_H
#define CORE_SMTPD_PROXY_H

#include "smtpd/session.h"

/* The dialogue with a filter (proxy_client.c). */
struct ph_proxy_client {
	struct ph_stream *io;           /* NULL: not connected, or the connection has ended */
	const char *where;              /* "127.0.0.1:10025", "unix:..." */
	int64_t timeout_ms;
	struct ph_arena *arena;         /* of the transaction */
	unsigned xforward;              /* attributes that it takes */
	const char *reply;              /* the last one: lines joined by "\n", each with its code as it came */
};
/* Pure: is this a line of a reply?  The code 200..599; *ret_last: no further lines.  -EINVAL: it is not. */
int ph_proxy_reply_line(const char *line, size_t n, bool *ret_last);
/* Connect, and read the greeting.  0; negative: logged.  Yields. */
int ph_proxy_connect(struct ph_proxy_client *p, const char *service, const char *queue_dir);
/* Send a command and read its reply.  The code; negative when there is none any more: logged, and the connection is closed.  Yields. */
int ph_proxy_command(struct ph_proxy_client *p, const char *fmt, ...) PH_PRINTF(2, 3);
/* The same, and anything but a reply of class want ('2', '3') is logged: the code, or negative. */
int ph_proxy_expect(struct ph_proxy_client *p, char want, const char *command);
/* Content.  0 or negative: logged, closed.  May yield. */
int ph_proxy_write(struct ph_proxy_client *p, const char *data, size_t n);
/* EHLO and what it offers.  0 or negative.  Yields. */
int ph_proxy_hello(struct ph_proxy_client *p, const char *name);
enum { PH_XF_NAME = 1, PH_XF_ADDR = 2, PH_XF_PORT = 4, PH_XF_HELO = 8, PH_XF_IDENT = 16, PH_XF_PROTO = 32, PH_XF_SOURCE = 64 };
/* QUIT, without waiting for an answer. */
void ph_proxy_quit(struct ph_proxy_client *p);

/* ---- the session's side (proxy.c) ---- */
bool ph_smtpd_proxied(const struct ph_session *s);
/* MAIL was accepted: remember its line. */
void ph_smtpd_proxy_mail(struct ph_session *s, const struct ph_smtpd_cmdline *c);
/* RCPT was accepted here; connects at the first.  NULL: go on; else the reply for the client.  Yields. */
const char *ph_smtpd_proxy_rcpt(struct ph_session *s, const struct ph_smtpd_cmdline *c);
/* DATA, or the first BDAT.  NULL or the reply.  Yields. */
const char *ph_smtpd_proxy_data(struct ph_session *s);
/* Headers of ours, complete lines joined by "\n"; content, as for ph_intake_line.  Never fails: what went wrong is said at the end.  May yield. */
void ph_smtpd_proxy_header(struct ph_session *s, const char *text);
void ph_smtpd_proxy_line(struct ph_session *s, const char *p, size_t n, bool cont);
/* The end of the content: the reply for the client; logged.  Yields. */
const char *ph_smtpd_proxy_end(struct ph_session *s);
/* The transaction is over. */
void ph_smtpd_proxy_close(struct ph_session *s);
#endif
