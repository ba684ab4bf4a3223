/* template.h: the result of a regexp or pcre rule: text with $1, ${1}, $(1) and $$. */
#ifndef LOOKUP_COMMON_TEMPLATE_H
#define LOOKUP_COMMON_TEMPLATE_H

#include <posthouse/base.h>

#define LTEMPLATE_MAX_BYTES ((size_t)1 << 20)   /* of an expanded result */

struct ltemplate;

/* The n-th group of a match: *ret_p, *ret_n; nothing matched there: *ret_n 0. */
typedef void ltemplate_group_fn(void *ctx, int group, const char **ret_p, size_t *ret_n);

/* max_group: the highest number that the pattern has; -1: none may be used (negated pattern).  0 and *ret, or -EINVAL with err: the
 * words that Postfix logs behind "map NAME, line N: ". */
int ltemplate_parse(const char *text, int max_group, struct ltemplate **ret, struct ph_err *err);
/* In arena; NULL: longer than LTEMPLATE_MAX_BYTES. */
const char *ltemplate_expand(const struct ltemplate *t, ltemplate_group_fn *fn, void *ctx, struct ph_arena *arena);
void ltemplate_free(struct ltemplate **t);      /* NULL-safe */
#endif
