/* policy_server.c: see policy_server.h.  Owns the servers of this process and their idle connections.  A connection serves one request at a
 * time; what is left idle is closed after max_idle by a coroutine that lives as long as there is any.  policy_server_ask yields. */
#include "common/policy_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <posthouse/co.h>
#include <posthouse/dns.h>
#include <posthouse/io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/policy_proto.h"

struct policy_conn {
	struct policy_conn *next;
	struct ph_stream *io;
	int64_t idle_until_ms, born_ms;
	int requests;
};

struct policy_server {
	struct policy_server *next;
	int refs;
	char *text, *host, *path;       /* host NULL: unix */
	const char *name;               /* for messages: "host:port", the path */
	int port;
	struct policy_conn *idle;       /* last used first */
	bool reaping;
};

static struct policy_server *servers;

static int parse(struct policy_server *s, const char *queue_dir, struct ph_err *err)
{
	char *colon;
	int64_t port;
	size_t n;

	if (strncmp(s->text, "unix:", 5) == 0 && s->text[5]) {
		n = strlen(queue_dir) + strlen(s->text) + 1;
		s->path = ph_alloc(n);
		snprintf(s->path, n, "%s%s%s", s->text[5] == '/' ? "" : queue_dir, s->text[5] == '/' ? "" : "/", s->text + 5);
		s->name = s->text + 5;
		return 0;
	}
	if (strncmp(s->text, "inet:", 5) != 0)
		return ph_err_set(err, -EINVAL, "bad policy server \"%.200s\": need inet:host:port or unix:path", s->text);
	s->name = s->text + 5;
	s->host = ph_strdup(s->name);
	colon = strrchr(s->host, ':');
	if (colon && strchr(s->host, ':') != colon && s->host[0] != '[')
		colon = NULL;
	if (!colon && ph_str_int64(s->host, 1, 65535, &port) == 0) {    /* "inet:10023" */
		strcpy(s->host, "");
	} else if (!colon || ph_str_int64(colon + 1, 1, 65535, &port) < 0) {
		return ph_err_set(err, -EINVAL, "bad policy server \"%.200s\": need inet:host:port", s->text);
	} else {
		*colon = '\0';
	}
	n = strlen(s->host);
	if (n > 2 && s->host[0] == '[' && s->host[n - 1] == ']') {
		memmove(s->host, s->host + 1, n - 2);
		s->host[n - 2] = '\0';
	}
	s->port = (int)port;
	return 0;
}

static void conn_free(struct policy_conn **c)
{
	if (!*c)
		return;
	ph_stream_close(&(*c)->io);
	free(*c);
	*c = NULL;
}

static void server_free(struct policy_server *s)
{
	struct policy_conn *c;

	for (struct policy_server **at = &servers; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	while ((c = s->idle)) {
		s->idle = c->next;
		conn_free(&c);
	}
	free(s->text);
	free(s->host);
	free(s->path);
	free(s);
}

int policy_server_ref(const char *text, const char *queue_dir, struct policy_server **ret, struct ph_err *err)
{
	struct policy_server *s;

	for (s = servers; s; s = s->next)
		if (strcmp(s->text, text) == 0) {
			s->refs++;
			*ret = s;
			return 0;
		}
	s = ph_alloc(sizeof(*s));
	s->text = ph_strdup(text);
	s->refs = 1;
	if (parse(s, queue_dir, err) < 0) {
		server_free(s);
		return -EINVAL;
	}
	s->next = servers;
	servers = s;
	*ret = s;
	return 0;
}

void policy_server_unref(struct policy_server **sp)
{
	struct policy_server *s = *sp;

	*sp = NULL;
	if (s && --s->refs == 0)
		server_free(s);
}

const char *policy_server_name(const struct policy_server *s)
{
	return s->text;
}

/* ---- connecting ---- */

static void set_port(struct ph_endpoint *e, int port)
{
	if (e->addr.sa.sa_family == AF_INET6)
		((struct sockaddr_in6 *)&e->addr.ss)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)&e->addr.ss)->sin_port = htons((uint16_t)port);
}

static int endpoints(struct policy_server *s, struct ph_arena *arena, int64_t deadline, struct ph_endpoint **ret, size_t *ret_n)
{
	struct ph_endpoint *one = ph_arena_alloc(arena, sizeof(*one));

	*ret = one;
	*ret_n = 1;
	if (s->path)
		return ph_endpoint_unix(one, s->path);
	if (ph_endpoint_ip(one, *s->host ? s->host : "127.0.0.1", s->port) == 0)
		return 0;
	if (ph_dns_addresses(arena, s->host, AF_UNSPEC, true, deadline, ret, ret_n, NULL) != PH_DNS_OK)
		return -EHOSTUNREACH;
	for (size_t i = 0; i < *ret_n; i++)
		set_port(&(*ret)[i], s->port);
	return 0;
}

static int conn_new(struct policy_server *s, struct ph_arena *arena, int64_t deadline, struct policy_conn **ret)
{
	struct ph_endpoint *list;
	struct ph_stream *io;
	struct ph_err err;
	size_t n;
	int r = endpoints(s, arena, deadline, &list, &n);

	if (r < 0) {
		ph_log(PH_LOG_WARNING, "connect to %s: %s", s->name, s->path ? strerror(-r) : "host or service not found");
		return r;
	}
	r = -EHOSTUNREACH;
	for (size_t i = 0; i < n; i++) {
		r = ph_stream_connect(&list[i], NULL, deadline, &io, &err);
		if (r < 0)
			continue;
		*ret = ph_alloc(sizeof(**ret));
		(*ret)->io = io;
		(*ret)->born_ms = ph_now_ms();
		return 0;
	}
	ph_log(PH_LOG_WARNING, "connect to %s: %s", s->name, strerror(-r));
	return r;
}

