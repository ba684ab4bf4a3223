/* verify_cache.h: what is known about addresses, in memory and in address_verify_map.  Of the queue manager's process. */
#ifndef CORE_QUEUE_VERIFY_CACHE_H
#define CORE_QUEUE_VERIFY_CACHE_H

#include "queue/verify.h"

struct ph_config;
struct ph_verify_cache;

/* map: "type:name", or "" for memory alone.  Reads what the table holds.  Never fails: a table that cannot be used is logged, and left alone.  max: entries in
 * memory.  Does not yield. */
struct ph_verify_cache *ph_verify_cache_open(const struct ph_conf *conf, const char *map, size_t max, const struct ph_verify_times *times);
void ph_verify_cache_free(struct ph_verify_cache **c);
/* The entry's text; NULL: nothing is known.  Until the next call. */
const char *ph_verify_cache_get(struct ph_verify_cache *c, const char *address);
/* Into memory now, into the table soon. */
void ph_verify_cache_put(struct ph_verify_cache *c, const char *address, const char *value);
/* Forget what has expired; logs how much that was. */
void ph_verify_cache_clean(struct ph_verify_cache *c);
#endif
