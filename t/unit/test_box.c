/* The mailbox writer (modules/delivery/common/box.c): somebody else makes the mbox between its look and its own try to make it. */
#define _GNU_SOURCE 1
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static char victim[64];
static enum { NOBODY, A_FILE, A_LINK, STILL_GONE } other;

static int raced_open(const char *path, int flags, mode_t mode)
{
	if (flags & O_EXCL && strstr(path, "/mbox") && other != NOBODY) {
		if (other == A_FILE)
			close(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
		else if (other == A_LINK)
			tap_ok(symlink(victim, path) == 0, "a link is made");
		else {
			errno = EEXIST;         /* and gone again before the next look */
			return -1;
		}
	}
	return open(path, flags, mode);
}

#define open(path, flags, ...) raced_open(path, flags, 0 __VA_OPT__(+) __VA_ARGS__)
#include "../../modules/delivery/common/box.c"
#undef open

static int deliver(const char *path, struct box *b)
{
	*b = (struct box){ .path = path, .locks = "fcntl", .hostname = "host", .lock_attempts = 1, .lock_delay_ms = 1, .strict_owner = true, .uid = geteuid() };
	return box_open(b) == 0 && box_write(b, "x\n", 2) == 0 ? box_commit(b) : -1;
}

int main(void)
{
	char dir[] = "/tmp/ph-box.XXXXXX", path[64];
	struct stat sb;
	struct box b;

	tap_ok(mkdtemp(dir) != NULL, "a folder");
	chmod(dir, 0777);               /* so no link in it is to be trusted, also when root runs this */
	snprintf(path, sizeof path, "%s/mbox", dir);
	snprintf(victim, sizeof victim, "%s/victim", dir);
	close(open(victim, O_WRONLY | O_CREAT | O_EXCL, 0600));
	other = A_FILE;
	tap_ok(deliver(path, &b) == 0 && stat(path, &sb) == 0 && sb.st_size == 3, "a file: the message is appended to it: %s", b.text);
	unlink(path);
	other = A_LINK;
	tap_ok(deliver(path, &b) < 0 && strcmp(b.text, "file is a symbolic link") == 0 && stat(victim, &sb) == 0 && sb.st_size == 0, "a link: it is not followed: %s", b.text);
	unlink(path);
	other = STILL_GONE;
	tap_ok(deliver(path, &b) < 0 && b.status == PH_DEFERRED && b.dsn[0] == '4', "it comes and goes: the mail waits: %s %s", b.dsn, b.text);
	other = NOBODY;
	tap_ok(deliver(path, &b) == 0, "nobody");
	unlink(path);
	unlink(victim);
	rmdir(dir);
	return tap_done();
}
