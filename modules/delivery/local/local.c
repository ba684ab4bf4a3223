/* local.c: the local delivery agent: its parameters and the entry for each recipient. */
#include "local.h"
#include "writer.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define S struct local_settings
static const struct ph_param params[] = {
	PH_P_STR(S, allow_mail_to_commands, "allow_mail_to_commands", "alias, forward", "Where \"|command\" destinations are allowed: alias, forward, include."),
	PH_P_STR(S, allow_mail_to_files, "allow_mail_to_files", "alias, forward", "Where \"/file\" destinations are allowed: alias, forward, include."),
	PH_P_BOOL(S, biff, "biff", "yes", "Tell comsat(8) on this host about new mail."),
	PH_P_RAW(S, command_execution_directory, "command_execution_directory", "", "Working directory of commands; empty: the root directory."),
	PH_P_STR(S, execution_directory_expansion_filter, "execution_directory_expansion_filter",
		"1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
		"Characters that stay in $name values in command_execution_directory."),
	PH_P_BOOL(S, frozen_delivered_to, "frozen_delivered_to", "yes", "Delivered-To: is the recipient's address, not that of an alias below."),
	PH_P_STR(S, command_expansion_filter, "command_expansion_filter",
		"1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "Characters that stay in the values that commands get in their environment; others become \"_\"."),
	PH_P_RAW(S, fallback_transport, "fallback_transport", "", "Transport for recipients that are neither alias nor account."),
	PH_P_STR(S, fallback_transport_maps, "fallback_transport_maps", "", "The same by recipient."),
	PH_P_RAW(S, forward_path, "forward_path", "$home/.forward${recipient_delimiter}${extension}, $home/.forward", "Where a user's .forward file is looked for."),
	PH_P_STR(S, forward_expansion_filter, "forward_expansion_filter",
		"1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "Characters that stay in $name values in forward_path."),
	PH_P_STR(S, home_mailbox, "home_mailbox", "", "Mailbox below the home directory; a trailing / means Maildir."),
	PH_P_STR(S, local_command_shell, "local_command_shell", "", "Shell for commands; empty: /bin/sh, and none for plain ones."),
	PH_P_RAW(S, luser_relay, "luser_relay", "", "Where mail for unknown local recipients goes."),
	PH_P_STR1(S, mail_spool_directory, "mail_spool_directory", "/var/mail", "Where mailboxes are; a trailing / means Maildir."),
	PH_P_RAW(S, mailbox_command, "mailbox_command", "", "Command that delivers to a user's mailbox."),
	PH_P_STR(S, mailbox_command_maps, "mailbox_command_maps", "", "The same by recipient."),
	PH_P_STR(S, mailbox_delivery_lock, "mailbox_delivery_lock", "fcntl, dotlock", "How a mailbox is locked: dotlock, fcntl, flock."),
	PH_P_STR(S, mailbox_transport, "mailbox_transport", "", "Transport for accounts instead of mailboxes."),
	PH_P_STR(S, mailbox_transport_maps, "mailbox_transport_maps", "", "The same by recipient."),
	PH_P_STR(S, prepend_delivered_header, "prepend_delivered_header", "command, file, forward", "Where a Delivered-To: header is put on top."),
	PH_P_BOOL(S, expand_owner_alias, "expand_owner_alias", "no", "The sender becomes what owner-x stands for, not owner-x itself."),
	PH_P_BOOL(S, reset_owner_alias, "reset_owner_alias", "no", "An alias without owner- below one that has it loses the owner."),
	PH_P_BOOL(S, require_home_directory, "require_home_directory", "no", "Defer mail for accounts whose home directory is not there."),
	PH_P_BOOL(S, strict_mailbox_ownership, "strict_mailbox_ownership", "yes", "Defer mail when a mailbox belongs to somebody else."),
	PH_P_LONG(S, mailbox_size_limit, "mailbox_size_limit", "51200000", 0, 0, "Largest mailbox in bytes; 0: no limit."),
	PH_P_INT(S, duplicate_filter_limit, "duplicate_filter_limit", "1000", 0, 0, "How many destinations of one recipient are remembered to drop doubles; 0: all."),
};
#undef S

/* Read here, declared by the core. */
struct shared_settings {
	int64_t command_time_limit, lock_delay, stale_lock;
	bool owner_request_special, original_rcpt, utf8;
	int lock_attempts;
	const char *propagate;
};
#define S struct shared_settings
static const struct ph_param shared_params[] = {
	PH_P_TIME(S, command_time_limit, "command_time_limit", "1000s", 's', 1000, 0, ""),
	PH_P_TIME(S, lock_delay, "deliver_lock_delay", "1s", 's', 1000, 0, ""),
	PH_P_TIME(S, stale_lock, "stale_lock_time", "500s", 's', 1000, 0, ""),
	PH_P_BOOL(S, owner_request_special, "owner_request_special", "yes", ""),
	PH_P_BOOL(S, original_rcpt, "enable_original_recipient", "yes", ""),
	PH_P_BOOL(S, utf8, "smtputf8_enable", "${{$compatibility_level} <level {1} ? {no} : {yes}}", ""),
	PH_P_INT(S, lock_attempts, "deliver_lock_attempts", "20", 1, 0, ""),
	PH_P_STR(S, propagate, "propagate_unmatched_extensions", "canonical, virtual", ""),
};
#undef S

static unsigned mask(const char *list, const char *one, const char *two, const char *three)
{
	return (local_word_in(list, one) ? 1u : 0) | (local_word_in(list, two) ? 2u : 0) | (local_word_in(list, three) ? 4u : 0);
}

static void take_settings(struct local_service *svc, const struct shared_settings *s)
{
	svc->owner_special = s->owner_request_special;
	svc->original_rcpt = s->original_rcpt;
	svc->utf8 = s->utf8;
	svc->command_limit_ms = s->command_time_limit;
	svc->lock_delay_ms = s->lock_delay;
	svc->stale_ms = s->stale_lock;
	svc->lock_attempts = s->lock_attempts;
	svc->propagate = mask(s->propagate, "alias", "forward", "include");
	svc->delivered_hdr = mask(svc->set->prepend_delivered_header, "command", "file", "forward");
}

static int local_check(const struct ph_conf *conf, const void *settings, struct ph_err *err)
{
	const struct local_settings *set = settings;

	return box_limit_check(conf, "mailbox_size_limit", set->mailbox_size_limit, err);
}

static int local_start(const struct ph_conf *conf, const void *settings, void **ret, struct ph_err *err)
{
	const struct local_settings *set = settings;
	struct local_service *svc = ph_alloc(sizeof *svc);
	const char *alias_maps = ph_conf_get(conf, "alias_maps");
	const char *privs = ph_conf_get(conf, "default_privs");
	struct shared_settings shared;
	struct passwd *pw = getpwnam(privs);

	if (local_check(conf, settings, err) < 0 || ph_conf_settings(conf, shared_params, PH_ARRAY_LEN(shared_params), &shared, err) < 0) {
		free(svc);
		return -EINVAL;
	}
	if (!pw || pw->pw_uid == 0) {
		free(svc);
		return ph_err_set(err, -EINVAL, "default_privs = %s: %s", privs, pw ? "must not be root" : "no such user");
	}
	svc->conf = conf;
	svc->set = set;
	take_settings(svc, &shared);
	svc->default_uid = pw->pw_uid;
	svc->default_gid = pw->pw_gid;
	svc->default_user = ph_strdup(pw->pw_name);
	svc->aliases = ph_maps_open(conf, "alias_maps", alias_maps ? alias_maps : "");
	svc->mailbox_commands = ph_maps_open(conf, "mailbox_command_maps", set->mailbox_command_maps);
	svc->mailbox_transports = ph_maps_open(conf, "mailbox_transport_maps", set->mailbox_transport_maps);
	svc->fallback_transports = ph_maps_open(conf, "fallback_transport_maps", set->fallback_transport_maps);
	svc->scanner = local_scanner_new(svc);
	svc->writers = local_writers_new();
	*ret = svc;
	return 0;
}

static void local_stop(void *service)
{
	struct local_service *svc = service;

	local_scanner_free(&svc->scanner);
	local_writers_free(&svc->writers);
	free((char *)svc->default_user);
	free(svc);
}

static void deliver_one(struct local_service *svc, struct ph_delivery *d, size_t i)
{
	struct local_shared *shared = ph_arena_alloc(ph_delivery_arena(d), sizeof *shared);
	struct local_state st = {
		.svc = svc, .d = d, .arena = ph_delivery_arena(d), .rcpt = i, .address = ph_delivery_rcpt(d, i)->address,
		.sender = ph_delivery_sender(d), .context = LOCAL_RCPT, .shared = shared,
	};
	struct ph_err err;

	if (local_scan(&st, &err) < 0) {
		ph_log(PH_LOG_WARNING, "%s: %s", ph_delivery_queue_id(d), err.text);
		local_result(&st, PH_DEFERRED, "4.3.0", "cannot read the message");
		return;
	}
	local_recipient(&st);
	shared->expanded |= shared->leaving != NULL;
	local_leave_all(&st);
	local_pass_all(&st);
	if (shared->expanded)
		ph_delivery_parts_end(d, i);
}

static void local_deliver(void *service, struct ph_delivery *d)
{
	for (size_t i = 0; i < ph_delivery_rcpt_count(d); i++)
		if (!ph_delivery_rcpt(d, i)->done)
			deliver_one(service, d, i);
}

static const struct ph_delivery_ops ops = {
	.size = sizeof ops, .start = local_start, .check = local_check, .stop = local_stop, .deliver = local_deliver, .single_recipient = true,
};

PH_MODULE(PH_KIND_DELIVERY, "local", "1.0", "local accounts: aliases, .forward files, mailboxes, commands", .ops.delivery = &ops,
	  PH_MODULE_PARAMS(params, struct local_settings));
