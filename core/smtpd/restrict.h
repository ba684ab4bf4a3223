/* restrict.h: lists of restrictions: compiled from main.cf, run for a session. */
#ifndef CORE_SMTPD_RESTRICT_H
#define CORE_SMTPD_RESTRICT_H

#include "smtpd/session.h"

enum ph_check { PH_CHECK_DUNNO, PH_CHECK_OK, PH_CHECK_REJECT };

/* Compile text.  Never fails: what is wrong answers "451 4.3.5 Server configuration error" when it is reached.  Does not yield. */
struct ph_rlist *ph_rlist_new(struct ph_smtpd_service *svc, const char *title, const char *text);
void ph_rlist_free(struct ph_rlist **l);
bool ph_rlist_empty(const struct ph_rlist *l);
/* Does a restriction in it, or in a class that it names, stop relaying? */
bool ph_rlist_blocks_relay(const struct ph_rlist *l);

/* Run the list.  name and cls go into replies: "<name>: cls rejected: text".  REJECT: logged, and the reply is *ret_reply of
 * ph_smtpd_refusal.  Yields. */
enum ph_check ph_rlist_run(struct ph_session *s, struct ph_rlist *l, const char *name, const char *cls, enum ph_access_class acl);
/* The list that an access table's right-hand side holds; kept for the next time.  NULL: it must not be used (logged). */
void ph_rcache_free(struct ph_rcache **c);
struct ph_rlist *ph_rcache_get(struct ph_smtpd_service *svc, const char *where, const char *text);

/* Carry out a verdict: log a refusal, turn it into a warning or a deferral as the session's state asks.  Does not yield. */
enum ph_check ph_check_apply(struct ph_session *s, const struct ph_verdict *v, const char *name, const char *cls);
/* The reply of the last refusal. */
const char *ph_check_reply(const struct ph_session *s);
/* smtpd_log_access_permit_actions. */
void ph_check_log_permit(struct ph_session *s, const char *action, const char *cls, const char *name, const char *table);
/* X.1.x codes say whose address is meant: adapt one to what was checked.  In place. */
void ph_dsn_fix(char dsn[12], const char *cls);
const char *ph_access_class_name(enum ph_access_class acl);
#endif
