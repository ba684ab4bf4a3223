/* cmd_starttls.c: STARTTLS and wrapper mode.  Yields.  RFC 3207: what was said before the handshake is forgotten, what was sent
 * behind the command in clear text is thrown away by ph_stream_tls_accept. */
#include <errno.h>
#include <string.h>

#include "smtpd/limits.h"
#include "smtpd/session.h"

static void log_established(struct ph_session *s)
{
	const struct ph_tls_info *t = ph_stream_tls(s->io);
	struct ph_buf b = PH_BUF_INIT(2048);
	const char *trust = !t->peer_fingerprint ? "Anonymous" : t->peer_verified ? "Trusted" : "Untrusted";

	if (s->svc->tls_loglevel < 1)
		return;
	if (t->peer_fingerprint && s->svc->tls_loglevel >= 2)
		ph_log(PH_LOG_INFO, "%s: subject_CN=%s, issuer=%s, fingerprint=%s", s->namaddr, t->peer_cn ? t->peer_cn : "",
		       t->peer_issuer_cn ? t->peer_issuer_cn : "", t->peer_fingerprint);
	ph_buf_printf(&b, "%s TLS connection %s from %s: %s with cipher %s (%d/%d bits)", trust, t->reused ? "reused" : "established",
		      s->namaddr, t->protocol, t->cipher, t->bits, t->alg_bits);
	if (t->key_exchange)
		ph_buf_printf(&b, " key-exchange %s", t->key_exchange);
	if (t->server_signature)
		ph_buf_printf(&b, " server-signature %s", t->server_signature);
	if (t->server_digest)
		ph_buf_printf(&b, " server-digest %s", t->server_digest);
	if (t->client_signature)
		ph_buf_printf(&b, " client-signature %s", t->client_signature);
	if (t->client_digest)
		ph_buf_printf(&b, " client-digest %s", t->client_digest);
	ph_log(PH_LOG_INFO, "%s", ph_buf_str(&b));
	ph_buf_done(&b);
}

/* What OpenSSL has to say is a warning of its own. */
static void log_failed(struct ph_session *s, int r, const char *text)
{
	if (r == -ETIMEDOUT)
		text = "Connection timed out";
	else if (strncmp(text, "TLS library problem", 19) != 0)
		text = "lost connection";
	if (strncmp(text, "TLS library problem", 19) != 0) {
		ph_log(PH_LOG_INFO, "SSL_accept error from %s: %s", s->namaddr, text);
		return;
	}
	ph_log(PH_LOG_INFO, "SSL_accept error from %s: -1", s->namaddr);
	ph_log(PH_LOG_WARNING, "%s", text);
}

/* by 0: a handshake is asked for; 1: there was a full one, or one that failed. */
static bool too_many_sessions(struct ph_session *s, unsigned by)
{
	unsigned n;

	if (s->limits_exempt || s->set->client_tls_rate <= 0)
		return false;
	if (ph_limits_count(s, PH_LIMIT_TLS, by, &n) < 0)
		return by == 0;
	if (n <= (unsigned)s->set->client_tls_rate)
		return false;
	ph_log(PH_LOG_WARNING, "New TLS session rate limit exceeded: %u from %s for service %s", n, s->namaddr, s->svc->name);
	return true;
}

int ph_smtpd_tls_start(struct ph_session *s)
{
	struct ph_err err;
	int r;

	if (!s->svc->tls) {
		ph_log(PH_LOG_WARNING, "Wrapper-mode request dropped from %s for service %s. TLS context initialization failed. "
		       "For details see earlier warnings in your logs.", s->namaddr, s->svc->name);
		return -EPROTO;
	}
	if (s->set->tls_wrappermode && too_many_sessions(s, 0)) {
		ph_log(PH_LOG_WARNING, "Refusing TLS service request from %s for service %s", s->namaddr, s->svc->name);
		return -EPROTO;
	}
	if (s->svc->tls_loglevel >= 2)
		ph_log(PH_LOG_INFO, "setting up TLS connection from %s", s->namaddr);
	r = ph_stream_tls_accept(s->io, s->svc->tls, ph_now_ms() + s->set->starttls_timeout_ms, &err);
	if (r < 0) {
		log_failed(s, r, err.text);
		return too_many_sessions(s, 1) ? -EPROTO : r == -ETIMEDOUT ? r : -ECONNRESET;
	}
	s->tls_used = true;
	log_established(s);
	if (!ph_stream_tls(s->io)->reused && too_many_sessions(s, 1)) {
		ph_smtpd_reply(s, "421 4.7.0 %s Error: too many new TLS sessions from %s", s->set->myhostname, s->namaddr);
		return -EPROTO;
	}
	return 0;
}

int ph_smtpd_cmd_starttls(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	int r;

	if (c->n != 1)
		return ph_smtpd_refuse(s, "501 5.5.4 Syntax: STARTTLS");
	if (ph_stream_tls(s->io))
		return ph_smtpd_refuse(s, "554 5.5.1 Error: TLS already active");
	if (s->svc->standalone || s->svc->tls_level == PH_SMTPD_TLS_NONE || (s->ehlo_discard & PH_EHLO_STARTTLS))
		return ph_smtpd_refuse(s, "502 5.5.1 Error: command not implemented");
	if (!s->svc->tls)
		return ph_smtpd_refuse(s, "454 4.7.0 TLS not available due to local problem");
	if (too_many_sessions(s, 0)) {
		ph_log(PH_LOG_WARNING, "Refusing STARTTLS request from %s for service %s", s->namaddr, s->svc->name);
		return ph_smtpd_refuse(s, "454 4.7.0 Error: too many new TLS sessions from %s", s->namaddr);
	}
	r = ph_smtpd_reply(s, "220 2.0.0 Ready to start TLS");
	if (r == 0)
		r = ph_smtpd_flush(s);
	if (r < 0)
		return r;
	r = ph_smtpd_tls_start(s);
	if (r < 0)
		return r;
	ph_smtpd_session_restart(s);
	return 0;
}
