/* xfer.c: one mail transaction over a session: XFORWARD, MAIL, RCPT, DATA, content, replies.
 *
 * With PIPELINING, MAIL, all RCPT and DATA leave in as few writes as possible, but never more than BATCH_BYTES before the replies to them are read: neither side can
 * fill the other's buffers and wait for ever (RFC 2920 section 3.1).  Without it: one command, one reply.  RFC 5321, 1870, 6152, 3461, 6531; RFC 2033 for LMTP.  Yields. */
#include "smtp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BATCH_BYTES 8192

struct xfer {
	struct smtp_state *st;
	struct smtp_session *s;
	size_t *rcpt;                   /* indexes of the recipients of this transaction */
	size_t n;
	bool *accepted;
	size_t n_accepted;
	size_t queued, answered;        /* commands: 0 is MAIL, 1..n are RCPT, n + 1 is DATA */
	bool mail_rejected, data_rejected, data_ok;
	bool any_reply;
	bool utf8;
};

static bool pipelining(const struct xfer *x)
{
	return x->s->features & EHLO_PIPELINING;
}

/* ---- texts -------------------------------------------------------------------------------- */

static const char *doing(const struct xfer *x, size_t command)
{
	return command == 0 ? "sending MAIL FROM" : command <= x->n ? "sending RCPT TO" : "sending DATA command";
}

static void fail_reply(struct xfer *x, const char *what)
{
	smtp_why_reply(x->st, "host %s said: %s (in reply to %s)", x->s->namaddr, smtp_reply_text(x->st), what);
}

static const char *envelope_form(struct xfer *x, const char *address)
{
	if (address[0] == '\0' || !x->st->service->set->quote_envelope)
		return address;
	return ph_address_external(x->st->arena, address);
}

/* What would end the command, or the address in it, before its time. */
static bool dangerous(struct xfer *x, const char *address)
{
	const char *s;

	for (s = address; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
		if (!x->st->service->set->quote_envelope && (*s == '<' || *s == '>'))
			return true;
	}
	return strlen(address) > 1000;
}

/* ---- the commands ------------------------------------------------------------------------- */

static bool downgrades(const struct smtp_state *st)
{
	return !st->service->set->disable_mime_output && !(st->session->features & EHLO_8BITMIME) &&
	       strcasecmp(ph_delivery_encoding(st->d), "8bit") == 0;
}

/* As Postfix: the size is told unless the content might be converted, which counts as possible for all that was not declared as 7-bit. */
static bool size_is_known(const struct smtp_state *st)
{
	return st->service->set->disable_mime_output || (st->session->features & EHLO_8BITMIME) || strcasecmp(ph_delivery_encoding(st->d), "7bit") == 0;
}

static void put_mail(struct xfer *x, struct ph_buf *b)
{
	struct smtp_state *st = x->st;
	const char *encoding = ph_delivery_encoding(st->d), *envid = ph_delivery_envid(st->d), *ret = ph_delivery_ret(st->d);

	ph_buf_printf(b, "MAIL FROM:<%s>", envelope_form(x, st->sender));
	if ((x->s->features & EHLO_SIZE) && size_is_known(st))
		ph_buf_printf(b, " SIZE=%lld", (long long)ph_delivery_bytes(st->d));
	if (x->s->features & EHLO_8BITMIME) {
		if (strcasecmp(encoding, "8bit") == 0)
			ph_buf_puts(b, " BODY=8BITMIME");
		else if (strcasecmp(encoding, "7bit") == 0)
			ph_buf_puts(b, " BODY=7BIT");
	}
	if (x->s->features & EHLO_DSN) {
		if (envid) {
			ph_buf_puts(b, " ENVID=");
			smtp_put_xtext(b, envid);
		}
		if (ret)
			ph_buf_printf(b, " RET=%s", ret);
	}
	if (x->utf8 && (x->s->features & EHLO_SMTPUTF8))
		ph_buf_puts(b, " SMTPUTF8");
	if (smtp_requiretls_said(st))
		ph_buf_puts(b, " REQUIRETLS");
	if ((x->s->features & EHLO_AUTH) && st->service->set->dummy_auth && st->service->set->sasl_enable)
		ph_buf_puts(b, " AUTH=<>");
	ph_buf_puts(b, "\r\n");
}

