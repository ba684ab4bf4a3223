/* template.h: the result of a regexp or pcre rule: text with $1, ${1}, $(1) and $$. */
#ifndef LOOKUP_COMMON_TEMPLATE_H
#define LOOKUP_COMMON_TEMPLATE_H

#include <posthouse/base.h>

#define LTEMPLATE_MAX_BYTES ((size_t)1 << 20)   /* of an expanded result */

struct ltemplate;

/* The n-th group of a match: *ret_p, *ret_n; nothing matched there: *ret_n 0. */
typedef void ltemplate_group_fn(void *ctx, int group, const char **ret_p, size_t *ret_n);

/* One complaint, in Postfix's words.  bare: it stands alone, without "map NAME, line N: " in front. */
typedef void ltemplate_warn_fn(void *ctx, bool bare, const char *text);

/* max_group: the highest number that the pattern has; -1: none may be used (negated pattern).  zero: what a $0 is called.  0 and *ret; or -EINVAL, warn was
 * called for each complaint. */
int ltemplate_parse(const char *text, int max_group, const char *zero, ltemplate_warn_fn *warn, void *ctx, struct ltemplate **ret);
/* In arena; NULL: longer than LTEMPLATE_MAX_BYTES. */
const char *ltemplate_expand(const struct ltemplate *t, ltemplate_group_fn *fn, void *ctx, struct ph_arena *arena);
void ltemplate_free(struct ltemplate **t);      /* NULL-safe */
#endif
