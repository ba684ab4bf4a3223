/* posthouse/session.h: what a restriction or a filter can see of an SMTP session.
 *
 * Read-only.  All strings are NUL-terminated, never NULL unless said, owned by the session (those of the client and
 * HELO) or by its transaction (the rest), and valid until the hook returns. */
#ifndef POSTHOUSE_SESSION_H
#define POSTHOUSE_SESSION_H

#include <posthouse/io.h>
#include <posthouse/param.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_session;

enum ph_stage { PH_STAGE_CONNECT, PH_STAGE_HELO, PH_STAGE_MAIL, PH_STAGE_RCPT, PH_STAGE_DATA, PH_STAGE_EOD, PH_STAGE_ETRN, PH_STAGE_VRFY };

/* The settings of the session's service (main.cf with its line's -o); lives as long as the session. */
PH_API const struct ph_conf *ph_session_conf(const struct ph_session *s);
/* Lives until the end of the transaction; outside of one until the end of the command (AUTH with all its lines is one command). */
PH_API struct ph_arena *ph_session_arena(struct ph_session *s);

PH_API const char *ph_session_client_name(const struct ph_session *s);          /* verified host name, or "unknown" */
PH_API const char *ph_session_client_reverse_name(const struct ph_session *s);  /* PTR name, not verified, or "unknown" */
PH_API const char *ph_session_client_addr(const struct ph_session *s);          /* "192.0.2.1", "2001:db8::1" */
PH_API int ph_session_client_port(const struct ph_session *s);                   /* 0: not known */
/* 2: name verified, 4: temporary look-up failure, 5: none or not matching (as in Postfix's name codes); and the same of the
 * reverse name alone. */
PH_API int ph_session_client_name_status(const struct ph_session *s);
PH_API int ph_session_client_reverse_name_status(const struct ph_session *s);
PH_API const char *ph_session_server_addr(const struct ph_session *s);
PH_API int ph_session_server_port(const struct ph_session *s);
PH_API const char *ph_session_protocol(const struct ph_session *s);             /* "SMTP" or "ESMTP" */
/* Has the client sent commands before it was its turn (RFC 2920)? */
PH_API bool ph_session_improper_pipelining(const struct ph_session *s);
PH_API const char *ph_session_helo(const struct ph_session *s);                 /* NULL before HELO */
PH_API const struct ph_tls_info *ph_session_tls(const struct ph_session *s);    /* NULL: plaintext */
PH_API const char *ph_session_sasl_method(const struct ph_session *s);          /* NULL: not authenticated */
PH_API const char *ph_session_sasl_user(const struct ph_session *s);            /* NULL: not authenticated */
PH_API const char *ph_session_sasl_sender(const struct ph_session *s);          /* AUTH= of MAIL; NULL: none */

PH_API enum ph_stage ph_session_stage(const struct ph_session *s);              /* the command that asks */
/* The same as log lines name it: "CONNECT", "HELO", "EHLO", "MAIL", "RCPT", "DATA", "BDAT", "END-OF-MESSAGE", "VRFY", "ETRN". */
PH_API const char *ph_session_command(const struct ph_session *s);
/* What tells this message from all others of this host, from RCPT on; "" before.  In the session's arena. */
PH_API const char *ph_session_instance(struct ph_session *s);
PH_API const char *ph_session_sender(const struct ph_session *s);               /* NULL before MAIL; "" for <> */
PH_API const char *ph_session_recipient(const struct ph_session *s);            /* of this RCPT, VRFY; NULL elsewhere (EOD: the only one) */
PH_API size_t ph_session_recipient_count(const struct ph_session *s);           /* accepted so far */
PH_API const char *ph_session_accepted(const struct ph_session *s, size_t i);   /* the i-th accepted one */
PH_API int64_t ph_session_size(const struct ph_session *s);                     /* SIZE= of MAIL, at EOD the real one; 0 unknown */
PH_API const char *ph_session_queue_id(const struct ph_session *s);             /* NULL before it is known */
PH_API const char *ph_session_etrn_domain(const struct ph_session *s);          /* NULL unless ETRN */

/* The address as trivial-rewrite(8) completes it ("joe" -> "joe@example.com"): what access tables are asked for.  In the session's arena.
 * Yields. */
PH_API const char *ph_session_full_address(struct ph_session *s, const char *address);
/* The words of the running command, as the client wrote them: HELO: its argument; MAIL, RCPT: the address with its brackets, then the parameters.  Number of
 * words; elsewhere 0.  Valid until the hook returns. */
