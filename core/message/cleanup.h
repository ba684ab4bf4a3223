/* cleanup.h: what the files of the intake share: settings of a cleanup service and one message on its way in. */
#ifndef CORE_MESSAGE_CLEANUP_H
#define CORE_MESSAGE_CLEANUP_H

#include "base/queue_id.h"
#include "config/config.h"
#include "message/header.h"
#include "message/intake.h"
#include "message/mime.h"
#include "queue/store.h"
#include "route/route.h"

#define PH_HEADER_SLACK ((size_t)64 * 1024)      /* of the line that passes header_size_limit, at most this is looked at */

enum {  /* classes of addresses, for canonical_classes and masquerade_classes */
	PH_CLS_ENV_SENDER = 1, PH_CLS_ENV_RCPT = 2, PH_CLS_HDR_SENDER = 4, PH_CLS_HDR_RCPT = 8,
};

struct ph_cleanup_settings {
	const char *myhostname, *mail_name, *undisclosed, *drop_headers, *delimiter;
	const char *canonical_maps, *sender_canonical_maps, *rcpt_canonical_maps, *virtual_alias_maps, *sender_bcc_maps, *rcpt_bcc_maps, *always_bcc;
	const char *canonical_classes, *sender_canonical_classes, *rcpt_canonical_classes, *masquerade_classes, *masquerade_domains, *masquerade_exceptions;
	const char *propagate, *remote_domain, *strip_chars, *reject_chars, *content_filter, *header_from_format, *utf8_classes, *queue_service, *name_charset, *end_of_header;
	bool tls_required, requiretls, requiretls_header;
	bool always_add, original_rcpt, replace_stray, disable_mime, strict_7bit_hdr, strict_8bit_body, strict_8bitmime, strict_domain, detect_8bit, force_7bit, long_ids, smtputf8, soft_bounce;
	int hop_limit, token_limit, nesting_limit, boundary_limit, expansion_limit, recursion_limit, address_limit, dup_limit, header_limit;
	int64_t minfree;
};

struct ph_cleanup {                     /* per configuration view, attached to it */
	const struct ph_conf *conf;
	struct ph_cleanup_settings s;
	bool ok;
	struct ph_err why;
	struct ph_route *route;
	struct ph_maps *canonical, *sender_canonical, *rcpt_canonical, *virtual_alias, *sender_bcc, *rcpt_bcc;     /* NULL: none */
	unsigned canonical_cls, sender_canonical_cls, rcpt_canonical_cls, masquerade_cls;
	char **masquerade;              /* words, NULL-terminated; NULL: none */
	char **masquerade_except;
	enum { PH_EOH_FIX, PH_EOH_ADD_HEADER, PH_EOH_REJECT } end_of_header;   /* headers that end without an empty line */
	bool propagate_canonical, propagate_virtual;
	unsigned char strip[256], reject[256];
	bool has_strip, has_reject;
	uint32_t drop_initials;         /* bit per first letter of message_drop_headers */
	struct ph_checks *checks;       /* header and body checks; NULL: none */
};
struct ph_cleanup *ph_cleanup_of(const struct ph_conf *conf);
/* Are its settings good?  0, or negative with err. */
int ph_cleanup_check(const struct ph_conf *conf, struct ph_err *err);

struct ph_intake_rcpt_in { const char *address, *orcpt; unsigned notify; const char *original; };

