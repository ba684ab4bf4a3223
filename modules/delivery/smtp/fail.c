/* fail.c: from what went wrong to results of recipients.
 *
 * A temporary error is a result only at the last server; before that it is a log line, and the recipient is kept for the next one.  Does not yield. */
#include "smtp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

PH_PRINTF(3, 0)
static const char *format(struct ph_arena *arena, const char *prefix, const char *fmt, va_list ap)
{
	struct ph_buf b = PH_BUF_INIT(16384);
	const char *text;

	ph_buf_puts(&b, prefix);
	ph_buf_vprintf(&b, fmt, ap);
	text = ph_arena_strdup(arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return text;
}

void smtp_why_clear(struct smtp_state *st)
{
	memset(&st->why, 0, sizeof(st->why));
}

void smtp_why_set(struct smtp_state *st, const char *dsn, const char *fmt, ...)
{
	va_list ap;

	smtp_why_clear(st);
	snprintf(st->why.dsn, sizeof(st->why.dsn), "%s", dsn);
	va_start(ap, fmt);
	st->why.text = format(st->arena, "", fmt, ap);
	va_end(ap);
}

void smtp_why_reply(struct smtp_state *st, const char *fmt, ...)
{
	const struct smtp_reply *r = &st->session->reply;
	const char *prefix = "";
	va_list ap;

	smtp_why_clear(st);
	snprintf(st->why.dsn, sizeof(st->why.dsn), "%s", r->dsn);
	if (r->dsn[0] != '4' && r->dsn[0] != '5') {
		prefix = "Protocol error: ";
		snprintf(st->why.dsn, sizeof(st->why.dsn), "5.5.0");
	}
	va_start(ap, fmt);
	st->why.text = format(st->arena, prefix, fmt, ap);
	va_end(ap);
	st->why.mta = ph_arena_strdup(st->arena, st->session->host);
	st->why.diag = ph_arena_printf(st->arena, "smtp; %s", smtp_reply_flat(r, st->arena));
}

size_t smtp_left(const struct smtp_state *st)
{
	size_t i, left = 0;

	for (i = 0; i < st->n; i++)
		left += st->mark[i] != SMTP_DONE;
	return left;
}

static const char *relay(const struct smtp_state *st)
{
	return st->session ? st->session->namaddrport : "none";
}

/* The connection is set up, or will not be: what follows counts as transmission. */
static void note_connected(struct smtp_state *st)
{
	if (!st->connected) {
		st->connected = true;
		ph_delivery_connected(st->d);
	}
}

/* best_mx_transport: who would loop goes another way. */
static void pass_on(struct smtp_state *st, size_t i)
{
	const char *address = ph_delivery_rcpt(st->d, i)->address, *transport = st->service->set->best_mx_transport;
	struct ph_err err = { 0, "" };

	ph_log(PH_LOG_INFO, "%s: passing <%s> to transport=%.*s", st->queue_id, ph_address_external(st->arena, address), (int)strcspn(transport, ":"), transport);
	if (ph_delivery_pass(st->d, i, address, transport, &err) < 0)
		ph_delivery_result(st->d, i, PH_DEFERRED, "4.3.5", "none", "best_mx_transport: %s", err.text);
	st->mark[i] = SMTP_DONE;
}

static void give_results(struct smtp_state *st, const size_t *which, size_t n)
{
	size_t i;

	if (st->why.loops && *st->service->set->best_mx_transport) {
		for (i = 0; i < n; i++)
			pass_on(st, which[i]);
		return;
	}
	ph_delivery_remote(st->d, st->why.mta, st->why.diag);
	ph_delivery_result_some(st->d, which, n, st->why.dsn[0] == '4' ? PH_DEFERRED : PH_BOUNCED, st->why.dsn, relay(st), "%s", st->why.text);
	for (i = 0; i < n; i++)
		st->mark[which[i]] = SMTP_DONE;
}

/* All recipients that have no result yet. */
static void give_result_to_rest(struct smtp_state *st)
{
	size_t *which = ph_arena_alloc(st->arena, (st->n + 1) * sizeof(*which)), n = 0, i;

	for (i = 0; i < st->n; i++) {
		if (st->mark[i] == SMTP_TODO)
			which[n++] = i;
	}
	give_results(st, which, n);
}

static bool try_elsewhere(const struct smtp_state *st)
{
	return st->why.dsn[0] == '4' && !st->final_server;
}

void smtp_note_soft(struct smtp_state *st)
{
	st->soft_failed = st->soft_failed || (st->why.dsn[0] == '4' && !st->why.requiretls);
}

void smtp_fail_all(struct smtp_state *st, bool throttle)
{
	size_t i;

	note_connected(st);
	smtp_note_soft(st);
	if (try_elsewhere(st)) {
		ph_log(PH_LOG_INFO, "%s: %s", st->queue_id, st->why.text);
		for (i = 0; i < st->n; i++) {
			if (st->mark[i] == SMTP_TODO)
				st->mark[i] = SMTP_KEEP;
		}
	} else {
		give_result_to_rest(st);
		if (throttle && !st->why.message_only && st->why.dsn[0] == '4')
			ph_delivery_dest_down(st->d, st->why.dsn, "%s", st->why.text);
	}
	if (throttle && st->session)
		st->session->no_reuse = true;
}

void smtp_fail_rcpt(struct smtp_state *st, size_t i)
{
	smtp_note_soft(st);
	if (try_elsewhere(st)) {
		ph_log(PH_LOG_INFO, "%s: %s", st->queue_id, st->why.text);
		st->mark[i] = SMTP_KEEP;
	} else {
		give_results(st, &i, 1);
	}
}

void smtp_sent(struct smtp_state *st, const size_t *which, size_t n)
{
	const char *text = smtp_reply_text(st);
	size_t i;

	ph_delivery_remote(st->d, st->session->host, ph_arena_printf(st->arena, "smtp; %s", text));
	ph_delivery_result_some(st->d, which, n, PH_SENT, st->session->reply.dsn, st->session->namaddrport, "%s", text);
	for (i = 0; i < n; i++)
		st->mark[which[i]] = SMTP_DONE;
}

void smtp_fail_stream(struct smtp_state *st, int err, const char *doing)
{
	const char *name = st->session->namaddr;

	st->session->no_reuse = true;
	if (err == -ETIMEDOUT)
		smtp_why_set(st, "4.4.2", "conversation with %s timed out while %s", name, doing);
	else if (err == -EMSGSIZE)
		smtp_why_set(st, "4.5.0", "reply of %s is too long while %s", name, doing);
	else if (err == -EAGAIN)
		smtp_why_set(st, "4.3.0", "a table of checks or address mappings failed");
	else if (err == -EBADMSG)
		smtp_why_set(st, "4.3.0", "local data error while talking to %s", name);
	else
		smtp_why_set(st, "4.4.2", "lost connection with %s while %s", name, doing);
	smtp_fail_all(st, err != -EBADMSG && err != -EAGAIN);
}
