/* edit_header.h: the headers of a message as a list that filters' edits are made on, one after the other, as each of them counts on those before it.
 * Pure. */
#ifndef CORE_MESSAGE_EDIT_HEADER_H
#define CORE_MESSAGE_EDIT_HEADER_H

#include "message/filter_mail.h"

struct ph_header_line {
	const char *p;                  /* with its last LF; in the block or in the message's arena */
	size_t n;
	size_t name;                    /* length of the name */
	bool hidden;                    /* our own Received: it has a place, but filters cannot name it */
};
struct ph_header_list {
	struct ph_arena *arena;
	struct ph_header_line *l;       /* heap */
	size_t n, cap;
};

/* Take apart a block of headers (each with its LF; folds belong to their header).  hidden_at, hidden_bytes: where in the block our own stands.  Bytes taken:
 * up to what is no header. */
size_t ph_header_list_parse(struct ph_header_list *h, const char *block, size_t n, int64_t hidden_at, int64_t hidden_bytes);
/* One edit of a header; others are left alone. */
void ph_header_list_edit(struct ph_header_list *h, const struct ph_edit *e);
void ph_header_list_done(struct ph_header_list *h);
#endif
