/* posthouse/filter.h: look at a message while it is received, and change it.
 *
 * A filter has one object per session and one function per SMTP stage, each written straight down.  What it wants changed it
 * asks for with ph_edit_*; the core carries the edits out after the filter's end-of-message function returned without error.
 * A filter that fails half-way leaves the message as it was, and the configured default action decides. */
#ifndef POSTHOUSE_FILTER_H
#define POSTHOUSE_FILTER_H

#include <posthouse/restriction.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_mail;         /* the message being received, see below */

enum ph_header_kind { PH_HEADER_PRIMARY, PH_HEADER_MIME /* MIME headers of the message and of its parts */, PH_HEADER_NESTED /* of an attached message */ };

struct ph_filter_ops {
	uint32_t size;          /* sizeof(struct ph_filter_ops) */
	/* A use of the filter in a list ("smtpd_milters = inet:...", header_checks): once per configuration.  arg: the list entry without the
	 * name.  0 and *ret, or negative with err. */
	int (*prepare)(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err);
	void (*release)(void *use);
	/* A session begins.  s is NULL for mail that does not come over SMTP.  0 and *ret.  Yields. */
	int (*open)(void *use, struct ph_session *s, void **ret, struct ph_err *err);
	void (*close)(void *obj);
	/* Stages, in order; each may be NULL.  DUNNO or PERMIT: go on (PERMIT: skip the rest for this message, or session when at
	 * connect or helo); REJECT and DEFER answer the command.  Yield as they like.  An error is told by ph_filter_fail. */
	struct ph_verdict (*connect)(void *obj, struct ph_session *s);
	struct ph_verdict (*helo)(void *obj, struct ph_session *s);
	struct ph_verdict (*mail)(void *obj, struct ph_session *s);
	struct ph_verdict (*rcpt)(void *obj, struct ph_session *s);
	struct ph_verdict (*data)(void *obj, struct ph_session *s);
	struct ph_verdict (*header)(void *obj, struct ph_mail *m, enum ph_header_kind kind, const char *line, size_t n); /* logical line: folds kept as LF SP */
	struct ph_verdict (*end_of_headers)(void *obj, struct ph_mail *m);
	struct ph_verdict (*body)(void *obj, struct ph_mail *m, const char *line, size_t n);   /* one line, without its end */
	struct ph_verdict (*end_of_message)(void *obj, struct ph_mail *m);
	void (*abort)(void *obj);       /* the transaction was given up; the session goes on */
	struct ph_verdict (*unknown)(void *obj, struct ph_session *s, const char *command);
	/* A RCPT that was refused already, with this reply. */
	void (*rcpt_rejected)(void *obj, struct ph_session *s, const char *reply);
	/* The session begins anew (STARTTLS): HELO is forgotten. */
	void (*restart)(void *obj);
	/* Who refuses the connection or HELO refuses all that follows: the core remembers.  Unless the filter does so itself, and wants to be asked again. */
	bool remembers;
};

/* While connect, helo, mail, rcpt or data runs: the message that comes is put on hold, or taken and thrown away (then no filter is asked about it
 * any more).  The function returns DUNNO.  text: for the log ("milter triggers HOLD action"). */
PH_API void ph_session_hold(struct ph_session *s, const char *text);
PH_API void ph_session_discard(struct ph_session *s, const char *text);

/* ---- what a filter can see ---- */
PH_API struct ph_session *ph_mail_session(struct ph_mail *m);           /* NULL: not from SMTP */
PH_API struct ph_arena *ph_mail_arena(struct ph_mail *m);
PH_API const char *ph_mail_queue_id(const struct ph_mail *m);
PH_API const char *ph_mail_sender(const struct ph_mail *m);
PH_API size_t ph_mail_recipient_count(const struct ph_mail *m);
PH_API const char *ph_mail_recipient(const struct ph_mail *m, size_t i);
PH_API const struct ph_conf *ph_mail_conf(const struct ph_mail *m);
/* The envelope as clean-up makes it: completed, canonical maps applied, in external (quoted) form.  In the message's arena.  Yields. */
PH_API const char *ph_mail_clean_sender(struct ph_mail *m);
PH_API const char *ph_mail_clean_recipient(struct ph_mail *m, size_t i);
/* What the log names as the place of this filter's verdicts from now on; static text; "END-OF-MESSAGE" at first. */
PH_API void ph_mail_stage(struct ph_mail *m, const char *stage);
/* Is it on its way to the hold queue already (a restriction, another filter)? */
PH_API bool ph_mail_held(const struct ph_mail *m);
/* The content as far as it was received, LF line ends, for end_of_message.  Bytes at offset; 0 at the end.  Yields when it is on disk. */
PH_API ssize_t ph_mail_read(struct ph_mail *m, int64_t offset, void *buf, size_t bytes);
PH_API int64_t ph_mail_bytes(const struct ph_mail *m);

/* ---- edits: collected, applied after end_of_message.  0, or -ENOBUFS when there are too many ---- */
PH_API int ph_edit_add_header(struct ph_mail *m, const char *name, const char *value);                  /* at the end */
PH_API int ph_edit_insert_header(struct ph_mail *m, unsigned at, const char *name, const char *value);  /* 0: on top */
PH_API int ph_edit_change_header(struct ph_mail *m, unsigned nth, const char *name, const char *value); /* nth from 1; value NULL: delete */
PH_API int ph_edit_replace_body(struct ph_mail *m, const void *p, size_t n);                            /* first call empties the body, later ones append */
PH_API int ph_edit_add_recipient(struct ph_mail *m, const char *address, const char *esmtp_args);
PH_API int ph_edit_delete_recipient(struct ph_mail *m, const char *address);
PH_API int ph_edit_change_sender(struct ph_mail *m, const char *address, const char *esmtp_args);
PH_API int ph_edit_hold(struct ph_mail *m, const char *reason);
PH_API int ph_edit_discard(struct ph_mail *m, const char *reason);
PH_API int ph_edit_filter(struct ph_mail *m, const char *transport_nexthop);            /* as FILTER in access(5) */
PH_API int ph_edit_redirect(struct ph_mail *m, const char *address);
PH_API int ph_edit_bcc(struct ph_mail *m, const char *address);
/* Values of header edits from now on bring the blank behind the colon themselves. */
PH_API void ph_edit_raw_values(struct ph_mail *m);
/* Drop what this filter has asked for so far. */
PH_API void ph_edit_forget(struct ph_mail *m);
/* Only while a header or body function runs: what happens to this very line. */
PH_API void ph_edit_line_replace(struct ph_mail *m, const char *text);  /* may hold several lines */
PH_API void ph_edit_line_drop(struct ph_mail *m);
PH_API void ph_edit_line_prepend(struct ph_mail *m, const char *text);
/* The filter could not do its work: its edits are dropped and its default action is taken. */
PH_API struct ph_verdict ph_filter_fail(struct ph_mail *m, const struct ph_err *err);

#ifdef __cplusplus
}
#endif
#endif
