/* pool.c: see pool.h.  Owns servers and idle connections of one table.  lpool_exchange yields, the rest does not. */
#include "pool.h"

#include <posthouse/co.h>
#include <posthouse/dns.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SERVERS 16
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 60000
#define IDLE_MS 60000

struct lserver {
	char *name;             /* as configured, for messages */
	char *host;             /* NULL: unix */
	char *path;
	int port;
	int64_t down_until_ms, backoff_ms;
	char why[256];          /* it is left alone */
};

struct lpool {
	const struct lpool_lang *lang;
	void *ctx;
	struct lserver servers[MAX_SERVERS];
	size_t n_servers, first;        /* first: the one to try first */
	struct ph_sem free;             /* connections that may still be used */
	struct lconn *idle;             /* last used first */
	struct ph_sem opening;          /* lang->open */
	bool spread;
	size_t first_group;             /* spread: servers that are tried before the others */
};

struct lpool *lpool_new(const struct lpool_lang *lang, void *ctx, int connections)
{
	struct lpool *p = ph_alloc(sizeof *p);

	p->lang = lang;
	p->ctx = ctx;
	p->free.free = connections;
	p->opening.free = 1;
	return p;
}

int lpool_add_name(struct lpool *p, const char *name, struct ph_err *err)
{
	if (p->n_servers == MAX_SERVERS)
		return ph_err_set(err, -EINVAL, "more than %d servers", MAX_SERVERS);
	p->servers[p->n_servers++].name = ph_strdup(name);
	return 0;
}

void lpool_spread(struct lpool *p, size_t first_group)
{
	p->spread = true;
	p->first_group = first_group;
}

int lpool_add(struct lpool *p, const char *text, int default_port, struct ph_err *err)
{
	struct lserver *s = &p->servers[p->n_servers];
	char *copy, *host, *colon;
	int64_t port = default_port;
	int r = 0;

	if (p->n_servers == MAX_SERVERS)
		return ph_err_set(err, -EINVAL, "more than %d servers", MAX_SERVERS);
	if (strncmp(text, "unix:", 5) == 0) {
		s->name = ph_strdup(text);
		s->path = ph_strdup(text + 5);
		p->n_servers++;
		return 0;
	}
	copy = host = ph_strdup(strncmp(text, "inet:", 5) == 0 ? text + 5 : text);
	colon = strrchr(host, ':');
	if (colon && (strchr(host, ':') == colon || (colon > host && colon[-1] == ']'))) {
		*colon++ = '\0';
		if (ph_str_int64(colon, 1, 65535, &port) < 0)
			r = ph_err_set(err, -EINVAL, "bad port in \"%.100s\"", text);
	}
	if (host[0] == '[' && strlen(host) > 2 && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		host++;
	}
	if (r == 0 && (*host == '\0' || port == 0))
		r = ph_err_set(err, -EINVAL, "need host:port or unix:/path instead of \"%.100s\"", text);
	if (r == 0) {
		s->name = ph_strdup(text);
		s->host = ph_strdup(host);
		s->port = (int)port;
		p->n_servers++;
	}
	free(copy);
	return r;
}

size_t lpool_servers(const struct lpool *p)
{
	return p->n_servers;
}

const char *lpool_server_name(const struct lpool *p)
{
	return p->servers[p->first].name;
}

static void conn_close(struct lpool *p, struct lconn *c)
{
	if (p->lang->dropped)
		p->lang->dropped(p->ctx, c);
	ph_stream_close(&c->stream);
	free(c);
}

void lpool_free(struct lpool **pp)
{
	struct lpool *p = *pp;
	struct lconn *c;

	*pp = NULL;
	if (p == NULL)
		return;
	while ((c = p->idle) != NULL) {
		p->idle = c->next;
		conn_close(p, c);
	}
	for (size_t i = 0; i < p->n_servers; i++) {
		free(p->servers[i].name);
		free(p->servers[i].host);
		free(p->servers[i].path);
	}
	free(p);
}

static void set_port(struct ph_endpoint *e, int port)
{
	if (e->addr.sa.sa_family == AF_INET6)
		((struct sockaddr_in6 *)&e->addr)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)&e->addr)->sin_port = htons((uint16_t)port);
}

static int connect_to(const struct lserver *s, struct ph_arena *arena, int64_t deadline, struct ph_stream **ret, struct ph_err *err)
{
	struct ph_endpoint *list = NULL, one;
	const char *why = NULL;
	int r = -EHOSTUNREACH;
	size_t n = 1;

	if (s->path) {
		r = ph_endpoint_unix(&one, s->path);
		if (r < 0)
			return ph_err_errno(err, r, "%s", s->path);
		list = &one;
	} else if (ph_endpoint_ip(&one, s->host, s->port) == 0) {
		list = &one;
	} else {
		if (ph_dns_addresses(arena, s->host, AF_UNSPEC, true, deadline, &list, &n, &why) != PH_DNS_OK || n == 0)
			return ph_err_set(err, -EHOSTUNREACH, "host not found: %s", why ? why : "no address");
		for (size_t i = 0; i < n; i++)
			set_port(&list[i], s->port);
	}
	for (size_t i = 0; i < n; i++)
		if ((r = ph_stream_connect(&list[i], NULL, deadline, ret, err)) >= 0)
			return 0;
	return r;
}

