/* include.c: ":include:/path": looked at and read as the user whose rights apply, in a child.
 *
 * In an alias of root's, what the file names has the rights of the file's owner: who may write it must not act as the default user.  Below a
 * user's alias table or .forward file the rights stay: nobody gets another's rights by including another's file. */
#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define INCLUDE_MAX (4 * 1024 * 1024)

enum { INCLUDE_READ = 0, INCLUDE_ABSENT, INCLUDE_SPECIAL, INCLUDE_WRITABLE, INCLUDE_UNREADABLE };

/* In the child: "uid\n" and the file to descriptor 1. */
static int copy_file(void *arg)
{
	const char *path = arg;
	char buf[8192];
	struct stat sb;
	ssize_t n;
	int fd;

	if (stat(path, &sb) < 0) {
		dprintf(1, "%s", strerror(errno));
		return INCLUDE_ABSENT;
	}
	if (!S_ISREG(sb.st_mode))
		return INCLUDE_SPECIAL;
	if (sb.st_mode & S_IWOTH)
		return INCLUDE_WRITABLE;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, &sb) < 0 || !S_ISREG(sb.st_mode)) {
		dprintf(1, "%s", strerror(errno));
		return INCLUDE_UNREADABLE;
	}
	if (sb.st_size > INCLUDE_MAX) {
		dprintf(1, "%s", strerror(EFBIG));
		return INCLUDE_UNREADABLE;
	}
	dprintf(1, "%lu\n", (unsigned long)sb.st_uid);
	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (write(1, buf, (size_t)n) != n)
			return INCLUDE_UNREADABLE;
	return n < 0 ? INCLUDE_UNREADABLE : INCLUDE_READ;
}

/* INCLUDE_*, or -1 after a deferral; *ret: content or reason. */
static int fetch(struct local_state *st, const char *path, const char **ret)
{
	const struct local_user *as = st->as;
	struct ph_run_spec spec = {
		.uid = as ? as->uid : st->svc->default_uid, .gid = as ? as->gid : st->svc->default_gid, .user = as ? as->name : st->svc->default_user,
		.fn = copy_file, .arg = (void *)path, .limit_ms = PH_SECONDS(60), .output_max = INCLUDE_MAX + 32,
	};
	struct ph_run *run;
	struct ph_err err;
	int status, rc;

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
