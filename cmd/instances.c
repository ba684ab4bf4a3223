/* instances.c: see instances.h.  Source: postmulti(1), MULTI_INSTANCE_README. */
#include "cmd/instances.h"
#include "cmd/cmd.h"
#include "config/general.h"
#include "master/master.h"
#include "queue/store.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- reading ---- */

static int load_one(struct ph_instances *all, const char *dir, const struct ph_conf **ret_conf, struct ph_err *err)
{
	const struct ph_general_settings *g;
	struct ph_config *config;
	struct ph_instance *in = &all->list[all->n];

	if (ph_config_load(dir, PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER, &config, err) < 0)
		return err->code;
	g = ph_conf_general(ph_config_main(config));
	*in = (struct ph_instance){ ph_arena_strdup(all->arena, dir), g->queue_directory, g->data_directory, g->multi_instance_name,
		g->multi_instance_group, g->multi_instance_enable };
	all->n++;
	*ret_conf = ph_config_main(config);
	return 0;
}

int ph_instances_load(struct ph_instances *ret, struct ph_arena *arena, const char *primary_dir, struct ph_err *err)
{
	const struct ph_conf *conf;
	char *list, *dir;
	const char *text;
	size_t max = 2;
	int rc;

	*ret = (struct ph_instances){ .arena = arena, .list = ph_arena_alloc(arena, sizeof *ret->list) };
	rc = load_one(ret, primary_dir, &ret->conf, err);
	if (rc < 0)
		return rc;
	text = ph_conf_general(ret->conf)->multi_instance_directories;
	for (const char *p = text; *p; p++)
		max += *p == ' ' || *p == ',' || *p == '\t' || *p == '\n';
	dir = (char *)(uintptr_t)memcpy(ph_arena_alloc(arena, max * sizeof *ret->list), ret->list, sizeof *ret->list);
	ret->list = (struct ph_instance *)(void *)dir;
	/* A manager that is alone is enabled all the same. */
	if (!*text)
		ret->list[0].enabled = true;
	list = ph_arena_strdup(arena, text);
	while (rc == 0 && (dir = ph_str_token(&list, PH_SEP_LIST)))
		rc = load_one(ret, dir, &conf, err);
	return rc;
}

/* ---- changing main.cf ---- */

static int run(const char *const *argv, struct ph_err *err)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		unsetenv("MAIL_CONFIG");
		execv(argv[0], (char **)(uintptr_t)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return ph_err_errno(err, -errno, "%s", argv[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return ph_err_set(err, -EIO, "%s failed for %s", argv[0], argv[2]);
	return 0;
}

static int set(struct ph_arena *a, const char *dir, const char *name, const char *value, struct ph_err *err)
{
	const char *argv[] = { PH_SBIN_DIR "/postconf", "-c", dir, "-e", ph_arena_printf(a, "%s = %s", name, value), NULL };

	return run(argv, err);
}

static int set_directories(const struct ph_instances *all, const char *add, const char *drop, struct ph_err *err)
{
	const char *text = "";

	for (size_t i = 1; i < all->n; i++)
		if (!drop || strcmp(all->list[i].dir, drop) != 0)
			text = ph_arena_printf(all->arena, "%s%s%s", text, *text ? " " : "", all->list[i].dir);
	if (add)
		text = ph_arena_printf(all->arena, "%s%s%s", text, *text ? " " : "", add);
	return set(all->arena, all->list[0].dir, "multi_instance_directories", text, err);
}

int ph_instances_init(const struct ph_instances *all, struct ph_err *err)
{
	const char *dir = all->list[0].dir;

	if (*ph_conf_general(all->conf)->multi_instance_wrapper)
		return 0;       /* done already */
	if (set(all->arena, dir, "multi_instance_enable", "yes", err) < 0)
		return err->code;
	return set(all->arena, dir, "multi_instance_wrapper", "${command_directory}/postmulti -p --", err);
}

/* ---- new ones ---- */

struct fresh { const char *dir, *queue_dir, *data_dir; };

/* "/etc/postfix" and "postfix-x" are "/etc/postfix-x". */
static const char *sibling(const struct ph_instances *all, const char *of, const char *name)
{
	const char *slash = strrchr(of, '/');

	return ph_arena_printf(all->arena, "%.*s%s", slash ? (int)(slash + 1 - of) : 0, of, name);
}

static int take_params(const struct ph_instances *all, struct fresh *f, char **params, struct ph_err *err)
{
	for (; *params; params++) {
		char *copy = ph_arena_strdup(all->arena, *params), *eq = strchr(copy, '=');
		const char **slot;

		if (!eq)
			return ph_err_set(err, -EINVAL, "%s: expected name=value", *params);
		*eq = '\0';
		slot = strcmp(copy, "config_directory") == 0 ? &f->dir : strcmp(copy, "queue_directory") == 0 ? &f->queue_dir :
			strcmp(copy, "data_directory") == 0 ? &f->data_dir : NULL;
		if (!slot)
			return ph_err_set(err, -EINVAL, "%s: only config_directory, queue_directory and data_directory can be given", copy);
		if (eq[1] != '/')
			return ph_err_set(err, -EINVAL, "%s: not an absolute pathname", *params);
		*slot = eq + 1;
	}
	return 0;
}

static int check_free(const struct ph_instances *all, const struct fresh *f, struct ph_err *err)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct ph_instance *in = &all->list[i];

		if (strcmp(in->dir, f->dir) == 0 || (f->queue_dir && strcmp(in->queue_dir, f->queue_dir) == 0) ||
		    (f->data_dir && strcmp(in->data_dir, f->data_dir) == 0))
			return ph_err_set(err, -EEXIST, "a directory of the new instance is in use by the instance in %s", in->dir);
	}
	return 0;
}

