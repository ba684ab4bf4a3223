/* session.h: one SMTP session and the service it belongs to, as the files of core/smtpd see them. */
#ifndef CORE_SMTPD_SESSION_H
#define CORE_SMTPD_SESSION_H

#include <posthouse/restriction.h>
#include <posthouse/sasl.h>

#include "config/config.h"
#include "message/intake.h"
#include "route/route.h"
#include "smtpd/cmdline.h"
#include "smtpd/settings.h"

#define PH_SMTPD_SESSION_MAGIC 0x5e55100du
/* A reply line or log text that a client or a table makes is cut here. */
#define PH_SMTPD_TEXT_MAX 1500
#define PH_SMTPD_RECURSION_MAX 100

/* ---- EHLO keywords that can be discarded ---- */
enum {
	PH_EHLO_8BITMIME = 1, PH_EHLO_AUTH = 2, PH_EHLO_CHUNKING = 4, PH_EHLO_DSN = 8, PH_EHLO_ENHANCED = 16, PH_EHLO_ETRN = 32,
	PH_EHLO_PIPELINING = 64, PH_EHLO_SIZE = 128, PH_EHLO_SMTPUTF8 = 256, PH_EHLO_STARTTLS = 512, PH_EHLO_VRFY = 1024,
	PH_EHLO_XCLIENT = 2048, PH_EHLO_XFORWARD = 4096, PH_EHLO_XVERP = 8192, PH_EHLO_SILENT = 16384,
	PH_EHLO_REQUIRETLS = 32768,
};
unsigned ph_smtpd_ehlo_mask(const char *words);
const char *ph_smtpd_ehlo_names(unsigned mask, struct ph_arena *arena);

enum ph_smtpd_bare_lf { PH_BARE_LF_NO, PH_BARE_LF_NORMALIZE, PH_BARE_LF_NOTE, PH_BARE_LF_REJECT };
enum ph_smtpd_tls_level { PH_SMTPD_TLS_NONE, PH_SMTPD_TLS_MAY, PH_SMTPD_TLS_ENCRYPT };

struct ph_rlist;                /* restrict.h: a compiled restriction list */
struct ph_tls_ctx;
struct ph_limits;
struct ph_limit_store;

/* The names of smtpd_noop_commands, smtpd_forbidden_commands: plain words and patterns. */
struct ph_smtpd_words {
	size_t n;
	struct ph_smtpd_wordent { const char *word; struct ph_maps *map; } *w;
};

/* What all sessions of a master.cf service share.  Built once per configuration; lives as long as the process. */
struct ph_smtpd_service {
	const struct ph_config *config;
	const struct ph_service *service;       /* NULL: stand-alone (sendmail -bs) */
	const struct ph_conf *conf, *cleanup_conf;
	const char *name;                       /* "smtp", "10025" */
	const char *cleanup_syslog_name;
	struct ph_smtpd_settings set;
	struct ph_route *route;
	unsigned ehlo_discard;
	enum ph_smtpd_bare_lf bare_lf;
	enum ph_smtpd_tls_level tls_level;
	bool standalone;                        /* sendmail -bs, and not by the mail owner: no access controls */
	struct ph_submit *submit;               /* sendmail -bs: messages go to maildrop/; NULL: into the queue */
	bool proxy_protocol;
	bool no_unknown_checks, no_milters, no_mappings, no_body_checks; /* receive_override_options */
	unsigned intake_flags;
	char fatal_text[600];
	const char *fatal;                      /* the service must not serve: why; NULL: it may */
	struct ph_maps *dns_filter;             /* NULL: none */
	struct ph_match *log_permit, *xclient_hosts, *xforward_hosts, *limit_exceptions, *bare_lf_exclusions, *sasl_exceptions, *fast_flush, *verp_clients, *debug_peers;
	struct ph_maps *milter_maps, *ehlo_maps, *command_filter, *footer_maps, *reject_filter;
	struct ph_smtpd_words noop, forbidden;
	struct ph_rlist *client, *helo, *sender, *relay, *recipient, *data, *eod, *etrn, *rewrite_clients;
	struct ph_maps *rewrite_tables;         /* local_header_rewrite_clients: its tables of client addresses; NULL: none */
	struct ph_rcache *rcache;               /* lists found in access tables */
	const char *const *classes;             /* names of smtpd_restriction_classes, NULL-terminated */
	struct ph_tls_ctx *tls;                 /* NULL: none, or broken (tls_broken) */
	bool tls_broken;
	int tls_loglevel;
	const struct ph_module *sasl_module;
	void *sasl_use;
	struct ph_match *sasl_filter;           /* NULL: all mechanisms */
	const char *sasl_fatal;                 /* SASL is asked for and cannot work */
	struct ph_limits *limits;               /* NULL: no memory for them */
	struct ph_limit_store *counters;        /* of several machines; NULL: limits alone */
	int max_sessions, sessions;             /* of this process */
	int64_t stress_until_ms;                /* all sessions were in use a while ago: new ones are short of patience until then */
	struct ph_smtpd_service *stressed;      /* the same service with "stress = yes"; made when it is first needed */
	bool long_ids;
	unsigned notify_classes;                /* PH_NOTICE_* */
};

