/* posthouse/counter.h: stores that count what clients do (smtpd_client_counter_store).
 *
 * The core decides who is one client, what is counted and what a count is compared with; a store adds and remembers, for all that use it: the
 * processes of one machine (the core's own, shared memory), or several machines. */
#ifndef POSTHOUSE_COUNTER_H
#define POSTHOUSE_COUNTER_H

#include <posthouse/module.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ph_counter_what {
	PH_COUNTER_ADD,                 /* events; they are forgotten together, window_ms after the first of them */
	PH_COUNTER_HOLD,                /* one more holder, until it is released or its process is gone */
	PH_COUNTER_RELEASE,             /* told once for each HOLD, whatever that returned */
};

struct ph_counter_change {
	enum ph_counter_what what;
	const char *name;               /* of the counter: "connections" (the one that is held), "connect", "message", "recipient", "newtls", "auth" */
	unsigned by;                    /* ADD: so many events; 0: only asks */
	int64_t window_ms;              /* ADD */
	const char *holder;             /* HOLD, RELEASE: unlike that of any other holder on any machine */
	uint64_t now;                   /* set: the count after the change */
};

struct ph_counter_ops {
	uint32_t size;                  /* sizeof(struct ph_counter_ops) */
	/* A service starts using it.  spec: what stands behind "type:".  0 and *ret, or negative with err.  Does not yield. */
	int (*open)(const struct ph_conf *conf, const void *settings, const char *spec, void **ret, struct ph_err *err);
	/* No change is under way. */
	void (*close)(void *store);
	/* Make all n changes, or none.  client: one text for one client, without control characters, at most 200 bytes.  0; or negative with err: now is not
	 * set, and a HOLD may count or not until its RELEASE.  Yields; bounded by the store's own time limit. */
	int (*change)(void *store, const char *client, struct ph_counter_change *changes, size_t n, struct ph_err *err);
};

#ifdef __cplusplus
}
#endif
#endif
