/* envelope.c: between the session and the intake: opening it, the Received: header, and the end of a message.  Yields.
 * RFC 5321 4.4, 6.1: the reply to the final dot is the promise. */
#include <errno.h>
#include <netinet/in.h>
#include <posthouse/co.h>
#include <posthouse/delivery.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "queue/proto.h"
#include "smtpd/limits.h"
#include "smtpd/proxy.h"
#include "smtpd/history.h"
#include "smtpd/session.h"

/* ---- opening ---- */

static void log_client(struct ph_session *s)
{
	struct ph_buf b = PH_BUF_INIT(4096);
	const struct ph_smtpd_xforward *x = s->xforward;

	ph_buf_printf(&b, "%s: client=%s", s->t->queue_id, s->namaddr);
	if (s->sasl_user)
		ph_buf_printf(&b, ", sasl_method=%s, sasl_username=%s", s->sasl_method, s->sasl_user);
	if (s->t->auth_sender)
		ph_buf_printf(&b, ", sasl_sender=%s", s->t->auth_sender);
	if (x && x->ident)
		ph_buf_printf(&b, ", orig_queue_id=%s", x->ident);
	if (x && x->addr)
		ph_buf_printf(&b, ", orig_client=%s[%s]", x->name ? x->name : "unknown", x->addr);
	ph_log(PH_LOG_INFO, "%s", ph_buf_str(&b));
	ph_buf_done(&b);
}

static void attr(struct ph_session *s, const char *name, const char *value)
{
	if (value && *value)
		ph_intake_attr(s->t->intake, name, value);
}

/* What delivery agents, filters and bounces may want to know later about where the message came from. */
static void set_attrs(struct ph_session *s)
{
	const struct ph_smtpd_xforward *x = s->xforward;
	char port[12];

	snprintf(port, sizeof(port), "%d", s->port);
	attr(s, "client_name", s->name);
	attr(s, "reverse_client_name", s->reverse_name);
	attr(s, "client_address", s->addr);
	attr(s, "client_port", port);
	attr(s, "helo_name", s->helo);
	attr(s, "protocol_name", s->proto);
	attr(s, "log_client_name", x && x->name ? x->name : s->name);
	attr(s, "log_client_address", x && x->addr ? x->addr : s->addr);
	attr(s, "log_client_port", x && x->port ? x->port : port);
	attr(s, "log_message_origin", s->namaddr);
	attr(s, "log_helo_name", x && x->helo ? x->helo : s->helo);
	attr(s, "log_protocol_name", x && x->proto ? x->proto : s->proto);
	if (x)
		attr(s, "log_ident", x->ident);
	attr(s, "sasl_method", s->sasl_method);
	attr(s, "sasl_username", s->sasl_user);
	attr(s, "sasl_sender", s->t->auth_sender);
	attr(s, "verp_delimiters", s->t->verp);
	attr(s, "rewrite_context", ph_smtpd_rewrite_local(s) ? "local" : "remote");
	attr(s, "create_time", NULL);
}

int ph_smtpd_open(struct ph_session *s)
{
	struct ph_smtpd_trans *t = s->t;
	struct ph_intake_params p;
	struct ph_err err;
	uint32_t flags = 0;
	int r;

	if (t->intake)
		return 0;
	memset(&p, 0, sizeof(p));
	p.conf = s->svc->cleanup_conf;
	p.session = s;
	p.filters = s->svc->no_milters ? NULL : s->filters;
	p.prog = "smtpd";
	p.origin = s->namaddr;
	p.local_origin = ph_smtpd_rewrite_local(s);
	p.flags = s->svc->intake_flags;
	p.size_limit = s->set->message_size_limit;
	p.content_filter = s->set->content_filter;
	p.arena = t->arena;
	p.submit = s->svc->submit;
	r = ph_intake_begin(&p, &t->intake, &err);
	if (r < 0) {
		ph_log(PH_LOG_WARNING, "cannot take in mail from %s: %s", s->namaddr, err.text);
		if (r == -ENOSPC || r == -EAGAIN)
			return ph_smtpd_refuse(s, "452 4.3.1 Insufficient system storage");
		return ph_smtpd_refuse(s, "451 4.3.0 Error: queue file write error");
	}
	t->queue_id = ph_intake_queue_id(t->intake);
	if (t->smtputf8)
		flags |= PH_ENV_SMTPUTF8;
	if (t->requiretls)
		flags |= PH_ENV_REQUIRETLS;
	if (t->verp)
		flags |= PH_ENV_VERP;
	set_attrs(s);
	ph_intake_sender(t->intake, t->sender, t->envid, t->ret, t->encoding, flags);
	for (struct ph_smtpd_action *a = t->actions; a; a = a->next)
		ph_intake_action(t->intake, a->verb, a->arg);
	log_client(s);
	return 0;
}