/* ---- state of restrictions that goes from stage to stage ---- */
struct ph_smtpd_defer {
	bool active;
	char text[400];                 /* the whole reply */
};

enum ph_smtpd_cmd {     /* in the order of the "disconnect from" line */
	PH_CMD_HELO, PH_CMD_EHLO, PH_CMD_XCLIENT, PH_CMD_XFORWARD, PH_CMD_STARTTLS, PH_CMD_AUTH, PH_CMD_MAIL, PH_CMD_RCPT, PH_CMD_DATA,
	PH_CMD_BDAT, PH_CMD_RSET, PH_CMD_NOOP, PH_CMD_VRFY, PH_CMD_ETRN, PH_CMD_QUIT, PH_CMD_UNKNOWN, PH_CMD_COUNT
};

struct ph_smtpd_xforward {      /* what an upstream filter says about the original client; all may be NULL */
	char *name, *addr, *port, *proto, *helo, *ident, *source;
};

/* One mail transaction: from MAIL to the end of data or RSET. */
/* What ph_session_destination answered last; full NULL: nothing yet. */
struct ph_smtpd_destination {
	const char *full, *sender, *address;
	bool routed;
};

struct ph_smtpd_trans {
	struct ph_arena *arena;         /* all strings below */
	const char *sender;             /* internal form; NULL: no MAIL yet */
	int64_t arrival_us;
	int64_t size;                   /* SIZE= */
	const char *envid, *ret, *encoding, *auth_sender, *verp;
	bool smtputf8;
	bool requiretls;
	bool discard;                   /* access action DISCARD */
	struct ph_intake *intake;
	struct ph_smtpd_proxy *proxy;   /* smtpd_proxy_filter: instead of an intake */
	const char *queue_id;           /* NULL: not known yet */
	size_t rcpt_count, rcpt_overshoot;
	size_t n_rcpts, cap_rcpts;
	const char **rcpts;             /* accepted */
	const char *first_rcpt;         /* for "for <...>" in Received: */
	struct ph_smtpd_destination destination;
	struct ph_smtpd_action *actions, **actions_tail;        /* access actions from before the intake began */
	unsigned n_actions;
	bool in_content;                /* the client was told to send it */
	int64_t content;                /* bytes of content that were received, CR LF line ends counted */
	bool bare_lf;                   /* a line ended in LF alone, and that matters for this client */
	bool lost;                      /* the intake refused something: the rest is only counted */
	/* BDAT */
	bool bdat, bdat_error;
	int bdat_error_code;
	struct ph_buf part;             /* BDAT: the start of a line whose end comes in the next chunk */
	bool part_cont;
};
struct ph_smtpd_action {
	struct ph_smtpd_action *next;
	const char *verb, *arg;
};

/* Who follows what is decided, step by step. */
struct ph_smtpd_tracer {
	/* what: "list", "restriction", "access", "note"; answer may be NULL. */
	void (*fn)(void *arg, const char *what, const char *name, const char *answer);
	void *arg;
	bool ask_servers;               /* other servers may be asked although they remember it */
};

