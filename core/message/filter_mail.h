/* filter_mail.h: struct ph_mail, shared by the files of the filter host. */
#ifndef CORE_MESSAGE_FILTER_MAIL_H
#define CORE_MESSAGE_FILTER_MAIL_H

#include "message/cleanup.h"
#include "message/filter_host.h"

#define PH_EDITS_MAX 2000
#define PH_NO_OPINION ((struct ph_verdict){ .cls = PH_DUNNO })

enum ph_edit_type {
	PH_EDIT_ADD_HEADER, PH_EDIT_INSERT_HEADER, PH_EDIT_CHANGE_HEADER, PH_EDIT_LINE /* at offset: text replaces len bytes */,
	PH_EDIT_ADD_RCPT, PH_EDIT_DEL_RCPT, PH_EDIT_SENDER, PH_EDIT_HOLD, PH_EDIT_DISCARD, PH_EDIT_FILTER, PH_EDIT_REDIRECT, PH_EDIT_BCC,
};

struct ph_edit {
	enum ph_edit_type type;
	unsigned nth;
	const char *name, *value;       /* in the message's arena */
	int64_t offset, len;
	bool raw;                       /* no blank is put behind the colon */
	bool quiet;                     /* logged already by the check that asked for it */
};

struct ph_mail {
	struct ph_intake *in;
	struct ph_edit *edits;
	size_t n, cap;
	struct ph_buf body;             /* of ph_edit_replace_body */
	bool new_body;
	bool failed;                    /* ph_filter_fail was called */
	const char *filter_name;        /* of the running filter, for its default action */
	const char *stage;              /* where its verdicts come from, for the log */
	bool raw_values;                /* header values bring the blank behind the colon themselves */
	/* while a header or body function runs */
	bool in_line, line_is_header;
	bool line_drop, line_changed;
	const char *line_replace;
	const char *line_prepend;
	/* checks: one object per message */
	void *header_obj, *body_obj, *milter_obj;
	bool checks_off;                /* a check said PERMIT: no more checks for this message */
};

/* "QID: milter-reject: END-OF-MESSAGE from name[addr]: text; from=<> ..." */
void ph_mail_log(struct ph_mail *m, const char *what, const char *text);
/* "QID: reject: content LINE from name[addr]; from=<> ...: text".  line: printable. */
void ph_mail_log_content(struct ph_mail *m, const char *verb, const char *line, const char *text);
/* filter_env.c: one edit of the envelope, or of the message's fate. */
void ph_mail_apply_envelope(struct ph_mail *m, const struct ph_edit *e);
bool ph_mail_discards(const struct ph_mail *m);         /* DISCARD is among the edits */
void ph_mail_check_rcpts(struct ph_intake *in, size_t before);
/* checks.c: milter_header_checks look at the headers that a milter adds.  0 or negative (the message is marked). */
int ph_checks_added(struct ph_mail *m);
/* rewrite.c: carry out edits that change content. */
int ph_mail_rewrite(struct ph_mail *m);
#endif
