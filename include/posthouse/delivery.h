/* posthouse/delivery.h: take a message to where it belongs.
 *
 * A master.cf service whose command is foo uses the module delivery_foo.  deliver() runs in a coroutine of its own, one per
 * delivery request, and is written straight down: read the message, do what has to be done, give each recipient a result.
 * A recipient's result is on record the moment that ph_delivery_result returns: nothing can deliver it again. */
#ifndef POSTHOUSE_DELIVERY_H
#define POSTHOUSE_DELIVERY_H

#include <posthouse/lookup.h>
#include <posthouse/io.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_delivery;

enum ph_delivery_status { PH_SENT, PH_DEFERRED, PH_BOUNCED };
enum { PH_NOTIFY_NEVER = 1, PH_NOTIFY_SUCCESS = 2, PH_NOTIFY_FAILURE = 4, PH_NOTIFY_DELAY = 8 };        /* RFC 3461 section 4.1; 0: not given */

struct ph_rcpt {
	const char *address;            /* deliver to */
	const char *original;           /* before virtual aliasing ("orig_to"); equals address if unchanged */
	const char *dsn_orcpt;          /* "rfc822;..." xtext-decoded; NULL: not given */
	unsigned dsn_notify;            /* PH_NOTIFY_* */
	bool done;                      /* has its result */
};

struct ph_delivery_ops {
	uint32_t size;                  /* sizeof(struct ph_delivery_ops) */
	/* The service starts in this process.  0 and *ret, or negative with err (all its mail is deferred with that text). */
	int (*start)(const struct ph_conf *conf, const void *settings, void **ret, struct ph_err *err);
	void (*stop)(void *service);
	/* Deliver.  Every recipient must have a result on return; those without are deferred as "delivery agent failed".  Yields as it likes. */
	void (*deliver)(void *service, struct ph_delivery *d);
	/* Services that run as root (unpriv column 'n'): the user as whom to deliver to the (single) recipient; deliver() then runs in a
	 * process of that user, with the notes that identity() leaves and no tables.  0, or negative after giving the recipient its result.
	 * NULL: deliver() runs in the agent's own process and gives up rights by itself where it has to (posthouse/run.h).  Yields. */
	int (*identity)(void *service, struct ph_delivery *d, uid_t *ret_uid, gid_t *ret_gid);
	/* One recipient a request (local, virtual).  Default of <service>_destination_recipient_limit. */
	bool single_recipient;
	/* deliver() runs commands of the user's, which may be set-uid programs: its process may gain privileges by executing. */
	bool runs_commands;
	/* Is the service's line in master.cf usable?  For "posthouse check"; opens nothing.  0, or negative with err.  NULL: nothing to say.  Since 1.1. */
	int (*check)(const struct ph_conf *conf, const void *settings, struct ph_err *err);
};

/* ---- the request ---- */
PH_API const struct ph_conf *ph_delivery_conf(const struct ph_delivery *d);     /* of this master.cf service */
PH_API struct ph_arena *ph_delivery_arena(struct ph_delivery *d);               /* lives as long as the delivery */
PH_API const char *ph_delivery_service(const struct ph_delivery *d);            /* transport name */
PH_API const char *ph_delivery_nexthop(const struct ph_delivery *d);
PH_API const char *ph_delivery_queue_id(const struct ph_delivery *d);
PH_API const char *ph_delivery_sender(const struct ph_delivery *d);             /* "": null sender */
PH_API const char *ph_delivery_envid(const struct ph_delivery *d);              /* NULL: none; xtext-decoded */
PH_API const char *ph_delivery_ret(const struct ph_delivery *d);                /* "FULL", "HDRS" or NULL */
PH_API const char *ph_delivery_encoding(const struct ph_delivery *d);           /* "7bit", "8bit" or "" */
PH_API bool ph_delivery_smtputf8(const struct ph_delivery *d);
/* What the sender asks for about TLS (RFC 8689).  Since 1.1. */
enum ph_tls_request {
	PH_TLS_REQUEST_NONE,
	PH_TLS_REQUEST_REQUIRE,         /* REQUIRETLS */
	PH_TLS_REQUEST_OPTIONAL,        /* "TLS-Required: no": delivery matters more than any policy about TLS */
};
PH_API enum ph_tls_request ph_delivery_tls_request(const struct ph_delivery *d);
PH_API bool ph_delivery_8bit(const struct ph_delivery *d);                      /* the content has 8-bit bytes, or was declared so */
PH_API int64_t ph_delivery_arrival_us(const struct ph_delivery *d);             /* wall clock: when the message was taken in */
/* Address verification, or sendmail -bv: find out whether it would be delivered, give that as result, and deliver nothing. */
PH_API bool ph_delivery_probe(const struct ph_delivery *d);
/* Attributes of the original client: "client_name", "client_address", "client_port", "protocol_name", "helo_name", "sasl_username",
 * "sasl_method", "sasl_sender", "rewrite_context", "log_ident" ...; NULL: not known. */
