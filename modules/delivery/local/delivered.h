/* delivered.h: find the Delivered-To: headers in a message that comes in pieces.  Pure; no memory but the struct's. */
#ifndef MODULES_DELIVERY_DELIVERED_H
#define MODULES_DELIVERY_DELIVERED_H

#include <stdbool.h>
#include <stddef.h>

#define DELIVERED_VALUE_MAX 1024        /* a longer value is no address of ours */
#define DELIVERED_BYTES_MAX 65536       /* of all values; later ones are not seen */

/* Zero it to begin. */
struct delivered {
	char values[DELIVERED_BYTES_MAX];       /* lower case, each ended by a NUL */
	size_t bytes;
	/* private */
	char value[DELIVERED_VALUE_MAX];
	size_t n;                       /* of value, or of the name as far as it fits */
	enum { DELIVERED_START, DELIVERED_NAME, DELIVERED_VALUE, DELIVERED_OTHER } state;
	bool have;                      /* value is a Delivered-To:'s, which a folded line may continue */
	bool too_long;
};

/* true: the headers end in this piece; no more is wanted. */
bool delivered_feed(struct delivered *d, const char *p, size_t n);
/* There is no more. */
void delivered_end(struct delivered *d);
void delivered_reset(struct delivered *d);
#endif