/* ---- Received: ---- */

/* Inside a comment: what the client has made up must neither end it nor begin one that stays open (RFC 5322 section 3.2.2). */
static void put_comment(struct ph_buf *b, const char *text)
{
	int depth = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 32 || c > 126 || c == '\\' || (c == ')' && depth == 0))
			c = '?';
		depth += c == '(' ? 1 : c == ')' ? -1 : 0;
		ph_buf_putc(b, c);
	}
	while (depth-- > 0)
		ph_buf_putc(b, ')');
}

/* A name in quotes, inside a comment: no quotes of its own. */
static void put_quoted(struct ph_buf *b, const char *text)
{
	size_t from = b->len + 1;

	ph_buf_putc(b, '"');
	put_comment(b, text ? text : "");
	for (size_t i = from; i < b->len; i++)
		if (b->data[i] == '"')
			b->data[i] = '?';
	ph_buf_putc(b, '"');
}

static void put_tls(struct ph_buf *b, const struct ph_tls_info *tls, bool asked)
{
	ph_buf_printf(b, "\n\t(using %s with cipher %s (%d/%d bits)", tls->protocol, tls->cipher, tls->bits, tls->alg_bits);
	if (tls->key_exchange || tls->server_signature) {
		ph_buf_puts(b, "\n\t");
		if (tls->key_exchange)
			ph_buf_printf(b, " key-exchange %s", tls->key_exchange);
		if (tls->server_signature)
			ph_buf_printf(b, " server-signature %s", tls->server_signature);
		if (tls->server_digest)
			ph_buf_printf(b, " server-digest %s", tls->server_digest);
	}
	if (tls->client_signature) {
		ph_buf_printf(b, "\n\t client-signature %s", tls->client_signature);
		if (tls->client_digest)
			ph_buf_printf(b, " client-digest %s", tls->client_digest);
	}
	ph_buf_puts(b, ")\n\t");
	if (tls->peer_cn || tls->peer_fingerprint) {
		ph_buf_puts(b, "(Client CN ");
		put_quoted(b, tls->peer_cn);
		ph_buf_puts(b, ", Issuer ");
		put_quoted(b, tls->peer_issuer_cn);
		ph_buf_printf(b, " (%s))", tls->peer_verified ? "verified OK" : "not verified");
	} else {
		ph_buf_puts(b, asked ? "(Client did not present a certificate)" : "(No client certificate requested)");
	}
}

/* RFC 5322 date in local time. */
static void put_date(struct ph_buf *b)
{
	time_t now = (time_t)(ph_wall_us() / 1000000);
	struct tm tm;
	char text[64];

	if (localtime_r(&now, &tm) && strftime(text, sizeof(text), "%a, %e %b %Y %H:%M:%S %z (%Z)", &tm))
		ph_buf_puts(b, text);
}

static void put_client(struct ph_session *s, struct ph_buf *b)
{
	const struct ph_tls_info *tls = ph_stream_tls(s->io);

	ph_buf_printf(b, "from %s (%s [%s%s])", s->helo ? s->helo : s->name, s->name, strchr(s->addr, ':') ? "IPv6:" : "", s->addr);
	if (s->set->tls_received_header && tls)
		put_tls(b, tls, s->set->tls_ask_ccert || s->set->tls_req_ccert);
	if (s->set->sasl_authenticated_header && s->sasl_user) {
		ph_buf_puts(b, "\n\t(Authenticated sender: ");
		put_comment(b, s->sasl_user);
		ph_buf_puts(b, ")");
	}
	ph_buf_puts(b, "\n\t");
}

/* What access tables prepend, then Received:.  Other actions do not get here (access.c). */
static void proxy_headers(struct ph_session *s, const char *received)
{
	for (struct ph_smtpd_action *a = s->t->actions; a; a = a->next)
		ph_smtpd_proxy_header(s, a->arg);
	ph_smtpd_proxy_header(s, received);
}

/* For content filters, which do not know the option. */
static void requiretls_header(struct ph_session *s)
{
	static const char text[] = "Require-TLS-ESMTP: yes";

	if (s->t->proxy)
		ph_smtpd_proxy_header(s, text);
	else
		ph_intake_prepend(s->t->intake, text);
}