/* ---- idle connections ---- */

static void reap_main(void *arg)
{
	struct policy_server *s = arg, *ref = s;

	while (s->refs > 1 && s->idle) {        /* else nobody needs them any more */
		int64_t next = ph_now_ms() + 1000;
		struct policy_conn *c, **at = &s->idle;

		while ((c = *at)) {
			if (c->idle_until_ms <= ph_now_ms()) {
				*at = c->next;
				conn_free(&c);
			} else {
				at = &c->next;
			}
		}
		if (s->idle && ph_co_sleep(next - ph_now_ms()) < 0)
			break;
	}
	s->reaping = false;
	policy_server_unref(&ref);
}

static void conn_keep(struct policy_server *s, const struct policy_limits *lim, struct policy_conn *c)
{
	c->idle_until_ms = ph_now_ms() + lim->max_idle_ms;
	if (lim->max_ttl_ms && c->born_ms + lim->max_ttl_ms < c->idle_until_ms)
		c->idle_until_ms = c->born_ms + lim->max_ttl_ms;
	if ((lim->request_limit && c->requests >= lim->request_limit) || c->idle_until_ms <= ph_now_ms()) {
		conn_free(&c);
		return;
	}
	c->next = s->idle;
	s->idle = c;
	if (!s->reaping) {
		s->reaping = true;
		s->refs++;
		ph_co_spawn("policy connections", reap_main, s);
	}
}

/* Closed or reset by the server while it was idle, or with an answer that nobody asked for. */
static bool conn_stale(const struct policy_conn *c)
{
	char byte;
	ssize_t n = recv(ph_stream_fd(c->io), &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return c->idle_until_ms <= ph_now_ms() || n >= 0 || (errno != EAGAIN && errno != EINTR);
}

static struct policy_conn *conn_take(struct policy_server *s)
{
	struct policy_conn *c = s->idle;

	while (c && conn_stale(c)) {
		s->idle = c->next;
		conn_free(&c);
		c = s->idle;
	}
	if (c)
		s->idle = c->next;
	return c;
}

/* ---- a request ---- */

static int read_reply(struct policy_server *s, struct policy_conn *c, struct ph_arena *arena, int64_t deadline, const char **ret_action)
{
	struct ph_slice in, action;
	struct ph_err err;
	ssize_t n;
	size_t used;
	int r;

	for (;;) {
		in = ph_stream_peek(c->io);
		r = policy_reply(in.p, in.n, &action, &used, &err);
		if (r == 1) {
			*ret_action = ph_arena_strndup(arena, action.p, action.n);
			ph_stream_consume(c->io, used);
			/* More than was asked for: whose answer would that be? */
			return ph_stream_peek(c->io).n ? 1 : 0;
		}
		if (r < 0) {
			ph_log(PH_LOG_WARNING, "%s in input from %s", err.text, s->name);
			return r;
		}
		n = ph_stream_fill(c->io, deadline);
		if (n <= 0)
			return n == 0 ? -ECONNRESET : (int)n;
	}
}

static int exchange(struct policy_server *s, struct policy_conn *c, const struct policy_limits *lim, const struct ph_buf *request,
		    struct ph_arena *arena, const char **ret_action)
{
	int64_t deadline = ph_now_ms() + lim->timeout_ms;
	int r = ph_stream_write(c->io, request->data, request->len, deadline);

	if (r == 0)
		r = ph_stream_flush(c->io, deadline);
	if (r == 0)
		r = read_reply(s, c, arena, ph_now_ms() + lim->timeout_ms, ret_action);
	return r;
}

/* One try, with an idle connection or a new one. */
static int attempt(struct policy_server *s, const struct policy_limits *lim, const struct ph_buf *request, struct ph_arena *arena,
		   const char **ret_action)
{
	struct policy_conn *c = conn_take(s);
	int r = c ? 0 : conn_new(s, arena, ph_now_ms() + lim->timeout_ms, &c);

	if (r < 0)
		return r;
	c->requests++;
	r = exchange(s, c, lim, request, arena, ret_action);
	if (r == 0)
		conn_keep(s, lim, c);
	else
		conn_free(&c);
	return r < 0 ? r : 0;
}

int policy_server_ask(struct policy_server *s, const struct policy_limits *lim, const struct ph_buf *request, struct ph_arena *arena,
		      const char **ret_action)
{
	struct policy_server *ref = s;
	int r;

	s->refs++;
	for (int tries = 1;; tries++) {
		r = attempt(s, lim, request, arena, ret_action);
		if (r == 0 || r == -ECANCELED)
			break;
		if (tries >= lim->try_limit || (r != -ECONNRESET && r != -EPIPE && r != -ENOENT))
			ph_log(PH_LOG_WARNING, "problem talking to server %s: %s", s->name,
			       r == -EPROTO || r == -ECONNRESET ? "Application error" : r == -ETIMEDOUT ? "Connection timed out" : strerror(-r));
		if (tries >= lim->try_limit || ph_co_sleep(lim->retry_delay_ms) < 0)
			break;
	}
	policy_server_unref(&ref);
	return r;
}