struct ph_session {
	uint32_t magic;
	struct ph_smtpd_service *svc;
	const struct ph_smtpd_settings *set;    /* &svc->set */
	struct ph_stream *io;
	struct ph_arena *scratch;       /* outside of transactions: emptied after each command */
	struct ph_arena *t_arena;
	/* the client */
	char addr[48], server_addr[48];
	int port, server_port;
	int family;                     /* AF_INET, AF_INET6; AF_UNIX: stand-alone */
	char *name, *reverse_name;      /* heap; "unknown" */
	int name_status, reverse_status;
	char *namaddr;                  /* "name[addr]" or "name[addr]:port", heap */
	char *helo;                     /* heap; NULL */
	const char *proto;              /* "SMTP", "ESMTP" */
	bool ehlo;
	unsigned ehlo_discard;
	bool ehlo_unknown;              /* the table that says what to discard failed */
	bool xclient_ok, xforward_ok;
	struct ph_smtpd_xforward *xforward;     /* NULL: none */
	/* who the client says that it is */
	char *sasl_method, *sasl_user;  /* heap; NULL */
	char *sasl_mechs;               /* heap; NULL: none */
	bool tls_used;
	/* progress */
	const char *where;              /* for log lines: "CONNECT", "EHLO" ... */
	enum ph_stage stage;
	int errors, junk;
	bool ill_pipelining;
	bool closing;                   /* hang up after the pending replies */
	bool hangup;                    /* and send no reply any more */
	bool fatal;                     /* the service cannot do what it is for: no word to the client, no "disconnect from" */
	bool access_denied;             /* refused at connect: nothing but QUIT */
	bool bare_lf_noted;
	bool limits_exempt;
	bool counted;                   /* in the counters: a connection, of limit_client (heap) */
	bool limit_asked;               /* in the store of several machines, too */
	char *limit_client;
	uint64_t limit_holder;
	const char *limit_scope;        /* smtpd_client_counter_scope; of postscreen's service while that looks at the client */
	bool screened;                  /* postscreen has let it through */
	bool last_line_bare_lf;
	bool flushing;
	int64_t deadline_ms;            /* of the running request, with smtpd_per_request_deadline */
	uint32_t cmd_ok[PH_CMD_COUNT], cmd_all[PH_CMD_COUNT];
	/* the transaction */
	struct ph_smtpd_trans *t;       /* NULL: outside of one */
	const char *recipient;          /* of the RCPT or VRFY that runs */
	const char *etrn_domain;
	/* restrictions */
	struct ph_smtpd_defer defer_if_permit, defer_if_reject;
	bool dip_client, dip_helo, dip_sender;  /* defer_if_permit was active behind that stage */
	const char *list_what;          /* of the list that runs: ph_session_list */
	enum ph_access_class list_class;
	int recursion;
	int warn_if_reject;             /* recursion level + 1 that it holds for; 0: off */
	bool sender_map_checked, rcpt_map_checked;
	const char *refusal;            /* reply of the restriction that has just refused */
	bool rewrite_local, rewrite_local_known;
	bool quiet;                     /* a list runs that permits nothing: no smtpd_log_access_permit_actions */
	struct ph_filter_chain *filters;
	bool filter_reject_all, filter_helo_reject;     /* a filter refused the client, its HELO */
	bool filter_discard;            /* a filter threw the running message away */
	const struct ph_slice *args;    /* of the running command, for filters */
	size_t n_args;
	unsigned connections;           /* of this client's network, at connect; 0: exempt */
	int64_t born_us;                /* when it began, wall clock */
	uint32_t n_trans;               /* transactions so far */
	const struct ph_smtpd_tracer *tracer;   /* explain; NULL: nobody listens */
	/* history.c */
	struct ph_buf history;          /* the transcript, for the postmaster */
	unsigned history_lines;
	bool unlisted;                  /* the last address that a restriction asked about does not exist */
	unsigned trouble;               /* PH_NOTICE_*: what went wrong since the last message that was taken */
};

/* ---- reply.c ---- */
/* One reply, complete with code and enhanced code; "\n" in text begins further lines of the same reply.  Buffered.  May yield.
 * Negative: the connection is gone. */
