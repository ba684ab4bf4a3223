/* cleanup_map.h: tables from one address to addresses, as the files of clean-up share them. */
#ifndef CORE_MESSAGE_CLEANUP_MAP_H
#define CORE_MESSAGE_CLEANUP_MAP_H

#include "message/cleanup.h"

struct ph_addr_vec { const char **list; size_t n, cap, max; };  /* in the message's arena */

void ph_addr_vec_add(struct ph_arena *arena, struct ph_addr_vec *v, const char *addr);
/* Look addr up: the value as the table has it, and the extension that was cut off.  TEMPFAIL: the message is marked.  Yields. */
enum ph_lookup ph_cleanup_find(struct ph_intake *in, struct ph_maps *maps, const char *title, const char *addr, const char **ret_value,
			       const char **ret_ext);
/* Look addr up and complete the results.  FOUND with them in out; PERMERR: more than out->max; TEMPFAIL: the message is marked.  Yields. */
enum ph_lookup ph_cleanup_lookup(struct ph_intake *in, struct ph_maps *maps, const char *title, const char *addr, bool propagate, struct ph_addr_vec *out);
void ph_cleanup_map_failed(struct ph_intake *in, const char *title, const char *addr, const struct ph_err *err);
void ph_cleanup_mapping_error(struct ph_intake *in, const char *fmt, ...) PH_PRINTF(2, 3);
#endif
