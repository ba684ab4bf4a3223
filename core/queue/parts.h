/* parts.h: what became of the destinations that one recipient was expanded to (aliases, .forward files), for its notification.
 *
 * They travel in the place of the diagnostic of the recipient's result: a text that begins with a byte no diagnostic has.  Pure. */
#ifndef CORE_QUEUE_PARTS_H
#define CORE_QUEUE_PARTS_H

#include <posthouse/base.h>

struct ph_part {
	const char *address, *dsn, *text, *diag;        /* diag NULL: none */
	bool anonymous;                 /* the report does not say what it was expanded from: the list has an owner */
};

/* Append one.  What does not fit into the buffer's bound is left out. */
void ph_parts_add(struct ph_buf *b, const struct ph_part *part);
bool ph_parts_are(const char *diag);
/* The next one, in arena; *at begins as the text and moves.  false: there is none. */
bool ph_parts_next(const char **at, struct ph_arena *arena, struct ph_part *ret);
#endif