static void put_notify(struct ph_buf *b, unsigned notify)
{
	const char *sep = "";

	ph_buf_puts(b, " NOTIFY=");
	if (notify & PH_NOTIFY_NEVER) {
		ph_buf_puts(b, "NEVER");
		return;
	}
	if (notify & PH_NOTIFY_SUCCESS) {
		ph_buf_puts(b, "SUCCESS");
		sep = ",";
	}
	if (notify & PH_NOTIFY_FAILURE) {
		ph_buf_printf(b, "%sFAILURE", sep);
		sep = ",";
	}
	if (notify & PH_NOTIFY_DELAY)
		ph_buf_printf(b, "%sDELAY", sep);
}

static void put_rcpt(struct xfer *x, struct ph_buf *b, size_t i)
{
	const struct ph_rcpt *r = ph_delivery_rcpt(x->st->d, i);
	bool utf8 = x->utf8 && (x->s->features & EHLO_SMTPUTF8);

	ph_buf_printf(b, "RCPT TO:<%s>", envelope_form(x, smtp_rcpt_address(x->st, i)));
	if (x->s->features & EHLO_DSN) {
		if (r->dsn_orcpt && *r->dsn_orcpt)
			smtp_put_orcpt(b, "", r->dsn_orcpt, utf8);
		else if (*r->original)
			smtp_put_orcpt(b, ph_str_ascii(r->original) ? "rfc822;" : "utf-8;", ph_address_external(x->st->arena, r->original), utf8);
		if (r->dsn_notify)
			put_notify(b, r->dsn_notify);
	}
	ph_buf_puts(b, "\r\n");
}

static void put_command(struct xfer *x, struct ph_buf *b, size_t command)
{
	if (command == 0)
		put_mail(x, b);
	else if (command <= x->n)
		put_rcpt(x, b, x->rcpt[command - 1]);
	else
		ph_buf_puts(b, "DATA\r\n");
}

static bool ends_at_rcpt(const struct smtp_state *st)
{
	return ph_delivery_probe(st->d) && !st->service->probe_data;
}

/* Is there any point in sending this command? */
static bool worthwhile(const struct xfer *x, size_t command)
{
	bool all_answered = x->answered == x->n + 1;

	if (command > x->n + 1 || x->mail_rejected)
		return false;
	if (command == x->n + 1)
		return !ends_at_rcpt(x->st) && !(all_answered && x->n_accepted == 0);
	return true;
}

/* Queue what may go out now and send it.  1: something is under way; 0: all is said; negative: the stream is broken. */
static int send_batch(struct xfer *x)
{
	struct ph_buf b = PH_BUF_INIT(65536);
	int64_t deadline = ph_now_ms() + (x->queued ? x->st->service->set->rcpt_ms : x->st->service->set->mail_ms);
	int r = 0;

	while (worthwhile(x, x->queued) && b.len < BATCH_BYTES && (pipelining(x) || x->queued == x->answered))
		put_command(x, &b, x->queued++);
	if (b.len)
		r = ph_stream_write(x->s->stream, b.data, b.len, deadline);
	if (r == 0)
		r = ph_stream_flush(x->s->stream, deadline);
	ph_buf_done(&b);
	return r < 0 ? r : x->answered < x->queued;
}

/* ---- the replies -------------------------------------------------------------------------- */

