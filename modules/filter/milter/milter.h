/* milter.h: what the files of the milter client share.
 *
 * A service is one entry of smtpd_milters or non_smtpd_milters, made once per configuration.  A milter is one connection to it, made for one SMTP
 * session, or for one message that did not come over SMTP.  What the filter decides goes into the milter's outcome and from there into a verdict. */
#ifndef MODULES_FILTER_MILTER_MILTER_H
#define MODULES_FILTER_MILTER_MILTER_H

#include "wire.h"

#include <posthouse/co.h>
#include <posthouse/filter.h>
#include <posthouse/io.h>
#include <posthouse/param.h>

struct milter_settings {
	int64_t connect_ms, command_ms, content_ms;
	const char *protocol, *default_action, *macro_daemon_name, *macro_v, *macro_defaults, *myhostname;
	/* in the order of enum milter_stage */
	const char *macros[8];
	bool soft_bounce;
};

/* Lists of macros; the first seven are numbered as in SETSYMLIST. */
enum milter_stage {
	MILTER_CONNECT, MILTER_HELO, MILTER_MAIL, MILTER_RCPT, MILTER_DATA, MILTER_EOM, MILTER_EOH, MILTER_UNKNOWN, MILTER_STAGE_COUNT
};

/* What to do when the filter cannot be asked. */
enum milter_action { MILTER_DO_ACCEPT, MILTER_DO_REJECT, MILTER_DO_TEMPFAIL, MILTER_DO_QUARANTINE, MILTER_DO_SHUTDOWN, MILTER_DO_CONFIG };

struct milter_service {
	char *name;                             /* "inet:127.0.0.1:8891", for the log */
	char *host;                             /* inet, inet6 */
	char *path;                             /* unix */
	int port, family;                       /* AF_UNSPEC, AF_INET6, AF_UNIX */
	int64_t connect_ms, command_ms, content_ms;
	unsigned version;                       /* 2, 3, 4, 6; 0: the protocol setting is wrong */
	char *bad_protocol;                     /* and this is what it said */
	bool no_header_reply;
	enum milter_action action;
	const struct milter_settings *set;
	char **macros[MILTER_STAGE_COUNT];      /* names, NULL-terminated */
	char **defaults;                        /* name, value, name, value ..., NULL */
};
int milter_service_new(const struct ph_conf *conf, const struct milter_settings *set, const char *entry, struct milter_service **ret, struct ph_err *err);
void milter_service_free(struct milter_service *s);
/* "a b,c" -> names, NULL-terminated, heap; braces around a name are kept. */
char **milter_words(const char *list);
void milter_words_free(char **words);

/* What is sticky: said once, and the answer to everything that follows in its scope. */
enum milter_outcome {
	MILTER_ASK,             /* nothing: the filter is asked */
	MILTER_PASS,            /* it does not want to know more */
	MILTER_REPLY,           /* the reply in .reply */
	MILTER_HOLD,
	MILTER_DISCARD,
	MILTER_SHUTDOWN,
};

struct milter {
	const struct milter_service *svc;
	struct ph_session *s;           /* NULL: not from SMTP */
	struct ph_stream *io;           /* NULL: not connected, or no more */
	struct ph_mail *m;              /* while a message is shown */
	bool asked;                     /* the first event has been */
	bool failed;                    /* the outcome comes from an error: the next message may try again */
	bool mail_refused;              /* and one MAIL was answered with it */
	uint32_t version, protocol, actions;    /* as agreed; SMFIP_*, SMFIF_* */
	char **macros[MILTER_STAGES];   /* as the filter asked for; NULL: the service's */
	enum milter_outcome outcome;
	bool for_message;               /* the outcome ends with the transaction */
	struct ph_verdict reply;        /* its text is in reply_text */
	char *reply_text;
	bool helo_seen, in_mail;
	bool mail_asked;
	size_t rcpt;                    /* mail that is not from SMTP: the recipient that is told */
	const char *rejected;           /* the reply to a RCPT that was refused, while the filter is told */
	/* what went out and came in last */
	char command;
	struct ph_buf out, in;
};

/* ---- conn.c ---- */
/* Connect and agree on the protocol, unless done.  0, or negative: the default action is the outcome.  Yields. */
int milter_open(struct milter *c);
/* Send what is in c->out.  0 or negative, as above.  Yields. */
int milter_flush(struct milter *c);
/* One reply packet, decoded; it lives until the next call.  0, or negative, as above.  Yields. */
int milter_read(struct milter *c, struct milter_reply *ret);
/* The filter cannot be relied upon: log why, forget the connection, and the default action is the outcome.  Returns -EPROTO. */
int milter_broken(struct milter *c, const char *fmt, ...) PH_PRINTF(2, 3);
void milter_hangup(struct milter *c, bool politely);
int64_t milter_deadline(const struct milter *c);

/* ---- outcome.c ---- */
void milter_default(struct milter *c, enum milter_action action);
void milter_decide(struct milter *c, enum milter_outcome o, bool for_message);
void milter_decide_reply(struct milter *c, int code, const char *dsn, const char *text, bool verbatim, bool for_message);
/* The outcome as a verdict for the core; what it does to the message is told to the core first. */
struct ph_verdict milter_verdict(struct milter *c);
/* A reply packet after an event of the envelope or the content that is the same everywhere (continue, accept, reject ...).  True: it was one, and the
 * event is over. */
bool milter_take_common(struct milter *c, const struct milter_reply *r);

/* ---- macros.c ---- */
/* The macros of a stage and the head of the command's packet follow one another in c->out. */
void milter_put_macros(struct milter *c, enum milter_stage stage, char command);
/* Value or NULL; in the arena of the session or the message. */
const char *milter_macro(struct milter *c, const char *name);

/* ---- event.c: the commands of a session ---- */
struct ph_verdict milter_connect(struct milter *c);
struct ph_verdict milter_helo(struct milter *c);
struct ph_verdict milter_mail(struct milter *c);
struct ph_verdict milter_rcpt(struct milter *c);
struct ph_verdict milter_data(struct milter *c);
struct ph_verdict milter_unknown(struct milter *c, const char *command);
void milter_abort(struct milter *c);
void milter_restart(struct milter *c);
/* Mail that is not from SMTP: everything up to DATA.  Yields. */
struct ph_verdict milter_emulate(struct milter *c);

/* ---- content.c ---- */
struct ph_verdict milter_message(struct milter *c);

static inline struct ph_arena *milter_arena(const struct milter *c)
{
	return c->m ? ph_mail_arena(c->m) : ph_session_arena(c->s);
}

#endif
