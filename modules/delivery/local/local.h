/* local.h: what the files of the local delivery agent share.
 *
 * deliver() runs as root in the root agent and looks at nothing but envelope, aliases and accounts; whatever touches a user's files, runs a
 * command or parses the message happens in a child with that user's rights (posthouse/run.h), or in one that may do nothing (scan.c).
 * Sources: local(8), aliases(5). */
#ifndef MODULES_DELIVERY_LOCAL_H
#define MODULES_DELIVERY_LOCAL_H

#include <posthouse/co.h>
#include <posthouse/delivery.h>
#include <posthouse/run.h>

#define LOCAL_DEPTH_MAX 25              /* aliases, .forward and :include: files below each other; where Postfix stops, too */

struct local_settings {
	const char *alias_maps, *allow_mail_to_commands, *allow_mail_to_files, *command_expansion_filter, *command_execution_directory,
		*execution_directory_expansion_filter, *fallback_transport, *fallback_transport_maps, *forward_path, *forward_expansion_filter,
		*home_mailbox, *local_command_shell, *luser_relay, *mail_spool_directory, *mailbox_command, *mailbox_command_maps,
		*mailbox_delivery_lock, *mailbox_transport, *mailbox_transport_maps, *prepend_delivered_header;
	bool biff, expand_owner_alias, frozen_delivered_to, reset_owner_alias, require_home_directory, strict_mailbox_ownership;
	int64_t mailbox_size_limit;
	int duplicate_filter_limit;
};

enum { LOCAL_PROPAGATE_ALIAS = 1, LOCAL_PROPAGATE_FORWARD = 2, LOCAL_PROPAGATE_INCLUDE = 4 };    /* propagate_unmatched_extensions */
enum { LOCAL_HDR_COMMAND = 1, LOCAL_HDR_FILE = 2, LOCAL_HDR_FORWARD = 4 };                       /* prepend_delivered_header */

struct local_scanner;
struct local_writers;

struct local_service {
	const struct ph_conf *conf;
	const struct local_settings *set;
	struct ph_maps *aliases, *mailbox_commands, *mailbox_transports, *fallback_transports;
	uid_t default_uid;              /* default_privs */
	gid_t default_gid;
	const char *default_user;
	bool owner_special;             /* owner_request_special */
	bool utf8;                      /* smtputf8_enable: names are folded as UTF-8 */
	bool original_rcpt;             /* enable_original_recipient: X-Original-To: */
	int64_t command_limit_ms;       /* command_time_limit */
	int64_t lock_delay_ms, stale_ms;
	int lock_attempts;
	unsigned propagate, delivered_hdr;
	struct local_scanner *scanner;
	struct local_writers *writers;
};

/* An account, copied. */
struct local_user { const char *name, *home, *shell; uid_t uid; gid_t gid; };

enum local_context { LOCAL_RCPT, LOCAL_ALIAS, LOCAL_FORWARD, LOCAL_INCLUDE };

/* One destination on its way; copied for each level below. */
struct local_state {
	struct local_service *svc;
	struct ph_delivery *d;
	struct ph_arena *arena;
	size_t rcpt;                    /* index of the recipient being delivered */
	/* the address at hand */
	const char *address;            /* user+ext@domain */
	const char *local, *user, *extension, *domain;  /* user+ext, user, ext or NULL, domain */
	char delimiter;                 /* between user and extension */
	const char *unmatched;          /* the extension that no table had; NULL: none */
	const char *sender;             /* envelope sender; owner- aliases replace it */
	const char *owner;              /* who answers for the list this came from: an owner- alias, or the user of a .forward file; NULL: nobody */
	const char *delivered;          /* Delivered-To: */
	enum local_context context;     /* what the address was found in */
	const char *from;               /* name of that alias or user; NULL */
	int depth;
	const struct local_user *as;    /* whose rights /file, |command and :include: have; NULL: default_privs */
	struct local_shared *shared;
};

struct local_seen { struct local_seen *next; uint64_t hash; char key[]; };

/* Addresses that leave as one new message. */
struct local_leaving {
	struct local_leaving *next;
	const char *sender, *delivered;
	bool owned;
	const char **rcpts;
	size_t n, cap;
};

/* A destination that another transport takes. */
struct local_passing {
	struct local_passing *next;
	const char *address, *sender, *transport;
};

