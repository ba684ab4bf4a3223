/* mailbox.c: append to a mailbox file, or create a file in a Maildir: in a child that is the user.
 *
 * The child says "D.S.N text" on its output and ends with 0 (sent), 1 (deferred) or 2 (bounced). */
#include "local.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BOX_SENT = 0, BOX_DEFERRED = 1, BOX_BOUNCED = 2 };

struct box {
	const char *path;               /* mbox file, or Maildir with a trailing slash */
	const char *locks;              /* "fcntl, dotlock" */
	const char *hostname;
	int64_t limit;
	int lock_attempts;
	int64_t lock_delay_ms, stale_ms;
	bool strict_owner, any_file;    /* any_file: "/file" destination, devices too */
	uid_t uid;
};

static int say(int status, const char *dsn, const char *what, const char *path)
{
	dprintf(1, "%s %s %s: %s", dsn, what, path, strerror(errno));
	return status;
}

/* ---- the child: locks ---- */

static int dotlock(const struct box *b, char *lock, size_t bytes)
{
	struct timespec pause = { b->lock_delay_ms / 1000, (b->lock_delay_ms % 1000) * 1000000 };
	struct stat sb;
	int fd;

	if ((size_t)snprintf(lock, bytes, "%s.lock", b->path) >= bytes) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (int i = 0; i < b->lock_attempts; i++) {
		fd = open(lock, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0) {
			close(fd);
			return 0;
		}
		if (errno != EEXIST)
			return -1;
		if (stat(lock, &sb) == 0 && (time(NULL) - sb.st_mtime) * 1000 > b->stale_ms)
			unlink(lock);
		nanosleep(&pause, NULL);
	}
	errno = EAGAIN;
	return -1;
}

static int kernel_lock(const struct box *b, int fd)
{
	struct timespec pause = { b->lock_delay_ms / 1000, (b->lock_delay_ms % 1000) * 1000000 };
	bool use_fcntl = strstr(b->locks, "fcntl"), use_flock = strstr(b->locks, "flock");

	for (int i = 0; i < b->lock_attempts; i++) {
		struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

		if ((!use_fcntl || fcntl(fd, F_SETLK, &fl) == 0) && (!use_flock || flock(fd, LOCK_EX | LOCK_NB) == 0))
			return 0;
		nanosleep(&pause, NULL);
	}
	return -1;
}

/* ---- the child: mbox ---- */

static int copy_stdin(int fd, int64_t limit, int64_t *size)
{
	char buf[32768];
	ssize_t n;

	while ((n = read(0, buf, sizeof buf)) > 0) {
		*size += n;
		if (limit > 0 && *size > limit) {
			errno = EFBIG;
			return -1;
		}
		for (ssize_t done = 0; done < n;) {
			ssize_t w = write(fd, buf + done, (size_t)(n - done));

			if (w < 0)
				return -1;
			done += w;
		}
	}
	return n < 0 ? -1 : 0;
}

static int box_check(const struct box *b, int fd, struct stat *sb)
{
	if (fstat(fd, sb) < 0)
		return say(BOX_DEFERRED, "4.2.0", "cannot access mailbox", b->path);
	if (!S_ISREG(sb->st_mode) && !b->any_file) {
		dprintf(1, "5.2.0 destination %s is not a regular file", b->path);
		return BOX_BOUNCED;
	}
	if (S_ISREG(sb->st_mode) && !b->any_file && b->strict_owner && sb->st_uid != b->uid) {
		dprintf(1, "4.2.0 destination %s is not owned by recipient", b->path);
		return BOX_DEFERRED;
	}
	if (S_ISREG(sb->st_mode) && sb->st_nlink > 1) {
		dprintf(1, "5.2.0 destination file %s has more than one link", b->path);
		return BOX_BOUNCED;
	}
	return BOX_SENT;
}

static int box_append(const struct box *b, int fd)
{
	struct stat sb;
	int64_t size;
	int rc = box_check(b, fd, &sb), e;

	if (rc != BOX_SENT)
		return rc;
	size = S_ISREG(sb.st_mode) ? sb.st_size : 0;
	if (S_ISREG(sb.st_mode) && kernel_lock(b, fd) < 0)
		return say(BOX_DEFERRED, "4.2.0", "unable to lock for exclusive access", b->path);
	if (b->limit > 0 && size > b->limit) {
		dprintf(1, "5.2.2 mailbox %s is full", b->path);
		return BOX_BOUNCED;
	}
	if (copy_stdin(fd, S_ISREG(sb.st_mode) ? b->limit : 0, &size) == 0 && (!S_ISREG(sb.st_mode) || fsync(fd) == 0))
		return BOX_SENT;
	e = errno;
	/* Take back what was written: a half message must not stay. */
	if (S_ISREG(sb.st_mode) && ftruncate(fd, sb.st_size) < 0)
		dprintf(1, "(cannot be cut back) ");
	errno = e;
	return say(e == EFBIG ? BOX_BOUNCED : BOX_DEFERRED, e == EFBIG ? "5.2.2" : e == EDQUOT || e == ENOSPC ? "4.2.2" : "4.2.0",
		"cannot update mailbox", b->path);
}