static void on_rcpt(struct xfer *x, size_t k)
{
	struct smtp_state *st = x->st;

	if (x->mail_rejected)
		return;
	if (x->s->reply.code / 100 == 2) {
		x->accepted[k] = true;
		x->n_accepted++;
		if (ends_at_rcpt(st))
			smtp_sent(st, &x->rcpt[k], 1);
	} else {
		fail_reply(x, "RCPT TO command");
		smtp_fail_rcpt(st, x->rcpt[k]);
	}
}

/* The accepted recipients are sent to. */
static void accepted_sent(struct xfer *x)
{
	size_t k, n = 0;

	for (k = 0; k < x->n; k++) {            /* rcpt is not needed any more but for this */
		if (x->accepted[k])
			x->rcpt[n++] = x->rcpt[k];
	}
	smtp_sent(x->st, x->rcpt, n);
}

/* A probe has seen that the server would take content. */
static void probed(struct xfer *x)
{
	strcpy(x->s->reply.dsn, "2.0.0");
	accepted_sent(x);
}

static void on_reply(struct xfer *x, size_t command)
{
	int cls = x->s->reply.code / 100;

	if (x->s->reply.code == 421)
		x->s->no_reuse = true;
	if (command == 0) {
		if (cls != 2) {
			x->mail_rejected = true;
			fail_reply(x, "MAIL FROM command");
			smtp_fail_all(x->st, false);
		}
	} else if (command <= x->n) {
		on_rcpt(x, command - 1);
	} else if (cls == 3) {
		x->data_ok = true;
		if (ph_delivery_probe(x->st->d) && x->n_accepted > 0 && !x->mail_rejected)
			probed(x);
	} else {
		x->data_rejected = true;
		if (x->n_accepted > 0 && !x->mail_rejected) {
			fail_reply(x, "DATA command");
			smtp_fail_all(x->st, false);
		}
	}
}

static int64_t reply_limit(const struct xfer *x, size_t command)
{
	const struct smtp_settings *set = x->st->service->set;

	return command == 0 ? set->mail_ms : command <= x->n ? set->rcpt_ms : set->data_init_ms;
}

/* MAIL to DATA and the replies to them.  0; -ECONNRESET: a used connection was dead; another negative: results were given. */
static int envelope(struct xfer *x)
{
	int r;

	while ((r = send_batch(x)) > 0) {
		while (x->answered < x->queued) {
			r = smtp_read_reply(x->st, reply_limit(x, x->answered));
			if (r < 0)
				goto broken;
			x->any_reply = true;
			on_reply(x, x->answered++);
		}
	}
	if (r == 0)
		return 0;
broken:
	if (!x->any_reply && x->s->uses > 1 && r != -ETIMEDOUT) {
		x->s->no_reuse = true;
		return -ECONNRESET;
	}
	smtp_fail_stream(x->st, r, doing(x, x->answered));
	return -EPIPE;
}

/* ---- content and what comes after --------------------------------------------------------- */

static int final_reply(struct xfer *x)
{
	int r = smtp_read_reply(x->st, x->st->service->set->data_done_ms);

	if (r == 0 && x->s->reply.code == 421)
		x->s->no_reuse = true;
	return r;
}

/* LMTP: an answer for each accepted recipient, in their order. */
static int lmtp_replies(struct xfer *x)
{
	size_t k;
	int r;

	for (k = 0; k < x->n; k++) {
		if (!x->accepted[k])
			continue;
		r = final_reply(x);
		if (r < 0)
			return r;
		if (x->s->reply.code / 100 == 2) {
			smtp_sent(x->st, &x->rcpt[k], 1);
		} else {
			fail_reply(x, "end of DATA command");
			smtp_fail_rcpt(x->st, x->rcpt[k]);
		}
	}
	return 0;
}

/* One answer for all. */
static int smtp_final(struct xfer *x)
{
	int r = final_reply(x);

	if (r < 0)
		return r;
	if (x->s->reply.code / 100 != 2) {
		fail_reply(x, "end of DATA command");
		smtp_fail_all(x->st, false);
		return 0;
	}
	accepted_sent(x);
	return 0;
}

