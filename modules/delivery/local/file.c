/* file.c: append to a mailbox file, or create a file in a Maildir: in a process that is the user (writer.c). */
#include "local.h"
#include "writer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void box_fill(struct local_state *st, struct box *b, const char *path, uid_t uid)
{
	*b = (struct box){ .path = path, .locks = st->svc->set->mailbox_delivery_lock, .hostname = ph_conf_get(st->svc->conf, "myhostname"),
		.limit = st->svc->set->mailbox_size_limit, .lock_attempts = st->svc->lock_attempts, .lock_delay_ms = st->svc->lock_delay_ms,
		.stale_ms = st->svc->stale_ms, .strict_owner = st->svc->set->strict_mailbox_ownership, .uid = uid, .sync_dir = true,
		.status = PH_DEFERRED, .dsn = "4.3.0", .text = "the message did not arrive whole" };
}

struct outcome { enum ph_delivery_status status; char dsn[12]; const char *text; int64_t offset; };

/* Log the child's warnings; what follows them. */
static const char *warnings(struct local_state *st, const char *output)
{
	while (output[0] == 'W' && output[1] == ' ' && strchr(output, '\n')) {
		size_t n = strcspn(output, "\n");

		ph_log(PH_LOG_WARNING, "%s", ph_arena_strndup(st->arena, output + 2, n - 2));
		if (strncmp(output + 2, "maildir access problem", 22) == 0)
			ph_log(PH_LOG_WARNING, "perhaps you need to create the maildirs in advance");
		output += n + 1;
	}
	return output;
}

static struct outcome box_run(struct local_state *st, const struct ph_run_spec *who, const struct box *b)
{
	const char *top = local_top(st, b->path[strlen(b->path) - 1] != '/', st->svc->delivered_hdr & LOCAL_HDR_FILE), *output = "";
	struct outcome o = { PH_DEFERRED, "4.3.0", "the delivery process failed", 0 };
	struct ph_err err;
	int code, used = 0;

	if (ph_delivery_probe(st->d)) {
		o.status = PH_SENT;
		return o;
	}
	code = local_writer_run(st, who, b, top, &output, &err);
	output = warnings(st, output);
	if (code == 0) {
		o.status = PH_SENT;
		o.offset = strtoll(output, NULL, 10);
	} else if (code < 0) {
		o.text = ph_arena_strdup(st->arena, err.text);
	} else if (sscanf(output, "%9s %n", o.dsn, &used) == 1 && used > 0) {
		o.status = code == 2 ? PH_BOUNCED : PH_DEFERRED;
		o.text = ph_arena_strdup(st->arena, output + used);
	}
	return o;
}

/* In a spool folder that only root or a group may write to, the user's mailbox has to be created, and locked, with those rights. */
static void prepare_spool(const char *path, const struct local_user *u, gid_t *gid)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');
	struct stat sb;
	int fd;

	if (!slash || (size_t)(slash - path) >= sizeof dir)
		return;
	snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
	if (geteuid() != 0 || stat(dir, &sb) < 0 || sb.st_uid != 0 || (sb.st_mode & S_IWOTH))
		return;
	if (sb.st_mode & S_IWGRP)
		*gid = sb.st_gid;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		if (fchown(fd, u->uid, u->gid) < 0)
			unlink(path);
		close(fd);
	}
}

/* Tell comsat(8) where in the mailbox the new mail begins. */
static void biff(struct local_state *st, const struct local_user *u, int64_t offset)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(512), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const char *text = ph_arena_printf(st->arena, "%s@%lld", u->name, (long long)offset);
	int fd;

	if (!st->svc->set->biff || (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
		return;
	/* Nobody listens on most hosts: that is no failure. */
	if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to) < 0 && errno != ECONNREFUSED && ph_log_debug_on())
		ph_log(PH_LOG_DEBUG, "biff: %s", strerror(errno));
	close(fd);
}

static void report(struct local_state *st, const struct outcome *o, const char *sent, const char *prefix)
{
	bool ok = o->status == PH_SENT;

	if (ph_delivery_probe(st->d)) {         /* "delivered to" is what it would be */
		local_result(st, PH_SENT, "2.0.0", "delivers%s", sent + strcspn(sent, " "));
		return;
	}
	ph_delivery_remote(st->d, NULL, ok ? NULL : box_diagnostic(o->text));
	local_result(st, o->status, ok ? "2.0.0" : o->dsn, "%s%s", ok ? sent : prefix, ok ? "" : o->text);
}

void local_spool(struct local_state *st, const struct local_user *u)
{
	const struct local_settings *set = st->svc->set;
	const char *path = *set->home_mailbox ? ph_arena_printf(st->arena, "%s/%s", u->home, set->home_mailbox) : NULL;
	struct ph_run_spec spec = { .uid = u->uid, .gid = u->gid, .user = u->name };
	struct outcome o;
	struct box b;
	size_t n;

	if (u->uid == 0) {
		local_result(st, PH_BOUNCED, "5.7.0", "mail for root must be aliased: nothing is delivered with the rights of root");
		return;
	}
	if (!path) {
		n = strlen(set->mail_spool_directory);
		path = set->mail_spool_directory[n - 1] == '/' ? ph_arena_printf(st->arena, "%s%s/", set->mail_spool_directory, u->name)
			: ph_arena_printf(st->arena, "%s/%s", set->mail_spool_directory, u->name);
		if (set->mail_spool_directory[n - 1] != '/')
			prepare_spool(path, u, &spec.gid);
	}
	box_fill(st, &b, path, u->uid);
	o = box_run(st, &spec, &b);
	if (path[strlen(path) - 1] == '/') {
		report(st, &o, "delivered to maildir", "maildir delivery failed: ");
		return;
	}
	if (o.status != PH_SENT && strstr(o.text, "is not owned by recipient"))
		ph_log(PH_LOG_WARNING, "specify \"strict_mailbox_ownership = no\" to ignore mailbox ownership mismatch");
	report(st, &o, "delivered to mailbox", ph_arena_printf(st->arena, "cannot update mailbox %s for user %s. ", path, u->name));
	if (o.status == PH_SENT && !ph_delivery_probe(st->d))
		biff(st, u, o.offset);
}

void local_file(struct local_state *st, const char *path)
{
	const struct local_user *as = st->as;
	struct ph_run_spec spec = { .uid = as ? as->uid : st->svc->default_uid, .gid = as ? as->gid : st->svc->default_gid,
		.user = as ? as->name : st->svc->default_user };
	struct outcome o;
	struct box b;

	box_fill(st, &b, path, spec.uid);
	b.any_file = path[strlen(path) - 1] != '/';
	o = box_run(st, &spec, &b);
	if (!b.any_file)
		report(st, &o, "delivered to maildir", "maildir delivery failed: ");
	else
		report(st, &o, ph_arena_printf(st->arena, "delivered to file: %s", path), ph_arena_printf(st->arena, "cannot append message to file %s: ", path));
}
