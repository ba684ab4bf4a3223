/* received.h: the Received: header that this system puts on top of a message. */
#ifndef CORE_MESSAGE_RECEIVED_H
#define CORE_MESSAGE_RECEIVED_H

#include <posthouse/session.h>

/* For mail over SMTP: client, TLS and SASL clauses as smtpd_tls_received_header, smtpd_sasl_authenticated_header and
 * smtpd_hide_client_session have it.  only_rcpt: the recipient when there is exactly one, else NULL.  utf8: SMTPUTF8 was asked for.
 * Without a line end, folds as LF TAB; for ph_intake_prepend.  In arena. */
const char *ph_received_smtp(struct ph_session *s, const char *queue_id, bool utf8, const char *only_rcpt, struct ph_arena *arena);
/* For local submission: "by host (mail_name, from userid N)"; uid -1: made by the system itself. */
const char *ph_received_local(const struct ph_conf *conf, const char *queue_id, int64_t uid, struct ph_arena *arena);
#endif
