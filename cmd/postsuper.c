/* postsuper.c: delete, hold, release, requeue, expire (postsuper(1)); for the superuser.
 *
 * Works through the queue manager, or on the files under its lock when the mail system is down.  Queue ids from standard input go out in
 * portions, so their number does not matter.  State: struct postsuper. */
#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/queue_id.h"
#include "cmd/cmd.h"
#include "config/config.h"
#include "config/general.h"
#include "queue/control_client.h"
#include "queue/recover_offline.h"
#include "queue/store.h"

#define PORTION 2000
#define WAIT_MS PH_SECONDS(24 * 3600)

struct want { char op; const char *id; };

struct postsuper {
	const char *config_dir;
	const struct ph_config *config;
	const struct ph_general_settings *g;
	struct want *wants;
	size_t n_wants;
	json_t *queues;
	bool structure, purge;
	struct ph_qmgr_ctl_conn *conn;
	struct ph_offline *offline;
	json_t *ids;                    /* of the portion */
	char op;                        /* its operation */
	uint64_t count[128], released;
	bool used[128];
	char **args;                    /* names of queues */
	int status;
};

static const char *op_word(char op)
{
	switch (op) {
	case 'd': return "delete";
	case 'h': return "hold";
	case 'H': return "release";
	case 'r': return "requeue";
	case 'e': return "expire";
	default: return "expire-release";
	}
}

static void say_one(char op, const char *id, bool released, bool done)
{
	switch (op) {
	case 'd': ph_log(PH_LOG_INFO, "%s: removed", id); break;
	case 'h': ph_log(PH_LOG_INFO, "%s: placed on hold", id); break;
	case 'H': ph_log(PH_LOG_INFO, "%s: released from hold", id); break;
	case 'r': ph_log(PH_LOG_INFO, "%s: requeued", id); break;
	case 'f':
		if (released)
			ph_log(PH_LOG_INFO, "%s: released from hold", id);
		/* fall through */
	default:
		if (done)
			ph_log(PH_LOG_INFO, "%s: expired", id);
		break;
	}
}

/* {"id":..,"released":..} or {"count":..,"released":..} */
static int on_line(void *arg, const char *text, size_t n)
{
	struct postsuper *p = arg;
	json_t *j = json_loadb(text, n, 0, NULL);
	const char *id = json_string_value(json_object_get(j, "id"));

	if (id) {
		say_one(p->op, id, json_is_true(json_object_get(j, "released")), json_is_true(json_object_get(j, "done")));
	} else if (j) {
		p->count[(int)p->op] += (uint64_t)json_integer_value(json_object_get(j, "count"));
		p->released += (uint64_t)json_integer_value(json_object_get(j, "released"));
	}
	json_decref(j);
	return 0;
}

static void super_send(struct postsuper *p, json_t *req)
{
	char *text;
	struct ph_err err;
	int r;

	json_object_set_new(req, "cmd", json_string("super"));
	json_object_set_new(req, "op", json_string(op_word(p->op)));
	json_object_set(req, "queues", p->queues);
	text = json_dumps(req, JSON_COMPACT);
	json_decref(req);
	r = p->conn ? ph_qmgr_ctl_request(p->conn, text, on_line, p, ph_now_ms() + WAIT_MS, &err) :
	    ph_offline_request(p->offline, text, on_line, p, &err);
	free(text);
	if (r < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		p->status = 1;
	}
}

static void flush_ids(struct postsuper *p)
{
	json_t *ids = p->ids;

	p->ids = NULL;
	if (ids)
		super_send(p, json_pack("{s:o}", "ids", ids));
}

static void add_id(struct postsuper *p, char op, const char *id)
{
	if (!ph_queue_id_plausible(id)) {
		ph_log(PH_LOG_WARNING, "invalid mail queue id: %.100s%s", id, strlen(id) > 100 ? "..." : "");
		return;
	}
	if (p->ids && (p->op != op || json_array_size(p->ids) >= PORTION))
		flush_ids(p);
	if (p->ids == NULL)
		p->ids = json_array();
	p->op = op;
	json_array_append_new(p->ids, json_string(id));
}

/* One id a line; anything behind a blank is no part of it. */
static void read_ids(struct postsuper *p, char op)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while (p->status == 0 && (n = getline(&line, &cap, stdin)) > 0) {
		while (n > 0 && strchr("\n\r\t ", line[n - 1]))
			line[--n] = '\0';
		if (strlen(line) == (size_t)n)
			add_id(p, op, line);
		else
			ph_log(PH_LOG_WARNING, "invalid mail queue id: %s", "(with a NUL byte)");
	}
	free(line);
}

static int connect_queue(struct postsuper *p, struct ph_err *err)
{
	int r = ph_qmgr_ctl_open(p->g->queue_directory, &p->conn, err);

	if (r == -ECONNREFUSED || r == -ENOENT)
		r = ph_offline_open(p->config, p->g->queue_directory, true, &p->offline, err);
	return r;
}

/* -s and -p: what the store needs in the way of repair it does itself at each start; folders and their modes are set right here, and what
 * never became a message goes. */
