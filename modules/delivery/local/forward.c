/* forward.c: a user's .forward file, read as that user.  State: where there was none a moment ago. */
#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORWARD_MAX (1024 * 1024)

enum { FORWARD_FOUND = 0, FORWARD_ABSENT = 1, FORWARD_BAD = 2 /* text: why; the mailbox gets the mail */, FORWARD_TEMP = 3, FORWARD_NO_HOME = 4 };

struct job { const char *path, *home; bool need_home; uid_t owner; };

/* In the child. */
static int read_forward(void *arg)
{
	const struct job *f = arg;
	char buf[8192];
	struct stat sb;
	ssize_t n;
	int fd;

	if (f->need_home && stat(f->home, &sb) < 0) {
		dprintf(1, "%s", strerror(errno));
		return FORWARD_NO_HOME;
	}
	if (!f->path)
		return FORWARD_ABSENT;
	if (lstat(f->path, &sb) < 0) {
		dprintf(1, "%s", strerror(errno));
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP || errno == ENAMETOOLONG ? FORWARD_ABSENT : FORWARD_TEMP;
	}
	if (!S_ISREG(sb.st_mode)) {
		dprintf(1, "is not a regular file");
		return FORWARD_BAD;
	}
	if (sb.st_uid != 0 && sb.st_uid != f->owner) {
		dprintf(1, "has bad owner uid %ld", (long)sb.st_uid);
		return FORWARD_BAD;
	}
	if (sb.st_mode & S_IWOTH) {
		dprintf(1, "is world writable");
		return FORWARD_BAD;
	}
	fd = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	if (fd < 0) {
		dprintf(1, ": %s", strerror(errno));
		return FORWARD_BAD;
	}
	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (write(1, buf, (size_t)n) != n)
			return FORWARD_TEMP;
	return n < 0 ? FORWARD_TEMP : FORWARD_FOUND;
}

struct look { const char *path; bool absent; };

static void look(void *arg)
{
	struct look *l = arg;
	struct stat sb;

	l->absent = lstat(l->path, &sb) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* Paths where nothing was a moment ago. */
#define ABSENT_MS 200
static struct { int64_t until_ms; char path[120]; } absent_paths[64];

/* Most users have no such file, and it does not take a process of theirs to see that: what root does not find, they do not either.  On a
 * helper thread, since homes may be on a network; for a burst of mail once. */
static bool absent(const char *path)
{
	struct look l = { .path = path };
	unsigned h = 5381;

	for (const char *p = path; *p; p++)
		h = h * 33 + (unsigned char)*p;
	h %= PH_ARRAY_LEN(absent_paths);
	if (absent_paths[h].until_ms > ph_now_ms() && strcmp(absent_paths[h].path, path) == 0)
		return true;
	ph_offload(look, &l);
	if (l.absent && strlen(path) < sizeof absent_paths[h].path) {
		strcpy(absent_paths[h].path, path);
		absent_paths[h].until_ms = ph_now_ms() + ABSENT_MS;
	}
	return l.absent;
}

/* FORWARD_*; *ret: content or reason, in the arena. */
static int fetch(struct local_state *st, const struct local_user *u, const char *path, const char **ret)
{
	struct job job = { path, u->home, st->svc->set->require_home_directory, u->uid };
	bool root = u->uid == 0;        /* root's own files are looked at with the default user's rights: they must be readable for all */
	struct ph_run_spec spec = { .uid = root ? st->svc->default_uid : u->uid, .gid = root ? st->svc->default_gid : u->gid,
		.user = root ? st->svc->default_user : u->name, .fn = read_forward, .arg = &job, .limit_ms = PH_SECONDS(60), .output_max = FORWARD_MAX };
	struct ph_run *run;
	struct ph_err err;
	int status, rc;

	if (path && !job.need_home && geteuid() == 0 && absent(path))
		return FORWARD_ABSENT;
	if (ph_run_start(&spec, &run, &err) < 0) {
		*ret = ph_arena_strdup(st->arena, err.text);
		return FORWARD_TEMP;
	}
	rc = ph_run_end(run, &status, ret);
	*ret = ph_arena_strdup(st->arena, *ret);
	ph_run_free(&run);
	return rc < 0 || !WIFEXITED(status) ? FORWARD_TEMP : WEXITSTATUS(status);
}

/* Did it name anybody?  Then the mail is dealt with. */
static bool deliver(struct local_state *st, const struct local_user *u, const char *path, const char *text)
{
	struct local_state sub = *st;

	sub.context = LOCAL_FORWARD;
	sub.from = sub.owner = st->user;
	sub.as = u->uid ? u : NULL;
	sub.depth++;
	if (!(st->svc->propagate & LOCAL_PROPAGATE_FORWARD))
		sub.unmatched = NULL;
	if (local_list(&sub, text, true) == 0)
		return false;
	local_seen(st, "forward-done %s", path);
	return true;
}

/* One path of forward_path.  1: dealt with, 0: the next one, -1: no further ones. */
static int try_path(struct local_state *st, const struct local_user *u, const char *path)
{
	const char *text;

	switch (fetch(st, u, path, &text)) {
	case FORWARD_ABSENT:
		return 0;
	case FORWARD_BAD:
		if (text[0] == ':')
			ph_log(PH_LOG_WARNING, "cannot open file %s%s", path, text);
		else
			ph_log(PH_LOG_WARNING, "file %s %s", path, text);
		return -1;
	case FORWARD_FOUND:
		if (local_seen(st, "forward %s", path))
			return local_seen_check(st, "forward-done %s", path) ? 1 : -1;
		return deliver(st, u, path, text) ? 1 : -1;
	case FORWARD_NO_HOME:
		local_result(st, PH_DEFERRED, "4.3.0", "cannot access home directory %s: %s", u->home, text);
		return 1;
	default:
		local_result(st, PH_DEFERRED, "4.3.0", "cannot read %s: %s", path ? path : u->home, text);
		return 1;
	}
}

bool local_forward(struct local_state *st)
{
	char *list = ph_arena_strdup(st->arena, st->svc->set->forward_path), *tok;
	const struct local_user *u;
	int rc;

	/* A user who lists herself means the mailbox. */
	if (st->from && st->context != LOCAL_INCLUDE && ph_str_ieq(st->from, st->user))
		return false;
	rc = local_account(st->arena, st->user, &u);
	if (rc < 0) {
		ph_log(PH_LOG_WARNING, "error looking up passwd info for %s: %s", st->user, strerror(-rc));
		local_result(st, PH_DEFERRED, "4.0.0", "user lookup error");
		return true;
	}
	if (rc == 0)
		return false;
	if (st->svc->set->require_home_directory && (rc = try_path(st, u, NULL)) == 1)
		return true;
	while ((tok = ph_str_token(&list, PH_SEP_LIST))) {
		bool undefined = false;
		const char *path = local_expand(st, u, tok, st->svc->set->forward_expansion_filter, &undefined);

		if (undefined || path[0] != '/')
			continue;
		rc = try_path(st, u, path);
		if (rc != 0)
			return rc > 0;
	}
	return false;
}
