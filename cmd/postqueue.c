/* postqueue.c: list and flush the queue (postqueue(1); mailq is "postqueue -p").
 *
 * Set-gid: talks to the queue manager on public/qmgr.  When that is not there, the superuser gets a listing that is read from the
 * queue directory.  No state. */
#include <errno.h>
#include <jansson.h>
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
static bool user_may(struct postqueue *p, const char *parameter, const char *what)
{
	char name[256];
	struct ph_err err;
	int rc;

	ph_cmd_user_name(name, sizeof(name));
	if (getuid() == 0 || strcmp(name, p->g->mail_owner) == 0)
		return true;
	rc = ph_cmd_user_may(p->conf, parameter, &err);
	if (rc > 0)
		return true;
	if (rc < 0)
		ph_log(PH_LOG_FATAL, "%s", err.text);
	else
		ph_log(PH_LOG_FATAL, "User %s(%ld) is not allowed to %s", name, (long)getuid(), what);
	p->status = EX_UNAVAILABLE;
	return false;
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

	r = ph_qmgr_ctl(p->g->queue_directory, list_request(p), print, NULL, ph_now_ms() + WAIT_MS, &err);
	if (is_down(r) && geteuid() == 0) {
		ph_log(PH_LOG_WARNING, "Mail system is down -- accessing queue directly (Connect to the Postfix showq service: %s)", strerrordesc_np(-r));
		r = list_files(p, &err);
	} else if (is_down(r)) {
		ph_log(PH_LOG_FATAL, "Queue report unavailable - mail system is down (Connect to the Postfix showq service: %s)", strerrordesc_np(-r));
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
	if (!ph_cmd_config_allowed(p.config_dir))
		return EX_UNAVAILABLE;
	if (ph_config_load(p.config_dir, PH_CONFIG_QUIET, &config, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return EX_UNAVAILABLE;
	}
	p.conf = ph_config_main(config);
	p.g = ph_conf_general(p.conf);
	ph_cmd_log_open(p.conf, &log);
	if (p.mode == 'p' || p.mode == 'j' ? !user_may(&p, "authorized_mailq_users", "view the mail queue") :
					     !user_may(&p, "authorized_flush_users", "flush the mail queue"))
		return p.status;
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
