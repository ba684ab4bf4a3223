/* conn.c: connections to Dovecot's auth server.  Owns the idle ones and the list of mechanisms.  Yields.
 *
 * An exchange has a connection to itself, so no answer can reach the wrong session; one whose exchange did not come to its end is
 * closed.  Source: Dovecot's "auth client protocol", version 1. */
#include "conn.h"

#include <errno.h>
#include <posthouse/dns.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_MAX 4
#define CONNECTIONS_MAX 200
#define GREETING_LINES_MAX 200
#define STRAY_LINES_MAX 100

static void mechs_free(struct dovecot_mech *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(m[i].name);
	free(m);
}

/* ---- the server's name ---- */

static int parse_inet(struct dovecot_server *d, const char *text, struct ph_err *err)
{
	const char *colon = strrchr(text, ':');
	int64_t port;

	if (!colon || colon == text || ph_str_int64(colon + 1, 1, 65535, &port) < 0)
		return ph_err_set(err, -EINVAL, "bad address \"inet:%s\": need inet:host:port", text);
	if (*text == '[' && colon[-1] == ']')
		d->host = ph_strndup(text + 1, (size_t)(colon - text) - 2);
	else
		d->host = ph_strndup(text, (size_t)(colon - text));
	d->port = (int)port;
	return 0;
}

int dovecot_server_new(const char *path, const char *queue_dir, struct dovecot_server **ret, struct ph_err *err)
{
	struct dovecot_server *d = ph_alloc(sizeof(*d));
	struct ph_buf b = PH_BUF_INIT(4096);
	int r = 0;

	d->path = ph_strdup(path);
	d->slots.free = CONNECTIONS_MAX;
	if (strncmp(path, "inet:", 5) == 0) {
		r = parse_inet(d, path + 5, err);
	} else {
		if (strncmp(path, "unix:", 5) == 0)
			path += 5;
		if (*path != '/')
			ph_buf_printf(&b, "%s/", queue_dir);
		ph_buf_puts(&b, path);
		d->unix_path = ph_strdup(ph_buf_str(&b));
		ph_buf_done(&b);
	}
	if (r < 0)
		dovecot_server_free(d);
	else
		*ret = d;
	return r;
}

static void conn_free(struct dovecot_conn *c)
{
	ph_stream_close(&c->stream);
	free(c);
}

void dovecot_server_free(struct dovecot_server *d)
{
	struct dovecot_conn *c;

	while ((c = d->idle)) {
		d->idle = c->next;
		conn_free(c);
	}
	mechs_free(d->mechs, d->n_mechs);
	free(d->path);
	free(d->unix_path);
	free(d->host);
	free(d);
}

/* ---- lines ---- */

static int read_line(struct dovecot_conn *c, struct ph_arena *arena, struct dovecot_reply *ret, struct ph_err *err)
{
	struct ph_slice line;
	ssize_t n = ph_stream_getline(c->stream, DOVECOT_LINE_MAX, &line, ph_now_ms() + DOVECOT_TIMEOUT_MS);
	int type;

	if (n == -ENODATA)
		return ph_err_set(err, -ECONNRESET, "lost connection");
	if (n < 0)
		return ph_err_errno(err, (int)n, "read");
	type = dovecot_parse(ph_arena_strndup(arena, line.p, line.n), ret);
	return type < 0 ? ph_err_set(err, type, "malformed answer") : type;
}

static int send_line(struct dovecot_conn *c, const char *text, struct ph_err *err)
{
	int64_t deadline = ph_now_ms() + DOVECOT_TIMEOUT_MS;
	int r = ph_stream_puts(c->stream, text, deadline);

	if (r == 0)
		r = ph_stream_puts(c->stream, "\n", deadline);
	if (r == 0)
		r = ph_stream_flush(c->stream, deadline);
	return r < 0 ? ph_err_errno(err, r, "write") : 0;
}

/* ---- the greeting ---- */

/* The server asks for a number that no other connection of it has. */
static uint32_t client_number(void)
{
	static uint32_t count;

	return ((uint32_t)getpid() & 0xfffff) << 11 | (count++ & 0x7ff);
}

struct greeting {
	bool version;
	struct dovecot_mech *mechs;
	size_t n;
};

static int greeting_lines(struct dovecot_conn *c, struct ph_arena *arena, struct greeting *g, struct ph_err *err)
{
	struct dovecot_reply line;
	int type;

	for (int i = 0; i < GREETING_LINES_MAX; i++) {
		type = read_line(c, arena, &line, err);
		if (type < 0)
			return type;
		if (type == DOVECOT_VERSION) {
			if (line.id != DOVECOT_MAJOR)
				return ph_err_set(err, -EPROTO, "protocol version mismatch (%u vs. %u)", (unsigned)line.id, DOVECOT_MAJOR);
			g->version = true;
		} else if (type == DOVECOT_MECH) {
			g->mechs = ph_realloc(g->mechs, (g->n + 1) * sizeof(*g->mechs));
			g->mechs[g->n++] = (struct dovecot_mech){ ph_strdup(line.mech), line.properties };
		} else if (type == DOVECOT_DONE) {
			return g->version ? 0 : ph_err_set(err, -EPROTO, "no protocol version in the greeting");
		}
	}
	return ph_err_set(err, -EPROTO, "endless greeting");
}

