/* verify.h: is mail to an address deliverable?  The sender-side half: a question over the intake's link to the queue manager. */
#ifndef CORE_QUEUE_VERIFY_H
#define CORE_QUEUE_VERIFY_H

#include <posthouse/base.h>
#include <posthouse/session.h>

/* 0 with *ret_status and *ret_text (in arena); negative: the queue manager does not answer.  Yields. */
int ph_verify_ask(const char *address, struct ph_arena *arena, int64_t deadline_ms, enum ph_verified *ret_status, const char **ret_text);

/* ---- pure, for tests ---- */
/* What the cache knows of an address: "status:probed:updated:text", times in seconds since 1970, as Postfix's verify(8) writes it. */
struct ph_verify_entry {
	enum ph_verified status;
	int64_t probed, updated;        /* 0: never */
	const char *text;               /* points into what was parsed */
};
int ph_verify_parse(const char *value, struct ph_verify_entry *ret);   /* 0 or -EINVAL */
struct ph_verify_times {
	int64_t positive_expire, positive_refresh, negative_expire, negative_refresh;   /* seconds */
};
bool ph_verify_expired(const struct ph_verify_entry *e, const struct ph_verify_times *t, int64_t now);
bool ph_verify_needs_probe(const struct ph_verify_entry *e, const struct ph_verify_times *t, int64_t now);
#endif
