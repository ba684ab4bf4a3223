/* smtp.h: what the files of the SMTP and LMTP client share.
 *
 * struct smtp_service: a master.cf service (process lifetime).  struct smtp_session: a connection, which may outlive the delivery in the cache.
 * struct smtp_state: one delivery, on its coroutine's stack and in its arena. */
#ifndef SMTP_SMTP_H
#define SMTP_SMTP_H

#include <posthouse/co.h>
#include <posthouse/delivery.h>
#include <posthouse/dns.h>
#include <posthouse/message.h>
#include <posthouse/tls.h>

#include "policy_text.h"
#include "reply.h"
#include "settings.h"

#ifdef SMTP_LMTP
enum { SMTP_IS_LMTP = 1 };
#else
enum { SMTP_IS_LMTP = 0 };
#endif

/* EHLO keywords, in the order in which they are named when they are discarded. */
enum {
	EHLO_8BITMIME = 1, EHLO_PIPELINING = 2, EHLO_SIZE = 4, EHLO_VRFY = 8, EHLO_ETRN = 16, EHLO_AUTH = 32, EHLO_VERP = 64,
	EHLO_STARTTLS = 128, EHLO_XCLIENT = 256, EHLO_XFORWARD = 512, EHLO_ENHANCED = 1024, EHLO_DSN = 2048, EHLO_SMTPUTF8 = 4096,
	EHLO_CHUNKING = 8192, EHLO_REQUIRETLS = 16384, EHLO_SILENT = 1 << 20,
};
enum {  /* what XFORWARD takes */
	XFORWARD_NAME = 1, XFORWARD_ADDR = 2, XFORWARD_PORT = 4, XFORWARD_PROTO = 8, XFORWARD_HELO = 16, XFORWARD_IDENT = 32, XFORWARD_SOURCE = 64,
};
enum { PIX_DISABLE_ESMTP = 1, PIX_DELAY_DOTCRLF = 2 };

struct smtp_tls;                /* tls.c */
struct smtp_tls_demand;
struct smtp_requiretls;

struct smtp_service {
	const struct ph_conf *conf;
	const struct smtp_settings *set;
	struct smtp_shared shared;
	struct ph_maps *reply_filter, *discard_maps, *pix_maps, *dns_filter;    /* NULL: not set */
	struct ph_match *srv_services;  /* use_srv_lookup */
	unsigned discard;               /* EHLO_* */
	struct ph_match *cache_destinations;
	int default_port;
	bool probe_data;                /* probes go as far as DATA */
	bool ipv4, ipv6, dns_first, native, dnssec;
	struct ph_endpoint bind4, bind6;        /* len 0: none */
	struct smtp_edit_tables *edit;  /* edit.c; NULL: nothing is changed */
	struct smtp_tls *tls;
	int tls_level, tls_loglevel;
	struct ph_maps *tls_policy, *tls_per_site;      /* NULL: not set; never both */
	struct ph_maps *sasl_maps;      /* NULL: no AUTH */
	struct smtp_requiretls *requiretls;     /* requiretls.c; NULL: nobody may ask for it */
	struct ph_match *sasl_filter;
	struct ph_records *sasl_cache;  /* NULL: refused logins are not remembered */
	unsigned sasl_options, sasl_tls_options, sasl_tls_verified_options;
	struct smtp_session *idle, *idle_last;  /* parked sessions, oldest first */
	size_t n_idle;
	bool reaping;
	struct ph_waitq reaper;         /* the coroutine that closes idle sessions */
	bool stopping;
};

struct smtp_session {
	struct smtp_session *next, *prev;       /* in the cache */
	struct smtp_service *service;
	struct ph_stream *stream;
	char *dest;                     /* nexthop as it was asked for */
	char *host, *addr;              /* "mx.example.com", "192.0.2.1" or a path */
	int port;                       /* 0: unix-domain socket */
	char *namaddr, *namaddrport;    /* "mx.example.com[192.0.2.1]", the same with ":25" */
	unsigned features;              /* EHLO_* */
	unsigned xforward;
	char *auth;                     /* mechanisms, separated by spaces; never NULL */
	bool esmtp;                     /* speaks EHLO */
	int64_t size_limit;             /* of SIZE; 0: none given */
	unsigned pix;
	bool tls_on;
	bool verified;                  /* by TLS: it is who the policy says, not just anybody */
	bool best_mx;                   /* no host is preferred to this one */
	bool no_reuse;                  /* something went wrong on it */
	int uses;                       /* messages, the one under way included */
	bool mail_open;                 /* between MAIL and the end of its transaction: needs RSET */
	int64_t created_ms, expires_ms;
	struct smtp_reply reply;        /* the last one */
	char *site_key, *key;           /* what was demanded of it: only who demands the same may use it again */
};

