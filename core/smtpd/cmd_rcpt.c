/* cmd_rcpt.c: RCPT.  Yields.  RFC 5321 4.1.1.3, RFC 3461 4.1 and 4.2. */
#include <errno.h>
#include <posthouse/delivery.h>
#include <string.h>

#include "smtpd/filters.h"
#include "smtpd/limits.h"
#include "smtpd/proxy.h"
#include "smtpd/session.h"


struct rcpt_params {
	unsigned notify;        /* PH_NOTIFY_*; 0: not given */
	const char *orcpt;      /* "type;address", decoded; NULL */
};

static int notify_param(struct ph_session *s, struct ph_slice v, struct rcpt_params *p)
{
	struct ph_slice bad;
	int mask;

	mask = p->notify ? -EINVAL : ph_smtpd_notify_parse(v, &bad);
	if (mask < 0) {
		if (!p->notify && bad.n)
			ph_log(PH_LOG_WARNING, "unknown DSN NOTIFY command value \"%.*s\" in \"%.*s\"", (int)bad.n, bad.p, (int)v.n, v.p);
		return ph_smtpd_refuse(s, "501 5.5.4 Error: Bad NOTIFY parameter syntax");
	}
	p->notify = (unsigned)mask;
	return 0;
}

/* "rfc822;xtext"; of type utf-8 the address may hold raw UTF-8 or \x{...} (RFC 6533), which is kept as it is. */
static int orcpt_param(struct ph_session *s, struct ph_slice v, struct rcpt_params *p)
{
	const char *semi = v.n ? memchr(v.p, ';', v.n) : NULL;
	char *text;
	size_t type;

	if (p->orcpt || !semi || semi == v.p || semi + 1 == v.p + v.n || v.n > 1500)
		return ph_smtpd_refuse(s, "501 5.5.4 Error: Bad ORCPT parameter syntax");
	type = (size_t)(semi + 1 - v.p);
	for (size_t i = 0; i + 1 < type; i++)
		if (!((v.p[i] >= '0' && v.p[i] <= '9') || ((v.p[i] | 32) >= 'a' && (v.p[i] | 32) <= 'z') || v.p[i] == '-'))
			return ph_smtpd_refuse(s, "501 5.5.4 Error: Bad ORCPT parameter syntax");
	text = ph_arena_alloc(s->t->arena, v.n + 1);
	memcpy(text, v.p, type);
	if (ph_smtpd_xtext_decode((struct ph_slice){ semi + 1, v.n - type }, text + type) <= 0 ||
	    !ph_utf8_valid(text + type, strlen(text + type)))
		return ph_smtpd_refuse(s, "501 5.5.4 Error: Bad ORCPT parameter syntax");
	p->orcpt = text;
	return 0;
}

static int one_param(struct ph_session *s, struct ph_slice w, struct rcpt_params *p)
{
	bool notify = ph_smtpd_slice_istarts(w, "NOTIFY="), orcpt = ph_smtpd_slice_istarts(w, "ORCPT=");

	if ((notify || orcpt) && (s->ehlo_discard & PH_EHLO_DSN))
		return ph_smtpd_refuse(s, "501 5.7.1 DSN support is disabled");
	if (notify)
		return notify_param(s, (struct ph_slice){ w.p + 7, w.n - 7 }, p);
	if (orcpt)
		return orcpt_param(s, (struct ph_slice){ w.p + 6, w.n - 6 }, p);
	return ph_smtpd_refuse(s, "555 5.5.4 Unsupported option: %.*s", (int)(w.n < 400 ? w.n : 400), w.p);
}

/* Who gave no ORCPT gets the address as the client wrote it (next hop, notifications).  What our own quoting yields again need not be kept. */
static const char *default_orcpt(struct ph_session *s, struct ph_slice text, const char *address)
{
	const char *ours = ph_address_quote(s->t->arena, address);

	if (text.n > 2 && text.p[0] == '<' && text.p[text.n - 1] == '>')
		text = (struct ph_slice){ text.p + 1, text.n - 2 };
	if ((text.n == strlen(ours) && memcmp(text.p, ours, text.n) == 0) || memchr(text.p, '<', text.n) || !ph_utf8_valid(text.p, text.n))
		return NULL;
	return ph_arena_printf(s->t->arena, "%s;%.*s", s->t->smtputf8 ? "utf-8" : "rfc822", (int)text.n, text.p);
}

