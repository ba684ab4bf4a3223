/* include.c: ":include:/path": read as the user whose rights apply, in a child. */
#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define INCLUDE_MAX (4 * 1024 * 1024)

/* In the child: copy the file to descriptor 1. */
static int copy_file(void *arg)
{
	char buf[8192];
	struct stat sb;
	ssize_t n;
	int fd = open(arg, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &sb) < 0 || !S_ISREG(sb.st_mode)) {
		dprintf(1, "%s", fd < 0 ? strerror(errno) : "not a regular file");
		return 1;
	}
	while ((n = read(fd, buf, sizeof buf)) > 0)
		if (write(1, buf, (size_t)n) != n)
			return 1;
	return n < 0;
}

void local_include(struct local_state *st, const char *path)
{
	const struct local_user *as = st->as;
	struct ph_run_spec spec = {
		.uid = as ? as->uid : st->svc->default_uid, .gid = as ? as->gid : st->svc->default_gid, .user = as ? as->name : st->svc->default_user,
		.fn = copy_file, .arg = (void *)path, .limit_ms = PH_SECONDS(60), .output_max = INCLUDE_MAX,
	};
	struct local_state sub = *st;
	struct ph_run *run;
	const char *text;
	struct ph_err err;
	int status;

	if (path[0] != '/') {
		local_result(st, PH_BOUNCED, "5.3.5", "mail system configuration error: :include:%s is not an absolute path", path);
		return;
	}
	if (st->depth > LOCAL_DEPTH_MAX || local_seen(st, "include", path))
		return;
	if (ph_run_start(&spec, &run, &err) < 0) {
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
		return;
	}
	if (ph_run_end(run, &status, &text) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		local_result(st, PH_DEFERRED, "4.2.0", "cannot open include file %s: %s", path, *text ? text : "it cannot be read");
	} else {
		sub.context = LOCAL_INCLUDE;
		sub.depth++;
		local_destinations(&sub, ph_arena_strdup(st->arena, text), NULL);
	}
	ph_run_free(&run);
}
