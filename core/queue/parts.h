/* parts.h: what becomes of the destinations that one recipient was expanded to (aliases, .forward files).
 *
 * They travel in the place of the diagnostic of the recipient's result, as a text that begins with a byte no diagnostic has: those that bounced, for the
 * notification, until it has gone out; and those that another transport still has to take (mailbox_transport), for the next attempt: such a recipient is not expanded again, only these
 * are delivered.  Pure. */
#ifndef CORE_QUEUE_PARTS_H
#define CORE_QUEUE_PARTS_H

#include <posthouse/delivery.h>

#define PH_PARTS_MAX 1000               /* bytes of all parts of a recipient: what the index keeps of a reason */

enum ph_part_state {
	PH_PART_BOUNCED,
	PH_PART_TOLD,                   /* bounced, and the notification has gone out */
	PH_PART_PENDING,                /* route has to take it; dsn and text: of its last attempt, may be empty */
	PH_PART_SENT,
	PH_PART_RELAYED,                /* sent to a server that will say so if it was asked to (ph_delivery_dsn_passed) */
	PH_PART_EXPANDED,               /* no part: a success notification that was asked for says "expanded" (RFC 3461 section 5.2.7) */
};

struct ph_part {
	enum ph_part_state state;
	const char *address, *dsn, *text, *diag;        /* diag NULL: none; these are empty when it was sent */
	const char *route;              /* PENDING: "transport:nexthop"; else empty */
	const char *mta;                /* the server that gave the result; NULL: none, or not kept */
	bool anonymous;                 /* the report does not say what it was expanded from: the list has an owner */
};

struct ph_parts { struct ph_part *part; size_t n; };

/* Append one.  What does not fit into the buffer's bound is left out. */
void ph_parts_add(struct ph_buf *b, const struct ph_part *part);
bool ph_parts_are(const char *diag);
/* The next one, in arena; *at begins as the text and moves.  false: there is none. */
bool ph_parts_next(const char **at, struct ph_arena *arena, struct ph_part *ret);
/* All of them. */
struct ph_parts ph_parts_read(const char *diag, struct ph_arena *arena);
/* As a text of at most PH_PARTS_MAX bytes, in arena: texts and diagnostics are cut when they have to be, but no part is left out.  NULL: even so it
 * is too long.  A text once written can be written again, whatever becomes of its pending parts. */
const char *ph_parts_write(const struct ph_parts *parts, struct ph_arena *arena);
/* Is one of them EXPANDED?  And the text of a recipient of whom only that is to be said. */
bool ph_parts_expanded(const char *diag);
#define PH_PARTS_EXPANDED "\001x"
/* What is asked for about the parts of a recipient of whom this is asked for. */
unsigned ph_parts_notify(unsigned notify);
/* Has any part still to be delivered? */
bool ph_parts_pending(const char *diag);
/* Has any bounced of which the notification has not gone out? */
bool ph_parts_bounced(const char *diag);
/* The notification about the bounced part for address has gone out. NULL: there is no such part. One that is still pending is meant when the record of
 * its bounce comes later; not when there are several, and never the last that is pending. */
const char *ph_parts_told(const char *diag, struct ph_arena *arena, const char *address);
/* How a journal names a part: address, NUL, route. */
struct ph_slice ph_part_key(struct ph_arena *arena, const char *address, const char *route);
void ph_part_key_read(struct ph_slice key, struct ph_arena *arena, const char **ret_address, const char **ret_route);
/* What became of the pending part for address by route; of result: dsn, text, diag and mta.  NULL: there is no such part. */
const char *ph_parts_settle(const char *diag, struct ph_arena *arena, const char *address, const char *route, enum ph_delivery_status status, bool relayed,
			    const struct ph_part *result);
#endif
