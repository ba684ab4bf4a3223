/* cmd_auth.c: AUTH: the exchange between the client and the SASL module.  Yields.  RFC 4954.  Nothing that the client sends here is ever
 * logged, except the login name after a failure. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpd/limits.h"
#include "smtpd/session.h"

struct exchange {
	struct ph_session *s;
	const struct ph_sasl_ops *ops;
	const char *mech;
	void *obj;
	struct ph_slice challenge;
	const char *user, *reason;
};

static bool mech_offered(const char *list, const char *mech)
{
	size_t n = strlen(mech);
	const char *p = list;

	while (p && *p) {
		size_t len = strcspn(p, " ");

		if (len == n && strncasecmp(p, mech, n) == 0)
			return true;
		p += len;
		p += strspn(p, " ");
	}
	return false;
}

/* A line of the client within the exchange, consumed; in the session's arena.  0; 1: a reply was given; negative.  */
static int read_response(struct ph_session *s, struct ph_slice *ret)
{
	size_t max = (size_t)s->set->sasl_response_limit;
	struct ph_slice in;
	const char *lf;
	bool too_long = false;
	size_t n, total = 0;
	ssize_t r;

	ph_stream_set_input_max(s->io, max + 1024);
	for (;;) {
		in = ph_stream_peek(s->io);
		lf = in.n ? memchr(in.p, '\n', in.n) : NULL;
		if (lf)
			break;
		if (in.n > max) {
			too_long = true;
			total += in.n;
			ph_stream_consume(s->io, in.n);
			if (total > max * 16)
				return -EPROTO;
		}
		r = ph_smtpd_fill(s);
		if (r <= 0)
			return r == 0 ? -ENODATA : (int)r;
	}
	n = (size_t)(lf - in.p);
	if (n > max)
		too_long = true;
	while (n && in.p[n - 1] == '\r')
		n--;
	if (!too_long) {
		char *copy = ph_arena_alloc(ph_session_arena(s), n + 1);        /* a NUL is no base64, but it is one of the bytes */

		if (n > 0)
			memcpy(copy, in.p, n);
		*ret = (struct ph_slice){ copy, n };
	}
	ph_stream_consume(s->io, (size_t)(lf + 1 - in.p));
	return too_long ? ph_smtpd_refuse(s, "500 5.5.6 SASL response limit exceeded") : 0;
}

static int send_challenge(struct exchange *x)
{
	char *text = ph_arena_alloc(ph_session_arena(x->s), (x->challenge.n + 2) / 3 * 4 + 1);
	int64_t deadline = ph_now_ms() + x->s->set->timeout_ms;
	int r;

	ph_base64_encode(x->challenge, text);
	r = ph_stream_puts(x->s->io, "334 ", deadline);
	if (r == 0)
		r = ph_stream_puts(x->s->io, text, deadline);
	return r == 0 ? ph_stream_puts(x->s->io, "\r\n", deadline) : r;
}

static int failed(struct exchange *x, const char *reply, const char *reason)
{
	struct ph_session *s = x->s;
	const char *user = x->user && *x->user ? x->user : "(unavailable)";

	if (!reason || !*reason)
		reason = "(reason unavailable)";
	ph_log(PH_LOG_WARNING, "%s: SASL %.100s authentication failed: %s, sasl_username=%.100s", s->namaddr, x->mech,
	       ph_str_printable(ph_session_arena(s), reason, strlen(reason), true),
	       ph_str_printable(ph_session_arena(s), user, strlen(user), true));
	return ph_smtpd_refuse(s, "%s: %s", reply, reason);
}

