/* filter_host.h: filters of a session: who they are, and what they asked for.
 *
 * A list is prepared once per configuration (ph_filter_list_open).  A chain is what one session (or one message that did not come over
 * SMTP) runs through: an object per filter.  Where nothing is configured there is no chain: the pointer is NULL, and costs a test.
 * Each filter sees the message as the filters before it left it. */
#ifndef CORE_MESSAGE_FILTER_HOST_H
#define CORE_MESSAGE_FILTER_HOST_H

#include <posthouse/filter.h>
#include "config/config.h"

struct ph_intake;
struct ph_filter_chain;
struct ph_filter_list;

/* Prepare text, a list of filters.  module: the module of all entries, their text is its argument ("milter" for smtpd_milters);
 * NULL: each entry is "name", "name:argument" or "{ name argument }".  Kept with conf under title; NULL when text is empty.  A filter that cannot be
 * prepared stands in the list as one that fails each message with its default action, and is logged. */
struct ph_filter_list *ph_filter_list_open(const struct ph_conf *conf, const char *title, const char *module, const char *text);

/* The chain of a session: smtpd_milters (or the text of smtpd_milter_maps in milters, if not NULL; "" or "DISABLE": none), then smtpd_filters.
 * s NULL: non_smtpd_milters and non_smtpd_filters.  NULL: nothing is configured. */
struct ph_filter_chain *ph_filter_chain_new(const struct ph_conf *conf, struct ph_session *s, const char *milters);
void ph_filter_chain_free(struct ph_filter_chain **c);          /* NULL-safe */

/* Commands, in order.  chain may be NULL.  DUNNO: go on; REJECT, DEFER, DISCONNECT: the reply to give; PERMIT never comes out.  Yield. */
struct ph_verdict ph_filter_chain_connect(struct ph_filter_chain *c);
struct ph_verdict ph_filter_chain_helo(struct ph_filter_chain *c);
struct ph_verdict ph_filter_chain_mail(struct ph_filter_chain *c);
struct ph_verdict ph_filter_chain_rcpt(struct ph_filter_chain *c);
struct ph_verdict ph_filter_chain_data(struct ph_filter_chain *c);
struct ph_verdict ph_filter_chain_unknown(struct ph_filter_chain *c, const char *command);
/* A RCPT was refused by others with this reply; HELO is forgotten (STARTTLS).  chain may be NULL.  Yield. */
void ph_filter_chain_rcpt_rejected(struct ph_filter_chain *c, const char *reply);
void ph_filter_chain_restart(struct ph_filter_chain *c);
void ph_filter_chain_abort(struct ph_filter_chain *c);          /* RSET, new MAIL, lost connection in a transaction */
/* The message is complete: header, end_of_headers, body and end_of_message of each filter, its edits applied.  What ends the message stands in the
 * intake (ph_intake_fail, discard).  Called by the intake.  Yields. */
void ph_filter_chain_message(struct ph_filter_chain *c, struct ph_intake *in);

/* ---- the intake's side: the message as filters see it (filter_mail.c), and checks that run line by line (checks.c) ---- */
struct ph_mail;
struct ph_mail *ph_mail_of(struct ph_intake *in);       /* made on first use */
void ph_mail_free(struct ph_mail **m);                  /* closes the objects of checks; NULL-safe */
/* Carry out what was collected.  0 or negative (in is marked). */
int ph_mail_apply(struct ph_mail *m);
void ph_mail_forget(struct ph_mail *m);                 /* drop what was collected */

int ph_checks_header(struct ph_intake *in, const char *line, size_t n);         /* and writes what is left of it */
int ph_checks_end_of_headers(struct ph_intake *in);
bool ph_checks_want_body(const struct ph_intake *in);
int ph_checks_body(struct ph_intake *in, const char *line, size_t n, bool cont);
int ph_checks_end(struct ph_intake *in);
#endif
