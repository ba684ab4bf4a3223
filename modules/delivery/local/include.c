/* include.c: ":include:/path": looked at and read as the user whose rights apply, in a child.
 *
 * In an alias of root's, what the file names has the rights of the file's owner: who may write it must not act as the default user.  Below a
 * user's alias table or .forward file the rights stay: nobody gets another's rights by including another's file. */
#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define INCLUDE_MAX (4 * 1024 * 1024)

enum { INCLUDE_READ = 0, INCLUDE_ABSENT, INCLUDE_SPECIAL, INCLUDE_WRITABLE, INCLUDE_UNREADABLE };

/* "uid\n" and the file to descriptor 1, for a child that is its reader. */
struct reader { const char *path; int out; char reason[200]; };

static int copy_file(struct reader *r)
{
	char buf[8192];
	struct stat sb;
	ssize_t n;
	int fd;

	if (stat(r->path, &sb) < 0) {
		snprintf(r->reason, sizeof r->reason, "%s", strerror(errno));
		return INCLUDE_ABSENT;
	}
	if (!S_ISREG(sb.st_mode))
		return INCLUDE_SPECIAL;
	if (sb.st_mode & S_IWOTH)
		return INCLUDE_WRITABLE;
	fd = open(r->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, &sb) < 0 || !S_ISREG(sb.st_mode)) {
		snprintf(r->reason, sizeof r->reason, "%s", strerror(errno));
		return INCLUDE_UNREADABLE;
	}
	if (sb.st_size > INCLUDE_MAX) {
		snprintf(r->reason, sizeof r->reason, "%s", strerror(EFBIG));
		return INCLUDE_UNREADABLE;
	}
	dprintf(r->out, "%lu\n", (unsigned long)sb.st_uid);
	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (write(r->out, buf, (size_t)n) != n)
			return INCLUDE_UNREADABLE;
	return n < 0 ? INCLUDE_UNREADABLE : INCLUDE_READ;
}

static int child(void *arg)
{
	struct reader *r = arg;
	int rc = copy_file(r);

	if (rc != INCLUDE_READ)
		dprintf(r->out, "%s", r->reason);
	return rc;
}

/* Who owns it?  Asked with the agent's rights, as the path stands in a table that root wrote. */
struct owner { const char *path; uid_t uid; int code; };

static void find_owner(void *arg)
{
	struct owner *o = arg;
	struct stat sb;

	o->code = stat(o->path, &sb) < 0 ? errno : 0;
	o->uid = o->code ? 0 : sb.st_uid;
}

/* Whose eyes read it: those whose rights apply; for a list of root's the file's owner; for root's own file the default user, who must be able to.
 */
static void reader_of(struct local_state *st, const char *path, struct ph_run_spec *spec)
{
	const struct local_user *u = st->as;
	struct owner o = { .path = path };

	if (!u) {
		ph_offload(find_owner, &o);
		if (o.uid != 0 && local_account_uid(st->arena, o.uid, &u) != 1)
			u = NULL;
	}
	spec->uid = u ? u->uid : st->svc->default_uid;
	spec->gid = u ? u->gid : st->svc->default_gid;
	spec->user = u ? u->name : st->svc->default_user;
}

/* INCLUDE_*, or -1 after a deferral; *ret: content or reason. */
static int fetch(struct local_state *st, const char *path, const char **ret)
{
	struct reader r = { .path = path, .out = 1 };
	struct ph_run_spec spec = { .fn = child, .arg = &r, .limit_ms = PH_SECONDS(60), .output_max = INCLUDE_MAX + 32 };
	struct ph_run *run;
	struct ph_err err;
	int status, rc;

	reader_of(st, path, &spec);
	if (ph_run_start(&spec, &run, &err) < 0) {
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
		return -1;
	}
	rc = ph_run_end(run, &status, ret);
	*ret = ph_arena_strdup(st->arena, *ret);
	ph_run_free(&run);
	if (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) <= INCLUDE_UNREADABLE)
		return WEXITSTATUS(status);
	local_result(st, PH_DEFERRED, "4.3.0", "cannot read include file %s", path);
	return -1;
}

/* 0, or -1 after a result. */
static int rights(struct local_state *st, const char *path, const char *owner)
{
	long uid = strtol(owner, NULL, 10);

	if (st->as || uid == 0)
		return 0;
	if (local_account_uid(st->arena, (uid_t)uid, &st->as) == 1)
		return 0;
	ph_log(PH_LOG_WARNING, "cannot find username for uid %ld", uid);
	ph_log(PH_LOG_WARNING, "%s: cannot find :include: file owner", path);
	local_config_error(st);
	return -1;
}

void local_include(struct local_state *st, const char *path)
{
	struct local_state sub = *st;
	const char *text;

	if (path[0] != '/') {
		ph_log(PH_LOG_WARNING, ":include:%s uses a relative path", path);
		local_config_error(st);
		return;
	}
	if (local_seen(st, "include %ld %s", st->as ? (long)st->as->uid : -1L, path))
		return;
	if (st->depth >= LOCAL_DEPTH_MAX) {
		ph_log(PH_LOG_WARNING, ":include: nesting limit exceeded for %s", path);
		local_result(st, PH_BOUNCED, "5.4.6", ":include: nesting limit exceeded");
		return;
	}
	switch (fetch(st, path, &text)) {
	case INCLUDE_READ:
		break;
	case INCLUDE_ABSENT:
		ph_log(PH_LOG_WARNING, "unable to lookup :include: file %s: %s", path, text);
		local_config_error(st);
		return;
	case INCLUDE_SPECIAL:
		ph_log(PH_LOG_WARNING, ":include: file %s is not a regular file", path);
		local_config_error(st);
		return;
	case INCLUDE_WRITABLE:
		ph_log(PH_LOG_WARNING, ":include: file %s is world writable", path);
		local_config_error(st);
		return;
	case INCLUDE_UNREADABLE:
		local_result(st, PH_DEFERRED, "4.2.0", "cannot open include file %s: %s", path, text);
		return;
	default:
		return;
	}
	if (rights(&sub, path, text) < 0)
		return;
	sub.context = LOCAL_INCLUDE;
	sub.depth++;
	if (!(st->svc->propagate & LOCAL_PROPAGATE_INCLUDE))
		sub.unmatched = NULL;
	text += strcspn(text, "\n");
	local_list(&sub, *text ? text + 1 : text, true);
}
