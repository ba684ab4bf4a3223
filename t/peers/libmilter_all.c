/* libmilter_all: a filter that uses every callback and every modification of libmilter, for t/peers/libmilter.t.
 *
 * usage: libmilter_all SOCKET LOG.  Each callback leaves a line in LOG.  The sender's local part says what a callback answers ("mail-reject", "eom-reply"), the
 * header X-Do what is done at the end of the message. */
#include <libmilter/mfapi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *out;

struct state { char sender[256], todo[256]; size_t body; };

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	fprintf(out, "%s\n", line);
	fflush(out);
}

static const char *text(const char *s)
{
	return s ? s : "(null)";
}

/* "mail-reject" as sender: stage "mail" answers so. */
static sfsistat answer(SMFICTX *ctx, const char *stage)
{
	struct state *s = smfi_getpriv(ctx);
	size_t n = strlen(stage);
	const char *what;

	if (!s || strncmp(s->sender, stage, n) != 0 || s->sender[n] != '-')
		return SMFIS_CONTINUE;
	what = s->sender + n + 1;
	if (strncmp(what, "reject", 6) == 0)
		return SMFIS_REJECT;
	if (strncmp(what, "tempfail", 8) == 0)
		return SMFIS_TEMPFAIL;
	if (strncmp(what, "discard", 7) == 0)
		return SMFIS_DISCARD;
	if (strncmp(what, "accept", 6) == 0)
		return SMFIS_ACCEPT;
	if (strncmp(what, "skip", 4) == 0)
		return SMFIS_SKIP;
	if (strncmp(what, "reply", 5) == 0) {
		smfi_setreply(ctx, (char *)"554", (char *)"5.7.9", (char *)"a reply 100%% mine");
		return SMFIS_REJECT;
	}
	if (strncmp(what, "lines", 5) == 0) {
		smfi_setmlreply(ctx, "451", "4.7.9", "one", "two", "three", NULL);
		return SMFIS_TEMPFAIL;
	}
	return SMFIS_CONTINUE;
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1, unsigned long f2, unsigned long f3, unsigned long *pf0, unsigned long *pf1,
			     unsigned long *pf2, unsigned long *pf3)
{
	note("negotiate actions=%lx protocol=%lx", f0, f1);
	smfi_setsymlist(ctx, SMFIM_ENVRCPT, (char *)"{rcpt_addr} i");
	*pf0 = f0;
	*pf1 = f1 & (SMFIP_SKIP | SMFIP_RCPT_REJ | SMFIP_HDR_LEADSPC);
	*pf2 = *pf3 = 0;
	return SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *addr)
{
	smfi_setpriv(ctx, calloc(1, sizeof(struct state)));
	note("connect %s %s j=%s", host, addr ? "address" : "none", text(smfi_getsymval(ctx, (char *)"j")));
	return SMFIS_CONTINUE;
}

static sfsistat on_helo(SMFICTX *ctx, char *name)
{
	note("helo %s", name);
	return SMFIS_CONTINUE;
}

static sfsistat on_mail(SMFICTX *ctx, char **argv)
{
	struct state *s = smfi_getpriv(ctx);

	memset(s, 0, sizeof *s);
	snprintf(s->sender, sizeof s->sender, "%s", argv[0] + 1);
	note("mail %s %s addr=%s", argv[0], argv[1] ? argv[1] : "-", text(smfi_getsymval(ctx, (char *)"{mail_addr}")));
	return answer(ctx, "mail");
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv)
{
	note("rcpt %s addr=%s host=%s", argv[0], text(smfi_getsymval(ctx, (char *)"{rcpt_addr}")), text(smfi_getsymval(ctx, (char *)"{rcpt_host}")));
	return answer(ctx, "rcpt");
}

static sfsistat on_data(SMFICTX *ctx)
{
	note("data");
	return answer(ctx, "data");
}

static sfsistat on_unknown(SMFICTX *ctx, const char *line)
{
	note("unknown %s", line);
	return SMFIS_CONTINUE;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
	struct state *s = smfi_getpriv(ctx);

	note("header %s:%s", name, value);
	if (strcmp(name, "X-Do") == 0)
		snprintf(s->todo, sizeof s->todo, "%s", value + strspn(value, " "));
	return answer(ctx, "header");
}

