/* redis.c: lookup "redis:/etc/posthouse/x.cf": keys of a Redis server.
 *
 * Each table owns a few connections, each used by one look-up at a time; a look-up that finds none free waits.  All servers of the
 * list are tried in turn; one that fails is left alone for a while that doubles up to a minute.  Whatever goes wrong (stopped,
 * slow, garbled, not authorised) is a temporary failure that names the server.  get yields.
 *
 * Settings: host (a list of host, host:port, unix:/path; 127.0.0.1), port (6379), socket, database (0), user, password, timeout (2s, of
 * the whole look-up), connections (8), command (get; "hget NAME", "smembers" ...; the key goes behind it), key_format (%s),
 * result_format (%s), domain (only keys in these domains; a match list). */
#include "common/cfg.h"
#include "redis_reply.h"

#include <posthouse/co.h>
#include <posthouse/dns.h>
#include <posthouse/io.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SERVERS 16
#define MAX_WORDS 8             /* of the command */
#define MAX_RESULT ((size_t)1 << 20)
#define BACKOFF_MIN_MS 1000
#define BACKOFF_MAX_MS 60000

struct server {
	char *name;             /* as configured, for messages */
	char *host;             /* NULL: unix */
	char *path;
	int port;
	int64_t down_until_ms, backoff_ms;
	char why[256];          /* it is left alone */
};

struct conn {
	struct conn *next;
	struct ph_stream *stream;
	struct rparser *parser;
	struct server *server;
	bool used;              /* has answered before: the server may have closed it since */
};

struct table {
	char *name;
	struct lcfg *cfg;
	struct server servers[MAX_SERVERS];
	size_t n_servers, first;        /* first: the one to try first */
	char *command;                  /* its words live in it */
	const char *words[MAX_WORDS];
	size_t n_words;
	const char *user, *password, *key_format, *result_format;
	int database;
	int64_t timeout_ms;
	struct ph_match *domains;       /* NULL: all keys */
	struct ph_sem free;             /* connections that may still be used */
	struct conn *idle;
};

/* ---- settings ---- */

static int add_server(struct table *t, char *word, int port, struct ph_err *err)
{
	struct server *s = &t->servers[t->n_servers];
	int64_t n = port;
	char *colon;

	if (t->n_servers == MAX_SERVERS)
		return ph_err_set(err, -EINVAL, "%s: more than %d servers", t->name, MAX_SERVERS);
	s->name = ph_strdup(word);
	t->n_servers++;
	if (strncmp(word, "unix:", 5) == 0) {
		s->path = ph_strdup(word + 5);
		return 0;
	}
	if (strncmp(word, "inet:", 5) == 0)
		word += 5;
	colon = strrchr(word, ':');
	if (colon && (strchr(word, ':') == colon || colon[-1] == ']')) {
		*colon++ = '\0';
		if (ph_str_int64(colon, 1, 65535, &n) < 0)
			return ph_err_set(err, -EINVAL, "%s: host: bad port in \"%.100s\"", t->name, s->name);
	}
	if (word[0] == '[' && strlen(word) > 2 && word[strlen(word) - 1] == ']') {
		word[strlen(word) - 1] = '\0';
		word++;
	}
	s->host = ph_strdup(word);
	s->port = (int)n;
	return 0;
}