enum smtp_mark { SMTP_TODO, SMTP_KEEP /* for the next server */, SMTP_DONE };

/* Why it does not work: what the log and the notification will say. */
struct smtp_why {
	bool loops;                     /* we are the best exchanger ourselves: best_mx_transport */
	char dsn[12];                   /* "": nothing yet */
	const char *text;               /* in the delivery's arena */
	const char *mta, *diag;         /* NULL: ours */
	bool requiretls;                /* the server, or its destination, cannot keep what REQUIRETLS asks for */
	bool message_only;              /* this message asked for too much: others may go there */
};

/* The TLS policy of a destination. */
struct smtp_tls_site {
	int level;                      /* enum smtp_tls_level */
	bool invalid;                   /* logged; nothing may go there */
	bool failed;                    /* invalid, as smtp_tls_per_site failed */
	bool by_host;                   /* depends on the server's name, too: smtp_tls_demand sets the rest */
	const char *match, *protocols, *ciphers, *exclude, *sni, *trust_anchors;
	const struct smtp_policy_text *sts;     /* NULL, or the MX hosts that MTA-STS allows */
	const char *sts_failure;        /* NULL, or why nothing may go there */
	const char *key;                /* a text that differs whenever the policies do */
};

struct smtp_state {
	struct smtp_service *service;
	struct ph_delivery *d;
	struct ph_arena *arena;
	const char *queue_id;
	const char *sender;             /* as it is said to servers */
	const char **rcpt;              /* the same; NULL: as they are */
	size_t n;                       /* recipients */
	uint8_t *mark;                  /* enum smtp_mark */
	struct smtp_session *session;   /* NULL: none */
	struct smtp_why why;
	const char *dest;               /* nexthop being tried */
	bool final_server;              /* no further one to try: temporary errors are results */
	bool loop_detect, best_mx;
	bool keep_order;                /* of equally preferred addresses */
	struct smtp_tls_site site;      /* of dest */
	struct smtp_tls_demand *tls;    /* of the server being tried */
	int requiretls;                 /* enum smtp_rt: what counts at dest */
	bool soft_failed;               /* something else than that was a temporary failure */
	bool connected;                 /* connection set-up time has been noted */
	bool utf8_needed, utf8_checked;
};

/* ---- fail.c: results for many recipients ---- */
void smtp_why_set(struct smtp_state *st, const char *dsn, const char *fmt, ...) PH_PRINTF(3, 4);
/* What the server said; "Protocol error: " is put in front when it is not a failure at all. */
void smtp_why_reply(struct smtp_state *st, const char *fmt, ...) PH_PRINTF(2, 3);
void smtp_why_clear(struct smtp_state *st);
size_t smtp_left(const struct smtp_state *st);          /* recipients without result */
/* st->why is about one of several servers: when it is temporary, later may be better. */
void smtp_note_soft(struct smtp_state *st);
/* All that are left, as st->why says; kept for the next server when the error is temporary and there is one.  throttle: the destination is to blame. */
void smtp_fail_all(struct smtp_state *st, bool throttle);
void smtp_fail_rcpt(struct smtp_state *st, size_t i);
/* The server took the message for these n recipients. */
void smtp_sent(struct smtp_state *st, const size_t *which, size_t n);
/* The connection broke or timed out (err: -errno) while doing something. */
void smtp_fail_stream(struct smtp_state *st, int err, const char *doing);

/* ---- chat.c: commands and replies ---- */
/* Read a reply into session->reply.  0 or negative (connection is useless).  Yields. */
int smtp_read_reply(struct smtp_state *st, int64_t limit_ms);
int smtp_read_reply_until(struct smtp_state *st, int64_t deadline_ms);
/* Send "fmt\r\n" and read the reply.  0 or negative. Yields. */
int smtp_command(struct smtp_state *st, int64_t limit_ms, const char *fmt, ...) PH_PRINTF(3, 4);
const char *smtp_reply_text(struct smtp_state *st);     /* flat, in arena */

/* ---- session.c ---- */
struct smtp_session *smtp_session_new(struct smtp_service *svc, struct ph_stream *stream, const char *dest, const char *host, const char *addr, int port);
void smtp_session_free(struct smtp_session **s);
/* Say QUIT and close; waits for the answer only when that is asked for.  Yields. */
void smtp_session_quit(struct smtp_state *st, bool quit_sent);