int ph_smtpd_reply(struct ph_session *s, const char *fmt, ...) PH_PRINTF(2, 3);
/* Put the footer that maps have for the reply b, else tmpl, behind it: after a line break, or ("\\c" in front) in its last line.  Yields when a table does. */
void ph_smtpd_footer(struct ph_session *s, struct ph_maps *maps, const char *tmpl, struct ph_buf *b);
/* ---- reject_filter.c ---- */
/* What smtpd_reject_filter_maps makes of the refusal b ("550 5.1.1 a\nb").  A table that fails makes a 5xx a 4xx.  Yields when a table does. */
void ph_smtpd_reject_filter(struct ph_session *s, struct ph_buf *b);
/* A reply as it stands on the wire, in the form that ph_smtpd_reply takes.  false: no 4xx or 5xx reply, or too long for ret. */
bool ph_smtpd_reply_from_wire(const char *wire, struct ph_buf *ret);
/* The same as the result of a command that is refused: 1, or negative. */
#define ph_smtpd_refuse(s, ...) ph_smtpd_refused(ph_smtpd_reply((s), __VA_ARGS__))
static inline int ph_smtpd_refused(int r)
{
	return r < 0 ? r : 1;
}
/* The deadline for the next wait on the client. */
int64_t ph_smtpd_deadline(struct ph_session *s);
/* Wait for more input; replies that wait are sent first.  Bytes, 0 at end of file, negative.  Yields. */
ssize_t ph_smtpd_fill(struct ph_session *s);
int ph_smtpd_flush(struct ph_session *s);

/* ---- log.c ---- */
/* "QID: reject: RCPT from name[addr]: text; from=<> ..." */
void ph_smtpd_log_whatsup(struct ph_session *s, const char *whatsup, const char *text);
/* "proxy-accept: END-OF-MESSAGE: text; from=<> ..." */
void ph_smtpd_log_proxy(struct ph_session *s, const char *whatsup, const char *text);
void ph_smtpd_log_disconnect(struct ph_session *s);
const char *ph_smtpd_log_addr(struct ph_session *s, struct ph_arena *a, const char *address);

/* ---- session_api.c ---- */
/* A step of the decision, for the tracer and the debug log. */
void ph_smtpd_trace(struct ph_session *s, const char *what, const char *name, const char *answer);

/* ---- session.c ---- */
struct ph_session *ph_smtpd_session_new(struct ph_smtpd_service *svc, struct ph_stream *io);
void ph_smtpd_session_free(struct ph_session **s);
/* Set a heap string of the session. */
void ph_smtpd_set(char **field, const char *value);
void ph_smtpd_set_namaddr(struct ph_session *s);
/* Filters see the words of c from the given one on, until the command is done. */
void ph_smtpd_set_args(struct ph_session *s, const struct ph_smtpd_cmdline *c, size_t from);
/* Transaction begin/end; end takes back whatever was not committed. */
struct ph_smtpd_trans *ph_smtpd_trans_begin(struct ph_session *s);
void ph_smtpd_trans_end(struct ph_session *s);
/* Forget HELO, AUTH ... : STARTTLS, XCLIENT. */
void ph_smtpd_session_restart(struct ph_session *s);
bool ph_smtpd_matches(struct ph_session *s, struct ph_match *m, const char *title);

/* ---- proto.c ---- */
/* The whole dialogue, from the greeting on.  Yields. */
void ph_smtpd_proto(struct ph_session *s);
/* Banner and checks at connect (also after XCLIENT).  Negative: hang up. */
int ph_smtpd_greet(struct ph_session *s);
/* "improper command pipelining": log it; -EPROTO when the session must end. */
int ph_smtpd_pipelining_check(struct ph_session *s, const char *after);

/* ---- commands: 0 fine, 1 refused (counts as an error), negative: hang up ---- */
typedef int ph_smtpd_cmd_fn(struct ph_session *s, struct ph_smtpd_cmdline *c);
ph_smtpd_cmd_fn ph_smtpd_cmd_helo, ph_smtpd_cmd_ehlo, ph_smtpd_cmd_mail, ph_smtpd_cmd_rcpt, ph_smtpd_cmd_data, ph_smtpd_cmd_bdat,
	ph_smtpd_cmd_rset, ph_smtpd_cmd_noop, ph_smtpd_cmd_vrfy, ph_smtpd_cmd_etrn, ph_smtpd_cmd_quit, ph_smtpd_cmd_starttls,
	ph_smtpd_cmd_auth, ph_smtpd_cmd_xclient, ph_smtpd_cmd_xforward;
/* TLS from the first byte on. */
int ph_smtpd_tls_start(struct ph_session *s);

