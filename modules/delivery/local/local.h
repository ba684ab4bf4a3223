/* local.h: what the files of the local delivery agent share.
 *
 * deliver() runs as root in the root agent and looks at nothing but envelope, aliases and accounts; whatever touches a user's files or runs
 * a command happens in a child that is that user (posthouse/run.h).  Sources: local(8), aliases(5). */
#ifndef MODULES_DELIVERY_LOCAL_H
#define MODULES_DELIVERY_LOCAL_H

#include <posthouse/delivery.h>
#include <posthouse/run.h>

#define LOCAL_DEPTH_MAX 100             /* nested aliases, as in Postfix */

struct local_settings {
	const char *alias_maps, *allow_mail_to_commands, *allow_mail_to_files, *command_expansion_filter,
		*fallback_transport, *fallback_transport_maps, *forward_path, *forward_expansion_filter, *home_mailbox, *local_command_shell,
		*luser_relay, *mail_spool_directory, *mailbox_command, *mailbox_command_maps, *mailbox_delivery_lock, *mailbox_transport,
		*mailbox_transport_maps, *prepend_delivered_header;
	bool expand_owner_alias, reset_owner_alias, require_home_directory, strict_mailbox_ownership;
	int64_t mailbox_size_limit;
	int duplicate_filter_limit;
};

struct local_service {
	const struct ph_conf *conf;
	const struct local_settings *set;
	struct ph_maps *aliases, *mailbox_commands, *mailbox_transports, *fallback_transports;
	uid_t default_uid;              /* default_privs */
	gid_t default_gid;
	const char *default_user;
	bool owner_special;             /* owner_request_special */
	bool keep_original;             /* enable_original_recipient */
	int64_t command_limit_ms;       /* command_time_limit */
};

/* An account, copied. */
struct local_user { const char *name, *home, *shell; uid_t uid; gid_t gid; };

enum local_context { LOCAL_RCPT, LOCAL_ALIAS, LOCAL_FORWARD, LOCAL_INCLUDE };

struct local_state {
	struct local_service *svc;
	struct ph_delivery *d;
	struct ph_arena *arena;
	size_t rcpt;                    /* index of the recipient being delivered */
	/* the address at hand */
	const char *address;            /* user+ext@domain */
	const char *local, *user, *extension, *domain;  /* user+ext, user, ext or NULL, domain */
	const char *sender;             /* envelope sender; owner- aliases replace it */
	enum local_context context;     /* where the address was found */
	bool owned;                     /* below an alias with an owner- alias */
	bool direct;                    /* \user: no alias, no .forward */
	int depth;
	const char *const *chain;       /* aliases above, for the loop check */
	size_t n_chain;
	const struct local_user *as;    /* whose rights /file and |command have; NULL: default_privs */
	struct local_shared *shared;
};

/* Common to all destinations of one recipient. */
struct local_shared {
	bool expanded;                  /* results are parts */
	struct { const char *key; } *seen;      /* duplicate filter */
	size_t n_seen, cap_seen;
};

/* recipient.c */
void local_deliver_address(struct local_state *st);
/* One destination's result: of the recipient itself, or a part of it. */
void local_result(struct local_state *st, enum ph_delivery_status status, const char *dsn, const char *fmt, ...) PH_PRINTF(4, 5);
bool local_seen(struct local_state *st, const char *kind, const char *what);    /* true: had it already */
/* 1: found and copied to the arena, 0: no such user, negative: try later.  Yields. */
int local_account(struct ph_arena *arena, const char *name, const struct local_user **ret);
/* loop check: is "Delivered-To: address" in the headers?  1, 0, negative.  Yields. */
int local_delivered_before(struct local_state *st, const char *address);

/* alias.c: true when the name was an alias and has been dealt with. */
bool local_alias(struct local_state *st);
/* destinations.c: text as in aliases(5) or .forward. */
void local_destinations(struct local_state *st, const char *text, const char *const *delivered_to);
/* forward.c: true when a .forward file took the mail. */
bool local_forward(struct local_state *st, const struct local_user *user);
/* include.c */
void local_include(struct local_state *st, const char *path);
/* mailbox.c */
void local_mailbox(struct local_state *st, const struct local_user *user);
void local_file(struct local_state *st, const char *path);
/* command.c */
void local_command(struct local_state *st, const char *command, const struct local_user *user);
/* The headers that go on top: From_ line (mbox, commands), Return-Path, X-Original-To, Delivered-To. */
char *local_top(struct local_state *st, bool from_line, bool delivered_to);
/* Feed top and the message to a child.  0 or negative.  Yields. */
int local_feed(struct local_state *st, struct ph_run *run, const char *top, struct ph_err *err);
/* expand.c: $user ${extension?x} ... in forward_path, luser_relay, mailbox_command; values filtered to the characters of filter (NULL: no filter). */
char *local_expand(struct local_state *st, const struct local_user *user, const char *text, const char *filter);
#endif