PH_API const char *ph_delivery_attr(const struct ph_delivery *d, const char *name);
PH_API size_t ph_delivery_rcpt_count(const struct ph_delivery *d);
PH_API const struct ph_rcpt *ph_delivery_rcpt(const struct ph_delivery *d, size_t i);

/* Texts that identity() leaves for deliver(), which may run in another process.  Copied.  NULL: not there. */
PH_API void ph_delivery_note_set(struct ph_delivery *d, const char *name, const char *value);
PH_API const char *ph_delivery_note(const struct ph_delivery *d, const char *name);

/* ---- the message: headers and body, LF line ends ---- */
PH_API int64_t ph_delivery_bytes(const struct ph_delivery *d);
/* Up to bytes at offset; 0 at the end; negative: the queue file cannot be read (defer).  Yields when it is not in memory. */
PH_API ssize_t ph_delivery_read(struct ph_delivery *d, int64_t offset, void *buf, size_t bytes, struct ph_err *err);
/* The whole content in memory if it is at most 256 KiB (valid as long as the delivery), else p is NULL. */
PH_API struct ph_slice ph_delivery_content(struct ph_delivery *d);

/* ---- results ---- */
/* dsn: "2.0.0", "4.4.1", "5.1.1".  relay: "none", "local", "virtual", "host[1.2.3.4]:25".  fmt: the text in parentheses of the log line.
 * Writes the journal record, then the log line.  i: which recipient.  Does not yield. */
PH_API void ph_delivery_result(struct ph_delivery *d, size_t i, enum ph_delivery_status status, const char *dsn,
			       const char *relay, const char *fmt, ...) PH_PRINTF(6, 7);
/* The same result for the n recipients in which (those that have one keep it): one write for all records, so one answer of a server for many recipients costs little more
 * than for one.  Since 1.1. */
PH_API void ph_delivery_result_some(struct ph_delivery *d, const size_t *which, size_t n, enum ph_delivery_status status, const char *dsn,
				    const char *relay, const char *fmt, ...) PH_PRINTF(7, 8);
/* The same result for all recipients without one. */
PH_API void ph_delivery_result_all(struct ph_delivery *d, enum ph_delivery_status status, const char *dsn,
				   const char *relay, const char *fmt, ...) PH_PRINTF(5, 6);
