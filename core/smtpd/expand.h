/* expand.h: $name in texts that are shown to a client, with the session's values. */
#ifndef CORE_SMTPD_EXPAND_H
#define CORE_SMTPD_EXPAND_H

#include <posthouse/session.h>

/* $name, ${name}, ${name?text}, ${name:text} and "$$" against the session (client_address, client_name, helo_name,
 * recipient, sender, server_name ...).  Characters of a value that smtpd_expansion_filter does not list become '_'; unknown names
 * are empty.  vars: names that go before the session's.  In a. */
const char *ph_smtpd_expand(struct ph_session *s, struct ph_arena *a, const char *text, const struct ph_session_var *vars, size_t n);
#endif
