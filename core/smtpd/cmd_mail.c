/* cmd_mail.c: MAIL.  Yields.  RFC 5321 4.1.1.2; parameters: RFC 1870, 3461, 4954, 6152, 6531, 8689. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "smtpd/filters.h"
#include "smtpd/limits.h"
#include "smtpd/proxy.h"
#include "smtpd/session.h"


/* The text behind "NAME=" when w is that parameter. */
static bool param(struct ph_slice w, const char *name, struct ph_slice *ret)
{
	if (!ph_smtpd_slice_istarts(w, name))
		return false;
	ret->p = w.p + strlen(name);
	ret->n = w.n - strlen(name);
	return true;
}

static int size_param(struct ph_session *s, struct ph_slice v)
{
	switch (ph_smtpd_number(v, &s->t->size)) {
	case 0:
		return 0;
	case -ERANGE:
		return ph_smtpd_refuse(s, "552 5.3.4 Message size exceeds file system imposed limit");
	}
	return ph_smtpd_refuse(s, "501 5.5.4 Bad message size syntax");
}

static int dsn_off(struct ph_session *s)
{
	return s->ehlo_discard & PH_EHLO_DSN ? ph_smtpd_refuse(s, "501 5.7.1 DSN support is disabled") : 0;
}

static int ret_param(struct ph_session *s, struct ph_slice v)
{
	int r = dsn_off(s);

	if (r)
		return r;
	if (s->t->ret || (!ph_smtpd_slice_ieq(v, "FULL") && !ph_smtpd_slice_ieq(v, "HDRS")))
		return ph_smtpd_refuse(s, "501 5.5.4 Bad RET parameter syntax");
	s->t->ret = ph_smtpd_slice_ieq(v, "FULL") ? "FULL" : "HDRS";
	return 0;
}

static int envid_param(struct ph_session *s, struct ph_slice v)
{
	char *text;
	int r = dsn_off(s);

	if (r)
		return r;
	/* RFC 3461 section 4.4: at most 100 characters; some more do no harm. */
	text = ph_arena_alloc(s->t->arena, v.n + 1);
	if (s->t->envid || v.n > 1000 || ph_smtpd_xtext_decode(v, text) <= 0)
		return ph_smtpd_refuse(s, "501 5.5.4 Bad ENVID parameter syntax");
	s->t->envid = text;
	return 0;
}

/* AUTH=: whom the client says it got the message from.  Believed of authenticated clients only.  Kept as xtext: so logs, milters and policy servers
 * know it from Postfix, and nothing in it can break a line. */
static int auth_param(struct ph_session *s, struct ph_slice v)
{
	char *text = ph_arena_alloc(s->t->arena, v.n + 1);

	if (s->t->auth_sender)
		return ph_smtpd_refuse(s, "503 5.5.4 Error: multiple AUTH= options");
	if (ph_smtpd_xtext_decode(v, text) <= 0)
		return ph_smtpd_refuse(s, "501 5.5.4 Error: bad AUTH= parameter syntax");
	if (s->sasl_user)
		s->t->auth_sender = ph_arena_strndup(s->t->arena, v.p, v.n);
	return 0;
}

static int verp_param(struct ph_session *s, struct ph_slice w)
{
	struct ph_slice v;

	if (!ph_smtpd_matches(s, s->svc->verp_clients, "smtpd_authorized_verp_clients"))
		return ph_smtpd_refuse(s, "555 5.5.4 Unsupported option: %.*s", (int)w.n, w.p);
	if (w.n == 5) {
		s->t->verp = s->set->default_verp_delimiters;
		return 0;
	}
	if (!param(w, "XVERP=", &v) || v.n != 2 || !strchr(s->set->verp_delimiter_filter, v.p[0]) ||
	    !strchr(s->set->verp_delimiter_filter, v.p[1]))
		return ph_smtpd_refuse(s, "501 5.5.4 Error: XVERP needs two characters from %s", s->set->verp_delimiter_filter);
	s->t->verp = ph_arena_strndup(s->t->arena, v.p, v.n);
	return 0;
}

