/* submit.h: hand a message to the mail system from a command: into maildrop/ ourselves, or through set-gid postdrop. */
#ifndef CMD_SUBMIT_H
#define CMD_SUBMIT_H

#include "message/envelope.h"
#include "queue/maildrop.h"

struct ph_submit {
	const char *config_dir, *queue_dir;
	const char *sender, *full_name, *envid, *ret, *encoding;        /* NULL: not given */
	unsigned notify;                /* PH_NOTIFY_* for all recipients */
	uint32_t flags;                 /* PH_ENV_* */
	const char **rcpts;
	size_t n_rcpts, cap_rcpts;
	/* private */
	struct ph_maildrop_writer *w;
	int pipe;                       /* to postdrop */
	pid_t postdrop;                 /* 0: we write the file ourselves */
	struct ph_err err;
};

void ph_submit_rcpt(struct ph_submit *s, struct ph_arena *arena, const char *address);
/* Write the envelope.  0, or negative with s->err. */
int ph_submit_begin(struct ph_submit *s);
int ph_submit_content(struct ph_submit *s, const void *p, size_t n);
/* 0: the message is safe; else an exit status of sysexits.h, with s->err. */
int ph_submit_end(struct ph_submit *s);
#endif
