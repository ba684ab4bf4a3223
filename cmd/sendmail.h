/* sendmail.h: what the parts of sendmail(1) share: the options (sendmail.c) and the message (sendmail_input.c). */
#ifndef CMD_SENDMAIL_H
#define CMD_SENDMAIL_H

#include "cmd/params.h"
#include "config/general.h"
#include "queue/submit.h"

enum ph_sm_mode { PH_SM_MAIL, PH_SM_MAILQ, PH_SM_ALIASES, PH_SM_SMTP, PH_SM_DAEMON, PH_SM_FLUSH, PH_SM_SITE, PH_SM_ID };

struct ph_sendmail {
	enum ph_sm_mode mode;
	const char *config_dir, *queue_arg, *alias_database;
	const char *given_sender;       /* -f; NULL: the login name */
	const char *sender_text;        /* as it is shown to the user */
	const char *verp;               /* -XV's argument, "": default delimiters; NULL: none */
	const char *deprecated;         /* the letters of a "-V" that means -XV; NULL: none */
	struct ph_submit s;
	bool dot_ends, from_headers;
	int verbose;
	struct ph_arena *arena;
	const struct ph_conf *conf;
	const struct ph_general_settings *g;
	struct ph_cmd_settings set;
};

/* Log and exit with EX_TEMPFAIL: whoever has the message keeps it. */
void ph_sm_fatal(const char *fmt, ...) PH_PRINTF(1, 2) __attribute__((noreturn));
/* The same about the message: "sender(uid): text". */
void ph_sm_fatal_message(const struct ph_sendmail *m, const char *text) __attribute__((noreturn));
/* Read the message from standard input and write it, with the envelope, to m->s. */
void ph_sm_read_message(struct ph_sendmail *m);
/* sendmail -bv: a message for the report to show. */
void ph_sm_write_probe(struct ph_sendmail *m);
#endif
