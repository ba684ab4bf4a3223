/* postqueue.c: list and flush the queue (postqueue(1); mailq is "postqueue -p").
 *
 * Set-gid: talks to the queue manager on public/qmgr.  When that is not there, the superuser gets a listing that is read from the
 * queue directory.  No state. */
#include <errno.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/queue_id.h"
#include "cmd/cmd.h"
#include "config/config.h"
#include "config/general.h"
#include "queue/proto.h"
#include "queue/recover_offline.h"
#include <posthouse/lookup.h>

#define WAIT_MS PH_SECONDS(3600)

struct postqueue {
	char mode;                      /* f i j p s */
	const char *arg, *config_dir;
	const struct ph_conf *conf;
	const struct ph_general_settings *g;
	int status;
};

static int usage(void)
{
	ph_log(PH_LOG_FATAL, "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site");
	return EX_UNAVAILABLE;
}

/* authorized_flush_users, authorized_mailq_users: a match list of user names; the superuser and the mail owner always may. */
static bool user_may(const struct postqueue *p, const char *parameter)
{
	const char *list = ph_conf_get(p->conf, parameter);
	struct passwd *pw = getpwuid(getuid());
	struct ph_match *m;
	struct ph_err err;

	if (getuid() == 0 || (pw && strcmp(pw->pw_name, p->g->mail_owner) == 0))
		return true;
	m = ph_match_open(p->conf, parameter, list ? list : "static:anyone", PH_MATCH_STRING);
	return ph_match_find(m, pw ? pw->pw_name : "unknown", NULL, &err) == PH_LOOKUP_FOUND;
}

static void refuse(struct postqueue *p, const char *what)
{
	struct passwd *pw = getpwuid(getuid());

	ph_log(PH_LOG_FATAL, "User %s(%ld) is not allowed to %s", pw ? pw->pw_name : "unknown", (long)getuid(), what);
	p->status = EX_NOPERM;
}

static int print(void *arg, const char *text, size_t n)
{
	return fwrite(text, 1, n, stdout) == n ? 0 : -1;
}

static bool is_down(int r)
{
	return r == -ECONNREFUSED || r == -ENOENT || r == -ENOTSOCK;
}

static const char *list_request(const struct postqueue *p)
{
	return p->mode == 'j' ? "{\"cmd\":\"list\",\"format\":\"json\"}" : "{\"cmd\":\"list\",\"format\":\"mailq\"}";
}

static int list_files(struct postqueue *p, struct ph_err *err)
{
	struct ph_offline *o = NULL;
	int r = ph_offline_open(ph_conf_config(p->conf), p->g->queue_directory, false, &o, err);

	if (r == 0)
		r = ph_offline_request(o, list_request(p), print, NULL, err);
	ph_offline_close(&o);
	return r;
}

static void do_list(struct postqueue *p)
{
	struct ph_err err;
	int r;

	if (!user_may(p, "authorized_mailq_users")) {
		refuse(p, "view the mail queue");
		return;
	}
	r = ph_qmgr_ctl(p->g->queue_directory, list_request(p), print, NULL, ph_now_ms() + WAIT_MS, &err);
	if (is_down(r) && geteuid() == 0) {
		ph_log(PH_LOG_WARNING, "Mail system is down -- accessing queue directly (%s)", err.text);
		r = list_files(p, &err);
	} else if (is_down(r)) {
		ph_log(PH_LOG_FATAL, "Queue report unavailable - mail system is down");
		p->status = EX_UNAVAILABLE;
		return;
	}
	if (r < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		p->status = EX_UNAVAILABLE;
	}
}

static void request(struct postqueue *p, const json_t *req)
{
	char *text = json_dumps(req, JSON_COMPACT);
	struct ph_err err;
	int r = text ? ph_qmgr_ctl(p->g->queue_directory, text, NULL, NULL, ph_now_ms() + WAIT_MS, &err) : -ENOMEM;

	free(text);
	if (r == 0)
		return;
	if (r == -ESRCH)                /* postqueue -i says nothing about ids that are not there */
		return;
	if (is_down(r))
		ph_log(PH_LOG_FATAL, "Cannot flush mail queue - mail system is down");
	else
		ph_log(PH_LOG_FATAL, "%s", err.text);
	p->status = EX_UNAVAILABLE;
}

/* A name, or an address in brackets. */
static bool site_valid(const char *s)
{
	const char *p;

	if (*s == '[')
		return strlen(s) > 2 && s[strlen(s) - 1] == ']' && strspn(s + 1, "0123456789abcdefABCDEF.:IPv") == strlen(s) - 2;
	for (p = s; *p; p++) {
		if (!(*p == '-' || *p == '.' || *p == '_' || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (unsigned char)*p >= 0x80))
			return false;
	}
	return *s != '\0' && *s != '.' && *s != '-' && p - s <= 255 && strstr(s, "..") == NULL;
}

