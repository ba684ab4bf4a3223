/* message.c: the message as the local agent writes it: headers on top, then the content as it is. */
#include "local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHUNK 16384

char *local_top(struct local_state *st, bool from_line, bool delivered_to)
{
	const struct ph_rcpt *r = ph_delivery_rcpt(st->d, st->rcpt);
	time_t now = (time_t)(ph_wall_us() / 1000000);
	char when[40] = "", *top;
	const char *sender;
	struct ph_buf b;
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(when, sizeof when, "%a %b %e %H:%M:%S %Y", &tm);
	sender = *st->sender ? ph_address_external(st->arena, st->sender) : "";
	ph_buf_init(&b, 64 * 1024);
	if (from_line)
		ph_buf_printf(&b, "From %s  %s\n", *sender ? sender : "MAILER-DAEMON", when);
	ph_buf_printf(&b, "Return-Path: <%s>\n", sender);
	if (st->svc->original_rcpt && *r->original)
		ph_buf_printf(&b, "X-Original-To: %s\n", ph_address_external(st->arena, r->original));
	if (delivered_to)
		ph_buf_printf(&b, "Delivered-To: %s\n", ph_address_external(st->arena, st->delivered));
	top = ph_arena_strdup(st->arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return top;
}

int local_feed(struct local_state *st, struct ph_run *run, const char *top, struct ph_err *err)
{
	char *buf = ph_alloc(CHUNK);
	int64_t at = 0;
	ssize_t n = 0;
	int rc = ph_run_write(run, top, strlen(top));

	while (rc == 0 && (n = ph_delivery_read(st->d, at, buf, CHUNK, err)) > 0) {
		rc = ph_run_write(run, buf, (size_t)n);
		at += n;
	}
	free(buf);
	if (n < 0)
		return (int)n;
	return rc == -EPIPE ? 0 : rc;   /* who does not read on is judged by its exit status */
}
