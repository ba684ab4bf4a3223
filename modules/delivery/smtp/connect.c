/* connect.c: one destination: its servers one after the other, until every recipient has a result or none is left to try.  Yields. */
#include "smtp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* The local address to bind to; NULL: the system's choice. */
static const struct ph_endpoint *source_for(struct smtp_service *svc, const struct ph_endpoint *to)
{
	const struct ph_endpoint *bind = to->addr.sa.sa_family == AF_INET ? &svc->bind4 : to->addr.sa.sa_family == AF_INET6 ? &svc->bind6 : NULL;

	return bind && bind->len ? bind : NULL;
}

/* A new connection; NULL after st->why was set. */
static struct smtp_session *open_session(struct smtp_state *st, const struct ph_endpoint *to, const char *host, const char *addr, int port)
{
	const struct ph_endpoint *source = source_for(st->service, to);
	int64_t limit = st->service->set->connect_ms ? st->service->set->connect_ms : PH_SECONDS(180);
	struct ph_stream *stream;
	struct ph_err err;
	char text[108];
	int r;

	r = ph_stream_connect(to, source, ph_now_ms() + limit, &stream, &err);
	if ((r == -EADDRNOTAVAIL || r == -EADDRINUSE || r == -EACCES) && source) {
		ph_log(PH_LOG_WARNING, "smtp_connect_addr: bind %s: %s", ph_endpoint_addr(source, text, sizeof(text)), strerrordesc_np(-r));
		if (!st->service->set->bind_enforce)
			r = ph_stream_connect(to, NULL, ph_now_ms() + limit, &stream, &err);
	}
	if (r == 0)
		return smtp_session_new(st->service, stream, st->dest, host, addr, port);
	if (port)
		smtp_why_set(st, "4.4.1", "connect to %s[%s]:%d: %s", host, addr, port, err.text);
	else
		smtp_why_set(st, "4.4.1", "connect to %s[%s]: %s", host, addr, err.text);
	smtp_note_soft(st);
	return NULL;
}

/* After the message: keep the connection, or close it. */
static void session_end(struct smtp_state *st)
{
	struct smtp_session *s = st->session;

	if (s == NULL)
		return;
	/* What was not asked for would be taken for the answer to the next message's first command. */
	if (ph_stream_peek(s->stream).n == 0 && smtp_cache_wanted(st)) {
		st->session = NULL;
		smtp_cache_put(s);
	} else {
		smtp_session_free(&st->session);
	}
}

static void keep_to_todo(struct smtp_state *st)
{
	size_t i;

	for (i = 0; i < st->n; i++) {
		if (st->mark[i] == SMTP_KEEP)
			st->mark[i] = SMTP_TODO;
	}
}

/* A parked connection, by destination or by address.  True: the message went over it, one way or the other. */
static bool try_cached(struct smtp_state *st, const char *addr, int port)
{
	bool final = st->final_server;
	int r;

	while ((st->session = smtp_cache_get(st, addr, port))) {
		ph_delivery_conn_use(st->d, st->session->uses);
		ph_delivery_connected(st->d);
		st->connected = true;
		/* A fresh connection can still be tried, so a temporary failure is no result yet. */
		st->final_server = addr ? final : false;
		r = smtp_xfer(st);
		st->final_server = final;
		session_end(st);
		ph_delivery_conn_use(st->d, 0);
		if (r == 0) {
			keep_to_todo(st);
			return true;
		}
		st->connected = false;
	}
	return false;
}

/* One server that has been connected to.  False: TLS did not work, and plaintext may be tried. */
static bool talk(struct smtp_state *st, bool allow_tls)
{
	enum smtp_hello h = smtp_hello(st, allow_tls);

	if (h == SMTP_HELLO_PLAINTEXT) {
		smtp_session_free(&st->session);
		return false;
	}
	if (h == SMTP_HELLO_OK) {
		if (!st->connected) {
			st->connected = true;
			ph_delivery_connected(st->d);
		}
		(void)smtp_xfer(st);
		session_end(st);
		return true;
	}
	if (st->session->no_reuse && st->session->reply.code)
		smtp_session_quit(st, false);
	else
		smtp_session_free(&st->session);
	return true;
}

static void remember_demand(struct smtp_state *st)
{
	struct smtp_session *s = st->session;

	free(s->key);
	free(s->site_key);
	s->key = ph_strdup(st->tls->key);
	s->site_key = ph_strdup(st->site.key);
}