/* Several connections can fail over one outage: it counts once. */
static void server_failed(struct lserver *s, const struct ph_err *err)
{
	if (ph_now_ms() >= s->down_until_ms) {
		s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : BACKOFF_MIN_MS;
		if (s->backoff_ms > BACKOFF_MAX_MS)
			s->backoff_ms = BACKOFF_MAX_MS;
		s->down_until_ms = ph_now_ms() + s->backoff_ms;
	}
	snprintf(s->why, sizeof s->why, "%.255s", err->text);
}

/* The order to try the servers in. */
static void make_order(const struct lpool *p, size_t order[MAX_SERVERS])
{
	for (size_t i = 0; i < p->n_servers; i++)
		order[i] = p->spread ? i : (p->first + i) % p->n_servers;
	if (!p->spread)
		return;
	for (size_t i = 0; i < p->n_servers; i++) {
		size_t end = i < p->first_group ? p->first_group : p->n_servers;
		size_t j = i + arc4random_uniform((uint32_t)(end - i)), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

static int conn_open(struct lpool *p, struct ph_arena *arena, struct lconn *c, int64_t deadline, struct ph_err *err)
{
	int r;

	if (p->lang->open)
		return p->lang->open(p->ctx, c, c->server->name, deadline, err);
	r = connect_to(c->server, arena, deadline, &c->stream, err);
	if (r >= 0 && p->lang->connected)
		r = p->lang->connected(p->ctx, c, deadline, err);
	return r;
}

/* A greeted connection to the first server that works. */
static int conn_new(struct lpool *p, struct ph_arena *arena, int64_t deadline, struct lconn **ret, struct ph_err *err)
{
	size_t order[MAX_SERVERS];
	int r = -ECONNREFUSED;

	make_order(p, order);
	for (size_t i = 0; i < p->n_servers; i++) {
		struct lserver *s = &p->servers[order[i]];
		struct ph_err why = { 0 };
		struct lconn *c;

		if (ph_now_ms() < s->down_until_ms) {
			ph_err_set(err, r, "server %s: %s (it is not asked again for now)", s->name, s->why);
			continue;
		}
		c = ph_alloc(sizeof *c);
		c->server = s;
		r = conn_open(p, arena, c, deadline, &why);
		if (r >= 0) {
			p->first = (size_t)(s - p->servers);
			*ret = c;
			return 0;
		}
		conn_close(p, c);
		ph_err_set(err, r, "server %s: %s", s->name, why.text);
		if (r == -ECANCELED)
			return r;
		server_failed(s, &why);
	}
	return r;
}

static struct lconn *take_idle(struct lpool *p)
{
	struct lconn *c = p->idle, *old;

	if (c == NULL)
		return NULL;
	p->idle = c->next;
	if (ph_now_ms() - c->idle_since_ms < IDLE_MS)
		return c;
	for (c->next = p->idle; (old = c) != NULL;) {   /* the others are idle for longer still */
		c = c->next;
		conn_close(p, old);
	}
	p->idle = NULL;
	return NULL;
}

static int conn_get(struct lpool *p, struct ph_arena *arena, int64_t deadline, struct lconn **ret, struct ph_err *err)
{
	int r;

	*ret = take_idle(p);
	if (*ret)
		return 0;
	if (p->lang->open == NULL)
		return conn_new(p, arena, deadline, ret, err);
	r = ph_sem_get(&p->opening, deadline);
	if (r < 0)
		return ph_err_errno(err, r, "waiting for a connection");
	*ret = take_idle(p);            /* others may have finished meanwhile */
	r = *ret ? 0 : conn_new(p, arena, deadline, ret, err);
	ph_sem_put(&p->opening);
	return r;
}

int lpool_exchange(struct lpool *p, struct ph_arena *arena, void *query, int64_t timeout_ms, struct ph_err *err)
{
	int64_t deadline = ph_now_ms() + timeout_ms;
	struct ph_err why = { 0 };
	struct lconn *c;
	bool again;
	int r = ph_sem_get(&p->free, deadline);

	if (r < 0)
		return ph_err_errno(err, r, "all connections are in use");
	do {
		r = conn_get(p, arena, deadline, &c, err);
		if (r < 0)
			break;
		r = p->lang->ask(p->ctx, c, query, deadline, &why);
		if (r >= 0)
			c->server->backoff_ms = 0;
		if (r == 0 && (c->stream == NULL || ph_stream_peek(c->stream).n == 0)) {
			c->used = true;
			c->idle_since_ms = ph_now_ms();
			c->next = p->idle;
			p->idle = c;
			break;
		}
		again = r < 0 && c->used && r != -ETIMEDOUT && r != -ECANCELED && r != -EPROTO;
		if (r < 0 && !again) {
			ph_err_set(err, r, "server %s: %s", c->server->name, why.text);
			if (r != -ECANCELED)
				server_failed(c->server, &why);
		}
		conn_close(p, c);
	} while (again);
	ph_sem_put(&p->free);
	return r < 0 ? r : 0;
}