static int final_replies(struct xfer *x)
{
	ph_delivery_dsn_passed(x->st->d, x->s->features & EHLO_DSN);
	return SMTP_IS_LMTP ? lmtp_replies(x) : smtp_final(x);
}

static void send_content(struct xfer *x, bool keep)
{
	struct smtp_state *st = x->st;
	bool quit = !keep && pipelining(x);
	int r;

	r = smtp_content_send(st, downgrades(st), quit);
	if (r < 0) {
		smtp_fail_stream(st, r, "sending message body");
		return;
	}
	r = final_replies(x);
	if (r < 0) {
		smtp_fail_stream(st, r, "sending end of data -- message may be sent more than once");
		return;
	}
	if (!keep)
		smtp_session_quit(st, quit);
}

/* Nobody is left to deliver to, but the server is. */
static void abort_transaction(struct xfer *x, bool keep)
{
	struct smtp_state *st = x->st;
	const struct smtp_settings *set = st->service->set;
	bool quit = !keep && pipelining(x);
	int r;

	if (x->data_ok) {
		/* It wants content although it took no recipient: give it none. */
		r = ph_stream_puts(x->s->stream, quit ? ".\r\nQUIT\r\n" : ".\r\n", ph_now_ms() + set->data_done_ms);
		if (r == 0)
			r = ph_stream_flush(x->s->stream, ph_now_ms() + set->data_done_ms);
		if (r == 0)
			r = smtp_read_reply(st, set->data_done_ms);
	} else {
		quit = false;
		r = smtp_command(st, set->rset_ms, "RSET");
	}
	if (r < 0 || x->s->reply.code / 100 != 2)
		x->s->no_reuse = true;
	if (r == 0 && !keep)
		smtp_session_quit(st, quit);
}

/* ---- XFORWARD ----------------------------------------------------------------------------- */

static bool put_xforward(struct xfer *x, struct ph_buf *b, unsigned bit, const char *name, const char *value)
{
	if (!(x->s->xforward & bit) || value == NULL || *value == '\0')
		return false;
	ph_buf_printf(b, " %s=", name);
	smtp_put_xtext(b, value);
	return true;
}

static int send_xforward(struct xfer *x, struct ph_buf *b, const char *what)
{
	struct smtp_state *st = x->st;
	int r;

	if (b->len == 0)
		return 0;
	r = smtp_command(st, st->service->set->xforward_ms, "XFORWARD%s", b->data);
	ph_buf_clear(b);
	if (r == 0 && x->s->reply.code / 100 != 2)
		ph_log(PH_LOG_WARNING, "host %s said: %s (in reply to %s)", x->s->namaddrport, smtp_reply_text(st), what);
	return r;
}

static int xforward(struct xfer *x)
{
	struct ph_delivery *d = x->st->d;
	const char *context = ph_delivery_attr(d, "rewrite_context"), *ident = ph_delivery_attr(d, "log_ident"), *addr = ph_delivery_attr(d, "log_client_address");
	struct ph_buf b = PH_BUF_INIT(4096);
	int r;

	if (!x->st->service->set->send_xforward || !(x->s->features & EHLO_XFORWARD))
		return 0;
	put_xforward(x, &b, XFORWARD_NAME, "NAME", ph_delivery_attr(d, "log_client_name"));
	if (addr && strchr(addr, ':'))
		addr = ph_arena_printf(ph_delivery_arena(d), "IPv6:%s", addr);
	put_xforward(x, &b, XFORWARD_ADDR, "ADDR", addr);
	put_xforward(x, &b, XFORWARD_PORT, "PORT", ph_delivery_attr(d, "log_client_port"));
	r = send_xforward(x, &b, "XFORWARD name/address command");
	if (r == 0) {
		put_xforward(x, &b, XFORWARD_PROTO, "PROTO", ph_delivery_attr(d, "log_protocol_name"));
		put_xforward(x, &b, XFORWARD_HELO, "HELO", ph_delivery_attr(d, "log_helo_name"));
		put_xforward(x, &b, XFORWARD_IDENT, "IDENT", ident && *ident ? ident : ph_delivery_attr(d, "client_address") ? x->st->queue_id : NULL);
		put_xforward(x, &b, XFORWARD_SOURCE, "SOURCE", context && strcmp(context, "local") == 0 ? "LOCAL" : "REMOTE");
		r = send_xforward(x, &b, "XFORWARD helo/protocol command");
	}
	ph_buf_done(&b);
	if (r < 0 && x->s->uses > 1 && r != -ETIMEDOUT)
		return -ECONNRESET;
	if (r < 0) {
		smtp_fail_stream(x->st, r, "sending XFORWARD name/address");
		return -EPIPE;
	}
	return 0;
}