static int finish(struct exchange *x, enum ph_sasl_status st)
{
	struct ph_session *s = x->s;
	char mech[64];

	switch (st) {
	case PH_SASL_OK:
		ph_assert(x->user);
		snprintf(mech, sizeof(mech), "%s", x->mech);
		for (char *p = mech; *p; p++)
			if (*p >= 'a' && *p <= 'z')
				*p -= 32;
		ph_smtpd_set(&s->sasl_method, mech);
		ph_smtpd_set(&s->sasl_user, ph_str_printable(ph_session_arena(s), x->user, strlen(x->user), true));
		return ph_smtpd_reply(s, "235 2.7.0 Authentication successful");
	case PH_SASL_TEMPFAIL:
		return failed(x, "454 4.7.0 Temporary authentication failure", x->reason);
	case PH_SASL_BADPROTO:
		return failed(x, "501 5.5.4 Error: authentication protocol error", x->reason);
	case PH_SASL_FAIL:
	case PH_SASL_CONTINUE:
		break;
	}
	return failed(x, "535 5.7.8 Error: authentication failed", x->reason);
}

static int converse(struct exchange *x, enum ph_sasl_status st)
{
	struct ph_session *s = x->s;
	struct ph_slice line;
	char *data;
	ssize_t n;
	int r;

	for (int rounds = 0; st == PH_SASL_CONTINUE; rounds++) {
		if (rounds == 32)
			return failed(x, "535 5.7.8 Error: authentication failed", "too many rounds");
		r = send_challenge(x);
		if (r == 0)
			r = read_response(s, &line);
		if (r)
			return r;
		if (line.n == 1 && *line.p == '*') {
			ph_log(PH_LOG_WARNING, "%s: SASL %s authentication aborted", s->namaddr, x->mech);
			return ph_smtpd_refuse(s, "501 5.7.0 Authentication aborted");
		}
		data = ph_arena_alloc(ph_session_arena(s), line.n / 4 * 3 + 4);
		n = ph_base64_decode(line, data);
		if (n < 0)
			return failed(x, "535 5.7.8 Error: authentication failed", "malformed base64 response");
		st = x->ops->step(x->obj, (struct ph_slice){ data, (size_t)n }, &x->challenge, &x->user, &x->reason);
	}
	return finish(x, st);
}

static int authenticate(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	struct exchange x = { .s = s, .ops = s->svc->sasl_module->ops.sasl };
	struct ph_slice initial = { NULL, 0 };
	enum ph_sasl_status st;
	char *data;
	ssize_t n;
	int r;

	x.mech = ph_arena_strndup(ph_session_arena(s), c->w[1].text.p, c->w[1].text.n);
	if (c->n == 3) {
		if (c->w[2].text.n > (size_t)s->set->sasl_response_limit)
			return ph_smtpd_refuse(s, "500 5.5.6 SASL response limit exceeded");
		data = ph_arena_alloc(ph_session_arena(s), c->w[2].text.n / 4 * 3 + 4);
		n = ph_smtpd_slice_ieq(c->w[2].text, "=") ? 0 : ph_base64_decode(c->w[2].text, data);
		if (n < 0)
			return failed(&x, "535 5.7.8 Error: authentication failed", "malformed initial response");
		initial.p = data;
		initial.n = (size_t)n;
	}
	if (!mech_offered(s->sasl_mechs, x.mech))
		return failed(&x, "535 5.7.8 Error: authentication failed", "Invalid authentication mechanism");
	st = x.ops->start(s->svc->sasl_use, s, x.mech, initial, &x.obj, &x.challenge, &x.user, &x.reason);
	r = converse(&x, st);
	if (x.obj)
		x.ops->done(x.obj);
	return r;
}

int ph_smtpd_cmd_auth(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	int r;

	if (s->set->helo_required && !s->helo)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: send HELO/EHLO first");
	if (!ph_smtpd_sasl_possible(s) || (s->ehlo_discard & PH_EHLO_AUTH) || !s->sasl_mechs)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: authentication not enabled");
	if (s->t)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: MAIL transaction in progress");
	if (s->sasl_user)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: already authenticated");
	if (c->n < 2 || c->n > 3)
		return ph_smtpd_refuse(s, "501 5.5.4 Syntax: AUTH mechanism");
	r = ph_limits_refused(s, PH_LIMIT_AUTH, s->set->client_auth_rate, "AUTH command", "450 4.7.1 Error: too many AUTH commands from");
	if (r)
		return r;
	return authenticate(s, c);
}
