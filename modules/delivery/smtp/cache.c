/* cache.c: connections that stay open for a moment after a message.
 *
 * State: the service's list of parked sessions, oldest first, and the coroutine that says QUIT when their time is over; it exists only while there are some.  What a
 * server says while a session is parked was not asked for: such a session is closed, never used again. */
#include "smtp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define IDLE_MAX 1000           /* parked sessions of one service */

static void unlink_session(struct smtp_service *svc, struct smtp_session *s)
{
	*(s->prev ? &s->prev->next : &svc->idle) = s->next;
	*(s->next ? &s->next->prev : &svc->idle_last) = s->prev;
	s->next = s->prev = NULL;
	svc->n_idle--;
}

/* Goodbye without waiting: what does not fit into the socket's buffer is not said. */
static void close_idle(struct smtp_session *s)
{
	if (ph_stream_puts(s->stream, "QUIT\r\n", ph_now_ms() + 1) == 0)
		(void)ph_stream_flush(s->stream, ph_now_ms() + 1);
	smtp_session_free(&s);
}

/* Still there, and silent? */
static bool alive(struct smtp_session *s)
{
	char byte;
	ssize_t r;

	if (ph_stream_peek(s->stream).n > 0)
		return false;
	r = recv(ph_stream_fd(s->stream), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static bool fits(const struct smtp_state *st, const struct smtp_session *s, const char *addr, int port)
{
	if (!smtp_requiretls_fits(st, s))
		return false;
	if (addr)
		return s->port == port && strcmp(s->addr, addr) == 0 && strcmp(s->key, st->tls->key) == 0;
	return !st->site.by_host && strcmp(s->dest, st->dest) == 0 && strcmp(s->site_key, st->site.key) == 0;
}

struct smtp_session *smtp_cache_get(struct smtp_state *st, const char *addr, int port)
{
	struct smtp_service *svc = st->service;
	struct smtp_session *s, *prev;

	for (s = svc->idle_last; s; s = prev) {         /* the youngest: the others may run out */
		prev = s->prev;
		if (!fits(st, s, addr, port))
			continue;
		unlink_session(svc, s);
		if (alive(s)) {
			s->uses++;
			return s;
		}
		smtp_session_free(&s);
	}
	return NULL;
}

bool smtp_cache_wanted(struct smtp_state *st)
{
	const struct smtp_settings *set = st->service->set;
	struct smtp_session *s = st->session;
	bool listed;

	if (s->no_reuse || st->service->stopping || (s->tls_on && !set->tls_reuse))
		return false;
	if (ph_now_ms() - s->created_ms >= set->reuse_ms || (set->reuse_count > 0 && s->uses > set->reuse_count))
		return false;
	if (set->cache_on_demand)
		return true;
	if (!*set->cache_destinations)
		return false;
	listed = ph_match_find(st->service->cache_destinations, st->dest, NULL, NULL) == PH_LOOKUP_FOUND;
	return listed;
}

/* Ends by itself when nothing is parked any more. */
static void reap(void *arg)
{
	struct smtp_service *svc = arg;
	struct smtp_session *s;

	while ((s = svc->idle)) {
		if (s->expires_ms > ph_now_ms()) {
			(void)ph_waitq_wait(&svc->reaper, s->expires_ms);
			continue;
		}
		unlink_session(svc, s);
		close_idle(s);
	}
	svc->reaping = false;
}

void smtp_cache_put(struct smtp_session *s)
{
	struct smtp_service *svc = s->service;
	struct smtp_session *old;

	if (svc->n_idle >= IDLE_MAX) {
		old = svc->idle;
		unlink_session(svc, old);
		smtp_session_free(&old);
	}
	ph_stream_trim(s->stream);
	s->expires_ms = ph_now_ms() + svc->set->cache_ms;
	s->prev = svc->idle_last;
	s->next = NULL;
	*(svc->idle_last ? &svc->idle_last->next : &svc->idle) = s;
	svc->idle_last = s;
	svc->n_idle++;
	if (!svc->reaping) {
		svc->reaping = true;
		ph_co_spawn("smtp cache", reap, svc);
	}
}

void smtp_cache_stop(struct smtp_service *svc)
{
	struct smtp_session *s;

	svc->stopping = true;
	while ((s = svc->idle)) {
		unlink_session(svc, s);
		close_idle(s);
	}
	ph_waitq_wake_all(&svc->reaper);
	while (svc->reaping)
		(void)ph_co_sleep(0);
}
