/* postdrop.c: postdrop(1): take a submission from standard input and put it into maildrop/.  Runs set-gid setgid_group, so it trusts
 * nothing: not the environment, not the configuration directory (unless the main.cf of the default one allows it), not its input.
 * It tells its caller the file's name first and the outcome last (queue/submit.h). */
#include "cmd/cmd.h"
#include "cmd/sender_acl.h"
#include "base/log.h"
#include "config/config.h"
#include "config/general.h"
#include "queue/submit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct postdrop {
	const struct ph_conf *conf;
	const struct ph_general_settings *g;
	struct ph_maildrop_reader *r;
	struct ph_maildrop_writer *w;
	struct ph_maildrop_check check;
	int64_t content;
};

static int load(struct postdrop *d, const char *dir, struct ph_log_config *log)
{
	struct ph_config *config;
	struct ph_err err;

	if (!ph_cmd_config_allowed(dir))
		return 1;
	if (ph_config_load(dir, PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER, &config, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return 1;
	}
	d->conf = ph_config_main(config);
	d->g = ph_conf_general(d->conf);
	ph_cmd_log_open(d->conf, log);
	return 0;
}

/* Who may not submit, or not with this sender. */
static int user_allowed(struct postdrop *d, const struct ph_maildrop_rec *rec, struct ph_err *err)
{
	char *sender = ph_strndup(rec->data.p, rec->data.n), name[256];
	int rc = ph_cmd_user_may(d->conf, "authorized_submit_users", err);

	if (rc == 0)
		rc = ph_err_set(err, -EPERM, "User %s(%ld) is not allowed to submit mail", ph_cmd_user_name(name, sizeof name), (long)getuid());
	else if (rc > 0)
		rc = ph_sender_allowed(d->conf, sender, err);
	free(sender);
	return rc;
}

static int take(struct postdrop *d, const struct ph_maildrop_rec *rec, struct ph_err *err)
{
	int rc = ph_maildrop_check(&d->check, rec, err);

	if (rc == 0 && rec->type == PH_DROP_SENDER)
		rc = user_allowed(d, rec, err);
	if (rc < 0 || rec->type == PH_DROP_END)
		return rc;
	if (rec->type == PH_DROP_CONTENT)
		d->content += (int64_t)rec->data.n;
	if (d->g->message_size_limit > 0 && d->content > d->g->message_size_limit)
		return ph_err_set(err, -EFBIG, "File too large");
	rc = ph_maildrop_put(d->w, rec->type, rec->data.p, rec->data.n);
	return rc < 0 ? ph_err_errno(err, rc, "write") : 0;
}

static int copy(struct postdrop *d, struct ph_err *err)
{
	struct ph_maildrop_rec rec;
	int rc;

	while ((rc = ph_maildrop_next(d->r, &rec, err)) > 0) {
		rc = take(d, &rec, err);
		if (rc < 0 || rec.type == PH_DROP_END)
			break;
	}
	return rc;
}

static void answer(struct postdrop *d, const char *name, const char *value, const char *reason)
{
	const char *words[] = { name, value, "reason", reason, NULL };

	if (!reason)
		words[2] = NULL;
	ph_submit_answer(STDOUT_FILENO, words);
}

static int refuse(struct postdrop *d, int rc, const struct ph_err *err)
{
	if (rc == -EBADMSG) {
		ph_log(PH_LOG_WARNING, "stdin: %s", err->text);
		ph_log(PH_LOG_FATAL, "uid=%ld: malformed input", (long)getuid());
	} else {
		ph_log(rc == -EFBIG ? PH_LOG_WARNING : PH_LOG_FATAL, "uid=%ld: %s", (long)getuid(), err->text);
	}
	answer(d, "status", "1", rc == -EFBIG ? "message file too big" : err->text);
	return 1;
}

static int run(struct postdrop *d)
{
	struct ph_err err;
	int rc = ph_maildrop_create(d->g->queue_directory, &d->w, &err);
	bool given_up = false;

	if (rc == 0) {
		ph_maildrop_remove_on_signals(d->w);
		answer(d, "queue_id", ph_maildrop_name(d->w), NULL);
		d->r = ph_maildrop_reader_new(STDIN_FILENO);
		rc = copy(d, &err);
		given_up = rc == -EBADMSG && ph_maildrop_given_up(d->r);
		ph_maildrop_reader_free(&d->r);
	}
	if (rc == 0)
		rc = ph_maildrop_finish(&d->w, &err);
	if (rc == 0) {
		ph_maildrop_trigger(d->g->queue_directory);
		answer(d, "status", "0", "");
		return 0;
	}
	if (d->w)
		ph_maildrop_abort(&d->w);
	if (given_up)           /* a caller that goes away before the end of its message has its reasons */
		return 0;
	return refuse(d, rc, &err);
}

int ph_main_postdrop(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "postdrop", .also_stderr = true };
	struct postdrop d = { 0 };
	const char *dir = NULL;
	int c;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	while ((c = getopt(argc, argv, "c:rv")) > 0) {
		if (c == 'c')
			dir = optarg;
		else if (c == '?') {
			ph_log(PH_LOG_FATAL, "usage: postdrop [-c config_dir] [-v]");
			return 1;
		}
	}
	c = load(&d, ph_cmd_config_dir(dir), &log);
	return c ? c : run(&d);
}
