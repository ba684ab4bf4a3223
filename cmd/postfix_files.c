/* postfix_files.c: the files of an installation: who must own them ("postfix check") and making it so ("postfix set-permissions").
 *
 * Warnings have the words of Postfix's script, since people look for them.  Nothing is changed by the check but that missing folders of the
 * queue, and data_directory, are made.  Source: postfix(1), post-install. */
#include "cmd/postfix_files.h"
#include "base/log.h"
#include "queue/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_DEPTH 8

static const char *const setgid_commands[] = { "postdrop", "postqueue", "postlog" };

struct owners { uid_t root, owner; gid_t owner_gid, drop; const char *owner_name, *drop_name; };

static int find_owners(const struct ph_general_settings *g, struct owners *o, struct ph_err *err)
{
	struct passwd *pw = getpwnam(g->mail_owner);
	struct group *gr = getgrnam(g->setgid_group);

	*o = (struct owners){ geteuid(), geteuid(), getegid(), getegid(), g->mail_owner, g->setgid_group };
	if (geteuid() != 0)
		return 0;       /* a private system: everything belongs to its user */
	if (!pw)
		return ph_err_set(err, -ENOENT, "unknown mail_owner: %s", g->mail_owner);
	if (!gr)
		return ph_err_set(err, -ENOENT, "unknown setgid_group: %s", g->setgid_group);
	if (pw->pw_uid == 0)
		return ph_err_set(err, -EPERM, "mail_owner = %s must not be root", g->mail_owner);
	o->owner = pw->pw_uid;
	o->owner_gid = pw->pw_gid;
	o->drop = gr->gr_gid;
	return 0;
}

/* ---- check ---- */

static void check_owner(const struct stat *st, uid_t uid, const char *name, const char *path)
{
	if (st->st_uid != uid)
		ph_log(PH_LOG_WARNING, "not owned by %s: %s", name, path);
}

static void check_one(const struct stat *st, uid_t uid, const char *name, const char *path)
{
	check_owner(st, uid, name, path);
	if (!S_ISLNK(st->st_mode) && (st->st_mode & (S_IWGRP | S_IWOTH)))
		ph_log(PH_LOG_WARNING, "group or other writable: %s", path);
}

/* What a link leads to counts; a link to nothing is looked at itself. */
static int stat_target(const char *path, struct stat *st)
{
	return stat(path, st) == 0 ? 0 : lstat(path, st);
}

/* Whoever may write where a link leads to may write here.  makedefs.out is a link where Debian's package was; nobody reads it. */
static void check_link(const char *path)
{
	char target[4096];
	ssize_t n = readlink(path, target, sizeof target - 1);

	if (n < 0 || strcmp(strrchr(path, '/') + 1, "makedefs.out") == 0)
		return;
	target[n] = '\0';
	if (target[0] == '/' || strstr(target, "../"))
		ph_log(PH_LOG_WARNING, "symlink leaves directory: %s", path);
}

/* What is below path ("dir/.", as find(1) has it), depth folders deep. */
static void check_below(const char *path, uid_t uid, const char *name, int depth)
{
	DIR *d = opendir(path);
	struct dirent *e;
	struct stat st;
	char below[4200];

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
		    (size_t)snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= sizeof below || stat_target(below, &st) < 0)
			continue;
		check_one(&st, uid, name, below);
		if (e->d_type == DT_LNK)
			check_link(below);
		else if (S_ISDIR(st.st_mode) && depth > 0)
			check_below(below, uid, name, depth - 1);
	}
	if (d)
		closedir(d);
}

/* A folder that only its owner may change, and what is in it. */
static void check_tree(const char *dir, uid_t uid, const char *name, int depth)
{
	struct stat st;
	char path[4200];

	snprintf(path, sizeof path, "%s/.", dir);
	if (stat(path, &st) < 0)
		return;
	check_one(&st, uid, name, path);
	check_below(path, uid, name, depth);
}

