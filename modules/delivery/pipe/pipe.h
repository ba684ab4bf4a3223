/* pipe.h: what the files of pipe(8) share: a message is handed to a command.
 *
 * The command's attributes stand in master.cf and are read once for each service (attr.c).  For each delivery the argument vector is made (argv.c), the message
 * is copied to the command's standard input with what the flags add or change (copy.c), and its exit status becomes the recipients' result
 * (common/exit_status.c).  Source: pipe(8). */
#ifndef MODULES_DELIVERY_PIPE_H
#define MODULES_DELIVERY_PIPE_H

#include <posthouse/delivery.h>
#include <posthouse/run.h>

enum {
	PIPE_BLANK = 1,                 /* B: an empty line at the end */
	PIPE_DELIVERED = 2,             /* D: Delivered-To:, and the loop check */
	PIPE_FROM = 4,                  /* F: From_ line */
	PIPE_ORIG_RCPT = 8,             /* O: X-Original-To: */
	PIPE_RETURN_PATH = 16,          /* R */
	PIPE_FINAL = 32,                /* X: the command delivers, it does not relay */
	PIPE_FOLD_HOST = 64,            /* h */
	PIPE_QUOTE = 128,               /* q */
	PIPE_FOLD_USER = 256,           /* u */
	PIPE_DOT = 512,                 /* . */
	PIPE_GREATER = 1024,            /* > */
};

struct pipe_attr {
	unsigned flags;
	const char *user;               /* as written: "user" or "user:group"; NULL: missing */
	const char *chroot_dir, *dir;   /* NULL: none */
	const char *eol;                /* unescaped; "\n" */
	const char *null_sender;        /* "MAILER-DAEMON"; may be "" */
	int64_t size;                   /* 0: no limit */
	const char *const *argv;        /* the command and its arguments, macros unexpanded; NULL: missing */
};

/* ---- attr.c: pure ---- */
/* The words of master.cf, NULL-terminated; ret points into them and into arena.  0, or negative with err in Postfix's words. */
int pipe_attr_parse(const char *const *words, struct ph_arena *arena, struct pipe_attr *ret, struct ph_err *err);

/* ---- argv.c: pure ---- */
struct pipe_values {                    /* what the macros stand for; NULL is the same as "" */
	const char *client_address, *client_helo, *client_hostname, *client_port, *client_protocol, *nexthop, *queue_id,
		*sasl_method, *sasl_sender, *sasl_username, *sender, *size;
};
struct pipe_rcpt { const char *recipient, *original, *user, *extension, *mailbox, *domain; };
/* attr->argv with all macros replaced; words with a recipient's macro are there once for each recipient.  values and rcpts are complete: quoted and
 * folded as the flags say.  NULL with err: there is no such macro, or the arguments are too long. */
char **pipe_argv(const struct pipe_attr *attr, const struct pipe_values *v, const struct pipe_rcpt *rcpts, size_t n_rcpts, struct ph_arena *arena,
		 struct ph_err *err);

/* ---- copy.c: pure ---- */
struct pipe_copy {
	unsigned flags;
	const char *eol;
	char head[5];                   /* the start of a line that may become "From " */
	size_t n_head;
	bool in_line;                   /* what comes next is not the start of a line */
};
void pipe_copy_init(struct pipe_copy *c, const struct pipe_attr *attr);
/* Content as it comes, in pieces of any size; the changed text is appended to out.  0 or -ENOBUFS. */
int pipe_copy_add(struct pipe_copy *c, const char *p, size_t n, struct ph_buf *out);
int pipe_copy_end(struct pipe_copy *c, struct ph_buf *out);

/* Does one of the headers that pass by say "Delivered-To: address"?  Content in pieces; found and done are results. */
struct pipe_loop {
	const char *address;
	char line[2304];                /* the running line's first bytes */
	size_t n;
	bool found, done;               /* done: the headers are over */
};
void pipe_loop_add(struct pipe_loop *l, const char *p, size_t n);
#endif
