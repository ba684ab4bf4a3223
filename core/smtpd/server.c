/* server.c: the SMTP worker process: listeners, sessions, and how it ends.  Owns its services and counts its sessions. */
#include <errno.h>
#include <posthouse/co.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/loop.h"
#include "net/listen.h"
#include "queue/proto.h"
#include "queue/store.h"
#include "smtpd/filters.h"
#include "smtpd/haproxy.h"
#include "smtpd/limits.h"
#include "smtpd/screen.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

#define STRESS_MS 1000000       /* master(8): so long after the last time that all sessions were in use */

struct port {
	struct server *server;
	struct ph_smtpd_service *svc;
	struct ph_screen *screen;       /* postscreen looks at clients first; NULL */
	struct ph_listener *listener;
	bool paused;
};
struct server {
	struct port *ports;
	size_t n_ports;
	size_t sessions;
	struct ph_limits *limits;
	bool stopping;
	struct ph_timer *statistics;
};

struct start {                  /* what a new session's coroutine is handed */
	struct port *port;
	struct ph_stream *io;
	struct ph_smtpd_service *svc;   /* calm or stressed, as it was when the client came */
};

/* ---- the PROXY header ---- */

static int proxy_refused(struct ph_session *s, const struct ph_screen *ps, const char *why, struct ph_slice in)
{
	struct ph_buf b = PH_BUF_INIT(600);

	for (size_t i = 0; i < in.n && i < 100; i++)
		ph_buf_printf(&b, in.p[i] == '\r' ? "\\r" : in.p[i] == '\n' ? "\\n" : (unsigned char)in.p[i] < 32 ? "?" : "%c", in.p[i]);
	ph_log(PH_LOG_WARNING, "haproxy read: %s%s%s", why, in.n ? ": " : "", ph_buf_str(&b));
	ph_buf_done(&b);
	if (ps)
		ph_smtpd_reply(s, "421 4.3.2 No system resources");
	else
		ph_smtpd_reply(s, "421 4.3.0 %s Server local error", s->set->myhostname);
	ph_smtpd_flush(s);
	return -EPROTO;
}

/* Is the client's address of a kind that inet_protocols has? */
static bool known_protocol(const struct ph_session *s, const struct ph_proxy_info *info)
{
	int family = ph_session_address_family(s);

	return family == AF_UNSPEC || family == (strchr(info->client, ':') ? AF_INET6 : AF_INET);
}

/* Who the client is stands in front of its first byte. */
static int read_proxy_header(struct ph_session *s, const struct ph_screen *ps, int64_t limit_ms)
{
	int64_t deadline = ph_now_ms() + limit_ms;
	struct ph_proxy_info info;
	const char *why;
	ssize_t n;

	for (;;) {
		n = ph_proxy_parse(ph_stream_peek(s->io), &info, &why);
		if (n < 0)
			return proxy_refused(s, ps, why, ph_stream_peek(s->io));
		if (n > 0)
			break;
		n = ph_stream_fill(s->io, deadline);
		if (n == -ETIMEDOUT)
			return proxy_refused(s, ps, ps ? "time limit exceeded" : "timeout error", (struct ph_slice){ "", 0 });
		if (n <= 0)
			return proxy_refused(s, ps, ph_stream_peek(s->io).n ? "missing protocol header terminator" : "EOF", ph_stream_peek(s->io));
	}
	if (!info.local && !known_protocol(s, &info))
		return proxy_refused(s, ps, "bad or missing protocol type", ph_stream_peek(s->io));
	ph_stream_consume(s->io, (size_t)n);
	if (info.local)
		return 0;
	ph_smtpd_peer_set_addr(s, info.client);
	s->port = info.client_port;
	memcpy(s->server_addr, info.server, sizeof(s->server_addr));
	s->server_port = info.server_port;
	ph_smtpd_set_namaddr(s);
	return 0;
}

/* ---- a session ---- */

/* postscreen's half.  false: the client is done with. */
static bool screen(struct ph_screen *ps, struct ph_session *s)
{
	ph_co_set_ident(ps->set.syslog_name, "postscreen");
	if (*ps->set.proxy && read_proxy_header(s, ps, ps->set.proxy_timeout_ms) < 0)
		return false;
	if (!ph_screen_client(ps, s))
		return false;
	ph_co_set_ident(s->set->syslog_name, "smtpd");
	return true;
}