PH_API size_t ph_session_args(const struct ph_session *s, const struct ph_slice **ret);
/* Connections of this client's network at the same time, this one included; 0 when it is exempt from counting. */
PH_API int ph_session_client_connections(const struct ph_session *s);

/* The kinds of addresses that inet_protocols allows: AF_INET, AF_INET6, or AF_UNSPEC for both. */
PH_API int ph_session_address_family(const struct ph_session *s);
/* Has an access table asked for DISCARD?  Then the message is as good as accepted, and no restriction has a say any more. */
PH_API bool ph_session_discards(const struct ph_session *s);
/* As ph_dns_query, in the session's arena, through smtpd_dns_reply_filter; and the filter alone, for answers to ph_dns_query_all.  The status (enum
 * ph_dns_status).  Yields. */
struct ph_dns_answer;
PH_API int ph_session_dns_query(struct ph_session *s, const char *name, int type, int64_t deadline_ms, struct ph_dns_answer **ret);
PH_API int ph_session_dns_filter(struct ph_session *s, struct ph_dns_answer *answer);

/* Expand $name, ${name}, $(name), ${name?text}, ${name:text} in the template of a reply: vars first, then $client, $client_address, $client_name, $client_port,
 * $helo_name, $sender, $sender_name, $sender_domain, $recipient, $recipient_name, $recipient_domain, $server_name, $server_address, $server_port, $localtime,
 * then main.cf.  In values, characters that smtpd_expansion_filter does not hold become "_".  At most 8 KiB, in the session's arena.  value NULL: not set.
 * Source: postconf(5), default_rbl_reply, smtpd_reject_footer. */
struct ph_session_var {
	const char *name, *value;
};
PH_API const char *ph_session_expand(struct ph_session *s, const char *text, const struct ph_session_var *vars, size_t n);

/* Where mail for an address would go.  enum ph_lookup: FOUND, TEMPFAIL.  Texts live in the session's arena.  Yields. */
struct ph_session_route {
	const char *transport, *nexthop, *recipient;
};
PH_API int ph_session_resolve(struct ph_session *s, const char *address, struct ph_session_route *ret);
/* The address that mail for this one is delivered to, without routing through ourselves ("a%b@here" -> "a@b"): what access tables are asked for.  enum ph_lookup:
 * FOUND, TEMPFAIL.  *ret_routed: it names a way that goes on from there (user%elsewhere@there), and allow_untrusted_routing is no: nothing may be permitted
 * for such an address.  In the session's arena.  Since 1.1.  Yields. */
PH_API int ph_session_destination(struct ph_session *s, const char *address, const char **ret_address, bool *ret_routed, struct ph_err *err);
/* An address as it stands in a command: quoted where it must be. */
PH_API const char *ph_session_external_address(struct ph_session *s, const char *address);

/* Is this numeric address ours (inet_interfaces, proxy_interfaces)?  Does not yield. */
PH_API bool ph_session_is_own_address(const struct ph_session *s, const char *addr);
/* Is the domain in mydestination, or "[address]" of ours?  enum ph_lookup.  Yields when a table does. */
PH_API int ph_session_is_local_domain(struct ph_session *s, const char *domain, struct ph_err *err);
/* Is mail to the address delivered?  Asks the queue manager, which answers from its cache (address_verify_map) and, where that is too old, sends a probe that
 * ends before delivery: then the status is TODO until the probe is back.  0 with *ret and *ret_text (the server's words, in the session's arena); negative: no answer;
 * -EOPNOTSUPP: this is only an explanation ("posthouse explain"), and nobody was asked: have no opinion.
 * At most 10 s.  Yields.  Source: ADDRESS_VERIFICATION_README. */
enum ph_verified { PH_VERIFIED_OK, PH_VERIFIED_DEFER, PH_VERIFIED_BOUNCE, PH_VERIFIED_TODO };
PH_API int ph_session_verify(struct ph_session *s, const char *address, enum ph_verified *ret, const char **ret_text);

/* Does the address belong to us, as reject_unauth_destination asks?  FOUND when its domain is in mydestination,
 * inet_interfaces, virtual_*_domains or relay_domains and it holds no sender-specified routing; TEMPFAIL (err).  Yields. */
PH_API int ph_session_is_authorized_destination(struct ph_session *s, const char *address, struct ph_err *err);
/* Is the recipient known (local_recipient_maps, relay_recipient_maps, virtual_*_maps)?  enum ph_lookup; on NOTFOUND *ret_text is the
 * reply's tail ("User unknown in virtual mailbox table").  Yields. */
PH_API int ph_session_recipient_known(struct ph_session *s, const char *address, const char **ret_text, int *ret_code, struct ph_err *err);

#ifdef __cplusplus
}
#endif
#endif
