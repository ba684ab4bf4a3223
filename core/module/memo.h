/* memo.h: answers that a table gave a moment ago.  One message asks a table for the same keys a dozen times: at RCPT, in clean-up, in the resolver. */
#ifndef CORE_MODULE_MEMO_H
#define CORE_MODULE_MEMO_H

#include <posthouse/base.h>

/* How long an answer is good.  Short: one process must not for long miss a user that another has found. */
#define PH_MEMO_MS 100

struct ph_memo;

struct ph_memo *ph_memo_new(void);
void ph_memo_free(struct ph_memo **m);          /* NULL-safe inside */
/* 1 and *ret_value (good until the next put or clear; NULL: the key was not there), or 0: not known. */
int ph_memo_get(const struct ph_memo *m, const char *key, int64_t now_ms, const char **ret_value);
/* asked_ms: when the question was put.  value NULL: there is no such key.  What is too long to be kept is forgotten. */
void ph_memo_put(struct ph_memo *m, const char *key, const char *value, int64_t asked_ms);
void ph_memo_clear(struct ph_memo *m);          /* NULL-safe */
#endif