/* Common to all destinations of one recipient. */
struct local_shared {
	size_t parts;                   /* results so far */
	bool expanded;                  /* results are parts */
	bool deferred;                  /* a part was: nothing leaves now, as all will be done again */
	struct local_seen *seen[256];   /* duplicate filter */
	int n_seen;
	struct local_leaving *leaving;
	struct local_passing *passing;
	const char **delivered_to;      /* Delivered-To: values in the message, lower case */
	size_t n_delivered_to;
};

/* recipient.c: deliver to st->address, which belongs to us. */
void local_recipient(struct local_state *st);

/* result.c */
/* One destination's result: of the recipient itself, or a part of it. */
void local_result(struct local_state *st, enum ph_delivery_status status, const char *dsn, const char *fmt, ...) PH_PRINTF(4, 5);
bool local_seen(struct local_state *st, const char *fmt, ...) PH_PRINTF(2, 3);          /* true: had it already; else it is remembered */
bool local_seen_check(struct local_state *st, const char *fmt, ...) PH_PRINTF(2, 3);    /* only ask */
void local_config_error(struct local_state *st);        /* bounces as "mail system configuration error" */
/* Is word in a list of main.cf? */
bool local_word_in(const char *list, const char *word);

/* account.c: 1: found and copied to the arena, 0: no such user, negative: try later.  Yields. */
int local_account(struct ph_arena *arena, const char *name, const struct local_user **ret);
int local_account_uid(struct ph_arena *arena, uid_t uid, const struct local_user **ret);

/* scan.c: the message's Delivered-To: headers.  0 or negative with err.  Yields. */
struct local_scanner *local_scanner_new(struct local_service *svc);
void local_scanner_free(struct local_scanner **s);
int local_scan(struct local_state *st, struct ph_err *err);

/* alias.c: true when the name was an alias and has been dealt with. */
bool local_alias(struct local_state *st, const char *name);
/* The address that owner-<name> stands for, in *ret; NULL: none.  0, or -1 after a result was given. */
int local_owner_of(struct local_state *st, const char *name, const char **ret);

/* list.c: text as in aliases(5) or .forward, delivered destination by destination.  comments: lines that begin with # are none.
 * How many destinations there were. */
size_t local_list(struct local_state *st, const char *text, bool comments);
/* Addresses in external form. */
void local_addresses(struct local_state *st, const char *text);

/* leaving.c: mail that leaves as a new message */
void local_leave(struct local_state *st);
void local_leave_all(struct local_state *st);   /* at the end of the recipient */

/* forward.c: true when a .forward file took the mail, or failed to. */
bool local_forward(struct local_state *st);
/* include.c */
void local_include(struct local_state *st, const char *path);
/* mailbox.c: true: dealt with; false: no such user. */
bool local_mailbox(struct local_state *st);
/* file.c: append to a mailbox or /file.  what: for the log; user: for its errors; NULL: /file. */
void local_spool(struct local_state *st, const struct local_user *u);
void local_file(struct local_state *st, const char *path);
/* unknown.c: neither alias nor account */
void local_unknown(struct local_state *st);
/* 1: the table or parameter named a transport and took the mail; 0: not; -1: a result was given. */
int local_pass(struct local_state *st, struct ph_maps *maps, const char *fixed);
void local_pass_all(struct local_state *st);    /* at the end of the recipient: one destination goes on as the recipient itself, several as new messages */

/* command.c */
void local_command(struct local_state *st, const char *command, const struct local_user *user);
/* message.c: the headers that go on top: From_ line (mbox, commands), Return-Path, X-Original-To, Delivered-To. */
char *local_top(struct local_state *st, bool from_line, bool delivered_to);
/* Feed top and the message to a child.  0 or negative.  Yields. */
int local_feed(struct local_state *st, struct ph_run *run, const char *top, struct ph_err *err);
/* expand.c: $user ${extension?x} ... in forward_path, luser_relay, mailbox_command; values filtered to the characters of filter (NULL: no
 * filter).  *ret_undefined (may be NULL): a name had no value and no ${name:text} said what then. */
char *local_expand(struct local_state *st, const struct local_user *user, const char *text, const char *filter, bool *ret_undefined);
#endif
