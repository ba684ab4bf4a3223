/* mailbox.c: append to a mailbox file, or create a file in a Maildir: in a child that is the user.
 *
 * The child says "D.S.N text" on its output and ends with 0 (sent), 1 (deferred) or 2 (bounced). */
#include "local.h"
#include "../common/box.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct box_job { struct box box; const char *top; int64_t expect; };

/* In the child.  Only what came whole is kept: the parent may have died, or failed to read the message. */
static int box_child(void *arg)
{
	struct box_job *j = arg;
	struct box *b = &j->box;
	char buf[32768];
	int64_t got = 0;
	ssize_t n = 0;
	int rc;

	signal(SIGXFSZ, SIG_IGN);
	rc = box_open(b);
	if (rc == 0)
		rc = box_top(b, j->top);
	while (rc == 0 && (n = read(0, buf, sizeof buf)) > 0) {
		rc = box_write(b, buf, (size_t)n);
		got += n;
	}
	if (rc == 0 && n == 0 && got == j->expect) {
		if (box_commit(b) == 0)
			return 0;
	} else {
		box_abort(b);
	}
	dprintf(1, "%s %s", b->dsn, b->text);
	return b->status == PH_BOUNCED ? 2 : 1;
}

static void box_fill(struct local_state *st, struct box *b, const char *path, uid_t uid)
{
	const char *attempts = ph_conf_get(st->svc->conf, "deliver_lock_attempts");
	int64_t n = 20;

	if (attempts)
		ph_str_int64(attempts, 1, 10000, &n);
	*b = (struct box){ .path = path, .locks = st->svc->set->mailbox_delivery_lock, .hostname = ph_conf_get(st->svc->conf, "myhostname"),
		.limit = st->svc->set->mailbox_size_limit, .lock_attempts = (int)n, .lock_delay_ms = 1000, .stale_ms = 500000,
		.strict_owner = st->svc->set->strict_mailbox_ownership, .uid = uid, .sync_dir = true, .status = PH_DEFERRED, .dsn = "4.3.0" };
}

static void box_run(struct local_state *st, struct ph_run_spec *spec, const struct box *b, bool delivered_to, const char *sent)
{
	bool maildir = b->path[strlen(b->path) - 1] == '/';
	const char *top = local_top(st, !maildir, delivered_to);
	struct box_job job = { *b, top, ph_delivery_bytes(st->d) };
	struct ph_run *run;
	const char *output;
	char dsn[12] = "4.2.0";
	struct ph_err err;
	int status, rc, fed, used = 0;

	if (ph_delivery_probe(st->d)) {         /* "delivered to" is what it would be */
		local_result(st, PH_SENT, "2.0.0", "delivers%s", sent + strcspn(sent, " "));
		return;
	}
	spec->fn = box_child;
	spec->arg = &job;
	spec->limit_ms = PH_SECONDS(3600);
	spec->output_max = 1000;
	if (ph_run_start(spec, &run, &err) < 0) {
		local_result(st, PH_DEFERRED, "4.2.0", "%s", err.text);
		return;
	}
	fed = local_feed(st, run, "", &err);
	rc = ph_run_end(run, &status, &output);
	if (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		local_result(st, PH_SENT, "2.0.0", "%s", sent);
	else if (fed < 0)
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
	else if (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) <= 2 && sscanf(output, "%9s %n", dsn, &used) == 1)
		local_result(st, WEXITSTATUS(status) == 2 ? PH_BOUNCED : PH_DEFERRED, dsn, "%s", output + used);
	else
		local_result(st, PH_DEFERRED, "4.3.0", "mailbox delivery failed%s%s", *output ? ": " : "", output);
	ph_run_free(&run);
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

void local_mailbox(struct local_state *st, const struct local_user *u)
{
	const struct local_settings *set = st->svc->set;
	const char *path = *set->home_mailbox ? ph_arena_printf(st->arena, "%s/%s", u->home, set->home_mailbox) : NULL;
	struct ph_run_spec spec = { .uid = u->uid, .gid = u->gid, .user = u->name };
	struct box b;
	size_t n;
	bool maildir;

	if (!path) {
		n = strlen(set->mail_spool_directory);
		maildir = set->mail_spool_directory[n - 1] == '/';
		path = ph_arena_printf(st->arena, "%s%s%s%s", set->mail_spool_directory, maildir ? "" : "/", u->name, maildir ? "/" : "");
		if (!maildir)
			prepare_spool(path, u, &spec.gid);
	}
	maildir = path[strlen(path) - 1] == '/';
	box_fill(st, &b, path, u->uid);
	/* A mailbox always gets Delivered-To: it is what stops loops through .forward files elsewhere. */
	box_run(st, &spec, &b, true, maildir ? "delivered to maildir" : "delivered to mailbox");
}

void local_file(struct local_state *st, const char *path)
{
	const struct local_user *as = st->as;
	struct ph_run_spec spec = { .uid = as ? as->uid : st->svc->default_uid, .gid = as ? as->gid : st->svc->default_gid,
		.user = as ? as->name : st->svc->default_user };
	bool maildir = path[strlen(path) - 1] == '/';
	struct box b;

	box_fill(st, &b, path, spec.uid);
	b.any_file = !maildir;
	box_run(st, &spec, &b, strstr(st->svc->set->prepend_delivered_header, "file") != NULL,
		maildir ? "delivered to maildir" : ph_arena_printf(st->arena, "delivered to file: %s", path));
}
