/* log.c: the log lines of a session, in Postfix's shapes.  Does not yield. */
#include <string.h>

#include "smtpd/session.h"

/* Addresses stand in log lines in external (quoted) form unless info_log_address_format says internal. */
const char *ph_smtpd_log_addr(struct ph_session *s, struct ph_arena *a, const char *address)
{
	if (!*address || strcmp(s->set->info_log_format, "internal") == 0)
		return address;
	return ph_address_quote(a, address);
}

static void put_envelope(struct ph_session *s, struct ph_arena *a, struct ph_buf *b)
{
	if (s->t && s->t->sender)
		ph_buf_printf(b, " from=<%s>", ph_smtpd_log_addr(s, a, s->t->sender));
	if (s->recipient)
		ph_buf_printf(b, " to=<%s>", ph_smtpd_log_addr(s, a, s->recipient));
	if (s->proto)
		ph_buf_printf(b, " proto=%s", s->proto);
	if (s->helo)
		ph_buf_printf(b, " helo=<%s>", s->helo);
	if (s->sasl_user && s->set->log_reject_user)
		ph_buf_printf(b, " sasl_username=<%s>", s->sasl_user);
}

void ph_smtpd_log_proxy(struct ph_session *s, const char *whatsup, const char *text)
{
	struct ph_arena *a = ph_session_arena(s);
	struct ph_buf b = PH_BUF_INIT(8 * 1024);

	ph_buf_printf(&b, "%s: %s: %.1500s;", whatsup, s->where, text);
	put_envelope(s, a, &b);
	for (char *p = b.data; *p; p++)
		if (*p == '\n')
			*p = ' ';
	ph_log(PH_LOG_INFO, "%s", ph_buf_str(&b));
	ph_buf_done(&b);
}

void ph_smtpd_log_whatsup(struct ph_session *s, const char *whatsup, const char *text)
{
	struct ph_arena *a = ph_session_arena(s);
	struct ph_buf b = PH_BUF_INIT(8 * 1024);

	ph_buf_printf(&b, "%s: %s: %s from %s: %.1500s;", s->t && s->t->queue_id ? s->t->queue_id : "NOQUEUE", whatsup, s->where,
		      s->namaddr, text);
	put_envelope(s, a, &b);
	ph_log(PH_LOG_INFO, "%s", ph_buf_str(&b));
	ph_buf_done(&b);
}

static const char *const cmd_names[PH_CMD_COUNT] = {
	[PH_CMD_HELO] = "helo", [PH_CMD_EHLO] = "ehlo", [PH_CMD_XCLIENT] = "xclient", [PH_CMD_XFORWARD] = "xforward",
	[PH_CMD_STARTTLS] = "starttls", [PH_CMD_AUTH] = "auth", [PH_CMD_MAIL] = "mail", [PH_CMD_RCPT] = "rcpt",
	[PH_CMD_DATA] = "data", [PH_CMD_BDAT] = "bdat", [PH_CMD_RSET] = "rset", [PH_CMD_NOOP] = "noop", [PH_CMD_VRFY] = "vrfy",
	[PH_CMD_ETRN] = "etrn", [PH_CMD_QUIT] = "quit", [PH_CMD_UNKNOWN] = "unknown",
};

static void put_count(struct ph_buf *b, const char *name, uint32_t ok, uint32_t all)
{
	if (ok == all && all > 0)
		ph_buf_printf(b, " %s=%u", name, all);
	else
		ph_buf_printf(b, " %s=%u/%u", name, ok, all);
}

void ph_smtpd_log_disconnect(struct ph_session *s)
{
	struct ph_buf b = PH_BUF_INIT(1024);
	uint32_t ok = 0, all = 0;

	for (int i = 0; i < PH_CMD_COUNT; i++) {
		if (s->cmd_all[i])
			put_count(&b, cmd_names[i], s->cmd_ok[i], s->cmd_all[i]);
		ok += s->cmd_ok[i];
		all += s->cmd_all[i];
	}
	put_count(&b, "commands", ok, all);
	if (s->bare_lf_noted)
		ph_buf_puts(&b, " notes=bare_lf");
	ph_log(PH_LOG_INFO, "disconnect from %s%s", s->namaddr, ph_buf_str(&b));
	ph_buf_done(&b);
}