static sfsistat on_eoh(SMFICTX *ctx)
{
	note("eoh");
	return answer(ctx, "eoh");
}

static sfsistat on_body(SMFICTX *ctx, unsigned char *p, size_t n)
{
	struct state *s = smfi_getpriv(ctx);

	s->body += n;
	return answer(ctx, "body");
}

static void edit(SMFICTX *ctx, const char *what)
{
	if (strcmp(what, "add") == 0)
		smfi_addheader(ctx, (char *)"X-Added", (char *)" by the filter\n\tfolded");
	else if (strcmp(what, "ins") == 0)
		smfi_insheader(ctx, 0, (char *)"X-First", (char *)" inserted");
	else if (strcmp(what, "chg") == 0)
		smfi_chgheader(ctx, (char *)"Subject", 1, (char *)" changed");
	else if (strcmp(what, "del") == 0)
		smfi_chgheader(ctx, (char *)"X-Gone", 1, NULL);
	else if (strcmp(what, "body") == 0)
		smfi_replacebody(ctx, (unsigned char *)"a new body\r\n.\r\nwith a dot\r\n", 27);
	else if (strcmp(what, "rcpt") == 0)
		smfi_addrcpt(ctx, (char *)"<more@x.example>");
	else if (strcmp(what, "rcptpar") == 0)
		smfi_addrcpt_par(ctx, (char *)"<par@x.example>", (char *)"NOTIFY=NEVER");
	else if (strcmp(what, "delrcpt") == 0)
		smfi_delrcpt(ctx, (char *)"<b@x.example>");
	else if (strcmp(what, "from") == 0)
		smfi_chgfrom(ctx, (char *)"<new@x.example>", (char *)"RET=HDRS");
	else if (strcmp(what, "hold") == 0)
		smfi_quarantine(ctx, (char *)"looks odd");
	else if (strcmp(what, "progress") == 0)
		for (int i = 0; i < 3 && smfi_progress(ctx) == MI_SUCCESS; i++)
			usleep(50000);
}

static sfsistat on_eom(SMFICTX *ctx)
{
	struct state *s = smfi_getpriv(ctx);
	char *word, *rest = NULL;

	note("eom body=%zu i=%s", s->body, smfi_getsymval(ctx, (char *)"i") ? "set" : "(null)");
	for (word = strtok_r(s->todo, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		edit(ctx, word);
	return answer(ctx, "eom");
}

static sfsistat on_abort(SMFICTX *ctx)
{
	note("abort");
	return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
	free(smfi_getpriv(ctx));
	smfi_setpriv(ctx, NULL);
	note("close");
	return SMFIS_CONTINUE;
}

static struct smfiDesc filter = {
	.xxfi_name = (char *)"all", .xxfi_version = SMFI_VERSION,
	.xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGBODY | SMFIF_ADDRCPT | SMFIF_ADDRCPT_PAR | SMFIF_DELRCPT | SMFIF_QUARANTINE | SMFIF_CHGFROM | SMFIF_SETSYMLIST,
	.xxfi_connect = on_connect, .xxfi_helo = on_helo, .xxfi_envfrom = on_mail, .xxfi_envrcpt = on_rcpt, .xxfi_header = on_header, .xxfi_eoh = on_eoh,
	.xxfi_body = on_body, .xxfi_eom = on_eom, .xxfi_abort = on_abort, .xxfi_close = on_close, .xxfi_unknown = on_unknown, .xxfi_data = on_data,
	.xxfi_negotiate = on_negotiate,
};

int main(int argc, char **argv)
{
	if (argc != 3 || !(out = fopen(argv[2], "a")))
		return 64;
	if (smfi_setconn(argv[1]) == MI_FAILURE || smfi_register(filter) == MI_FAILURE || smfi_opensocket(1) == MI_FAILURE)
		return 75;
	note("ready");
	return smfi_main() == MI_SUCCESS ? 0 : 1;
}
