/* screen_engine.h: what the files of postscreen's own SMTP server share. */
#ifndef CORE_SMTPD_SCREEN_ENGINE_H
#define CORE_SMTPD_SCREEN_ENGINE_H

#include "smtpd/screen.h"

struct ph_screen_engine {
	struct ph_screen_client *c;
	struct ph_session *s;
	struct ph_arena *arena;         /* of one command */
	const char *where;              /* the last command, for log lines */
	char *helo, *sender;            /* heap; NULL */
	const char *proto;
	unsigned ehlo_discard;
	int commands;
	int64_t start_ms;
	bool heard_all;                 /* RCPT: the client has done all that the tests ask for */
	bool over;
};

/* One reply; negative: the client is gone.  Yields. */
int ph_screen_reply(struct ph_screen_engine *e, const char *fmt, ...) PH_PRINTF(2, 3);
/* The last one. */
#define ph_screen_goodbye(e, ...) ((e)->over = true, ph_screen_reply((e), __VA_ARGS__))
/* A test failed: what its action says.  Negative or over: the session ends.  Yields. */
int ph_screen_fail(struct ph_screen_engine *e, enum ph_screen_test test, const char *drop);
/* screen_command.c: carry out one command line.  As ph_screen_fail.  Yields. */
int ph_screen_command(struct ph_screen_engine *e, const char *line);

#endif
