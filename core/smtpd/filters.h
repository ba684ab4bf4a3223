/* filters.h: the session's side of milters and native filters (message/filter_host.h). */
#ifndef CORE_SMTPD_FILTERS_H
#define CORE_SMTPD_FILTERS_H

#include "smtpd/session.h"

/* The connection is there.  0: go on; 1: reject_all; negative: hang up.  Yields. */
int ph_smtpd_filters_open(struct ph_session *s);
/* A filter has refused the client itself: EHLO announces next to nothing. */
bool ph_smtpd_filters_reject_all(const struct ph_session *s);
void ph_smtpd_filters_close(struct ph_session *s);
void ph_smtpd_filters_abort(struct ph_session *s);
void ph_smtpd_filters_restart(struct ph_session *s);      /* STARTTLS: HELO is forgotten */
/* The reply that a filter gives, or NULL: go on.  Yield. */
const char *ph_smtpd_filters_helo(struct ph_session *s);
const char *ph_smtpd_filters_mail(struct ph_session *s);
const char *ph_smtpd_filters_rcpt(struct ph_session *s);
void ph_smtpd_filters_rcpt_rejected(struct ph_session *s, const char *reply);
const char *ph_smtpd_filters_data(struct ph_session *s);
const char *ph_smtpd_filters_unknown(struct ph_session *s, const char *command);
#endif
