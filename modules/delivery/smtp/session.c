/* session.c: the life of a connection to a server.  State: struct smtp_session. */
#include "smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *name_addr(const char *host, const char *addr, int port)
{
	char *text;
	int n;

	n = port ? asprintf(&text, "%s[%s]:%d", host, addr, port) : asprintf(&text, "%s[%s]", host, addr);
	ph_assert(n >= 0);
	return text;
}

struct smtp_session *smtp_session_new(struct smtp_service *svc, struct ph_stream *stream, const char *dest, const char *host, const char *addr, int port)
{
	struct smtp_session *s = ph_alloc(sizeof(*s));

	s->service = svc;
	s->stream = stream;
	s->dest = ph_strdup(dest);
	s->host = ph_strdup(host);
	s->addr = ph_strdup(addr);
	s->port = port;
	s->namaddr = name_addr(host, addr, 0);
	s->namaddrport = name_addr(host, addr, port);
	s->created_ms = ph_now_ms();
	s->uses = 1;
	s->auth = ph_strdup("");
	s->site_key = ph_strdup("");
	s->key = ph_strdup("");
	smtp_reply_init(&s->reply);
	return s;
}

void smtp_session_free(struct smtp_session **sp)
{
	struct smtp_session *s = *sp;

	if (s == NULL)
		return;
	ph_stream_close(&s->stream);
	smtp_reply_done(&s->reply);
	free(s->dest);
	free(s->auth);
	free(s->host);
	free(s->addr);
	free(s->namaddr);
	free(s->namaddrport);
	free(s->site_key);
	free(s->key);
	free(s);
	*sp = NULL;
}

void smtp_session_quit(struct smtp_state *st, bool quit_sent)
{
	struct smtp_session *s = st->session;
	const struct smtp_settings *set = st->service->set;
	int64_t deadline = ph_now_ms() + set->quit_ms;
	int r = 0;

	if (!quit_sent) {
		r = ph_stream_puts(s->stream, "QUIT\r\n", deadline);
		if (r == 0)
			r = ph_stream_flush(s->stream, deadline);
	}
	if (r == 0 && !set->skip_quit)
		(void)smtp_read_reply_until(st, deadline);
	smtp_session_free(&st->session);
}