/* ---- hello.c: greeting, EHLO, HELO, LHLO, STARTTLS ---- */
enum smtp_hello { SMTP_HELLO_OK, SMTP_HELLO_FAILED /* results are given */, SMTP_HELLO_PLAINTEXT /* try again without TLS */ };
enum smtp_hello smtp_hello(struct smtp_state *st, bool allow_tls);     /* st->tls says what is demanded */
unsigned smtp_ehlo_mask(const char *words);

/* ---- dsn.c ---- */
void smtp_put_xtext(struct ph_buf *b, const char *s);
/* " ORCPT=" type text; type "rfc822;" or "utf-8;", or "" when text begins with it.  raw: the server takes UTF-8 in commands. */
void smtp_put_orcpt(struct ph_buf *b, const char *type, const char *text, bool raw);
/* ---- xfer.c: MAIL, RCPT, DATA ---- */
/* 0, or -ECONNRESET: a connection from the cache was dead before it took anything: try another, no result was given. */
int smtp_xfer(struct smtp_state *st);

/* ---- edit.c: generic maps and checks ---- */
struct smtp_edit;
void smtp_edit_start(struct smtp_service *svc);
void smtp_edit_stop(struct smtp_service *svc);
/* st->sender and st->rcpt.  Negative after st->why was set.  Yields. */
int smtp_edit_envelope(struct smtp_state *st);
const char *smtp_rcpt_address(const struct smtp_state *st, size_t i);
/* What the content has to pass through; NULL: nothing.  *ret (for smtp_edit_end) is set only where tables take part. */
struct ph_mime_downgrade *smtp_edit_content(struct smtp_state *st, bool downgrade, void (*put)(void *out, const char *line, size_t n), void *out, struct smtp_edit **ret);
int smtp_edit_end(struct smtp_edit *e);        /* 0, or -EAGAIN: a table failed; NULL-safe */

/* ---- content.c ---- */
/* Send the content, the final dot and, if asked for, QUIT.  0; negative: the stream is broken; -EBADMSG: the message cannot be read; -EAGAIN: a table failed.  Yields. */
int smtp_content_send(struct smtp_state *st, bool downgrade, bool then_quit);
bool smtp_headers_utf8(struct smtp_state *st);

/* ---- dest.c: destinations and addresses ---- */
struct smtp_dest {
	const char *host;               /* without brackets; path for unix */
	int port;
	bool no_mx, is_unix;
	const char *service;            /* the port's name, where it has one; else NULL */
};
/* 0, or negative after st->why was set. */
int smtp_dest_parse(struct smtp_state *st, const char *text, struct smtp_dest *ret);
struct smtp_addr {
	struct smtp_addr *next;
	const char *host;
	const char *owner;              /* where the host's CNAMEs lead */
	const char *mx;                 /* owner of the MX record; NULL: there is none */
	struct ph_endpoint e;
	int pref;
	int port;                       /* of an SRV record; 0: the destination's */
	bool secure, mx_secure;         /* validated by DNSSEC */
};
/* Addresses in the order in which they are to be tried; NULL after st->why was set.  *ret_self: we are among the MX hosts. */
struct smtp_addr *smtp_addr_find(struct smtp_state *st, const struct smtp_dest *dest, bool *ret_self);

/* ---- host.c: addresses of hosts ---- */
struct smtp_host {
	const char *name;
	int pref, port;
	bool numeric;                   /* the rest is filled by smtp_hosts_ask */
	struct ph_endpoint number;
	struct ph_dns_question *q;      /* A, AAAA, or both */
};
struct smtp_addr_list {
	struct smtp_addr **at;
	size_t n, cap;
	struct ph_arena *arena;
};
/* Ask the DNS about all of them, in parallel.  Yields. */
void smtp_hosts_ask(struct smtp_state *st, struct smtp_host *hosts, size_t n);
/* The addresses of a host that has been asked about; st->why is set when there are none.  Yields. */
void smtp_host_add(struct smtp_state *st, const struct smtp_host *h, struct smtp_addr_list *l);
/* smtp_dns_reply_filter.  May yield. */
void smtp_dns_filter(struct smtp_state *st, struct ph_dns_answer *ans);
void smtp_why_dns(struct smtp_state *st, enum ph_dns_status status, const char *name, const char *type, const char *text);
const char *smtp_dns_text(enum ph_dns_status status);

/* ---- probe.c: dnssec_probe ---- */
int smtp_dnssec_probe_check(const char *text, struct ph_err *err);      /* 0, or negative with err: not what it can be */
/* An answer that was asked for with DNSSEC has come.  May yield. */
void smtp_dnssec_note(struct smtp_state *st, const struct ph_dns_answer *answer);