static int write_file(const char *dir, const char *name, const char *text, struct ph_err *err)
{
	char path[4200];
	int fd;
	ssize_t n = (ssize_t)strlen(text);

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0 || write(fd, text, (size_t)n) != n || close(fd) < 0)
		return ph_err_errno(err, -errno, "%s", path);
	return 0;
}

/* The primary one's services, none of which listens: master_service_disable says so until the administrator has looked. */
static int copy_master_cf(const struct ph_instances *all, const char *dir, struct ph_err *err)
{
	char path[4200], buf[65536];
	int fd, rc;
	ssize_t n;

	snprintf(path, sizeof path, "%s/master.cf", all->list[0].dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
	rc = n < 0 ? ph_err_errno(err, -errno, "%s", path) : (size_t)n == sizeof buf - 1 ? ph_err_set(err, -EFBIG, "%s: too large", path) : 0;
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return rc;
	buf[n] = '\0';
	return write_file(dir, "master.cf", buf, err);
}

static int make_files(const struct ph_instances *all, const struct fresh *f, struct ph_err *err)
{
	const struct ph_general_settings *g = ph_conf_general(all->conf);
	struct passwd *pw = getpwnam(g->mail_owner);
	struct group *gr = getgrnam(g->setgid_group);
	const char *text = ph_arena_printf(all->arena,
		"# Made by postmulti: nothing listens and nobody may submit until the next two lines are gone.\n"
		"master_service_disable = inet\nauthorized_submit_users =\n"
		"compatibility_level = %s\nqueue_directory = %s\ndata_directory = %s\n", g->compatibility_level, f->queue_dir, f->data_dir);

	if (mkdir(f->dir, 0755) < 0 && errno != EEXIST)
		return ph_err_errno(err, -errno, "%s", f->dir);
	if (mkdir(f->data_dir, 0700) < 0 && errno != EEXIST)
		return ph_err_errno(err, -errno, "%s", f->data_dir);
	if (pw && geteuid() == 0 && chown(f->data_dir, pw->pw_uid, pw->pw_gid) < 0)
		return ph_err_errno(err, -errno, "%s", f->data_dir);
	if (write_file(f->dir, "main.cf", text, err) < 0 || copy_master_cf(all, f->dir, err) < 0)
		return err->code;
	return ph_queue_dirs_make(f->queue_dir, pw ? pw->pw_uid : geteuid(), gr ? gr->gr_gid : getegid(), err);
}

int ph_instances_add(const struct ph_instances *all, bool create, const char *name, const char *group, char **params, struct ph_err *err)
{
	struct fresh f = { 0 };
	char path[4200];
	int rc = take_params(all, &f, params, err);

	if (rc == 0 && !name && !f.dir)
		rc = ph_err_set(err, -EINVAL, "Specify a name with '-I', or config_directory=");
	if (rc < 0)
		return rc;
	if (!f.dir)
		f.dir = sibling(all, all->list[0].dir, name);
	if (create && !f.queue_dir)
		f.queue_dir = sibling(all, all->list[0].queue_dir, name ? name : strrchr(f.dir, '/') + 1);
	if (create && !f.data_dir)
		f.data_dir = sibling(all, all->list[0].data_dir, name ? name : strrchr(f.dir, '/') + 1);
	rc = check_free(all, &f, err);
	if (rc == 0 && create)
		rc = make_files(all, &f, err);
	snprintf(path, sizeof path, "%s/main.cf", f.dir);
	if (rc == 0 && access(path, R_OK) < 0)
		rc = ph_err_set(err, -ENOENT, "Failed to obtain all required %s parameters", path);
	if (rc == 0 && name)
		rc = set(all->arena, f.dir, "multi_instance_name", strcmp(name, "-") == 0 ? "" : name, err);
	if (rc == 0 && group)
		rc = set(all->arena, f.dir, "multi_instance_group", strcmp(group, "-") == 0 ? "" : group, err);
	if (rc == 0)
		rc = set(all->arena, f.dir, "multi_instance_enable", "no", err);
	return rc < 0 ? rc : set_directories(all, f.dir, NULL, err);
}

/* ---- existing ones ---- */

static int must_be_stopped(const struct ph_instance *in, struct ph_err *err)
{
	struct ph_err ignored;

	if (ph_master_pid(in->queue_dir, &ignored) > 0)
		return ph_err_set(err, -EBUSY, "Instance %s is running: stop it first", in->dir);
	return 0;
}

/* 1: no mail is in its queue; 0: there is; or negative. */
static int queue_is_empty(const struct ph_instances *all, const struct ph_instance *in, struct ph_err *err)
{
	FILE *f;
	int c, status;

	setenv("MAIL_CONFIG", in->dir, 1);
	f = popen(PH_SBIN_DIR "/postqueue -j 2>/dev/null", "r");
	c = f ? getc(f) : EOF;
	while (f && getc(f) != EOF)
		;
	status = f ? pclose(f) : -1;
	unsetenv("MAIL_CONFIG");
	return status == 0 ? c == EOF : ph_err_set(err, -EIO, "cannot look into the queue of instance %s", in->dir);
}

/* Its files, when nothing is in the queue. */
static int remove_files(const struct ph_instances *all, const struct ph_instance *in, struct ph_err *err)
{
	const char *argv[] = { "/bin/rm", "-rf", NULL, NULL };
	char path[4200];
	int rc = queue_is_empty(all, in, err);

	if (rc == 0)
		rc = ph_err_set(err, -ENOTEMPTY, "deliver or delete the mail of instance %s first", in->dir);
	snprintf(path, sizeof path, "%s/maildrop", in->queue_dir);
	if (rc > 0 && rmdir(path) < 0 && errno != ENOENT)
		rc = ph_err_set(err, -ENOTEMPTY, "%s: holds mail that was not taken in yet: start instance %s first", path, in->dir);
	if (rc < 0)
		return rc;
	argv[2] = ph_arena_strdup(all->arena, in->queue_dir);
	if (run(argv, err) < 0)
		return err->code;
	argv[2] = ph_arena_strdup(all->arena, in->data_dir);
	if (run(argv, err) < 0)
		return err->code;
	snprintf(path, sizeof path, "%s/main.cf", in->dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/master.cf", in->dir);
	unlink(path);
	rmdir(in->dir);
	return 0;
}

int ph_instances_change(const struct ph_instances *all, const struct ph_instance *in, const char *action, const char *name, const char *group, struct ph_err *err)
{
	bool primary = in == &all->list[0];
	int rc = 0;

	if (strcmp(action, "enable") == 0)
		return set(all->arena, in->dir, "multi_instance_enable", "yes", err);
	if (strcmp(action, "disable") == 0)
		return set(all->arena, in->dir, "multi_instance_enable", "no", err);
	if (strcmp(action, "assign") == 0) {
		if (name)
			rc = set(all->arena, in->dir, "multi_instance_name", strcmp(name, "-") == 0 ? "" : name, err);
		if (rc == 0 && group)
			rc = set(all->arena, in->dir, "multi_instance_group", strcmp(group, "-") == 0 ? "" : group, err);
		return rc;
	}
	if (primary)
		return ph_err_set(err, -EPERM, "Cannot remove the primary instance");
	rc = must_be_stopped(in, err);
	if (rc == 0 && in->enabled && strcmp(action, "destroy") == 0)
		rc = ph_err_set(err, -EBUSY, "Instance %s is enabled: disable it first", in->dir);
	if (rc == 0 && strcmp(action, "destroy") == 0)
		rc = remove_files(all, in, err);
	return rc < 0 ? rc : set_directories(all, NULL, in->dir, err);
}