static void remember(struct ph_smtpd_trans *t, const char *address)
{
	if (t->n_rcpts == t->cap_rcpts) {
		size_t cap = t->cap_rcpts ? t->cap_rcpts * 2 : 4;
		const char **bigger = ph_arena_alloc(t->arena, cap * sizeof(*bigger));

		if (t->n_rcpts)
			memcpy(bigger, t->rcpts, t->n_rcpts * sizeof(*bigger));
		t->rcpts = bigger;
		t->cap_rcpts = cap;
	}
	t->rcpts[t->n_rcpts++] = address;
}

/* The recipient's way into the message. */
static int stored(struct ph_session *s, struct ph_smtpd_cmdline *c, const char *address, struct rcpt_params *p)
{
	int r = ph_smtpd_open(s);

	if (r)
		return r;
	if (!p->orcpt)
		p->orcpt = default_orcpt(s, c->w[2].text, address);
	return ph_intake_rcpt(s->t->intake, address, p->orcpt, p->notify) < 0 ? ph_smtpd_refuse(s, "452 4.5.3 Error: too many recipients") : 0;
}

static int proxied(struct ph_session *s, const struct ph_smtpd_cmdline *c)
{
	const char *refused = ph_smtpd_proxy_rcpt(s, c);

	return refused ? ph_smtpd_refuse(s, "%s", refused) : 0;
}

static int rcpt(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	struct ph_smtpd_trans *t = s->t;
	struct rcpt_params p = { 0, NULL };
	const char *address, *plain, *refused;
	int r;

	r = ph_smtpd_address(s, "RCPT", &c->w[2], false, s->set->strict_envelopes, t->smtputf8, t->arena, &address);
	for (size_t i = 3; r == 0 && i < c->n; i++)
		r = one_param(s, c->w[i].text, &p);
	if (r == 0 && c->overflow)
		r = ph_smtpd_refuse(s, "501 5.5.4 Error: too many options");
	if (r)
		return r;
	if (t->rcpt_count >= (size_t)s->set->recipient_limit) {
		/* Each costs the client a message of its own, not an error, as long as it does not overdo it. */
		bool fine = t->rcpt_overshoot++ < (size_t)s->set->recipient_overshoot;

		r = ph_smtpd_reply(s, "452 4.5.3 Error: too many recipients");
		return r < 0 ? r : fine ? 0 : 1;
	}
	plain = ph_route_plain_probe_sender(s->svc->conf, address, t->arena);
	if (plain)
		address = plain;
	s->recipient = address;
	ph_smtpd_set_args(s, c, 2);
	refused = s->svc->standalone ? NULL : ph_smtpd_check_rcpt(s);
	if (refused)
		ph_smtpd_filters_rcpt_rejected(s, refused);
	else
		refused = ph_smtpd_filters_rcpt(s);
	if (refused)
		return ph_smtpd_refuse(s, "%s", refused);
	r = t->proxy ? proxied(s, c) : stored(s, c, address, &p);
	if (r)
		return r;
	t->rcpt_count++;
	remember(t, address);
	return ph_smtpd_reply(s, "250 2.1.5 Ok");
}

int ph_smtpd_cmd_rcpt(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	int r;

	s->stage = PH_STAGE_RCPT;
	if (!s->t)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: need MAIL command");
	if (s->t->bdat)
		return ph_smtpd_refuse(s, "503 5.5.1 Error: RCPT after BDAT");
	if (c->n < 3 || !ph_smtpd_slice_ieq(c->w[1].text, "TO:"))
		return ph_smtpd_refuse(s, "501 5.5.4 Syntax: RCPT TO:<address>");
	r = ph_limits_refused(s, PH_LIMIT_RECIPIENT, s->set->client_recipient_rate, "Recipient address", "450 4.7.1 Error: too many recipients from");
	if (r)
		return r;
	r = rcpt(s, c);
	s->recipient = NULL;
	return r;
}