static int read_servers(struct table *t, struct ph_err *err)
{
	const char *socket = lcfg_str(t->cfg, "socket", NULL), *hosts = lcfg_str(t->cfg, "host", NULL);
	char *copy, *cursor, *word, *unix_name;
	int port, r;

	r = lcfg_int(t->cfg, "port", 6379, 1, 65535, &port, err);
	if (r == 0 && socket) {
		unix_name = ph_alloc(strlen(socket) + sizeof "unix:");
		sprintf(unix_name, "unix:%s", socket);
		r = add_server(t, unix_name, port, err);
		free(unix_name);
	}
	copy = cursor = ph_strdup(hosts ? hosts : socket ? "" : "127.0.0.1");
	while (r == 0 && (word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL)
		r = add_server(t, word, port, err);
	free(copy);
	if (r == 0 && t->n_servers == 0)
		r = ph_err_set(err, -EINVAL, "%s: no host is given", t->name);
	return r;
}

static int read_command(struct table *t, struct ph_err *err)
{
	char *cursor, *word;

	t->command = cursor = ph_strdup(lcfg_str(t->cfg, "command", "get"));
	while ((word = ph_str_token(&cursor, " \t")) != NULL) {
		if (t->n_words == MAX_WORDS)
			return ph_err_set(err, -EINVAL, "%s: command holds more than %d words", t->name, MAX_WORDS);
		t->words[t->n_words++] = word;
	}
	return t->n_words > 0 ? 0 : ph_err_set(err, -EINVAL, "%s: command is empty", t->name);
}

static int read_settings(struct table *t, const struct ph_table_spec *spec, struct ph_err *err)
{
	const char *domains;
	int n, r;

	if ((r = read_servers(t, err)) < 0 || (r = read_command(t, err)) < 0)
		return r;
	t->user = lcfg_str(t->cfg, "user", NULL);
	t->password = lcfg_str(t->cfg, "password", NULL);
	t->key_format = lcfg_str(t->cfg, "key_format", "%s");
	t->result_format = lcfg_str(t->cfg, "result_format", "%s");
	domains = lcfg_str(t->cfg, "domain", NULL);
	if ((r = lcfg_check_format(t->name, t->key_format, err)) < 0 ||
	    (r = lcfg_check_format(t->name, t->result_format, err)) < 0 ||
	    (r = lcfg_int(t->cfg, "database", 0, 0, 65535, &t->database, err)) < 0 ||
	    (r = lcfg_ms(t->cfg, "timeout", 2000, &t->timeout_ms, err)) < 0 ||
	    (r = lcfg_int(t->cfg, "connections", 8, 1, 1000, &n, err)) < 0)
		return r;
	t->free.free = n;
	if (domains && *domains)
		t->domains = ph_match_open(spec->conf, t->name, domains, PH_MATCH_DOMAIN);
	lcfg_warn_unused(t->cfg);
	return 0;
}

static void conn_close(struct conn *c)
{
	ph_stream_close(&c->stream);
	rparser_free(&c->parser);
	free(c);
}

static void table_close(void *table)
{
	struct table *t = table;
	struct conn *c;

	while ((c = t->idle) != NULL) {
		t->idle = c->next;
		conn_close(c);
	}
	for (size_t i = 0; i < t->n_servers; i++) {
		free(t->servers[i].name);
		free(t->servers[i].host);
		free(t->servers[i].path);
	}
	lcfg_free(&t->cfg);
	free(t->command);
	free(t->name);
	free(t);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t;
	int r;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "redis:%s map requires O_RDONLY access mode", spec->name);
	t = ph_alloc(sizeof *t);
	t->name = ph_strdup(spec->name);
	r = lcfg_open(spec, &t->cfg, err);
	if (r == 0)
		r = read_settings(t, spec, err);
	if (r < 0)
		table_close(t);
	else
		*ret = t;
	return r;
}

/* ---- connections ---- */