static void do_flush(struct postqueue *p)
{
	json_t *req;

	if (!user_may(p, "authorized_flush_users")) {
		refuse(p, "flush the mail queue");
		return;
	}
	if (p->mode == 's' && !site_valid(p->arg)) {
		ph_log(PH_LOG_FATAL, "Cannot flush mail queue - invalid destination: \"%.100s%s\"", p->arg, strlen(p->arg) > 100 ? "..." : "");
		p->status = EX_UNAVAILABLE;
		return;
	}
	if (p->mode == 'i' && !ph_queue_id_plausible(p->arg)) {
		ph_log(PH_LOG_FATAL, "Cannot flush queue ID - invalid name: \"%.100s%s\"", p->arg, strlen(p->arg) > 100 ? "..." : "");
		p->status = EX_UNAVAILABLE;
		return;
	}
	req = p->mode == 'f' ? json_pack("{s:s}", "cmd", "flush") : p->mode == 'i' ? json_pack("{s:s, s:s}", "cmd", "flush-id", "id", p->arg) :
	      json_pack("{s:s, s:s}", "cmd", "flush-site", "site", p->arg);
	request(p, req);
	json_decref(req);
}

/* A set-gid program reads another configuration only when the default one names it. */
static bool config_allowed(const char *dir)
{
	static const char *const lists[] = { "alternate_config_directories", "multi_instance_directories" };
	struct ph_config *config;
	struct ph_err err;
	bool ok = false;
	size_t i;

	if (getegid() == getgid() || getuid() == 0 || strcmp(dir, PH_CONFIG_DIR) == 0)
		return true;
	if (ph_config_load(PH_CONFIG_DIR, PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER, &config, &err) < 0)
		return false;
	for (i = 0; i < PH_ARRAY_LEN(lists) && !ok; i++) {
		const char *v = ph_conf_get(ph_config_main(config), lists[i]);
		char *copy = ph_strdup(v ? v : ""), *p = copy, *tok;

		while (!ok && (tok = ph_str_token(&p, PH_SEP_LIST)) != NULL)
			ok = strcmp(tok, dir) == 0;
		free(copy);
	}
	ph_config_free(&config);
	if (!ok) {
		ph_log(PH_LOG_ERROR, "unauthorized configuration directory name: %s", dir);
		ph_log(PH_LOG_FATAL, "specify \"alternate_config_directories = %s\" or \"multi_instance_directories = %s\" in %s/main.cf",
		       dir, dir, PH_CONFIG_DIR);
	}
	return ok;
}

static void run(void *arg)
{
	struct postqueue *p = arg;

	if (p->mode == 'p' || p->mode == 'j')
		do_list(p);
	else
		do_flush(p);
}

int ph_main_postqueue(int argc, char **argv)
{
	struct postqueue p = { 0 };
	struct ph_log_config log = { .prog = "postqueue", .also_stderr = true };
	struct ph_config *config;
	struct ph_err err;
	int c, verbose = 0;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	optind = 1;
	while ((c = getopt(argc, argv, "c:fi:jps:v")) != -1) {
		if (c == 'c') {
			p.config_dir = optarg;
		} else if (c == 'v') {
			verbose++;
		} else if (c != '?' && p.mode == 0) {
			p.mode = (char)c;
			p.arg = optarg;
		} else {
			return usage();
		}
	}
	if (p.mode == 0 || optind < argc)
		return usage();
	p.config_dir = ph_cmd_config_dir(p.config_dir);
	if (!config_allowed(p.config_dir))
		return EX_NOPERM;
	if (ph_config_load(p.config_dir, PH_CONFIG_QUIET, &config, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return EX_CONFIG;
	}
	p.conf = ph_config_main(config);
	p.g = ph_conf_general(p.conf);
	log.syslog_name = p.g->syslog_name;
	log.facility = p.g->syslog_facility_code;
	log.maillog_file = *p.g->maillog_file ? p.g->maillog_file : NULL;
	ph_log_open(&log);
	if (verbose && getuid() == 0)
		ph_log_set_verbose(verbose);
	if (ph_run_blocking(run, &p) < 0)
		return EX_UNAVAILABLE;
	if (fflush(stdout) != 0)
		return EX_IOERR;
	return p.status;
}

int ph_main_mailq(int argc, char **argv)
{
	char *args[] = { argv[0], (char *)(uintptr_t)"-p", NULL };

	return ph_main_postqueue(2, args);
}
