/* notice.h: mail to the postmaster about what went wrong (notify_classes). */
#ifndef CORE_MESSAGE_NOTICE_H
#define CORE_MESSAGE_NOTICE_H

#include "config/config.h"

enum { PH_NOTICE_POLICY = 1, PH_NOTICE_PROTOCOL = 2, PH_NOTICE_RESOURCE = 4, PH_NOTICE_SOFTWARE = 8, PH_NOTICE_BOUNCE = 16,
       PH_NOTICE_2BOUNCE = 32, PH_NOTICE_DELAY = 64, PH_NOTICE_DATA = 128 };
/* "resource, software" as bits; unknown words are ignored (the check of the configuration names them). */
unsigned ph_notice_classes(const char *words);

/* One notice from the double-bounce sender to error_notice_recipient, or if classes has PH_NOTICE_BOUNCE to bounce_notice_recipient.  text: body, LF line ends.
 * 0 when it is durable, or negative with err (nothing is lost by it: the log has the facts).  Yields. */
int ph_notice_send(const struct ph_conf *conf, unsigned classes, const char *subject, const char *text, struct ph_arena *arena, struct ph_err *err);

/* The next line of a text that is broken at blanks: at most room bytes where a word is not longer, without the blanks at its end; *text moves on. */
struct ph_slice ph_notice_piece(const char **text, size_t room);
/* Append text to b, in lines of at most width bytes where it has blanks to break at; further lines are indented.  prefix stands before each line. */
void ph_notice_wrap(struct ph_buf *b, const char *prefix, const char *text, size_t width, size_t indent);
#endif
