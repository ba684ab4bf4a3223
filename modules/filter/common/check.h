/* check.h: what header_checks and body_checks have in common: look a line up and carry out the action of header_checks(5). */
#ifndef MODULES_FILTER_COMMON_CHECK_H
#define MODULES_FILTER_COMMON_CHECK_H

#include <posthouse/filter.h>
#include <posthouse/lookup.h>

struct check_msg {              /* per message */
	struct ph_arena *scratch;       /* results of look-ups; reset after each line */
	struct ph_buf key;
	size_t segment;                 /* bytes of the body segment that were looked at */
	bool discarded;
};

struct check_msg *check_msg_new(void);
void check_msg_free(struct check_msg *c);
/* title: "header_checks", for warnings; what: "header" or "body", for log lines.  At most limit bytes of the line are looked up.
 * DUNNO: go on; PERMIT: no more checks of this message; REJECT, DEFER.  Yields when a table does. */
struct ph_verdict check_line(struct check_msg *c, struct ph_mail *m, struct ph_maps *maps, const char *title, const char *what,
			     const char *line, size_t n, size_t limit);
#endif
