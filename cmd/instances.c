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
	*in = (struct ph_instance){ ph_arena_strdup(all->arena, dir), g->queue_directory, g->data_directory,
		g->command_directory, g->daemon_directory, g->multi_instance_name,
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

	if (set(all->arena, dir, "multi_instance_enable", "yes", err) < 0)
		return err->code;
	return set(all->arena, dir, "multi_instance_wrapper", "${command_directory}/postmulti -p --", err);
}

/* Is the primary instance a manager? */
static int ready(const struct ph_instances *all, struct ph_err *err)
{
	const struct ph_general_settings *g = ph_conf_general(all->conf);

	if (!*g->multi_instance_wrapper)
		return ph_err_set(err, -EINVAL, "multi_instance_wrapper is empty, run 'postmulti -e init' first.");
	return g->multi_instance_enable ? 0 : ph_err_set(err, -EINVAL, "multi_instance_enable!=yes, run 'postmulti -e init' first.");
}

/* ---- new ones ---- */

struct fresh { const char *dir, *queue_dir, *data_dir; };

/* "/etc/postfix" and "postfix-x" are "/etc/postfix-x". */
static const char *sibling(const struct ph_instances *all, const char *of, const char *name)
{
	const char *slash = strrchr(of, '/');

	return ph_arena_printf(all->arena, "%.*s%s", slash ? (int)(slash + 1 - of) : 0, of, name);
}

static int take_params(const struct ph_instances *all, bool create, struct fresh *f, char **params, struct ph_err *err)
{
	for (; *params; params++) {
		char *copy = ph_arena_strdup(all->arena, *params), *eq = strchr(copy, '=');
		const char **slot;

		if (!eq)
			return ph_err_set(err, -EINVAL, "Malformed parameter setting '%s'", *params);
		*eq = '\0';
		slot = strcmp(copy, "config_directory") == 0 ? &f->dir : create && strcmp(copy, "queue_directory") == 0 ? &f->queue_dir :
			create && strcmp(copy, "data_directory") == 0 ? &f->data_dir : NULL;
		if (!slot)
			return ph_err_set(err, -EINVAL, "Parameter '%s' not valid with action %s", copy, create ? "create" : "import");
		if (eq[1] != '/')
			return ph_err_set(err, -EINVAL, "Parameter setting '%s' is not an absolute path", copy);
		*slot = eq + 1;
	}
	return 0;
}

static int conflict(const struct fresh *f, const struct ph_instance *in, const char *what, const char *mine, const char *theirs, struct ph_err *err)
{
	if (!mine || !*mine || strcmp(mine, theirs) != 0)
		return 0;
	return ph_err_set(err, -EEXIST, "instance %s, %s=%s conflicts with instance %s, %s=%s", f->dir, what, mine, in->dir, what, theirs);
}

/* Nothing of the new one may belong to another. */
static int check_free(const struct ph_instances *all, const struct fresh *f, const char *name, struct ph_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < all->n && rc == 0; i++) {
		const struct ph_instance *in = &all->list[i];

		if (strcmp(in->dir, f->dir) == 0)
			return ph_err_set(err, -EEXIST, "new config_directory=%s is already in use by instance %s, config_directory=%s", f->dir, in->dir, in->dir);
		if ((rc = conflict(f, in, "multi_instance_name", name, in->name, err)) == 0 &&
		    (rc = conflict(f, in, "queue_directory", f->queue_dir, in->queue_dir, err)) == 0)
			rc = conflict(f, in, "data_directory", f->data_dir, in->data_dir, err);
	}
	return rc;
}