static int one_param(struct ph_session *s, struct ph_slice w)
{
	struct ph_slice v;

	if (ph_smtpd_slice_ieq(w, "BODY=8BITMIME")) {
		s->t->encoding = "8bit";
		return 0;
	}
	if (ph_smtpd_slice_ieq(w, "BODY=7BIT")) {
		s->t->encoding = "7bit";
		return 0;
	}
	if (ph_smtpd_slice_ieq(w, "SMTPUTF8") && s->set->smtputf8_enable && !(s->ehlo_discard & PH_EHLO_SMTPUTF8))
		return 0;
	/* RFC 8689 section 4: only where it was announced, which is over TLS. */
	if (ph_smtpd_slice_ieq(w, "REQUIRETLS") && s->set->requiretls && !(s->ehlo_discard & PH_EHLO_REQUIRETLS) && ph_stream_tls(s->io)) {
		s->t->requiretls = true;
		return 0;
	}
	if (param(w, "SIZE=", &v))
		return size_param(s, v);
	if (param(w, "AUTH=", &v))
		return auth_param(s, v);
	if (param(w, "RET=", &v))
		return ret_param(s, v);
	if (param(w, "ENVID=", &v))
		return envid_param(s, v);
	if (ph_smtpd_slice_istarts(w, "XVERP"))
		return verp_param(s, w);
	return ph_smtpd_refuse(s, "555 5.5.4 Unsupported option: %.*s", (int)(w.n < 400 ? w.n : 400), w.p);
}

static bool smtputf8_asked(struct ph_session *s, const struct ph_smtpd_cmdline *c)
{
	if (!s->set->smtputf8_enable || (s->ehlo_discard & PH_EHLO_SMTPUTF8))
		return false;
	for (size_t i = 3; i < c->n; i++)
		if (ph_smtpd_slice_ieq(c->w[i].text, "SMTPUTF8"))
			return true;
	return false;
}

/* Everything about the line; the transaction has begun and is dropped by the caller when this refuses. */
static int mail(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	const char *address, *refused;
	int r;

	s->t->smtputf8 = smtputf8_asked(s, c);
	r = ph_smtpd_address(s, "MAIL", &c->w[2], true, s->set->strict_envelopes, s->t->smtputf8, s->t->arena, &address);
	if (r)
		return r;
	s->t->encoding = "";
	for (size_t i = 3; i < c->n; i++) {
		r = one_param(s, c->w[i].text);
		if (r)
			return r;
	}
	if (c->overflow)
		return ph_smtpd_refuse(s, "501 5.5.4 Error: too many options");
	refused = ph_smtpd_check_queue(s);
	if (refused)
		return ph_smtpd_refuse(s, "%s", refused);
	s->t->sender = address;
	if (s->t->verp && !*address)
		return ph_smtpd_refuse(s, "503 5.5.4 Error: XVERP requires non-null sender");
	refused = ph_smtpd_check_size(s, s->t->size);
	if (!refused && !s->svc->standalone && !s->set->delay_reject)
		refused = ph_smtpd_check_mail(s);
	ph_smtpd_set_args(s, c, 2);
	if (!refused)
		refused = ph_smtpd_filters_mail(s);
	if (refused)
		return ph_smtpd_refuse(s, "%s", refused);
	if (ph_smtpd_proxied(s)) {
		ph_smtpd_proxy_mail(s, c);
	} else if (!s->set->delay_open) {
		r = ph_smtpd_open(s);
		if (r)
			return r;
	}
	return ph_smtpd_reply(s, "250 2.1.0 Ok");
}

int ph_smtpd_cmd_mail(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	int r;

	s->stage = PH_STAGE_MAIL;
	if (s->set->helo_required && !s->helo)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: send HELO/EHLO first");
	if (s->t && s->t->sender)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: nested MAIL command");
	if (s->t)       /* what is left is a refused BDAT sequence without its LAST chunk */
		return ph_smtpd_refuse(s, "503 5.5.1 Error: MAIL after BDAT");
	if (c->n < 3 || !ph_smtpd_slice_ieq(c->w[1].text, "FROM:"))
		return ph_smtpd_refuse(s, "501 5.5.4 Syntax: MAIL FROM:<address>");
	r = ph_limits_refused(s, PH_LIMIT_MESSAGE, s->set->client_message_rate, "Message delivery request", "450 4.7.1 Error: too much mail from");
	if (r)
		return r;
	ph_smtpd_trans_begin(s);
	r = mail(s, c);
	if (r)
		ph_smtpd_trans_end(s);
	return r;
}