static void check_commands(const struct ph_general_settings *g, const struct owners *o)
{
	struct stat st;
	char path[4200];

	for (size_t i = 0; i < PH_ARRAY_LEN(setgid_commands); i++) {
		snprintf(path, sizeof path, "%s/%s", g->command_directory, setgid_commands[i]);
		if (stat(path, &st) < 0) {
			ph_log(PH_LOG_WARNING, "%s: %s", path, strerrordesc_np(errno));
			continue;
		}
		if (geteuid() != 0)
			continue;       /* nobody submits mail to a private system but its user */
		check_owner(&st, 0, "root", path);
		if (st.st_gid != o->drop)
			ph_log(PH_LOG_WARNING, "not owned by group %s: %s", o->drop_name, path);
		if ((st.st_mode & 02111) != 02111)
			ph_log(PH_LOG_WARNING, "not set-gid or not owner+group+world executable: %s", path);
	}
}

static void check_folder(const char *queue, const char *name, uid_t uid, const char *owner, gid_t gid, const char *group, mode_t mode)
{
	struct stat st;
	char path[4200];

	snprintf(path, sizeof path, "%s/%s", queue, name);
	if (lstat(path, &st) < 0) {
		ph_log(PH_LOG_WARNING, "%s: %s", path, strerrordesc_np(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		ph_log(PH_LOG_WARNING, "not a directory: %s", path);
		return;
	}
	check_owner(&st, uid, owner, path);
	if (group && st.st_gid != gid)
		ph_log(PH_LOG_WARNING, "not owned by group %s: %s", group, path);
	if ((st.st_mode & 07777 & ~mode) != 0)
		ph_log(PH_LOG_WARNING, "group or other writable: %s", path);
}

static void check_queue(const struct ph_general_settings *g, const struct owners *o)
{
	static const char *const ours[] = { "incoming", "active", "deferred", "hold", "corrupt", "private", "journal", "spare" };
	struct stat st;
	char path[4200];

	snprintf(path, sizeof path, "%s/.", g->queue_directory);
	if (lstat(path, &st) == 0)
		check_one(&st, o->root, "root", path);
	for (size_t i = 0; i < PH_ARRAY_LEN(ours); i++)
		check_folder(g->queue_directory, ours[i], o->owner, o->owner_name, 0, NULL, 0700);
	check_folder(g->queue_directory, "maildrop", o->owner, o->owner_name, o->drop, o->drop_name, 0730);
	check_folder(g->queue_directory, "public", o->owner, o->owner_name, o->drop, o->drop_name, 0710);
	check_folder(g->queue_directory, "pid", o->root, "root", 0, NULL, 0755);
}

static void check_damaged(const char *queue, const struct owners *o)
{
	char path[4200], file[4600];
	struct dirent *e;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof path, "%s/corrupt", queue);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof file, "%s/%s", path, e->d_name);
		if (lstat(file, &st) == 0)
			check_owner(&st, o->owner, o->owner_name, file);
		ph_log(PH_LOG_WARNING, "damaged message: corrupt/%s", e->d_name);
	}
	if (d)
		closedir(d);
}

static bool same_content(const char *a, const char *b)
{
	char x[4096], y[4096];
	int fa = open(a, O_RDONLY | O_CLOEXEC), fb = open(b, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1, m = -1;
	bool same = fa >= 0 && fb >= 0;

	while (same && (n = read(fa, x, sizeof x)) > 0) {
		m = read(fb, y, sizeof y);
		same = m == n && memcmp(x, y, (size_t)n) == 0;
	}
	if (same)
		same = read(fb, y, 1) == 0;
	if (fa >= 0)
		close(fa);
	if (fb >= 0)
		close(fb);
	return same;
}

/* Files that programs in a chroot look for must be as those outside. */
static void check_chroot(const struct ph_general_settings *g, const struct ph_config *config)
{
	static const char *const files[] = { "etc/localtime", "etc/hosts", "etc/services", "etc/resolv.conf", "etc/nsswitch.conf" };
	char inside[4200], outside[64];
	bool any = false;
	size_t n;
	const struct ph_service *s = ph_config_services(config, &n);

	for (size_t i = 0; i < n; i++)
		any |= s[i].chroot;
	for (size_t i = 0; any && i < PH_ARRAY_LEN(files); i++) {
		snprintf(inside, sizeof inside, "%s/%s", g->queue_directory, files[i]);
		snprintf(outside, sizeof outside, "/%s", files[i]);
		if (access(inside, F_OK) == 0 && access(outside, F_OK) == 0 && !same_content(inside, outside))
			ph_log(PH_LOG_WARNING, "%s and %s differ", inside, outside);
	}
}

/* Mail files of another mail system, which never looks here again. */
static void check_foreign(const char *queue)
{
	static const char *const folders[] = { "active", "deferred", "hold" };
	char path[4200];
	struct dirent *e;
	size_t files;
	DIR *d;

	for (size_t i = 0; i < PH_ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof path, "%s/%s", queue, folders[i]);
		d = opendir(path);
		for (files = 0; d && (e = readdir(d)); )
			files += e->d_name[0] != '.';
		if (d)
			closedir(d);
		if (files)
			ph_log(PH_LOG_WARNING, "%s holds files that are not ours: mail of Postfix is delivered by Postfix alone (\"postqueue -f\") before a change", path);
	}
}

