/* submit.h: hand a message to the mail system from a command: into maildrop/ ourselves, or through set-gid postdrop where our own
 * rights do not suffice.  Owned by one process at a time; blocks, does not yield. */
#ifndef CORE_QUEUE_SUBMIT_H
#define CORE_QUEUE_SUBMIT_H

#include "message/envelope.h"
#include "queue/maildrop.h"

struct ph_submit {
	const char *config_dir, *queue_dir;
	int64_t size_limit;             /* message_size_limit; 0: none */
	/* the envelope; NULL: not given */
	const char *sender, *full_name, *envid, *ret, *encoding;
	const char *verp;               /* two delimiters */
	bool gateway;                   /* sendmail -G: not our user's, addresses are not completed */
	unsigned notify;                /* PH_NOTIFY_* for all recipients */
	uint32_t flags;                 /* PH_ENV_* */
	const char **rcpts;
	size_t n_rcpts, cap_rcpts;
	/* set by open */
	char queue_id[64];
	struct ph_err err;
	/* private */
	struct ph_maildrop_writer *w;
	int64_t content;
	int pipe, answer;               /* to postdrop and from it */
	pid_t postdrop;                 /* 0: we write the file ourselves */
};

/* rcpt: copied into arena. */
void ph_submit_rcpt(struct ph_submit *s, struct ph_arena *arena, const char *address);
/* Open the file and give it its name.  0, or negative with s->err. */
int ph_submit_open(struct ph_submit *s);
/* Write the envelope. */
int ph_submit_envelope(struct ph_submit *s);
/* A recipient of its own notify and original recipient, behind ph_submit_envelope. */
int ph_submit_put_rcpt(struct ph_submit *s, const char *address, unsigned notify, const char *orcpt);
/* Bytes of the message, LF line ends.  -EFBIG: larger than size_limit. */
int ph_submit_content(struct ph_submit *s, const void *p, size_t n);
/* 0: the message is safe, and pickup knows; else negative with s->err, and nothing is kept. */
int ph_submit_end(struct ph_submit *s);
void ph_submit_abort(struct ph_submit *s);

/* postdrop's answers: "name NUL value NUL ..." and an empty name.  They go to fd in one write. */
int ph_submit_answer(int fd, const char *const *words);
#endif