struct ph_intake {
	struct ph_intake_params p;
	struct ph_cleanup *c;
	struct ph_arena *arena;         /* p.arena */
	struct ph_arena *scratch;       /* reset after each header and each recipient */
	char queue_id[PH_QUEUE_ID_MAX];
	struct ph_store_msg *msg;
	struct ph_envelope env;         /* attrs grow here; rcpts are made at the end */
	size_t attrs_cap;
	struct ph_intake_rcpt_in *rcpts;
	size_t n_rcpts, rcpts_cap;
	const char **prepends, **headers_on_top, **bccs;
	size_t n_prepends, n_on_top, n_bccs;
	struct ph_expander *expander;   /* cleanup_env.c's: recipients that are in env already; NULL: none */
	const char *clean_sender;       /* with expander */
	size_t n_deleted;               /* recipients that filters took away */
	const char *full_name;
	bool discard;
	/* content */
	struct ph_mime mime;
	unsigned mime_told;             /* PH_MIME_E_* that were looked at */
	const char *mime_text;          /* why it is refused for its structure; NULL: it is not */
	struct ph_buf hdr;              /* the logical header line that is being collected */
	bool started;                   /* the prepended headers are written */
	bool leading;                   /* nothing of the content but From_ lines was seen */
	bool partial;                   /* the line goes on in the next piece */
	bool drop_rest;                 /* of a line of which a piece was dropped */
	bool in_headers;
	bool encoding_dropped, qp;      /* force_mime_input_conversion: of this entity's headers, of the body that follows */
	bool high_bytes;                /* 8-bit bytes were seen in the body */
	bool utf8_header;               /* and in a header */
	int64_t hide_at, hide_bytes;    /* our own Received: in the content: not shown to milters */
	uint64_t seen;                  /* bits by enum ph_header_id, of the primary headers */
	bool resent;
	unsigned hops;
	/* fate */
	int lost;                       /* 0, or the negative code of the first failure */
	bool refused;                   /* PH_INTAKE_BOUNCES, and it will bounce: only its headers are still collected */
	bool partial_content;           /* not all of its content is to be returned */
	struct ph_verdict why;          /* with lost or refused set by a check or a limit: the reply */
	struct ph_mail *mail;           /* the filters' view, made on first use */
	bool rewrite_headers;           /* incomplete or mapped addresses in headers are rewritten */
};

/* intake_drop.c: the same with p.submit */
int ph_intake_drop_begin(const struct ph_intake_params *p, struct ph_intake **ret, struct ph_err *err);
int ph_intake_drop_line(struct ph_intake *in, const char *line, size_t n, bool cont);
struct ph_verdict ph_intake_drop_end(struct ph_intake **in, int64_t *ret_size);
void ph_intake_drop_abort(struct ph_intake **in);
/* content.c */
int ph_content_line(struct ph_intake *in, const char *line, size_t n, bool cont);
int ph_content_end(struct ph_intake *in);
int ph_content_out(struct ph_intake *in, const char *p, size_t n);      /* bytes as they are; records the first failure */
int ph_content_out_line(struct ph_intake *in, const char *p, size_t n); /* and a line end */
int ph_content_out_header(struct ph_intake *in, const char *p, size_t n);       /* a logical header, at most header_size_limit; its folds are LFs */
void ph_intake_fail(struct ph_intake *in, int code, int smtp, const char *dsn, const char *text);
/* cleanup_header.c */
int ph_cleanup_header(struct ph_intake *in, const char *line, size_t n);        /* one primary header */
int ph_cleanup_headers_end(struct ph_intake *in);                               /* missing headers */
/* cleanup_addr.c: addresses in internal form.  *addr is replaced; FOUND: changed, NOTFOUND: not, else failed (in is marked).  Yield with the tables. */
enum ph_lookup ph_cleanup_map_sender(struct ph_intake *in, unsigned cls, const char **addr);
enum ph_lookup ph_cleanup_map_rcpt(struct ph_intake *in, unsigned cls, const char **addr);
/* Header addresses: rewrite, canonical, masquerade. */
const char *ph_cleanup_header_addr(struct ph_intake *in, bool sender, const char *addr);
/* cleanup_env.c: make env.sender and env.rcpts.  0 or negative (in is marked).  What is known before the content is looked at before it, so
 * that nothing is done for mail that cannot be taken; done: when a filter has changed it, so that it is made anew, and at the end. */
int ph_cleanup_envelope_begin(struct ph_intake *in);
int ph_cleanup_envelope(struct ph_intake *in);
void ph_cleanup_envelope_done(struct ph_intake *in);
/* checks.c: header and body checks. */
struct ph_checks *ph_checks_open(const struct ph_conf *conf);
#endif