/* ---- content.c ---- */
/* Content from DATA up to its end.  0: the end was there; negative.  Yields. */
int ph_smtpd_content_data(struct ph_session *s);
/* A chunk of n bytes.  keep: hand it to the intake.  last: a line without its end is ended.  0 or negative.  Yields. */
int ph_smtpd_content_chunk(struct ph_session *s, int64_t n, bool keep, bool last);

/* ---- address.c ---- */
/* The address of MAIL, RCPT or VRFY in internal form, in arena; its syntax and its domain are checked.  0; 1: a reply was given.
 * what: "MAIL", "RCPT", "VRFY".  Yields. */
int ph_smtpd_address(struct ph_session *s, const char *what, const struct ph_smtpd_word *w, bool allow_empty, bool strict,
		     bool utf8, struct ph_arena *arena, const char **ret);
/* The same without a reply: the refusal, or NULL. */
const char *ph_smtpd_address_read(struct ph_session *s, const char *what, const struct ph_smtpd_word *w, bool allow_empty, bool strict,
				  bool utf8, struct ph_arena *arena, const char **ret);

/* ---- envelope.c ---- */
/* Begin the intake when there is none.  0, or 1: a reply was given. */
int ph_smtpd_open(struct ph_session *s);
void ph_smtpd_received_header(struct ph_session *s);
/* End of content: end-of-data checks, commit, reply.  As a command's result.  Yields. */
int ph_smtpd_finish(struct ph_session *s, bool bdat);

/* ---- access.c ---- */
/* What the intake is to do with the message (HOLD, FILTER ...), now or when it begins. */
void ph_smtpd_message_action(struct ph_session *s, const char *verb, const char *arg);

/* ---- check.c: the stages.  NULL: go on; else the reply ("550 5.7.1 text") ---- */
const char *ph_smtpd_check_client(struct ph_session *s);
const char *ph_smtpd_check_helo(struct ph_session *s);
const char *ph_smtpd_check_mail(struct ph_session *s);
const char *ph_smtpd_check_rcpt(struct ph_session *s);
const char *ph_smtpd_check_etrn(struct ph_session *s);
const char *ph_smtpd_check_vrfy(struct ph_session *s);
const char *ph_smtpd_check_data(struct ph_session *s);
const char *ph_smtpd_check_eod(struct ph_session *s);
const char *ph_smtpd_check_queue(struct ph_session *s);         /* is there room in the queue at all? */
const char *ph_smtpd_check_size(struct ph_session *s, int64_t size);
/* Are header addresses of this client completed with our domain? */
bool ph_smtpd_rewrite_local(struct ph_session *s);

/* ---- peer.c ---- */
/* Addresses of both ends from the socket. */
void ph_smtpd_peer_from_socket(struct ph_session *s);
void ph_smtpd_peer_set_addr(struct ph_session *s, const char *addr);
/* PTR and forward look-up.  Yields. */
void ph_smtpd_peer_lookup(struct ph_session *s);

/* ---- sasl.c ---- */
/* Fetch the mechanisms for EHLO.  0, or negative when the back end is down. */
int ph_smtpd_sasl_mechs(struct ph_session *s);
/* May the client log in now, and is it told so (smtpd_sasl_exceptions_networks)? */
bool ph_smtpd_sasl_possible(struct ph_session *s);
bool ph_smtpd_sasl_offered(struct ph_session *s);

/* A line of a message or of another protocol where a command should be; a word that a list names. */
bool ph_smtpd_looks_like_header(struct ph_slice verb);
bool ph_smtpd_word_matches(struct ph_session *s, const struct ph_smtpd_words *list, struct ph_slice verb);

/* ---- service.c ---- */
/* Words and "type:table" entries. */
void ph_smtpd_words_open(const struct ph_conf *conf, const char *title, const char *text, struct ph_smtpd_words *ret);
void ph_smtpd_words_free(struct ph_smtpd_words *list);
struct ph_smtpd_service *ph_smtpd_service_new(const struct ph_config *config, const struct ph_service *service, struct ph_limits *limits);
/* What a session that begins now gets: svc, or, while it is overloaded, the same with "stress = yes" (STRESS_README).  Belongs to svc. */
struct ph_smtpd_service *ph_smtpd_service_now(struct ph_smtpd_service *svc);
/* NULL-safe; no session may be left. */
void ph_smtpd_service_free(struct ph_smtpd_service **svc);

#endif