static void session(struct ph_session *s, struct ph_screen *ps)
{
	int r = 0;

	ph_smtpd_peer_from_socket(s);
	if (ps && !screen(ps, s))
		return;
	if (!ps && s->svc->proxy_protocol)
		r = read_proxy_header(s, NULL, s->set->upstream_proxy_timeout_ms);
	if (r == 0)
		ph_smtpd_peer_lookup(s);
	else if (s->name_status != 2 && strcmp(s->addr, "127.0.0.1") == 0)
		ph_smtpd_peer_lookup(s);
	if (ph_smtpd_matches(s, s->svc->debug_peers, "debug_peer_list"))
		ph_co_set_debug(true);
	ph_log(PH_LOG_INFO, "connect from %s", s->namaddr);
	if (r == 0)
		ph_smtpd_proto(s);
	if (!s->fatal)
		ph_smtpd_log_disconnect(s);
}

static void update_port(struct port *p)
{
	bool full = p->svc->max_sessions > 0 && p->svc->sessions >= p->svc->max_sessions;

	if (full == p->paused || !p->listener)
		return;
	p->paused = full;
	if (full) {
		p->svc->stress_until_ms = ph_now_ms() + STRESS_MS;
		ph_log(PH_LOG_WARNING, "service \"%s\" has reached its process limit \"%d\": new clients may experience noticeable delays",
		       p->svc->name, p->svc->max_sessions);
		ph_listener_pause(p->listener);
	} else {
		ph_listener_resume(p->listener);
	}
}

static void session_main(void *arg)
{
	struct start *st = arg;
	struct port *p = st->port;
	struct server *server = p->server;
	struct ph_session *s = ph_smtpd_session_new(st->svc, st->io);

	free(st);
	ph_co_set_ident(p->svc->set.syslog_name, "smtpd");
	ph_co_set_as_ident(p->svc->cleanup_syslog_name);
	if (p->svc->service && p->svc->service->verbose)
		ph_co_set_debug(true);
	session(s, p->screen);
	ph_smtpd_session_free(&s);
	p->svc->sessions--;
	server->sessions--;
	update_port(p);
	if (server->stopping && server->sessions == 0)
		ph_loop_stop();
}

static void on_accept(void *arg, struct ph_stream *io)
{
	struct port *p = arg;
	struct start *st = ph_alloc(sizeof(*st));

	st->port = p;
	st->svc = ph_smtpd_service_now(p->svc);
	st->io = io;
	p->svc->sessions++;
	p->server->sessions++;
	ph_co_spawn("smtpd session", session_main, st);
	update_port(p);
}

/* ---- the process ---- */

static void on_term(int signo, void *arg)
{
	struct server *server = arg;

	server->stopping = true;
	for (size_t i = 0; i < server->n_ports; i++)
		ph_listener_free(&server->ports[i].listener);
	if (server->sessions == 0)
		ph_loop_stop();
}

static void on_statistics(void *arg)
{
	struct server *server = arg;

	ph_limits_log_peaks();
	ph_timer_set(server->statistics, ph_now_ms() + server->ports[0].svc->set.anvil_status_ms);
}

static int share(int limit, unsigned workers)
{
	if (limit <= 0 || workers <= 1)
		return limit;
	return (limit + (int)workers - 1) / (int)workers;
}

/* A postscreen line: clients that pass go to the smtpd line of type pass.  p->svc stays NULL when something is missing. */
static void open_screen(struct server *server, struct port *p, const struct ph_smtpd_listener *l, const struct ph_smtpd_config *cfg)
{
	const char *name = ph_conf_get(l->service->conf, "smtpd_service_name");
	const struct ph_service *pass = ph_config_service(cfg->config, name ? name : "smtpd", PH_SVC_PASS);

	ph_co_set_ident(NULL, NULL);
	if (!pass || strcmp(pass->command, "smtpd") != 0) {
		ph_log(PH_LOG_FATAL, "service %s: postscreen needs a master.cf entry \"%s pass ... smtpd\"", l->service->name, name ? name : "smtpd");
		return;
	}
	for (struct port *q = server->ports; q < p; q++) {
		if (q->svc && q->svc->service == pass)
			p->svc = q->svc;
		if (q->screen && q->screen->conf == l->service->conf)
			p->screen = q->screen;
	}
	if (!p->svc) {
		p->svc = ph_smtpd_service_new(cfg->config, pass, server->limits);
		p->svc->max_sessions = share(pass->maxproc, cfg->n_workers);
	}
	if (!p->screen)
		p->screen = ph_screen_new(cfg->config, l->service, p->svc, server->limits);
	if (p->screen->fatal && !p->svc->fatal)
		p->svc->fatal = p->screen->fatal;
}