static int mbox_child(void *arg)
{
	const struct box *b = arg;
	char lock[4096] = "";
	bool dot = strstr(b->locks, "dotlock") && !b->any_file;
	int fd, rc;

	signal(SIGXFSZ, SIG_IGN);
	if (dot && dotlock(b, lock, sizeof lock) < 0)
		return say(BOX_DEFERRED, "4.2.0", "unable to create lock file", lock);
	fd = open(b->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | (b->any_file ? 0 : O_NOFOLLOW), 0600);
	if (fd < 0)
		rc = say(BOX_DEFERRED, "4.2.0", b->any_file ? "cannot open destination file" : "cannot open mailbox", b->path);
	else
		rc = box_append(b, fd);
	if (dot)
		unlink(lock);
	return rc;
}

/* ---- the child: Maildir ---- */

static int make_maildir(const char *dir, char *path, size_t bytes)
{
	static const char *const subs[] = { "", "tmp", "new", "cur" };

	for (size_t i = 0; i < PH_ARRAY_LEN(subs); i++) {
		snprintf(path, bytes, "%s%s", dir, subs[i]);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

static int sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

static int maildir_child(void *arg)
{
	const struct box *b = arg;
	char temp[4096], final[4096], dir[4096];
	struct timeval tv;
	struct stat sb;
	int64_t size = 0;
	int fd;

	if (strlen(b->path) > 3500 || make_maildir(b->path, dir, sizeof dir) < 0)
		return say(BOX_DEFERRED, "4.2.0", "create maildir", b->path);
	gettimeofday(&tv, NULL);
	snprintf(temp, sizeof temp, "%stmp/%lu.P%d.%s", b->path, (unsigned long)tv.tv_sec, (int)getpid(), b->hostname);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return say(BOX_DEFERRED, "4.2.0", "create maildir file", temp);
	if (copy_stdin(fd, 0, &size) < 0 || fsync(fd) < 0 || fstat(fd, &sb) < 0) {
		int e = errno;

		unlink(temp);
		errno = e;
		return say(BOX_DEFERRED, "4.2.0", "write maildir file", temp);
	}
	snprintf(final, sizeof final, "%snew/%lu.V%lxI%lxM%lu.%s", b->path, (unsigned long)tv.tv_sec, (unsigned long)sb.st_dev,
		(unsigned long)sb.st_ino, (unsigned long)tv.tv_usec, b->hostname);
	snprintf(dir, sizeof dir, "%snew", b->path);
	if (rename(temp, final) < 0 || sync_dir(dir) < 0) {
		int e = errno;

		unlink(temp);
		errno = e;
		return say(BOX_DEFERRED, "4.2.0", "link maildir file", final);
	}
	return BOX_SENT;
}

/* ---- the parent ---- */

static void box_fill(struct local_state *st, struct box *b, const char *path, uid_t uid)
{
	const char *attempts = ph_conf_get(st->svc->conf, "deliver_lock_attempts");
	int64_t n = 20;

	if (attempts)
		ph_str_int64(attempts, 1, 10000, &n);
	*b = (struct box){ .path = path, .locks = st->svc->set->mailbox_delivery_lock, .hostname = ph_conf_get(st->svc->conf, "myhostname"),
		.limit = st->svc->set->mailbox_size_limit, .lock_attempts = (int)n, .lock_delay_ms = 1000, .stale_ms = 500000,
		.strict_owner = st->svc->set->strict_mailbox_ownership, .uid = uid };
}

static void box_run(struct local_state *st, struct ph_run_spec *spec, bool maildir, bool delivered_to, const char *sent)
{
	struct ph_run *run;
	const char *output;
	char dsn[12] = "4.2.0";
	struct ph_err err;
	int status, rc, used = 0;

	spec->limit_ms = PH_SECONDS(3600);
	spec->output_max = 1000;
	if (ph_run_start(spec, &run, &err) < 0) {
		local_result(st, PH_DEFERRED, "4.2.0", "%s", err.text);
		return;
	}
	rc = local_feed(st, run, local_top(st, !maildir, delivered_to), !maildir, &err);
	if (rc < 0) {
		local_result(st, PH_DEFERRED, "4.3.0", "%s", err.text);
		ph_run_free(&run);
		return;
	}
	rc = ph_run_end(run, &status, &output);
	if (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == BOX_SENT) {
		local_result(st, PH_SENT, "2.0.0", "%s", sent);
	} else if (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) <= BOX_BOUNCED && sscanf(output, "%9s %n", dsn, &used) == 1) {
		local_result(st, WEXITSTATUS(status) == BOX_BOUNCED ? PH_BOUNCED : PH_DEFERRED, dsn, "%s", output + used);
	} else {
		local_result(st, PH_DEFERRED, "4.3.0", "mailbox delivery failed%s%s", *output ? ": " : "", output);
	}
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
	bool delivered_to = true;       /* a mailbox always gets it: it is what stops loops through .forward elsewhere */
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
	n = strlen(path);
	maildir = path[n - 1] == '/';
	box_fill(st, &b, path, u->uid);
	spec.fn = maildir ? maildir_child : mbox_child;
	spec.arg = &b;
	box_run(st, &spec, maildir, delivered_to, maildir ? "delivered to maildir" : "delivered to mailbox");
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
	spec.fn = maildir ? maildir_child : mbox_child;
	spec.arg = &b;
	box_run(st, &spec, maildir, strstr(st->svc->set->prepend_delivered_header, "file") != NULL,
		maildir ? "delivered to maildir" : ph_arena_printf(st->arena, "delivered to file: %s", path));
}
