/* forward.c: a user's .forward file, read as that user. */
#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORWARD_MAX (256 * 1024)

enum { FORWARD_FOUND = 0, FORWARD_ABSENT = 1, FORWARD_BAD = 2 /* text: why; the mailbox gets the mail */, FORWARD_TEMP = 3 };

struct forward_file { const char *path; uid_t owner; };

/* In the child. */
static int read_forward(void *arg)
{
	const struct forward_file *f = arg;
	char buf[8192];
	struct stat sb;
	ssize_t n;
	int fd;

	if (lstat(f->path, &sb) < 0) {
		dprintf(1, "%s", strerror(errno));
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? FORWARD_ABSENT : FORWARD_TEMP;
	}
	if (stat(f->path, &sb) < 0 || !S_ISREG(sb.st_mode)) {
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
	fd = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return FORWARD_ABSENT;
	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (write(1, buf, (size_t)n) != n)
			return FORWARD_TEMP;
	return n < 0 ? FORWARD_TEMP : FORWARD_FOUND;
}

/* FORWARD_*; *ret: content or reason, in the arena. */
static int fetch(struct local_state *st, const struct local_user *u, const char *path, const char **ret)
{
	struct forward_file file = { path, u->uid };
	struct ph_run_spec spec = { .uid = u->uid, .gid = u->gid, .user = u->name, .fn = read_forward, .arg = &file,
		.limit_ms = PH_SECONDS(60), .output_max = FORWARD_MAX };
	struct ph_run *run;
	struct ph_err err;
	int status, rc;

	if (ph_run_start(&spec, &run, &err) < 0) {
		*ret = ph_arena_strdup(st->arena, err.text);
		return FORWARD_TEMP;
	}
	rc = ph_run_end(run, &status, ret);
	*ret = ph_arena_strdup(st->arena, *ret);
	ph_run_free(&run);
	return rc < 0 || !WIFEXITED(status) ? FORWARD_TEMP : WEXITSTATUS(status);
}

static bool only_blank(const char *s)
{
	return s[strspn(s, " \t\r\n")] == '\0';
}

bool local_forward(struct local_state *st, const struct local_user *u)
{
	char *list = ph_arena_strdup(st->arena, st->svc->set->forward_path), *tok;
	const char *path, *text;
	struct local_state sub = *st;

	while ((tok = ph_str_token(&list, PH_SEP_LIST))) {
		path = local_expand(st, u, tok, st->svc->set->forward_expansion_filter);
		if (path[0] != '/')
			continue;
		switch (fetch(st, u, path, &text)) {
		case FORWARD_ABSENT:
			continue;
		case FORWARD_BAD:
			ph_log(PH_LOG_WARNING, "file %s %s", path, text);
			continue;
		case FORWARD_FOUND:
			if (only_blank(text))
				return false;   /* an empty file: as if it were not there */
			if (local_seen(st, "forward-file", path))
				return false;
			sub.context = LOCAL_FORWARD;
			sub.as = u;
			sub.depth++;
			local_destinations(&sub, text, NULL);
			return true;
		default:
			local_result(st, PH_DEFERRED, "4.3.0", "cannot read %s: %s", path, text);
			return true;
		}
	}
	return false;
}
