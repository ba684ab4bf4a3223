/* memcache_reply.h: answers of a memcached server.  Pure: bytes in, events out. */
#ifndef LOOKUP_MEMCACHE_REPLY_H
#define LOOKUP_MEMCACHE_REPLY_H

#include <posthouse/base.h>

enum mreply { MREPLY_MORE /* not all there yet */, MREPLY_NONE, MREPLY_VALUE, MREPLY_STORED, MREPLY_DELETED, MREPLY_NOT_FOUND, MREPLY_ERROR, MREPLY_BAD };

/* Read one answer to a get of key from the n bytes at p.  VALUE: *ret_value.  ERROR: *ret_value is the server's text.  BAD: *ret_why (static) says what is
 * wrong.  line_max, data_max: bounds.  *ret_used: bytes of the answer (not for MORE, BAD). */
enum mreply mreply_get(const char *p, size_t n, const char *key, size_t line_max, size_t data_max, struct ph_slice *ret_value, size_t *ret_used,
		       const char **ret_why);
/* One answer to a set or delete. */
enum mreply mreply_line(const char *p, size_t n, size_t line_max, struct ph_slice *ret_text, size_t *ret_used, const char **ret_why);
#endif