/* 1: made. */
static int make_data_directory(const struct ph_general_settings *g, const struct owners *o, struct ph_err *err)
{
	if (mkdir(g->data_directory, 0700) < 0)
		return errno == EEXIST ? 0 : ph_err_errno(err, -errno, "create %s", g->data_directory);
	if (geteuid() == 0 && lchown(g->data_directory, o->owner, o->owner_gid) < 0)
		return ph_err_errno(err, -errno, "set owner of %s", g->data_directory);
	return 1;
}

int ph_files_create(const struct ph_config *config, struct ph_err *err)
{
	const struct ph_general_settings *g = ph_conf_general(ph_config_main(config));
	struct owners o;
	int rc = find_owners(g, &o, err);

	if (rc == 0)
		rc = ph_queue_dirs_make(g->queue_directory, o.owner, o.drop, err);
	if (rc == 0)
		rc = make_data_directory(g, &o, err);
	return rc < 0 ? rc : 0;
}

int ph_files_check(const struct ph_config *config, struct ph_err *err)
{
	const struct ph_general_settings *g = ph_conf_general(ph_config_main(config));
	struct owners o;
	struct stat st;
	int rc = ph_files_create(config, err);

	if (rc == 0)
		rc = find_owners(g, &o, err);
	if (rc < 0)
		return rc;
	check_tree(ph_config_dir(config), o.root, "root", CONFIG_DEPTH);
	check_tree(g->daemon_directory, o.root, "root", 0);
	if (geteuid() == 0)
		check_tree(g->module_directory, o.root, "root", 0);
	if (stat(g->data_directory, &st) < 0)
		ph_log(PH_LOG_WARNING, "data_directory %s: %s", g->data_directory, strerrordesc_np(errno));
	else
		check_tree(g->data_directory, o.owner, o.owner_name, 0);
	check_commands(g, &o);
	check_queue(g, &o);
	check_damaged(g->queue_directory, &o);
	check_foreign(g->queue_directory);
	check_chroot(g, config);
	return 0;
}

/* ---- set-permissions ---- */

static int set_one(const char *path, uid_t uid, gid_t gid, mode_t mode, struct ph_err *err)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return ph_err_errno(err, -errno, "open %s", path);
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
		rc = ph_err_errno(err, -errno, "set owner and mode of %s", path);
	close(fd);
	return rc;
}

int ph_files_set_permissions(const struct ph_config *config, const char *mail_owner, const char *setgid_group, struct ph_err *err)
{
	struct ph_general_settings g = *ph_conf_general(ph_config_main(config));
	struct owners o;
	char path[4200];
	int rc;

	if (geteuid() != 0)
		return ph_err_set(err, -EPERM, "only root can give files to others");
	if (mail_owner)
		g.mail_owner = mail_owner;
	if (setgid_group)
		g.setgid_group = setgid_group;
	rc = find_owners(&g, &o, err);
	if (rc == 0)
		rc = ph_queue_dirs_make(g.queue_directory, o.owner, o.drop, err);
	if (rc == 0)
		rc = make_data_directory(&g, &o, err);
	if (rc >= 0)
		rc = set_one(g.data_directory, o.owner, o.owner_gid, 0700, err);
	for (size_t i = 0; rc == 0 && i < PH_ARRAY_LEN(setgid_commands); i++) {
		snprintf(path, sizeof path, "%s/%s", g.command_directory, setgid_commands[i]);
		rc = set_one(path, 0, o.drop, 02755, err);
	}
	for (int i = 0; rc == 0 && i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", ph_config_dir(config), i ? "master.cf" : "main.cf");
		rc = set_one(path, 0, 0, 0644, err);
	}
	return rc;
}
