/* cmd_helo.c: HELO and EHLO.  Yields.  RFC 5321 4.1.1.1; keywords: RFC 1870, 2920, 3030, 3207, 3461, 4954, 6152, 6531. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpd/filters.h"
#include "smtpd/history.h"
#include "smtpd/session.h"

static const struct { const char *word; unsigned bit; } keywords[] = {
	{ "8BITMIME", PH_EHLO_8BITMIME }, { "AUTH", PH_EHLO_AUTH }, { "ETRN", PH_EHLO_ETRN }, { "PIPELINING", PH_EHLO_PIPELINING },
	{ "SIZE", PH_EHLO_SIZE }, { "VRFY", PH_EHLO_VRFY }, { "XCLIENT", PH_EHLO_XCLIENT }, { "XFORWARD", PH_EHLO_XFORWARD },
	{ "ENHANCEDSTATUSCODES", PH_EHLO_ENHANCED }, { "STARTTLS", PH_EHLO_STARTTLS }, { "XVERP", PH_EHLO_XVERP }, { "DSN", PH_EHLO_DSN },
	{ "SMTPUTF8", PH_EHLO_SMTPUTF8 }, { "CHUNKING", PH_EHLO_CHUNKING }, { "REQUIRETLS", PH_EHLO_REQUIRETLS },
	{ "silent-discard", PH_EHLO_SILENT },
};

unsigned ph_smtpd_ehlo_mask(const char *words)
{
	char *copy = ph_strdup(words), *cursor = copy, *w;
	unsigned mask = 0;
	size_t i;

	while ((w = ph_str_token(&cursor, PH_SEP_LIST))) {
		for (i = 0; i < PH_ARRAY_LEN(keywords); i++)
			if (strcasecmp(w, keywords[i].word) == 0)
				break;
		if (i < PH_ARRAY_LEN(keywords))
			mask |= keywords[i].bit;
		else
			ph_log(PH_LOG_WARNING, "unknown EHLO keyword \"%s\" in \"%s\"", w, words);
	}
	free(copy);
	return mask;
}

/* What stands between the command and the end of the line, as one text. */
static char *helo_name(struct ph_session *s, const struct ph_smtpd_cmdline *c)
{
	const struct ph_slice first = c->w[1].text, last = c->w[c->n - 1].text;
	char *name = ph_str_printable(ph_session_arena(s), first.p, (size_t)(last.p + last.n - first.p), s->set->smtputf8_enable);

	for (char *p = name; *p; p++)
		if (strchr(" <>()\\\";@", *p))
			*p = '?';
	return name;
}

/* The argument is looked at.  NULL: taken; else the reply. */
static const char *greet(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	char *old = s->helo;
	const char *refused = NULL;

	s->helo = ph_strdup(helo_name(s, c));
	s->stage = PH_STAGE_HELO;
	ph_smtpd_set_args(s, c, 1);
	if (!s->svc->standalone && !s->set->delay_reject)
		refused = ph_smtpd_check_helo(s);
	if (!refused)
		refused = ph_smtpd_filters_helo(s);
	if (refused) {
		free(s->helo);
		s->helo = old;
		return refused;
	}
	free(old);
	return NULL;
}

int ph_smtpd_cmd_helo(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	const char *refused;

	if (c->n < 2)
		return ph_smtpd_refuse(s, "501 Syntax: HELO hostname");
	refused = greet(s, c);
	if (refused)
		return ph_smtpd_refuse(s, "%s", refused);
	ph_smtpd_history_flush(s);
	ph_smtpd_trans_end(s);
	return ph_smtpd_reply(s, "250 %s", s->set->myhostname);
}

static void put_auth(struct ph_session *s, struct ph_buf *b, unsigned off)
{
	if ((off & PH_EHLO_AUTH) || !ph_smtpd_sasl_offered(s) || !s->sasl_mechs)
		return;
	ph_buf_printf(b, "\nAUTH %s", s->sasl_mechs);
	if (s->set->sasl_broken_clients)
		ph_buf_printf(b, "\nAUTH=%s", s->sasl_mechs);
}