static int structure_check(struct postsuper *p, struct ph_err *err)
{
	const struct passwd *pw = getpwnam(p->g->mail_owner);
	const struct group *gr = getgrnam(p->g->setgid_group);

	if (pw == NULL)
		return ph_err_set(err, -ENOENT, "mail_owner: unknown user: %s", p->g->mail_owner);
	if (gr == NULL)
		return ph_err_set(err, -ENOENT, "setgid_group: unknown group: %s", p->g->setgid_group);
	return ph_queue_dirs_make(p->g->queue_directory, pw->pw_uid, gr->gr_gid, err);
}

static void run(void *arg)
{
	struct postsuper *p = arg;
	struct ph_err err;
	size_t i;

	if ((p->structure || p->purge) && structure_check(p, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		p->status = 1;
		return;
	}
	if (p->n_wants && connect_queue(p, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		p->status = 1;
		return;
	}
	for (i = 0; i < p->n_wants && p->status == 0; i++) {
		const struct want *w = &p->wants[i];

		if (strcmp(w->id, "ALL") == 0) {
			flush_ids(p);
			p->op = w->op;
			super_send(p, json_pack("{s:b}", "all", 1));
		} else if (strcmp(w->id, "-") == 0) {
			read_ids(p, w->op);
		} else {
			add_id(p, w->op, w->id);
		}
	}
	flush_ids(p);
	ph_qmgr_ctl_close(&p->conn);
	ph_offline_close(&p->offline);
}

static void say_count(const struct postsuper *p, bool used, const char *what, uint64_t n)
{
	if (used)
		ph_log(PH_LOG_INFO, "%s: %llu message%s", what, (unsigned long long)n, n == 1 ? "" : "s");
}

static void summary(const struct postsuper *p)
{
	say_count(p, p->used['r'], "Requeued", p->count['r']);
	say_count(p, p->used['d'], "Deleted", p->count['d']);
	say_count(p, p->used['e'] || p->used['f'], "Force-expired", p->count['e'] + p->count['f']);
	say_count(p, p->used['h'], "Placed on hold", p->count['h']);
	say_count(p, p->used['H'] || p->used['f'], "Released from hold", p->count['H'] + p->released);
}

static int usage(const char *name)
{
	ph_log(PH_LOG_FATAL, "usage: %s [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f queue_id (expire and/or un-hold)] "
	       "[-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] [-s (structure fix)] "
	       "[-S (redundant structure fix)][-v (verbose)] [queue...]", name);
	return 1;
}

static int take_queues(struct postsuper *p)
{
	static const char *const queues[] = { "incoming", "active", "deferred", "hold", "maildrop", "bounce", "defer", "trace", "flush" };
	size_t k;

	p->queues = json_array();
	for (char **a = p->args; *a; a++) {
		for (k = 0; k < PH_ARRAY_LEN(queues) && strcmp(*a, queues[k]) != 0; k++)
			;
		if (k == PH_ARRAY_LEN(queues)) {
			ph_log(PH_LOG_FATAL, "invalid directory name: %s", *a);
			return -EINVAL;
		}
		json_array_append_new(p->queues, json_string(*a));
	}
	return 0;
}

static int parse(struct postsuper *p, int argc, char **argv)
{
	int c, verbose = 0;

	optind = 1;
	while ((c = getopt(argc, argv, "c:d:e:f:h:H:pr:sSv")) != -1) {
		switch (c) {
		case 'c':
			p->config_dir = optarg;
			break;
		case 'p':
			p->purge = true;
			break;
		case 's':
		case 'S':
			p->structure = true;
			break;
		case 'v':
			verbose++;
			break;
		case '?':
			return usage(argv[0]);
		default:
			p->wants = ph_realloc(p->wants, (p->n_wants + 1) * sizeof(p->wants[0]));
			p->wants[p->n_wants++] = (struct want){ (char)c, optarg };
			p->used[c] = true;
		}
	}
	p->args = argv + optind;
	if (p->n_wants == 0 && !p->purge && !p->structure)
		p->purge = p->structure = true;
	if (verbose)
		ph_log_set_verbose(verbose);
	return 0;
}

int ph_main_postsuper(int argc, char **argv)
{
	struct postsuper p = { 0 };
	struct ph_log_config log = { .prog = "postsuper", .also_stderr = true };
	struct ph_config *config;
	struct ph_err err;
	int r;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	if (getuid() != 0) {
		ph_log(PH_LOG_FATAL, "use of this command is reserved for the superuser");
		return 1;
	}
	r = parse(&p, argc, argv);
	if (r)
		return r;
	if (ph_config_load(ph_cmd_config_dir(p.config_dir), PH_CONFIG_QUIET, &config, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		return 1;
	}
	p.config = config;
	p.g = ph_conf_general(ph_config_main(config));
	log.syslog_name = p.g->syslog_name;
	log.facility = p.g->syslog_facility_code;
	log.maillog_file = *p.g->maillog_file ? p.g->maillog_file : NULL;
	ph_log_open(&log);
	if (take_queues(&p) < 0)
		return 1;
	if (ph_run_blocking(run, &p) < 0)
		return 1;
	if (p.status == 0)
		summary(&p);
	return p.status;
}