void ph_smtpd_received_header(struct ph_session *s)
{
	struct ph_smtpd_trans *t = s->t;
	struct ph_buf b = PH_BUF_INIT(8 * 1024);
	bool tls = ph_stream_tls(s->io) != NULL;

	ph_buf_puts(&b, "Received: ");
	if (!s->set->hide_client_session)
		put_client(s, &b);
	ph_buf_printf(&b, "by %s (%s) with %s%s%s%s", s->set->myhostname, s->set->mail_name, t->smtputf8 ? "UTF8" : "",
		      t->smtputf8 ? "SMTP" : s->proto, tls ? "S" : "", s->sasl_user ? "A" : "");
	if (t->queue_id)
		ph_buf_printf(&b, " id %s", t->queue_id);
	if (t->n_rcpts == 1) {
		ph_buf_printf(&b, "\n\tfor <%s>; ", ph_address_quote(t->arena, t->rcpts[0]));
	} else {
		ph_buf_puts(&b, ";\n\t");
	}
	put_date(&b);
	/* Names and logins in it are text of a stranger. */
	for (char *p = b.data; *p; p++)
		if (((unsigned char)*p < 32 && *p != '\n' && *p != '\t') || *p == 127)
			*p = '?';
	if (t->proxy)
		proxy_headers(s, ph_buf_str(&b));
	else
		ph_intake_prepend(t->intake, ph_buf_str(&b));
	if (t->requiretls && s->set->requiretls_header)
		requiretls_header(s);
	ph_buf_done(&b);
}

/* ---- the end ---- */

static int reply_verdict(struct ph_session *s, const struct ph_verdict *v)
{
	if (v->text && v->dsn[0])
		return ph_smtpd_reply(s, "%d %s %s", v->code, v->dsn, v->text);
	return ph_smtpd_reply(s, "%d %s", v->code, v->text ? v->text : "Error");
}

/* The filter has the last word. */
static int finish_proxied(struct ph_session *s)
{
	const char *reply = ph_smtpd_proxy_end(s);
	int r;

	if (reply[0] == '2') {
		s->errors = s->junk = 0;
		s->trouble = 0;
	}
	r = ph_smtpd_reply(s, "%s", reply);
	if (r >= 0)
		r = reply[0] != '2';
	ph_smtpd_trans_end(s);
	return r;
}

/* Refused at the end of the content: nothing is kept. */
static int finish_refused(struct ph_session *s, const char *reply)
{
	int r;

	ph_intake_abort(&s->t->intake);
	r = ph_smtpd_refuse(s, "%s", reply);
	ph_smtpd_trans_end(s);
	return r;
}

int ph_smtpd_finish(struct ph_session *s, bool bdat)
{
	struct ph_smtpd_trans *t = s->t;
	const char *refused, *id = ph_arena_strdup(t->arena, t->queue_id ? t->queue_id : "NOQUEUE");
	struct ph_verdict v;
	int64_t size, bytes = t->content;
	char text[120];
	int r;

	s->where = "END-OF-MESSAGE";
	s->stage = PH_STAGE_EOD;
	if (t->bare_lf && s->svc->bare_lf == PH_BARE_LF_NOTE)
		s->bare_lf_noted = true;
	if (t->bare_lf && s->svc->bare_lf == PH_BARE_LF_REJECT) {
		s->recipient = t->n_rcpts == 1 ? t->rcpts[0] : NULL;
		ph_smtpd_log_whatsup(s, "reject", "bare <LF> received");
		snprintf(text, sizeof(text), "%d %s %.60s Error: bare <LF> received", s->set->bare_newline_code,
			 s->set->bare_newline_code / 100 == 4 ? "4.5.2" : "5.5.2", s->set->myhostname);
		r = finish_refused(s, text);
		return r < 0 ? r : -EPROTO;
	}
	refused = s->svc->standalone ? NULL : ph_smtpd_check_eod(s);
	if (refused)
		return finish_refused(s, refused);
	if (t->proxy)
		return finish_proxied(s);
	/* in_flow_delay: the queue manager cannot keep up. */
	if (ph_qmgr_throttle_ms() > 0)
		ph_co_sleep(ph_qmgr_throttle_ms());
	v = ph_intake_end(&t->intake, &size);
	if (v.cls == PH_PERMIT || v.cls == PH_DUNNO) {
		s->errors = s->junk = 0;
		s->trouble = 0;
		if (bdat)
			r = ph_smtpd_reply(s, "250 2.0.0 Ok: %lld bytes queued as %s", (long long)bytes, id);
		else
			r = ph_smtpd_reply(s, "250 2.0.0 Ok: queued as %s", id);
	} else {
		if (v.code == 552)
			ph_log(PH_LOG_WARNING, "%s: queue file size limit exceeded", id);
		r = reply_verdict(s, &v);
		if (r >= 0)
			r = v.cls == PH_DISCONNECT ? -EPROTO : 1;
	}
	ph_smtpd_trans_end(s);
	ph_smtpd_history_flush(s);
	return r;
}