/* Connect and talk, over plaintext again where opportunistic TLS failed.  True: it was a session (not just a failed connect). */
static bool try_server(struct smtp_state *st, const struct ph_endpoint *to, const char *host, const char *addr, int port)
{
	bool tls = true, over;

	do {
		st->session = open_session(st, to, host, addr, port);
		if (st->session == NULL) {
			if (port)
				ph_log(PH_LOG_INFO, "%s", st->why.text);
			return false;
		}
		st->session->best_mx = st->best_mx;
		remember_demand(st);
		over = talk(st, tls);
		tls = false;
	} while (!over);
	keep_to_todo(st);
	return true;
}

static bool find_demand(struct smtp_state *st, const struct smtp_addr *a, int port)
{
	st->tls = ph_arena_alloc(st->arena, sizeof(*st->tls));
	if (smtp_tls_demand(st, a, port, st->tls) < 0) {
		ph_log(PH_LOG_WARNING, "TLS policy lookup for %s/%s: %s", st->dest, a->host, st->why.text);
		return false;
	}
	if (smtp_requiretls_demand(st, a->host) < 0) {
		ph_log(PH_LOG_INFO, "%s: %s", st->queue_id, st->why.text);
		return false;
	}
	if (!st->service->set->tls_wrapper || st->tls->level >= SMTP_TLS_ENCRYPT)
		return true;
	/* In clear text both sides would wait for the other. */
	ph_log(PH_LOG_WARNING, "%stls_wrappermode requires \"%stls_security_level = encrypt\" (or stronger)", SMTP_PREFIX, SMTP_PREFIX);
	smtp_why_set(st, "4.3.0", "server unavailable or unable to receive mail");
	return false;
}

/* What to demand of this server; false: it is not to be used (st->why says why). */
static bool tls_demand(struct smtp_state *st, const struct smtp_addr *a, int port)
{
	bool ok = find_demand(st, a, port);

	if (!ok)
		smtp_note_soft(st);
	return ok;
}

static void try_unix(struct smtp_state *st, const struct smtp_dest *dest, bool last)
{
	const char *name = st->service->shared.myhostname;
	struct smtp_addr a = { .host = name, .owner = name };
	struct ph_endpoint e;

	if (try_cached(st, NULL, 0) && smtp_left(st) == 0)
		return;
	if (ph_endpoint_unix(&e, dest->host) < 0) {
		smtp_why_set(st, "4.3.5", "unix-domain name too long: %s", dest->host);
		smtp_note_soft(st);
		return;
	}
	st->final_server = last;
	if (tls_demand(st, &a, 0))
		(void)try_server(st, &e, name, dest->host, 0);
}

static void try_addresses(struct smtp_state *st, struct smtp_addr *list, const struct smtp_dest *dest, bool last)
{
	const struct smtp_settings *set = st->service->set;
	int addrs = 0, sessions = 0, best = list ? list->pref : 0, port;
	struct smtp_addr *a, *next;
	char text[108];
	const char *addr;

	for (a = list; a && smtp_left(st) > 0; a = next) {
		next = a->next;
		if (++addrs == set->mx_address_limit || sessions + 1 == set->mx_session_limit)
			next = NULL;
		st->final_server = next == NULL && last;
		st->best_mx = a->pref == best;
		port = a->port ? a->port : dest->port;
		((struct sockaddr_in *)(void *)&a->e.addr)->sin_port = htons((uint16_t)port);   /* the same place for IPv6 */
		if (!tls_demand(st, a, port)) {
			if (sessions + 1 == set->mx_session_limit)
				next = addrs == set->mx_address_limit ? NULL : a->next;
			continue;
		}
		addr = ph_arena_strdup(st->arena, ph_endpoint_addr(&a->e, text, sizeof(text)));
		/* Whose name the connection is used in depends on the destination, too. */
		if (st->service->sasl_maps == NULL && try_cached(st, addr, port)) {
			sessions++;
			continue;
		}
		if (try_server(st, &a->e, a->host, addr, port))
			sessions++;
		else if (sessions + 1 == set->mx_session_limit)
			next = addrs == set->mx_address_limit ? NULL : a->next; /* a failed connect is no session */
	}
}

void smtp_try_dest(struct smtp_state *st, const char *text, bool last, bool *ret_self)
{
	struct smtp_dest dest;
	struct smtp_addr *list;

	st->dest = text;
	*ret_self = false;
	if (smtp_dest_parse(st, text, &dest) < 0) {
		smtp_note_soft(st);
		return;
	}
	smtp_tls_site(st);
	smtp_requiretls_site(st);
	if (dest.is_unix) {
		try_unix(st, &dest, last);
		return;
	}
	st->loop_detect = dest.port == 25;
	st->final_server = false;
	if (try_cached(st, NULL, 0) && smtp_left(st) == 0)
		return;
	list = smtp_addr_find(st, &dest, ret_self);
	smtp_note_soft(st);
	try_addresses(st, list, &dest, last);
}
