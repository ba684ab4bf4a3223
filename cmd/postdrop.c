/* postdrop.c: postdrop(1): take a submission from standard input and put it into maildrop/.  Runs set-gid setgid_group, so it trusts
 * nothing: not the environment, not the configuration directory (unless the main.cf of the default one allows it), not its input. */
#include "cmd/cmd.h"
#include "base/log.h"
#include "config/config.h"
#include "config/general.h"
#include "queue/maildrop.h"
#include <posthouse/lookup.h>

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

extern char **environ;

/* A set-gid program reads another configuration only when alternate_config_directories of the default one names it. */
static bool may_use(const char *dir)
{
	struct ph_config *config;
	struct ph_err err;
	char *list, *tok;
	bool ok = false;

	if (getegid() == getgid() || getuid() == 0 || strcmp(dir, PH_CONFIG_DIR) == 0)
		return true;
	if (ph_config_load(PH_CONFIG_DIR, PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER, &config, &err) < 0)
		return false;
	for (int i = 0; i < 2 && !ok; i++) {
		const char *v = ph_conf_get(ph_config_main(config), i ? "multi_instance_directories" : "alternate_config_directories");
		char *copy = list = ph_strdup(v ? v : "");

		while (!ok && (tok = ph_str_token(&list, PH_SEP_LIST)))
			ok = strcmp(tok, dir) == 0;
		free(copy);
	}
	ph_config_free(&config);
	return ok;
}

static bool may_submit(const struct ph_conf *conf)
{
	const char *users = ph_conf_get(conf, "authorized_submit_users");
	struct passwd *pw = getpwuid(getuid());
	struct ph_err err;

	if (!users || strcmp(users, "static:anyone") == 0)
		return true;
	return ph_match_find(ph_match_open(conf, "authorized_submit_users", users, PH_MATCH_STRING), pw ? pw->pw_name : "unknown", NULL,
		&err) == PH_LOOKUP_FOUND;
}

/* What only the mail system itself may say is not taken from a user. */
static bool allowed(const struct ph_maildrop_rec *rec)
{
	return rec->type != PH_DROP_ATTR || getuid() == 0;
}

static int copy(struct ph_maildrop_reader *r, struct ph_maildrop_writer *w, int64_t limit, struct ph_err *err)
{
	struct ph_maildrop_rec rec;
	int64_t content = 0;
	size_t rcpts = 0;
	int rc;

	while ((rc = ph_maildrop_next(r, &rec, err)) > 0 && rec.type != PH_DROP_END) {
		if (!allowed(&rec))
			continue;
		rcpts += rec.type == PH_DROP_RCPT;
		if (rec.type == PH_DROP_CONTENT)
			content += (int64_t)rec.data.n;
		if (limit > 0 && content > limit)
			return ph_err_set(err, -EFBIG, "message file too big");
		rc = ph_maildrop_put(w, rec.type, rec.data.p, rec.data.n);
		if (rc < 0)
			return ph_err_errno(err, rc, "write");
	}
	if (rc < 0)
		return rc;
	return rcpts ? 0 : ph_err_set(err, -EINVAL, "a submission without recipients");
}

static int status_of(int rc)
{
	return rc == -EBADMSG || rc == -EINVAL ? EX_DATAERR : rc == -EFBIG ? EX_UNAVAILABLE : EX_TEMPFAIL;
}

int ph_main_postdrop(int argc, char **argv)
{
	static char *no_environment[] = { "LC_ALL=C", "PATH=/usr/bin:/bin", NULL };
	struct ph_log_config log = { .prog = "postdrop", .also_stderr = true };
	struct ph_maildrop_reader *r;
	struct ph_maildrop_writer *w = NULL;
	const struct ph_general_settings *g;
	const char *dir = NULL;
	struct ph_config *config;
	struct rlimit none = { 0, 0 };
	struct ph_err err;
	int c, rc;

	if (getegid() != getgid()) {
		environ = no_environment;
		setrlimit(RLIMIT_CORE, &none);
	}
	ph_log_open(&log);
	ph_log_set_immediate(true);
	while ((c = getopt(argc, argv, "c:rv")) > 0) {
		if (c == '?')
			return EX_USAGE;
		if (c == 'c')
			dir = optarg;
	}
	dir = ph_cmd_config_dir(dir);
	if (!may_use(dir)) {
		ph_log(PH_LOG_FATAL, "%s: not allowed; list it in alternate_config_directories of " PH_CONFIG_DIR "/main.cf", dir);
		return EX_NOPERM;
	}
	if (ph_config_load(dir, PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER, &config, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return EX_CONFIG;
	}
	g = ph_conf_general(ph_config_main(config));
	if (!may_submit(ph_config_main(config))) {
		ph_log(PH_LOG_FATAL, "User %d is not allowed to submit mail", (int)getuid());
		return EX_NOPERM;
	}
	r = ph_maildrop_reader_new(0);
	rc = ph_maildrop_create(g->queue_directory, &w, &err);
	if (rc == 0)
		rc = copy(r, w, g->message_size_limit, &err);
	if (rc == 0)
		rc = ph_maildrop_finish(&w, &err);
	ph_maildrop_reader_free(&r);
	if (rc < 0) {
		if (w)
			ph_maildrop_abort(&w);
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return status_of(rc);
	}
	ph_maildrop_trigger(g->queue_directory);
	return 0;
}