/* ---- connect.c ---- */
/* Deliver to dest (one of the nexthops); last: no further one follows. */
void smtp_try_dest(struct smtp_state *st, const char *dest, bool last, bool *ret_self);

/* ---- cache.c ---- */
/* A parked session that may be used for the state's destination, or (addr not NULL) for that address; NULL: none.  Only one of which the same TLS was demanded, and that
 * has what REQUIRETLS asks for. */
struct smtp_session *smtp_cache_get(struct smtp_state *st, const char *addr, int port);
/* Does the session stay open after this message? */
bool smtp_cache_wanted(struct smtp_state *st);
void smtp_cache_put(struct smtp_session *s);
void smtp_cache_stop(struct smtp_service *svc);

/* ---- auth.c ---- */
/* Log in where that is configured.  0, or negative after results were given. */
int smtp_auth(struct smtp_state *st);
/* "noplaintext, noanonymous" -> bits, or negative with err. */
int smtp_auth_options(const char *name, const char *words, struct ph_err *err);

/* ---- auth_cache.c: refused logins ---- */
/* Has this server refused this very password of the user's before?  Then *ret_dsn and *ret_text are what it said.  May yield. */
bool smtp_auth_cache_find(struct smtp_state *st, const char *user, const char *password, const char **ret_dsn, const char **ret_text);
/* Remember session->reply, if it says that the password is wrong.  May yield. */
void smtp_auth_cache_note(struct smtp_state *st, const char *user, const char *password);

/* ---- tls_policy.c: what to demand of a server ---- */
/* What main.cf and the policy table say about the destination st->dest: st->site.  Never fails: a policy that cannot be read or looked up makes it invalid, and then
 * smtp_tls_demand fails for each server.  Yields. */
void smtp_tls_site(struct smtp_state *st);
/* What to demand of this server, in the state's arena; st->site holds for its destination.  Negative after st->why was set.  Yields. */
struct smtp_tls_demand {
	enum smtp_tls_level level;
	const char *const *match;
	size_t n_match;
	const struct ph_tls_tlsa *tlsa; /* level dane: at least one */
	size_t n_tlsa;
	const char *sni;
	const char *key;                /* a text that differs whenever the demands do */
};
int smtp_tls_demand(struct smtp_state *st, const struct smtp_addr *a, int port, struct smtp_tls_demand *ret);

/* The destination's domain: no brackets, no port. */
const char *smtp_nexthop_domain(struct smtp_state *st);

/* ---- requiretls.c: REQUIRETLS ---- */
enum smtp_rt { SMTP_RT_BAD = -1 /* a table failed or is wrong */, SMTP_RT_OFF, SMTP_RT_OPPORTUNISTIC, SMTP_RT_STARTTLS, SMTP_RT_ENFORCE };
int smtp_requiretls_start(struct smtp_service *svc, struct ph_err *err);
void smtp_requiretls_stop(struct smtp_service *svc);
/* st->requiretls for st->dest.  Yields where a table does. */
void smtp_requiretls_site(struct smtp_state *st);
/* May this server be connected to, as st->tls says?  Negative after st->why was set. */
int smtp_requiretls_demand(struct smtp_state *st, const char *host);
/* Has this session what the message asks of TLS?  A parked one may be from a time when nobody asked. */
bool smtp_requiretls_fits(const struct smtp_state *st, const struct smtp_session *s);
/* May this session have the message?  Negative after st->why was set. */
int smtp_requiretls_session(struct smtp_state *st);
/* TLS is demanded by the message, and by nothing else. */
bool smtp_requiretls_alone(const struct smtp_state *st);
void smtp_requiretls_no_tls(struct smtp_state *st);     /* st->why: no STARTTLS */
void smtp_requiretls_no_match(struct smtp_state *st);   /* st->why: not the certificate that it should have */
bool smtp_requiretls_said(const struct smtp_state *st); /* in MAIL */

/* ---- dane.c ---- */
/* Level dane or dane-only: look for TLSA records and set what follows from them.  Negative after st->why was set.  Yields. */
int smtp_dane_demand(struct smtp_state *st, const struct smtp_addr *a, int port, struct smtp_tls_demand *d);

/* ---- tls.c ---- */
int smtp_tls_start(struct smtp_service *svc, struct ph_err *err);
void smtp_tls_stop(struct smtp_service *svc);
/* Handshake.  0, or negative (logged).  Whether the server is who it must be is for smtp_tls_verified to say. */
int smtp_tls_handshake(struct smtp_state *st);
bool smtp_tls_verified(struct smtp_state *st);  /* logs what is wrong */
#endif