/* ---- before it all ------------------------------------------------------------------------ */

/* Does this server take this message at all?  False: results were given. */
static bool acceptable(struct xfer *x)
{
	struct smtp_state *st = x->st;
	bool needs = ph_delivery_smtputf8(st->d) && !ph_str_ascii(st->sender);
	int64_t bytes = ph_delivery_bytes(st->d);
	size_t i, k = 0;

	if (dangerous(x, st->sender)) {
		smtp_why_set(st, "5.1.7", "bad sender address syntax");
		smtp_fail_all(st, false);
		return false;
	}
	for (i = 0; i < x->n; i++) {
		const char *address = smtp_rcpt_address(st, x->rcpt[i]);

		if (dangerous(x, address)) {
			smtp_why_set(st, "5.1.3", "bad recipient address syntax");
			smtp_fail_rcpt(st, x->rcpt[i]);
			continue;
		}
		needs = needs || (ph_delivery_smtputf8(st->d) && !ph_str_ascii(address));
		x->rcpt[k++] = x->rcpt[i];
	}
	x->n = k;
	x->utf8 = ph_delivery_smtputf8(st->d);
	if (x->utf8 && !(x->s->features & EHLO_SMTPUTF8) && (needs || smtp_headers_utf8(st))) {
		smtp_why_set(st, "5.6.7", "SMTPUTF8 is required, but was not offered by host %s", x->s->namaddr);
		smtp_fail_all(st, false);
		return false;
	}
	if (smtp_requiretls_session(st) < 0) {
		smtp_fail_all(st, false);
		return false;
	}
	if (x->s->size_limit > 0 && bytes > x->s->size_limit) {
		smtp_why_set(st, "5.3.4", "message size %lld exceeds size limit %lld of server %s", (long long)bytes, (long long)x->s->size_limit, x->s->namaddr);
		smtp_fail_all(st, false);
		return false;
	}
	return x->n > 0;
}

int smtp_xfer(struct smtp_state *st)
{
	struct xfer x = { .st = st, .s = st->session };
	bool keep = smtp_cache_wanted(st);
	size_t i;
	int r;

	x.rcpt = ph_arena_alloc(st->arena, st->n * sizeof(*x.rcpt));
	x.accepted = ph_arena_alloc(st->arena, st->n * sizeof(*x.accepted));
	for (i = 0; i < st->n; i++) {
		if (st->mark[i] == SMTP_TODO)
			x.rcpt[x.n++] = i;
	}
	if (!acceptable(&x)) {
		if (!keep)
			smtp_session_quit(st, false);
		return 0;
	}
	r = xforward(&x);
	if (r == 0)
		r = envelope(&x);
	if (r < 0)
		return r == -ECONNRESET ? r : 0;
	if (x.data_ok && ph_delivery_probe(st->d))
		smtp_session_free(&st->session);        /* it waits for content, and there is none */
	else if (x.data_ok && x.n_accepted > 0 && !x.mail_rejected)
		send_content(&x, keep);
	else
		abort_transaction(&x, keep);
	return 0;
}
