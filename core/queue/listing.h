/* listing.h: the queue as text, as postqueue -p and -j print it.  Pure but for the local time zone; nothing yields. */
#ifndef CORE_QUEUE_LISTING_H
#define CORE_QUEUE_LISTING_H

#include "queue/index.h"

enum ph_listing_format { PH_LISTING_MAILQ, PH_LISTING_JSON };
struct ph_listing {
	enum ph_listing_format format;
	bool long_ids;                  /* columns for long queue ids */
	uint64_t messages, bytes;
	int64_t day;                    /* cache of the last formatted minute */
	char when[24];
};
/* One message, appended to out. */
void ph_listing_entry(struct ph_listing *l, const struct ph_index *ix, const struct ph_entry *e, struct ph_buf *out);
/* Mail in maildrop/; recipients as they were given. */
void ph_listing_maildrop(struct ph_listing *l, const char *queue_id, int64_t arrival_s, int64_t bytes, const char *sender, const char *const *rcpts, size_t n,
			 struct ph_buf *out);
/* "-- N Kbytes in M Requests.", or "Mail queue is empty". */
void ph_listing_end(struct ph_listing *l, struct ph_buf *out);
/* s as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void ph_json_put(struct ph_buf *out, const char *s);
#endif
