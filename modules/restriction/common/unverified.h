/* unverified.h: reject_unverified_sender and reject_unverified_recipient.  Source: ADDRESS_VERIFICATION_README. */
#ifndef MODULES_RESTRICTION_COMMON_UNVERIFIED_H
#define MODULES_RESTRICTION_COMMON_UNVERIFIED_H

#include <errno.h>
#include <posthouse/co.h>
#include <posthouse/module.h>

#include "common/code.h"
#include "common/mailhost.h"

struct unverified_settings {
	int reject_code, defer_code, poll_count;
	int64_t poll_delay_ms;
	const char *reason, *tempfail;
};
#define UNVERIFIED_PARAMS(table, who) \
	static const struct ph_param table[] = { \
		PH_P_INT(struct unverified_settings, reject_code, "unverified_" who "_reject_code", "450", 200, 599, "reply code when a probe was refused"), \
		PH_P_INT(struct unverified_settings, defer_code, "unverified_" who "_defer_code", "450", 200, 599, "reply code when a probe brought no answer"), \
		PH_P_STR(struct unverified_settings, reason, "unverified_" who "_reject_reason", "", "text instead of what the probe was told"), \
		PH_P_STR(struct unverified_settings, tempfail, "unverified_" who "_tempfail_action", "$reject_tempfail_action", "what to do when a probe brought no answer"), \
		PH_P_INT(struct unverified_settings, poll_count, "address_verify_poll_count", "${stress?{1}:{3}}", 1, 0, "how often a result is asked for"), \
		PH_P_TIME(struct unverified_settings, poll_delay_ms, "address_verify_poll_delay", "3s", 's', 1000, 0, "pause in between"), \
	}

#define UNVERIFIED_FIRST_MS 50

/* Ask, and while a probe is under way ask again: soon, then ever less often, for as long as polling would have taken.  Yields. */
static inline int unverified_ask(struct ph_session *s, const struct unverified_settings *set, const char *address, enum ph_verified *ret,
				 const char **ret_text)
{
	int64_t until = ph_now_ms() + (set->poll_count - 1) * set->poll_delay_ms, pause = UNVERIFIED_FIRST_MS, left;
	int r;

	for (;;) {
		r = ph_session_verify(s, address, ret, ret_text);
		left = until - ph_now_ms();
		if (r < 0 || *ret != PH_VERIFIED_TODO || left <= 0)
			return r;
		if (pause > set->poll_delay_ms)
			pause = set->poll_delay_ms;
		if (ph_co_sleep(pause < left ? pause : left) < 0)
			return -1;
		pause *= 2;
	}
}

/* A refusal that may be for now: as the tempfail action says. */
static inline struct ph_verdict unverified_defer(struct ph_session *s, const struct unverified_settings *set, int code, const char *dsn,
						 const char *address, const char *what, const char *text)
{
	enum ph_verdict_class cls = mailhost_tempfail_class(set->tempfail);

	if (cls == PH_DUNNO)
		return ph_verdict_dunno();
	return ph_verdict_text(s, cls, code, dsn, "<%s>: %s rejected: %s", address, what, text);
}

/* Yields. */
static inline struct ph_verdict unverified_check(struct ph_session *s, const struct unverified_settings *set, const char *address, bool sender)
{
	const char *what = sender ? "Sender address" : "Recipient address", *detail = sender ? "1.7" : "1.1", *text = "";
	enum ph_verified status = PH_VERIFIED_TODO;
	int code, r;

	if (!address || !*address)
		return ph_verdict_dunno();
	r = unverified_ask(s, set, address, &status, &text);
	if (r == -EOPNOTSUPP)
		return ph_verdict_dunno();
	if (r < 0) {
		ph_log(PH_LOG_WARNING, "verify service failure");
		return unverified_defer(s, set, 450, code_dsn(s, 450, detail), address, what, "address verification problem");
	}
	if (status == PH_VERIFIED_OK)
		return ph_verdict_dunno();
	code = status == PH_VERIFIED_BOUNCE ? set->reject_code : set->defer_code;
	if (code < 400)                 /* it is only to be probed */
		return ph_verdict_dunno();
	if (*set->reason)
		text = set->reason;
	if (code < 500)
		return unverified_defer(s, set, code, code_dsn(s, code, detail), address, what,
					ph_arena_printf(ph_session_arena(s), "unverified address: %.250s", text));
	return ph_verdict_text(s, PH_REJECT, code, code_dsn(s, code, detail), "<%s>: %s rejected: undeliverable address: %s", address, what, text);
}

#define UNVERIFIED_MODULE(name_, summary_, who_, address_, sender_) \
	UNVERIFIED_PARAMS(params, who_); \
	static struct ph_verdict check(void *use, const void *settings, struct ph_session *s) \
	{ \
		return unverified_check(s, settings, address_, sender_); \
	} \
	static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err) \
	{ \
		return mailhost_tempfail_valid("unverified_" who_ "_tempfail_action", ((const struct unverified_settings *)settings)->tempfail, err); \
	} \
	static const struct ph_restriction_ops ops = { .size = sizeof(ops), .prepare = prepare, .check = check }; \
	PH_MODULE(PH_KIND_RESTRICTION, name_, "1.0", summary_, PH_MODULE_PARAMS(params, struct unverified_settings), .ops.restriction = &ops)
#endif
