/* history.h: the transcript of a session, for the postmaster (notify_classes). */
#ifndef CORE_SMTPD_HISTORY_H
#define CORE_SMTPD_HISTORY_H

#include "smtpd/session.h"

/* A line of the client's, a line of ours ("250-", an enhanced code that is repeated, the text), without their ends.  Kept only when
 * notify_classes may want it. */
void ph_smtpd_history_in(struct ph_session *s, struct ph_slice line);
void ph_smtpd_history_out(struct ph_session *s, const char code[4], struct ph_slice dsn, struct ph_slice text);
/* EHLO, RSET, the end of a message: a transcript that has become long is forgotten (smtpd_history_flush_threshold). */
void ph_smtpd_history_flush(struct ph_session *s);
/* An error reply leaves: which class of trouble is it? */
void ph_smtpd_history_error(struct ph_session *s, const char *reply);
/* The session is over; reason: why it was cut, or NULL.  Sends the notice that is due.  Yields. */
void ph_smtpd_history_end(struct ph_session *s, const char *reason);
#endif
