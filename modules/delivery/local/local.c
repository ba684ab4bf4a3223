/* local.c: the local delivery agent: its parameters and the entry for each recipient. */
#include "local.h"

#include <posthouse/co.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define S struct local_settings
static const struct ph_param params[] = {
	PH_P_STR(S, allow_mail_to_commands, "allow_mail_to_commands", "alias, forward", "Where \"|command\" destinations are allowed: alias, forward, include."),
	PH_P_STR(S, allow_mail_to_files, "allow_mail_to_files", "alias, forward", "Where \"/file\" destinations are allowed: alias, forward, include."),
	PH_P_STR(S, command_expansion_filter, "command_expansion_filter",
		"1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "Characters that stay in $name values in mailbox_command; others become \"_\"."),
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
struct shared_settings { int64_t command_time_limit; bool owner_request_special, keep_original; };
static const struct ph_param shared_params[] = {
	PH_P_TIME(struct shared_settings, command_time_limit, "command_time_limit", "1000s", 's', 1000, 0, ""),
	PH_P_BOOL(struct shared_settings, owner_request_special, "owner_request_special", "yes", ""),
	PH_P_BOOL(struct shared_settings, keep_original, "enable_original_recipient", "yes", ""),
};

static int local_start(const struct ph_conf *conf, const void *settings, void **ret, struct ph_err *err)
{
	const struct local_settings *set = settings;
	struct local_service *svc = ph_alloc(sizeof *svc);
	const char *alias_maps = ph_conf_get(conf, "alias_maps");
	const char *privs = ph_conf_get(conf, "default_privs");
	struct shared_settings shared;
	struct passwd *pw = getpwnam(privs);

	if (ph_conf_settings(conf, shared_params, PH_ARRAY_LEN(shared_params), &shared, err) < 0) {
		free(svc);
		return -EINVAL;
	}
	if (!pw || pw->pw_uid == 0) {
		free(svc);
		return ph_err_set(err, -EINVAL, "default_privs = %s: %s", privs, pw ? "must not be root" : "no such user");
	}
	svc->conf = conf;
	svc->set = set;
	svc->owner_special = shared.owner_request_special;
	svc->keep_original = shared.keep_original;
	svc->command_limit_ms = shared.command_time_limit;
	svc->default_uid = pw->pw_uid;
	svc->default_gid = pw->pw_gid;
	svc->default_user = ph_strdup(pw->pw_name);
	svc->aliases = ph_maps_open(conf, "alias_maps", alias_maps ? alias_maps : "");
	svc->mailbox_commands = ph_maps_open(conf, "mailbox_command_maps", set->mailbox_command_maps);
	svc->mailbox_transports = ph_maps_open(conf, "mailbox_transport_maps", set->mailbox_transport_maps);
	svc->fallback_transports = ph_maps_open(conf, "fallback_transport_maps", set->fallback_transport_maps);
	*ret = svc;
	return 0;
}

static void local_stop(void *service)
{
	struct local_service *svc = service;

	free((char *)svc->default_user);
	free(svc);
}

static void deliver_one(struct local_service *svc, struct ph_delivery *d, size_t i)
{
	struct local_shared shared = { 0 };
	const struct ph_rcpt *r = ph_delivery_rcpt(d, i);
	struct local_state st = {
		.svc = svc, .d = d, .arena = ph_delivery_arena(d), .rcpt = i, .sender = ph_delivery_sender(d), .context = LOCAL_RCPT, .shared = &shared,
	};
	int loop;

	st.address = r->address;
	loop = local_delivered_before(&st, r->address);
	if (loop < 0)
		local_result(&st, PH_DEFERRED, "4.3.0", "cannot read the message");
	else if (loop > 0)
		local_result(&st, PH_BOUNCED, "5.4.6", "mail forwarding loop for %s", r->address);
	else
		local_deliver_address(&st);
	if (shared.expanded)
		ph_delivery_parts_end(d, i);
	free(shared.seen);
}

static void local_deliver(void *service, struct ph_delivery *d)
{
	for (size_t i = 0; i < ph_delivery_rcpt_count(d); i++)
		if (!ph_delivery_rcpt(d, i)->done)
			deliver_one(service, d, i);
}

static const struct ph_delivery_ops ops = {
	.size = sizeof ops, .start = local_start, .stop = local_stop, .deliver = local_deliver, .single_recipient = true,
};

PH_MODULE(PH_KIND_DELIVERY, "local", "1.0", "local accounts: aliases, .forward files, mailboxes, commands", .ops.delivery = &ops,
	  PH_MODULE_PARAMS(params, struct local_settings));
