/* postkick.c: postkick(1): wake a service of the mail system up, for scripts.
 *
 * Our services are told in their own ways: pickup by a byte on its socket, the queue manager by a request (F or D: flush).  No other
 * service waits for triggers; a socket that is there is connected to, so that the exit status says whether it is served. */
#include "cmd/cmd.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/config.h"
#include "config/general.h"
#include "queue/proto.h"
#include <posthouse/io.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct kick {
	const char *queue_dir, *class, *service, *request;
	struct ph_err err;
	int rc;
};

static void flush_queue(void *arg)
{
	struct kick *k = arg;

	k->rc = ph_qmgr_ctl(k->queue_dir, "{\"cmd\":\"flush\"}", NULL, NULL, ph_now_ms() + PH_SECONDS(60), &k->err);
}

static int send_request(struct kick *k, const char *path)
{
	struct ph_endpoint e;
	int fd, rc = 0;

	if (ph_endpoint_unix(&e, path) < 0)
		return ph_err_set(&k->err, -ENAMETOOLONG, "%s: too long for a socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &e.addr.sa, e.len) < 0)
		rc = ph_err_errno(&k->err, -errno, "connect to %s", path);
	else if (strcmp(k->service, "qmgr") != 0 && send(fd, k->request, strlen(k->request), MSG_NOSIGNAL) < 0 && errno != EPIPE)
		rc = ph_err_errno(&k->err, -errno, "write to %s", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int kick(struct kick *k)
{
	char path[4200];
	struct stat st;

	if (strchr(k->class, '/') || strchr(k->service, '/'))
		return ph_err_set(&k->err, -EINVAL, "%s/%s: not the name of a service", k->class, k->service);
	snprintf(path, sizeof path, "%s/%s/%s", k->queue_dir, k->class, k->service);
	if (stat(path, &st) < 0)
		return ph_err_set(&k->err, -errno, "unable to look up %s/%s: %s", k->class, k->service, strerrordesc_np(errno));
	k->rc = send_request(k, path);
	if (k->rc == 0 && strcmp(k->class, "public") == 0 && strcmp(k->service, "qmgr") == 0 && strpbrk(k->request, "FD"))
		ph_run_blocking(flush_queue, k);
	return k->rc;
}

int ph_main_postkick(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "postkick", .only_stderr = true };
	const char *dir = NULL;
	struct ph_config *config;
	struct kick k = { 0 };
	int c;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	while ((c = getopt(argc, argv, "c:v")) > 0 && c != '?')
		if (c == 'c')
			dir = optarg;
	if (c == '?' || argc != optind + 3) {
		ph_log(PH_LOG_FATAL, "usage: postkick [-c config_dir] [-v] class service request");
		return 1;
	}
	if (ph_config_load(ph_cmd_config_dir(dir), PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER, &config, &k.err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", k.err.text);
		return 1;
	}
	k.queue_dir = ph_conf_general(ph_config_main(config))->queue_directory;
	k.class = argv[optind];
	k.service = argv[optind + 1];
	k.request = argv[optind + 2];
	if (kick(&k) < 0) {
		ph_log(PH_LOG_WARNING, "%s", k.err.text);
		ph_log(PH_LOG_WARNING, "Cannot contact class %s service %s - perhaps the mail system is down", k.class, k.service);
		return 1;
	}
	return 0;
}