/* For bounces: the remote server, and its reply ("smtp; 550 5.1.1 ..."), to be said before the result.  NULL: none. */
PH_API void ph_delivery_remote(struct ph_delivery *d, const char *mta_name, const char *diagnostic);
/* SENT to a server that does not speak DSN: a success notification that was asked for says "relayed" and is sent by us. */
PH_API void ph_delivery_dsn_passed(struct ph_delivery *d, bool passed);
/* Time stamps for delays=a/b/c/d: connection set-up is over; conn_use=n for a re-used connection (n > 1). */
PH_API void ph_delivery_connected(struct ph_delivery *d);
PH_API void ph_delivery_conn_use(struct ph_delivery *d, int n);
/* The destination is down: no further deliveries are tried to it for now (qmgr's dead-destination handling). */
PH_API void ph_delivery_dest_down(struct ph_delivery *d, const char *dsn, const char *fmt, ...) PH_PRINTF(3, 4);
/* New mail from a delivery (forwarding): accepted and durable when 0 is returned; *ret_queue_id in the arena.  Yields. */
/* original: the address that all of rcpts stand for ("orig_to"); NULL: each is its own. */
PH_API int ph_delivery_forward(struct ph_delivery *d, const char *sender, const char *const *rcpts, size_t n, const char *original,
			       const char *prepend_headers, const char **ret_queue_id, struct ph_err *err);

/* ---- expansions (aliases, .forward): one recipient becomes several destinations ---- */
/* The result of one destination of recipient i: a log line with to=address (and orig_to=); what bounced is kept for the notification. */
PH_API void ph_delivery_part(struct ph_delivery *d, size_t i, const char *address, enum ph_delivery_status status, const char *dsn,
			     const char *relay, const char *fmt, ...) PH_PRINTF(7, 8);
/* Recipient i turns into others: whoever wanted to hear of its success hears that it was expanded, and the parts are delivered (and forwarded) without
 * that wish.  Source: RFC 3461 section 5.2.7.  Since 1.1. */
PH_API void ph_delivery_expanded(struct ph_delivery *d, size_t i);
/* The parts that follow belong to a list with an owner: their log lines and reports do not say what they were expanded from. */
PH_API void ph_delivery_part_owned(struct ph_delivery *d, bool owned);
/* All parts are there: recipient i is deferred if one of them was, else bounced if one was, else sent (also when there were none: all were
 * duplicates); while other transports have parts of it, it waits for these.  No further log line.  Yields when parts need new messages. */
PH_API void ph_delivery_parts_end(struct ph_delivery *d, size_t i);
/* Complete an address as trivial-rewrite(8) does and resolve it.  FOUND: *ret_address (in the arena); *ret_same: it belongs to
 * this very service.  NOTFOUND: it is no address; err holds how it reads when completed.  TEMPFAIL: err.  Yields. */
PH_API enum ph_lookup ph_delivery_resolve(struct ph_delivery *d, const char *address, const char **ret_address, bool *ret_same,
					  struct ph_err *err);
/* Hand recipient i over to another transport ("lmtp:unix:private/x"), for address: the queue manager has it delivered there, as part of this very
 * message; its result comes from there.  The recipient counts as done here.  0, or negative with err: a transport that is this one. */
PH_API int ph_delivery_pass(struct ph_delivery *d, size_t i, const char *address, const char *transport_nexthop, struct ph_err *err);
/* The same for one part of it.  With the sender of the message it is delivered as part of this very message, and tried again by itself when that fails; another
 * sender (or so many parts that they cannot be kept for one recipient) needs a new message.  Nothing happens before ph_delivery_parts_end, and nothing at all when a
 * part is deferred then.  0, or negative with err: a transport that is this one. */
PH_API int ph_delivery_pass_part(struct ph_delivery *d, size_t i, const char *address, const char *sender, const char *transport_nexthop,
				 struct ph_err *err);

/* ---- the site ---- */
/* Is this one of our own addresses (inet_interfaces, proxy_interfaces)? */
PH_API bool ph_conf_own_address(const struct ph_conf *conf, const struct ph_endpoint *e);
/* "user name"@domain -> "\"user name\"@domain": the form for SMTP and for headers.  In arena. */
PH_API const char *ph_address_external(struct ph_arena *arena, const char *internal);
/* The addresses of a list as in a header ("Name <a@b>, c (d), e"), in internal form.  At most max tokens are looked at.  How many, and
 * *ret_list in arena; negative: too long. */
PH_API int ph_address_list(struct ph_arena *arena, const char *text, size_t n, size_t max, const char *const **ret_list);

#ifdef __cplusplus
}
#endif
#endif