static void put_keywords(struct ph_session *s, struct ph_buf *b)
{
	unsigned off = ph_smtpd_filters_reject_all(s) ? ~(unsigned)PH_EHLO_ENHANCED : s->ehlo_discard;

	if (!(off & PH_EHLO_PIPELINING))
		ph_buf_puts(b, "\nPIPELINING");
	if (!(off & PH_EHLO_SIZE)) {
		if (s->set->message_size_limit > 0)
			ph_buf_printf(b, "\nSIZE %lld", (long long)s->set->message_size_limit);
		else
			ph_buf_puts(b, "\nSIZE");
	}
	if (!(off & PH_EHLO_VRFY) && !s->set->disable_vrfy)
		ph_buf_puts(b, "\nVRFY");
	if (!(off & PH_EHLO_ETRN))
		ph_buf_puts(b, "\nETRN");
	if (!(off & PH_EHLO_STARTTLS) && s->svc->tls_level != PH_SMTPD_TLS_NONE && !ph_stream_tls(s->io) && !s->svc->standalone)
		ph_buf_puts(b, "\nSTARTTLS");
	put_auth(s, b, off);
	if (!(off & PH_EHLO_XVERP) && ph_smtpd_matches(s, s->svc->verp_clients, "smtpd_authorized_verp_clients"))
		ph_buf_puts(b, "\nXVERP");
	if (!(off & PH_EHLO_XCLIENT) && s->xclient_ok)
		ph_buf_puts(b, "\nXCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT");
	if (!(off & PH_EHLO_XFORWARD) && s->xforward_ok)
		ph_buf_puts(b, "\nXFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT");
	if (!(off & PH_EHLO_ENHANCED))
		ph_buf_puts(b, "\nENHANCEDSTATUSCODES");
	if (!(off & PH_EHLO_8BITMIME))
		ph_buf_puts(b, "\n8BITMIME");
	if (!(off & PH_EHLO_DSN))
		ph_buf_puts(b, "\nDSN");
	if (!(off & PH_EHLO_SMTPUTF8) && s->set->smtputf8_enable)
		ph_buf_puts(b, "\nSMTPUTF8");
	if (!(off & PH_EHLO_CHUNKING))
		ph_buf_puts(b, "\nCHUNKING");
	if (!(off & PH_EHLO_REQUIRETLS) && s->set->requiretls && ph_stream_tls(s->io))
		ph_buf_puts(b, "\nREQUIRETLS");
}

const char *ph_smtpd_ehlo_names(unsigned mask, struct ph_arena *arena)
{
	struct ph_buf b = PH_BUF_INIT(500);
	const char *text;

	for (size_t i = 0; i < PH_ARRAY_LEN(keywords); i++)
		if (mask & keywords[i].bit)
			ph_buf_printf(&b, "%s%s", b.len ? " " : "", keywords[i].word);
	text = ph_arena_strdup(arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return text;
}

/* As Postfix, which says nothing either when enhanced status codes are among them. */
static void log_discarded(struct ph_session *s)
{
	if (s->ehlo_discard && !(s->ehlo_discard & (PH_EHLO_SILENT | PH_EHLO_ENHANCED)))
		ph_log(PH_LOG_INFO, "discarding EHLO keywords: %s", ph_smtpd_ehlo_names(s->ehlo_discard, ph_session_arena(s)));
}

/* The table that says what this client may be told about failed: the client shall come again. */
static int features_unknown(struct ph_session *s)
{
	ph_log(PH_LOG_WARNING, "don't know what EHLO features to announce to %s", s->namaddr);
	ph_log(PH_LOG_INFO, "NOQUEUE: reject: EHLO from %s: 421 4.3.0 %s Server local data error", s->namaddr, s->set->myhostname);
	ph_smtpd_refuse(s, "421 4.3.0 %s Server local data error", s->set->myhostname);
	return -EPROTO;
}

int ph_smtpd_cmd_ehlo(struct ph_session *s, struct ph_smtpd_cmdline *c)
{
	struct ph_buf b = PH_BUF_INIT(4096);
	const char *refused;
	int r;

	if (c->n < 2)
		return ph_smtpd_refuse(s, "501 Syntax: EHLO hostname");
	refused = greet(s, c);
	if (refused)
		return ph_smtpd_refuse(s, "%s", refused);
	ph_smtpd_history_flush(s);
	ph_smtpd_trans_end(s);
	if (s->ehlo_unknown)
		return features_unknown(s);
	log_discarded(s);
	s->ehlo = true;
	s->proto = "ESMTP";
	if (ph_smtpd_sasl_possible(s) && ph_smtpd_sasl_mechs(s) < 0) {
		/* Without its back end the service cannot do what it is for; the client shall come again. */
		ph_smtpd_reply(s, "421 4.3.0 %s Server local error", s->set->myhostname);
		return -EPROTO;
	}
	ph_buf_printf(&b, "250 %s", s->set->myhostname);
	put_keywords(s, &b);
	r = ph_smtpd_reply(s, "%s", ph_buf_str(&b));
	ph_buf_done(&b);
	return r;
}