static int greet(struct dovecot_server *d, struct dovecot_conn *c, struct ph_arena *arena, struct ph_err *err)
{
	struct greeting g = { false, NULL, 0 };
	int r = send_line(c, ph_arena_printf(arena, "VERSION\t%d\t1\nCPID\t%u", DOVECOT_MAJOR, client_number()), err);

	if (r == 0)
		r = greeting_lines(c, arena, &g, err);
	if (r < 0) {
		mechs_free(g.mechs, g.n);
		return r;
	}
	mechs_free(d->mechs, d->n_mechs);
	d->mechs = g.mechs;
	d->n_mechs = g.n;
	return 0;
}

static int connect_to(struct dovecot_server *d, struct ph_arena *arena, struct ph_stream **ret, struct ph_err *err)
{
	int64_t deadline = ph_now_ms() + DOVECOT_TIMEOUT_MS;
	struct ph_endpoint one, *list = &one;
	const char *text = "";
	size_t n = 1;
	int r;

	if (d->unix_path) {
		r = ph_endpoint_unix(&one, d->unix_path);
		if (r < 0)
			return ph_err_errno(err, r, "%s", d->unix_path);
	} else if (ph_dns_addresses(arena, d->host, AF_UNSPEC, true, deadline, &list, &n, &text) != PH_DNS_OK) {
		return ph_err_set(err, -EHOSTUNREACH, "host %s not found: %s", d->host, text ? text : "");
	}
	r = -EHOSTUNREACH;
	for (size_t i = 0; i < n && r < 0; i++) {
		char addr[108];

		if (!d->unix_path && ph_endpoint_ip(&one, ph_endpoint_addr(&list[i], addr, sizeof(addr)), d->port) < 0)
			continue;
		r = ph_stream_connect(&one, NULL, deadline, ret, err);
	}
	return r;
}

static int new_conn(struct dovecot_server *d, struct dovecot_conn **ret, struct ph_err *err)
{
	struct dovecot_conn *c = ph_alloc(sizeof(*c));
	struct ph_arena *arena = ph_arena_new();
	struct ph_err why = { 0, "" };
	int r;

	r = connect_to(d, arena, &c->stream, &why);
	if (r < 0) {
		ph_err_set(err, r, "SASL: Connect to Dovecot auth socket '%s' failed: %s", d->path, strerrordesc_np(-r) ? strerrordesc_np(-r) : why.text);
	} else {
		r = greet(d, c, arena, &why);
		if (r < 0)
			ph_err_set(err, r, "SASL: server %s: %s", d->path, why.text);
	}
	ph_arena_free(&arena);
	if (r < 0)
		conn_free(c);
	else
		*ret = c;
	return r;
}

/* ---- getting and giving back ---- */

int dovecot_get(struct dovecot_server *d, bool fresh, struct dovecot_conn **ret, struct ph_err *err)
{
	struct dovecot_conn *c;
	int r = ph_sem_get(&d->slots, ph_now_ms() + DOVECOT_TIMEOUT_MS);

	if (r < 0)
		return ph_err_set(err, r, "SASL: server %s: too many exchanges at a time", d->path);
	while ((c = d->idle)) {
		d->idle = c->next;
		d->n_idle--;
		c->next = NULL;
		if (!fresh) {
			*ret = c;
			return 0;
		}
		conn_free(c);           /* the one that has just failed will not be the only one */
	}
	r = new_conn(d, ret, err);
	if (r < 0)
		ph_sem_put(&d->slots);
	return r;
}

void dovecot_put(struct dovecot_server *d, struct dovecot_conn *c, bool good)
{
	ph_sem_put(&d->slots);
	if (!good || d->n_idle >= IDLE_MAX) {
		conn_free(c);
		return;
	}
	c->used = true;
	c->next = d->idle;
	d->idle = c;
	d->n_idle++;
}

int dovecot_ask(struct dovecot_conn *c, struct ph_arena *arena, const char *line, uint32_t id, struct dovecot_reply *ret, struct ph_err *err)
{
	int type, r = send_line(c, line, err);

	for (int i = 0; r == 0 && i < STRAY_LINES_MAX; i++) {
		type = read_line(c, arena, ret, err);
		if (type < 0)
			return type;
		if (type >= DOVECOT_OK && ret->id == id)
			return type;
	}
	return r < 0 ? r : ph_err_set(err, -EPROTO, "answers to other requests only");
}