static void open_port(struct server *server, struct port *p, const struct ph_smtpd_listener *l, const struct ph_smtpd_config *cfg)
{
	p->server = server;
	for (struct port *q = server->ports; q < p; q++)
		if (q->svc && q->svc->service == l->service)
			p->svc = q->svc;
	if (strcmp(l->service->command, "postscreen") == 0) {
		open_screen(server, p, l, cfg);
	} else if (!p->svc) {
		p->svc = ph_smtpd_service_new(cfg->config, l->service, server->limits);
		p->svc->max_sessions = share(l->service->maxproc, cfg->n_workers);
	}
	if (!p->svc)
		return;
	if (p->svc->fatal) {
		/* Clients wait in the backlog, as they do for a Postfix service that cannot start. */
		ph_co_set_ident(NULL, NULL);
		ph_log(PH_LOG_FATAL, "%s", p->svc->fatal);
		return;
	}
	p->listener = ph_listener_start(l->fd, on_accept, p);
}

struct setup {
	struct server *server;
	const struct ph_smtpd_config *cfg;
};

/* In a coroutine: modules may want to wait while they are prepared. */
static void setup_main(void *arg)
{
	struct setup *st = arg;

	for (size_t i = 0; i < st->server->n_ports; i++)
		open_port(st->server, &st->server->ports[i], &st->cfg->listeners[i], st->cfg);
	if (st->server->n_ports && st->server->ports[0].svc)
		ph_timer_set(st->server->statistics, ph_now_ms() + st->server->ports[0].svc->set.anvil_status_ms);
}

/* Several ports may be one service's. */
static void services_free(struct server *server)
{
	struct ph_smtpd_service *svc;
	struct ph_screen *ps;

	for (size_t i = 0; i < server->n_ports; i++) {
		ps = server->ports[i].screen;
		for (size_t k = i; k < server->n_ports; k++)
			if (server->ports[k].screen == ps)
				server->ports[k].screen = NULL;
		ph_screen_free(&ps);
	}

	for (size_t i = 0; i < server->n_ports; i++) {
		svc = server->ports[i].svc;
		for (size_t k = i; k < server->n_ports; k++)
			if (server->ports[k].svc == svc)
				server->ports[k].svc = NULL;
		ph_smtpd_service_free(&svc);
	}
	free(server->ports);
}

int ph_smtpd_run(const struct ph_smtpd_config *cfg)
{
	struct ph_store_config sc = { .queue_dir = cfg->queue_dir, .slot = cfg->slot };
	struct server server = { .n_ports = cfg->n_listeners, .limits = cfg->limits ? cfg->limits : ph_limits_create() };
	struct setup st = { &server, cfg };
	struct ph_store *store;
	struct ph_err err;
	int r;

	r = ph_loop_init();
	if (r < 0)
		return r;
	r = ph_store_open(&sc, &store, &err);
	if (r < 0) {
		ph_log(PH_LOG_FATAL, "open queue: %s", err.text);
		return r;
	}
	ph_qmgr_link_start(cfg->queue_dir, store);
	ph_limits_attach(server.limits, cfg->slot);
	server.ports = ph_alloc((cfg->n_listeners ? cfg->n_listeners : 1) * sizeof(*server.ports));
	server.statistics = ph_timer_new(on_statistics, &server);
	ph_signal_on(SIGTERM, on_term, &server);
	ph_co_spawn("smtpd setup", setup_main, &st);
	ph_loop_run();
	if (cfg->n_listeners)
		ph_limits_log_peaks();
	ph_limits_forget(server.limits, cfg->slot);
	ph_timer_free(&server.statistics);
	services_free(&server);
	ph_store_close(&store);
	return 0;
}