/* What an instance that is taken over says of itself. */
static int read_existing(const struct ph_instances *all, struct fresh *f, const char **name, struct ph_err *err)
{
	const struct ph_general_settings *g;
	struct ph_config *config;
	struct ph_err why;

	if (ph_config_load(f->dir, PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER, &config, &why) < 0)
		return ph_err_set(err, -ENOENT, "Failed to obtain all required %s/main.cf parameters: %s", f->dir, why.text);
	g = ph_conf_general(ph_config_main(config));
	f->queue_dir = ph_arena_strdup(all->arena, g->queue_directory);
	f->data_dir = ph_arena_strdup(all->arena, g->data_directory);
	if (!**name)
		*name = ph_arena_strdup(all->arena, g->multi_instance_name);
	ph_config_free(&config);
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

/* A file of the new instance, as the primary one has it under the first of these names. */
static int copy_file(const struct ph_instances *all, const char *dir, const char *name, const char *const from[2], struct ph_err *err)
{
	char path[4200], buf[262144];
	ssize_t n = -1;

	for (int i = 0; i < 2 && n < 0 && from[i]; i++) {
		int fd;

		snprintf(path, sizeof path, "%s/%s", all->list[0].dir, from[i]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
		if (fd >= 0)
			close(fd);
		else if (errno != ENOENT)
			return ph_err_errno(err, -errno, "%s", path);
	}
	if (n < 0)
		return ph_err_set(err, -ENOENT, "%s: No such file or directory", path);
	if ((size_t)n == sizeof buf - 1)
		return ph_err_set(err, -EFBIG, "%s: too large", path);
	buf[n] = '\0';
	return write_file(dir, name, buf, err);
}

/* What belongs to the installation, and so must be the same for all instances. */
static const char *const shared[] = { "command_directory", "daemon_directory", "module_directory", "mail_owner", "setgid_group", "sendmail_path",
	"mailq_path", "newaliases_path", "html_directory", "manpage_directory", "sample_directory", "readme_directory" };

/* Only what is set there: a default stays a default. */
static int set_shared(const struct ph_instances *all, const char *dir, struct ph_err *err)
{
	const char *argv[4 + PH_ARRAY_LEN(shared) + 1] = { PH_SBIN_DIR "/postconf", "-c", dir, "-X" };
	int rc;

	for (size_t i = 0; i < PH_ARRAY_LEN(shared); i++)
		argv[4 + i] = shared[i];
	rc = run(argv, err);
	for (size_t i = 0; rc == 0 && i < PH_ARRAY_LEN(shared); i++) {
		const char *origin = ph_conf_origin(all->conf, shared[i]);

		if (origin && strcmp(origin, "default") != 0)
			rc = set(all->arena, dir, shared[i], ph_conf_get(all->conf, shared[i]), err);
	}
	return rc;
}

/* Nothing listens and nobody may submit mail until the administrator has looked. */
static int make_config(const struct ph_instances *all, const struct fresh *f, struct ph_err *err)
{
	const char *level = ph_arena_printf(all->arena, "compatibility_level = %s\n", ph_conf_general(all->conf)->compatibility_level);
	int rc = copy_file(all, f->dir, "main.cf", (const char *const[2]){ "main.cf.proto" }, err);

	if (rc == -ENOENT)
		rc = write_file(f->dir, "main.cf", level, err);
	if (rc == 0)
		rc = copy_file(all, f->dir, "master.cf", (const char *const[2]){ "master.cf.proto", "master.cf" }, err);
	if (rc == 0)
		rc = set_shared(all, f->dir, err);
	if (rc == 0)
		rc = set(all->arena, f->dir, "authorized_submit_users", "", err);
	if (rc == 0)
		rc = set(all->arena, f->dir, "master_service_disable", "inet", err);
	if (rc == 0)
		rc = set(all->arena, f->dir, "queue_directory", f->queue_dir, err);
	return rc == 0 ? set(all->arena, f->dir, "data_directory", f->data_dir, err) : rc;
}

static int make_files(const struct ph_instances *all, const struct fresh *f, struct ph_err *err)
{
	const struct ph_general_settings *g = ph_conf_general(all->conf);
	struct passwd *pw = getpwnam(g->mail_owner);
	struct group *gr = getgrnam(g->setgid_group);
	int rc;

	if (mkdir(f->dir, 0755) < 0 && errno != EEXIST)
		return ph_err_errno(err, -errno, "%s", f->dir);
	if (mkdir(f->data_dir, 0700) < 0 && errno != EEXIST)
		return ph_err_errno(err, -errno, "%s", f->data_dir);
	if (pw && geteuid() == 0 && chown(f->data_dir, pw->pw_uid, pw->pw_gid) < 0)
		return ph_err_errno(err, -errno, "%s", f->data_dir);
	rc = make_config(all, f, err);
	return rc == 0 ? ph_queue_dirs_make(f->queue_dir, pw ? pw->pw_uid : geteuid(), gr ? gr->gr_gid : getegid(), err) : rc;
}

int ph_instances_add(const struct ph_instances *all, bool create, const char *name, const char *group, char **params, struct ph_err *err)
{
	struct fresh f = { 0 };
	const char *known = name && strcmp(name, "-") != 0 ? name : "";
	int rc = take_params(all, create, &f, params, err);

	if (rc == 0 && !*known && !f.dir)
		rc = ph_err_set(err, -EINVAL, "Missing config_directory parameter value");
	if (rc < 0)
		return rc;
	if (!f.dir)
		f.dir = sibling(all, all->list[0].dir, name);
	if (create && !f.queue_dir)
		f.queue_dir = sibling(all, all->list[0].queue_dir, *known ? known : strrchr(f.dir, '/') + 1);
	if (create && !f.data_dir)
		f.data_dir = sibling(all, all->list[0].data_dir, *known ? known : strrchr(f.dir, '/') + 1);
	if (!create)
		rc = read_existing(all, &f, &known, err);
	if (rc == 0)
		rc = check_free(all, &f, known, err);
	if (rc == 0)
		rc = ready(all, err);
	if (rc == 0 && create)
		rc = make_files(all, &f, err);
	if (rc == 0 && name)
		rc = set(all->arena, f.dir, "multi_instance_name", known, err);
	if (rc == 0 && group)
		rc = set(all->arena, f.dir, "multi_instance_group", strcmp(group, "-") == 0 ? "" : group, err);
	return rc < 0 ? rc : set_directories(all, f.dir, NULL, err);
}

/* ---- existing ones ---- */

static int must_be_stopped(const struct ph_instance *in, struct ph_err *err)
{
	struct ph_err ignored;

	if (ph_master_pid(in->queue_dir, &ignored) > 0)
		return ph_err_set(err, -EBUSY, "Instance '%s' is not stopped", in->dir);
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
		return ready(all, err) < 0 ? err->code : set(all->arena, in->dir, "multi_instance_enable", "yes", err);
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
	rc = in->enabled ? ph_err_set(err, -EBUSY, "Cannot remove enabled instances") : must_be_stopped(in, err);
	if (rc == 0 && strcmp(action, "destroy") == 0)
		rc = remove_files(all, in, err);
	return rc < 0 ? rc : set_directories(all, NULL, in->dir, err);
}