static int send_words(struct conn *c, const char *const *words, size_t n, int64_t deadline)
{
	struct ph_buf b = PH_BUF_INIT((size_t)1 << 18);
	int r;

	ph_buf_printf(&b, "*%zu\r\n", n);
	for (size_t i = 0; i < n; i++)
		ph_buf_printf(&b, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
	r = ph_stream_write(c->stream, b.data, b.len, deadline);
	if (r >= 0)
		r = ph_stream_flush(c->stream, deadline);
	ph_buf_done(&b);
	return r < 0 ? r : 0;
}

static int read_reply(struct conn *c, int64_t deadline, struct rreply **ret, struct ph_err *err)
{
	int r = 0;

	while (r == 0) {
		struct ph_slice in = ph_stream_peek(c->stream);

		if (in.n == 0) {
			ssize_t n = ph_stream_fill(c->stream, deadline);

			if (n <= 0)
				return ph_err_errno(err, n < 0 ? (int)n : -ECONNRESET, "no answer");
			continue;
		}
		r = rparser_feed(c->parser, in.p, in.n, ret, err);
		ph_stream_consume(c->stream, in.n);
	}
	return r < 0 ? r : 0;
}

/* Send, and wait for the answer. */
static int ask(struct conn *c, const char *const *words, size_t n, int64_t deadline, struct rreply **ret, struct ph_err *err)
{
	int r = send_words(c, words, n, deadline);

	if (r < 0)
		return ph_err_errno(err, r, "cannot send");
	return read_reply(c, deadline, ret, err);
}

/* A command of the greeting that must succeed. */
static int must(struct conn *c, const char *const *words, size_t n, int64_t deadline, struct ph_err *err)
{
	struct rreply *reply;
	int r = ask(c, words, n, deadline, &reply, err);

	if (r < 0)
		return r;
	if (reply->type == RREPLY_ERROR)
		r = ph_err_set(err, -EACCES, "%s: %.200s", words[0], reply->text);
	rreply_free(reply);
	return r;
}

static int greet(struct table *t, struct conn *c, int64_t deadline, struct ph_err *err)
{
	const char *words[3] = { "AUTH" };
	char number[16];
	size_t n = 1;
	int r;

	if (t->password) {
		if (t->user)
			words[n++] = t->user;
		words[n++] = t->password;
		r = must(c, words, n, deadline, err);
		if (r < 0)
			return r;
	}
	if (t->database == 0)
		return 0;
	snprintf(number, sizeof number, "%d", t->database);
	words[0] = "SELECT";
	words[1] = number;
	return must(c, words, 2, deadline, err);
}

static int connect_to(struct server *s, struct ph_arena *arena, int64_t deadline, struct ph_stream **ret, struct ph_err *err)
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
		for (size_t i = 0; i < n; i++) {
			if (list[i].addr.sa.sa_family == AF_INET6)
				((struct sockaddr_in6 *)&list[i].addr)->sin6_port = htons((uint16_t)s->port);
			else
				((struct sockaddr_in *)&list[i].addr)->sin_port = htons((uint16_t)s->port);
		}
	}
	for (size_t i = 0; i < n; i++)
		if ((r = ph_stream_connect(&list[i], NULL, deadline, ret, err)) >= 0)
			return 0;
	return r;
}

static void server_failed(struct server *s, const struct ph_err *err)
{
	s->backoff_ms = s->backoff_ms ? s->backoff_ms * 2 : BACKOFF_MIN_MS;
	if (s->backoff_ms > BACKOFF_MAX_MS)
		s->backoff_ms = BACKOFF_MAX_MS;
	s->down_until_ms = ph_now_ms() + s->backoff_ms;
	snprintf(s->why, sizeof s->why, "%.255s", err->text);
}

/* A greeted connection to the first server that works. */
static int conn_new(struct table *t, struct ph_arena *arena, int64_t deadline, struct conn **ret, struct ph_err *err)
{
	int r = -ECONNREFUSED;

	for (size_t i = 0; i < t->n_servers; i++) {
		struct server *s = &t->servers[(t->first + i) % t->n_servers];
		struct ph_err why = { 0 };
		struct conn *c;

		if (ph_now_ms() < s->down_until_ms) {
			ph_err_set(err, r, "server %s: %s (it is not asked again for now)", s->name, s->why);
			continue;
		}
		c = ph_alloc(sizeof *c);
		c->server = s;
		c->parser = rparser_new();
		r = connect_to(s, arena, deadline, &c->stream, &why);
		if (r >= 0)
			r = greet(t, c, deadline, &why);
		if (r >= 0) {
			s->backoff_ms = 0;
			t->first = (size_t)(s - t->servers);
			*ret = c;
			return 0;
		}
		conn_close(c);
		ph_err_set(err, r, "server %s: %s", s->name, why.text);
		if (r == -ECANCELED)
			return r;
		server_failed(s, &why);
	}
	return r;
}

static struct conn *conn_idle(struct table *t)
{
	struct conn *c = t->idle;

	if (c)
		t->idle = c->next;
	return c;
}

/* Ask over an idle connection, or a new one; an idle one that turns out to be closed is replaced. */
static int exchange(struct table *t, struct ph_arena *arena, const char *const *words, size_t n, struct rreply **ret, struct ph_err *err)
{
	int64_t deadline = ph_now_ms() + t->timeout_ms;
	struct ph_err why = { 0 };
	struct conn *c;
	bool again;
	int r;

	r = ph_sem_get(&t->free, deadline);
	if (r < 0)
		return ph_err_errno(err, r, "all connections are in use");
	do {
		c = conn_idle(t);
		r = c ? 0 : conn_new(t, arena, deadline, &c, err);
		if (r < 0)
			break;
		r = ask(c, words, n, deadline, ret, &why);
		again = r < 0 && c->used && r != -ETIMEDOUT && r != -ECANCELED && r != -EPROTO;
		if (r == 0 && !rparser_has_rest(c->parser) && ph_stream_peek(c->stream).n == 0) {
			c->used = true;
			c->next = t->idle;
			t->idle = c;
			break;
		}
		if (r < 0 && !again) {
			ph_err_set(err, r, "server %s: %s", c->server->name, why.text);
			if (r != -ECANCELED)
				server_failed(c->server, &why);
		}
		conn_close(c);
	} while (again);
	ph_sem_put(&t->free);
	return r;
}

