/* envelope.h: the envelope of a message and its encoding in the store.  Pure; does not yield. */
#ifndef CORE_MESSAGE_ENVELOPE_H
#define CORE_MESSAGE_ENVELOPE_H

#include <posthouse/delivery.h>

enum {  /* ph_envelope.flags */
	PH_ENV_SMTPUTF8 = 1,            /* sender asked for SMTPUTF8 */
	PH_ENV_8BIT = 2,                /* content has 8-bit bytes, or BODY=8BITMIME */
	PH_ENV_HOLD = 4,                /* place on hold on arrival */
	PH_ENV_VERP = 8,
	PH_ENV_BOUNCE = 16,             /* made by the bounce generator: never bounce a bounce of this */
	PH_ENV_VERIFY = 32,             /* address probe: never delivered */
	PH_ENV_TRACE = 64,              /* sendmail -v: report on every recipient */
	PH_ENV_TRACE_ONLY = 128,        /* sendmail -bv: report, do not deliver */
	PH_ENV_PARTIAL = 512,           /* the content behind the headers is not all there: it is not returned */
	PH_ENV_REQUIRETLS = 1024,       /* RFC 8689: to be sent to servers that have shown who they are, and that promise the same */
	PH_ENV_TLS_OPTIONAL = 2048,     /* "TLS-Required: no": no policy about TLS counts; never together with the former */
	PH_ENV_REFUSED = 256,           /* clean-up refused it after its submitter had gone: nothing is delivered, the sender is told the
					 * reason, which stands in the attribute "refused": "5.7.1 text" */
};

/* What a message that is made from another has of it. */
#define PH_ENV_INHERITED (uint32_t)(PH_ENV_SMTPUTF8 | PH_ENV_REQUIRETLS | PH_ENV_TLS_OPTIONAL)

/* In ph_rcpt.dsn_notify of an envelope: nothing is delivered to this recipient, others took its place (an alias); its sender is to hear that. */
#define PH_NOTIFY_EXPANDED 16

struct ph_attr { const char *name, *value; };

struct ph_envelope {
	int64_t arrival_us;             /* wall clock: first MAIL/RCPT seen; delays=a counts from here */
	int64_t content_bytes;          /* headers and body as stored (LF line ends) */
	uint32_t flags;
	const char *sender;             /* internal (unquoted) form without brackets; "" is <> */
	const char *envid;              /* decoded; NULL */
	const char *ret;                /* "FULL", "HDRS" or NULL */
	const char *encoding;           /* "7bit", "8bit" or "" */
	const char *filter;             /* content_filter "transport:nexthop", or NULL */
	const char *redirect;           /* REDIRECT address or NULL */
	size_t n_attrs;
	struct ph_attr *attrs;          /* client_name, client_address, client_port, protocol_name, helo_name, sasl_*, log_*, rewrite_context ... */
	size_t n_rcpts;
	struct ph_rcpt *rcpts;          /* .done is not stored */
};

/* Append the typed records of env to out.  0 or -ENOBUFS. */
int ph_envelope_encode(const struct ph_envelope *env, struct ph_buf *out);
/* Read what encode wrote.  Strings point into arena.  0 or negative with err on any damage. */
int ph_envelope_decode(struct ph_slice in, struct ph_arena *arena, struct ph_envelope **ret, struct ph_err *err);
const char *ph_envelope_attr(const struct ph_envelope *env, const char *name);  /* NULL: none */
/* Is the attribute about this very message (what it replaces, which file it came in as)?  One that is made from it must not have it. */
bool ph_envelope_attr_own(const char *name);
#endif
