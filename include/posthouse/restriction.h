/* posthouse/restriction.h: one access rule of smtpd_*_restrictions.
 *
 * A restriction named foo in main.cf is the module restriction_foo.  Its operations are plain functions: given the session
 * they return a verdict; they may wait for servers as they like, only their own session waits. */
#ifndef POSTHOUSE_RESTRICTION_H
#define POSTHOUSE_RESTRICTION_H

#include <posthouse/lookup.h>
#include <posthouse/session.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ph_verdict_class {
	PH_DUNNO,               /* no opinion: the next restriction is asked */
	PH_PERMIT,              /* accept at this stage; ends this list */
	PH_REJECT,              /* 5xx (or the code given) */
	PH_DEFER,               /* 4xx */
	PH_DEFER_IF_PERMIT,     /* 4xx if the lists would permit in the end */
	PH_DEFER_IF_REJECT,     /* 4xx if the lists would reject in the end */
	PH_DISCONNECT,          /* reply (421/521) and hang up */
};

/* Mail outcome: a value, not an error.  text may be empty for DUNNO and PERMIT. */
struct ph_verdict {
	enum ph_verdict_class cls;
	int code;               /* 400..599; 0: the class's default (reject_code, defer_code) */
	char dsn[12];           /* "5.7.1"; "": the stage's default */
	const char *text;       /* static or from ph_session_arena */
	bool complete;          /* text stands alone; else the core puts "<what>: Recipient address rejected: " in front */
	bool verbatim;          /* filters: nothing comes between code and text (no enhanced code); text may hold several lines, parted by LF */
};

PH_API struct ph_verdict ph_verdict_dunno(void);        /* no opinion: the next restriction is asked */
PH_API struct ph_verdict ph_verdict_permit(void);       /* ends this list; lists of later stages are asked all the same */
/* code and dsn as in struct ph_verdict; text is formatted into the session's arena. */
PH_API struct ph_verdict ph_verdict_reject(struct ph_session *s, int code, const char *dsn, const char *fmt, ...) PH_PRINTF(4, 5);
PH_API struct ph_verdict ph_verdict_defer(struct ph_session *s, int code, const char *dsn, const char *fmt, ...) PH_PRINTF(4, 5);
/* Reply text that is complete: "<addr>: Relay access denied".  cls: REJECT, DEFER, DEFER_IF_PERMIT ... */
PH_API struct ph_verdict ph_verdict_text(struct ph_session *s, enum ph_verdict_class cls, int code, const char *dsn, const char *fmt, ...) PH_PRINTF(5, 6);
/* "451 4.3.5 <what>: Server configuration problem" / "451 4.3.0 <what>: Temporary lookup failure", logged with err. */
PH_API struct ph_verdict ph_verdict_lookup_failed(struct ph_session *s, enum ph_lookup status, const char *what, const struct ph_err *err);

enum ph_access_class { PH_ACCESS_CLIENT, PH_ACCESS_HELO, PH_ACCESS_SENDER, PH_ACCESS_RECIPIENT, PH_ACCESS_ETRN, PH_ACCESS_DATA, PH_ACCESS_EOD,
		       PH_ACCESS_CCERT /* client certificate */, PH_ACCESS_SASL /* login name */,
		       PH_ACCESS_REVERSE_CLIENT /* the name that the client's address claims */ };

/* What the list that is running looks at: the client in smtpd_client_restrictions, even when smtpd_delay_reject runs it at RCPT.  *ret_what: how
 * replies name it ("name[addr]", "user@example.com", "DATA"). */
PH_API enum ph_access_class ph_session_list(const struct ph_session *s, const char **ret_what);

/* Carry out the right-hand side of access(5): OK, DUNNO, REJECT text, 450 4.1.1 text, DEFER_IF_PERMIT, PREPEND, HOLD, FILTER, REDIRECT, BCC, DISCARD,
 * WARN, INFO or a list of restrictions.  where: the table ("hash:/x"), for messages; what: the value looked up, for the reply.  Yields. */
PH_API struct ph_verdict ph_access_action(struct ph_session *s, const char *where, const char *action, const char *what, enum ph_access_class cls);

/* An enhanced status X.1.Y says whose address is meant: fit one that comes from elsewhere (a table, the resolver) to what is checked.  In place; a change
 * is logged. */
PH_API void ph_status_fit(char dsn[12], enum ph_access_class cls);

/* One step of the decision, for "explain" and verbose logging: "check_client_access hash:/x key=... -> REJECT".  Cheap when
 * nobody listens. */
PH_API void ph_trace(struct ph_session *s, const char *fmt, ...) PH_PRINTF(2, 3);
PH_API bool ph_trace_on(const struct ph_session *s);
/* Is this only an explanation ("posthouse explain")?  Then nothing may be changed anywhere: no server is asked that would remember it (greylisting), no
 * probe is sent, nothing is counted; say so with ph_trace, and answer DUNNO. */
PH_API bool ph_session_explaining(const struct ph_session *s);

struct ph_restriction_ops {
	uint32_t size;          /* sizeof(struct ph_restriction_ops) */
	int n_args;             /* words that follow the name in the list: 0 or 1 ("{ a, b = c }" is one word) */
	/* Prepare a use of the restriction: open tables, check the argument.  Called once per configuration for each place where it stands.  arg is "" when
	 * n_args is 0.  0 and *ret, or negative with err (the list then answers 451 4.3.5 there).  May be NULL. */
	int (*prepare)(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err);
	/* Decide.  use: from prepare (NULL without it).  Yields as it likes. */
	struct ph_verdict (*check)(void *use, const void *settings, struct ph_session *s);
	void (*release)(void *use);     /* at the end of the configuration; may be NULL */
	/* Does it stop relaying for strangers (as reject_unauth_destination does)?  At least one such must be in the lists. */
	bool blocks_relay;
	/* The uses behind this one in a row are about to be checked, too: start asking servers what check will want to know (may be NULL).  Does not yield: what
	 * waits runs in a coroutine of its own, which must not touch the session. */
	void (*prefetch)(void *use, const void *settings, struct ph_session *s);
};

#ifdef __cplusplus
}
#endif
#endif