/* ---- look-ups ---- */

static int put_result(struct table *t, const struct rreply *r, const char *key, struct ph_buf *out, struct ph_err *err)
{
	size_t before = out->len;

	if (r == NULL || r->type != RREPLY_TEXT)
		return 0;
	if (memchr(r->text, '\0', r->len))
		return ph_err_set(err, -EPROTO, "the value holds a null byte");
	if (before > 0 && ph_buf_putc(out, ',') < 0)
		return ph_err_set(err, -EMSGSIZE, "the result is longer than %zu bytes", MAX_RESULT);
	if (!lcfg_expand(t->result_format, r->text, key, out)) {        /* this value gives no result */
		out->len = before;
		if (out->data)
			out->data[before] = '\0';
	}
	return 0;
}

static enum ph_lookup take_reply(struct table *t, const struct rreply *r, const char *key, struct ph_arena *arena,
				 const char **ret_value, struct ph_err *err)
{
	struct ph_buf out = PH_BUF_INIT(MAX_RESULT);
	enum ph_lookup status = PH_LOOKUP_NOTFOUND;
	int code = 0;

	switch (r->type) {
	case RREPLY_NIL:
		break;
	case RREPLY_ERROR:
		code = ph_err_set(err, -EIO, "server %s: %.200s", t->servers[t->first].name, r->text);
		break;
	case RREPLY_TEXT:
		code = put_result(t, r, key, &out, err);
		if (code == 0 && (out.len > 0 || r->len == 0))
			status = PH_LOOKUP_FOUND;
		break;
	case RREPLY_LIST:
		for (size_t i = 0; code == 0 && i < r->n; i++)
			code = put_result(t, r->list[i], key, &out, err);
		if (out.len > 0)
			status = PH_LOOKUP_FOUND;
		break;
	}
	if (code < 0)
		status = PH_LOOKUP_TEMPFAIL;
	else if (status == PH_LOOKUP_FOUND)
		*ret_value = ph_arena_strdup(arena, ph_buf_str(&out));
	ph_buf_done(&out);
	return status;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	struct ph_buf k = PH_BUF_INIT(65536);
	const char *words[MAX_WORDS + 1], *at = strrchr(key, '@');
	struct rreply *reply = NULL;
	enum ph_lookup status = PH_LOOKUP_NOTFOUND;

	if (t->domains) {
		if (at == NULL || at[1] == '\0')
			goto out;
		status = ph_match_find(t->domains, at + 1, NULL, err);
		if (status != PH_LOOKUP_FOUND)
			goto out;
		status = PH_LOOKUP_NOTFOUND;
	}
	if (!lcfg_expand(t->key_format, key, key, &k) || k.len == 0)
		goto out;
	memcpy(words, t->words, t->n_words * sizeof words[0]);
	words[t->n_words] = ph_buf_str(&k);
	if (exchange(t, arena, words, t->n_words + 1, &reply, err) < 0)
		status = PH_LOOKUP_TEMPFAIL;
	else
		status = take_reply(t, reply, key, arena, ret_value, err);
out:
	rreply_free(reply);
	ph_buf_done(&k);
	return status;
}

/* The file of settings; with main.cf parameters there is none to watch. */
static const char *table_path(const struct ph_table_spec *spec, struct ph_arena *arena)
{
	return spec->name[0] == '/' || spec->name[0] == '.' ? spec->name : NULL;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_TEXT | PH_LOOKUP_NETWORK,
	.open = table_open, .get = table_get, .close = table_close, .path = table_path,
};

PH_MODULE(PH_KIND_LOOKUP, "redis", "1.0", "keys of a Redis server", .ops.lookup = &ops);
