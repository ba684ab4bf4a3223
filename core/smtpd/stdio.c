/* stdio.c: one SMTP session on descriptors 0 and 1: sendmail -bs, run by a user of this machine, who has no rights in the queue:
 * messages go to maildrop/, by way of postdrop.  Yields. */
#include <errno.h>
#include <fcntl.h>
#include <posthouse/co.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/log.h"
#include "base/loop.h"
#include "config/general.h"
#include "queue/submit.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

struct pump {
	int from, to;
};

/* Copy bytes until one side ends: a session wants one descriptor for both directions, a pipe has two. */
static void pump_main(void *arg)
{
	struct pump *p = arg;
	char buf[4096];
	ssize_t n, done, w;

	while ((n = read(p->from, buf, sizeof(buf))) > 0)
		for (done = 0; done < n; done += w)
			if ((w = write(p->to, buf + done, (size_t)(n - done))) <= 0)
				return;
}

static void pump_in(void *arg)
{
	struct pump *p = arg;

	ph_offload(pump_main, p);
	shutdown(p->to, SHUT_WR);
}

struct stand_alone {
	const struct ph_config *config;
	struct ph_submit submit;
	int fd;
};

static void session_main(void *arg)
{
	struct stand_alone *sa = arg;
	struct ph_smtpd_service *svc = ph_smtpd_service_new(sa->config, NULL, NULL);
	struct ph_session *s;

	svc->submit = &sa->submit;
	s = ph_smtpd_session_new(svc, ph_stream_from_fd(sa->fd));
	ph_co_set_ident(svc->set.syslog_name, "smtpd");
	ph_co_set_as_ident(svc->cleanup_syslog_name);
	if (svc->fatal) {
		ph_log(PH_LOG_FATAL, "%s", svc->fatal);
	} else {
		ph_smtpd_peer_from_socket(s);
		ph_log(PH_LOG_INFO, "connect from %s", s->namaddr);
		ph_smtpd_proto(s);
		ph_smtpd_log_disconnect(s);
	}
	ph_smtpd_session_free(&s);
}

struct out { struct pump p; bool done; struct ph_waitq q; };

static void pump_out(void *arg)
{
	struct out *o = arg;

	ph_offload(pump_main, &o->p);
	o->done = true;
	ph_waitq_wake_all(&o->q);
}

struct stdio_run {
	struct stand_alone sa;
	struct pump in;
	struct out out;
};

static void run_main(void *arg)
{
	struct stdio_run *r = arg;

	ph_co_spawn("stdin", pump_in, &r->in);
	ph_co_spawn("stdout", pump_out, &r->out);
	session_main(&r->sa);
	/* The session has closed its side: what it wrote last is still on its way. */
	while (!r->out.done && ph_waitq_wait(&r->out.q, ph_now_ms() + 10000) == 0)
		;
	ph_log_flush();
	_exit(0);               /* the reader of stdin may sit in read() for ever */
}

int ph_smtpd_stdio(const struct ph_config *config)
{
	struct stdio_run r;
	int fds[2], rc;

	rc = ph_loop_init();
	if (rc < 0)
		return rc;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	memset(&r, 0, sizeof(r));
	r.sa.config = config;
	r.sa.submit.config_dir = ph_config_dir(config);
	r.sa.submit.queue_dir = ph_conf_general(ph_config_main(config))->queue_directory;
	r.sa.fd = fds[0];
	r.in.from = STDIN_FILENO;
	r.in.to = fds[1];
	r.out.p.from = fds[1];
	r.out.p.to = STDOUT_FILENO;
	return ph_run_blocking(run_main, &r);
}
