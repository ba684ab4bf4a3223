/* event.c: the commands of a session, told to the filter one by one: macros and command leave in one write, the answer comes with one read.
 *
 * Owns the order of events of a connection (struct milter).  Yields. */
#include "milter.h"

#include <arpa/inet.h>
#include <string.h>

/* Read until the event is answered.  Nothing but verdicts (and progress) is expected here. */
static void answer(struct milter *c)
{
	struct milter_reply r;

	while (milter_read(c, &r) == 0) {
		if (r.command == SMFIR_PROGRESS)
			continue;
		if (r.command == SMFIR_QUARANTINE) {
			milter_decide(c, MILTER_HOLD, c->command != SMFIC_CONNECT && c->command != SMFIC_HELO);
			continue;
		}
		if (!milter_take_common(c, &r))
			milter_broken(c, "milter %s: unexpected filter response %s after event %s", c->svc->name, milter_reply_name(r.command),
				      milter_command_name(c->command));
		return;
	}
}

/* Is there somebody who wants to hear this? */
static bool ready(struct milter *c)
{
	return c->outcome == MILTER_ASK && milter_open(c) == 0;
}

/* Macros and the head of a command.  False: the filter does not want the command; its macros go out with the next one. */
static bool begin(struct milter *c, enum milter_stage stage, char command, uint32_t unwanted, size_t *packet)
{
	milter_put_macros(c, stage, command);
	c->command = command;
	if (c->protocol & unwanted)
		return false;
	*packet = milter_begin(&c->out, command);
	return true;
}

static void end(struct milter *c, size_t packet, uint32_t unanswered)
{
	milter_end(&c->out, packet);
	if (milter_flush(c) == 0 && !(c->protocol & unanswered))
		answer(c);
}

static void tell_connect(struct milter *c)
{
	const char *addr = c->s ? ph_session_client_addr(c->s) : "127.0.0.1", *name = c->s ? ph_session_client_name(c->s) : "localhost";
	int port = c->s ? ph_session_client_port(c->s) : 0;
	size_t p;

	if (!begin(c, MILTER_CONNECT, SMFIC_CONNECT, SMFIP_NOCONNECT, &p))
		return;
	if (strcmp(name, "unknown") == 0)
		name = ph_arena_printf(milter_arena(c), "[%s]", addr);
	milter_put_str(&c->out, name);
	ph_buf_putc(&c->out, strchr(addr, ':') ? SMFIA_INET6 : SMFIA_INET);
	ph_buf_putc(&c->out, port >> 8 & 255);
	ph_buf_putc(&c->out, port & 255);
	milter_put_str(&c->out, addr);
	end(c, p, SMFIP_NR_CONN);
}

static void tell_helo(struct milter *c, const char *name)
{
	size_t p;

	if (!begin(c, MILTER_HELO, SMFIC_HELO, SMFIP_NOHELO, &p))
		return;
	milter_put_str(&c->out, name);
	end(c, p, SMFIP_NR_HELO);
}

/* The words of the client's command behind "MAIL FROM:", as it wrote them. */
static const char *args_joined(struct milter *c)
{
	const struct ph_slice *w;
	size_t n = ph_session_args(c->s, &w);
	struct ph_buf b = PH_BUF_INIT(65536);
	const char *text;

	for (size_t i = 0; i < n; i++) {
		ph_buf_puts(&b, i ? " " : "");
		ph_buf_append(&b, w[i].p, w[i].n);
	}
	text = ph_arena_strdup(milter_arena(c), ph_buf_str(&b));
	ph_buf_done(&b);
	return text;
}

static void put_args(struct milter *c)
{
	const struct ph_slice *w;
	size_t n = ph_session_args(c->s, &w);

	for (size_t i = 0; i < n; i++) {
		ph_buf_append(&c->out, w[i].p, w[i].n);
		ph_buf_append(&c->out, "", 1);
	}
}

static void tell_mail(struct milter *c)
{
	size_t p;

	c->mail_asked = true;
	if (!begin(c, MILTER_MAIL, SMFIC_MAIL, SMFIP_NOMAIL, &p))
		return;
	if (c->s)
		put_args(c);
	else
		milter_put_str(&c->out, ph_mail_clean_sender(c->m));
	end(c, p, SMFIP_NR_MAIL);
}

static void tell_rcpt(struct milter *c)
{
	size_t p;

	if (!begin(c, MILTER_RCPT, SMFIC_RCPT, SMFIP_NORCPT, &p))
		return;
	if (c->s)
		put_args(c);
	else
		milter_put_str(&c->out, ph_mail_clean_recipient(c->m, c->rcpt - 1));
	end(c, p, SMFIP_NR_RCPT);
}

static void tell_data(struct milter *c)
{
	size_t p;

	if (c->version >= 4 && begin(c, MILTER_DATA, SMFIC_DATA, SMFIP_NODATA, &p))
		end(c, p, SMFIP_NR_DATA);
}

struct ph_verdict milter_connect(struct milter *c)
{
	c->asked = true;
	if (ready(c))
		tell_connect(c);
	return milter_verdict(c);
}

struct ph_verdict milter_helo(struct milter *c)
{
	if (ready(c))
		tell_helo(c, args_joined(c));
	/* A second greeting ends what the first one began. */
	if (c->helo_seen && c->io)
		milter_end(&c->out, milter_begin(&c->out, SMFIC_ABORT));
	c->helo_seen = true;
	return milter_verdict(c);
}

/* A connection that broke in a message before this one is made anew, so that a client that stays for long does not suffer for ever. */
static void revive(struct milter *c)
{
	if (c->io)
		return;
	if (c->failed && c->mail_refused)
		milter_decide(c, MILTER_ASK, false);
	if (c->outcome != MILTER_ASK || !c->asked)
		return;
	c->failed = c->mail_refused = false;
	if (ready(c))
		tell_connect(c);
	if (c->outcome == MILTER_ASK && c->io && ph_session_helo(c->s))
		tell_helo(c, ph_session_helo(c->s));
}

struct ph_verdict milter_mail(struct milter *c)
{
	revive(c);
	c->in_mail = true;
	if (ready(c))
		tell_mail(c);
	return milter_verdict(c);
}

/* What was said about this command alone. */
static struct ph_verdict verdict_of_command(struct milter *c)
{
	struct ph_verdict v = milter_verdict(c);

	if (c->outcome == MILTER_REPLY && c->for_message)
		c->outcome = MILTER_ASK;
	return v;
}

struct ph_verdict milter_rcpt(struct milter *c)
{
	if (ready(c))
		tell_rcpt(c);
	return verdict_of_command(c);
}

struct ph_verdict milter_data(struct milter *c)
{
	if (ready(c))
		tell_data(c);
	return milter_verdict(c);
}

struct ph_verdict milter_unknown(struct milter *c, const char *command)
{
	size_t p;

	if (ready(c) && c->version >= 3 && begin(c, MILTER_UNKNOWN, SMFIC_UNKNOWN, SMFIP_NOUNKNOWN, &p)) {
		ph_buf_append(&c->out, command, strlen(command) + 1);
		end(c, p, SMFIP_NR_UNKN);
	}
	return verdict_of_command(c);
}

/* The transaction ended.  The packet goes out with what comes next, but a filter that is in the middle of a message shall know at once. */
void milter_abort(struct milter *c)
{
	bool middle = c->in_mail && c->command != SMFIC_BODYEOB;

	if (c->failed)
		c->mail_refused = c->in_mail || c->mail_refused;
	if (c->io) {
		milter_end(&c->out, milter_begin(&c->out, SMFIC_ABORT));
		c->command = SMFIC_ABORT;
		if (middle)
			milter_flush(c);
	}
	c->in_mail = c->mail_asked = false;
	if (c->outcome != MILTER_ASK && c->for_message)
		c->outcome = MILTER_ASK;
}

void milter_restart(struct milter *c)
{
	if (c->helo_seen && c->io)
		milter_end(&c->out, milter_begin(&c->out, SMFIC_ABORT));
	c->helo_seen = false;
}

static struct ph_verdict stop(struct milter *c, const char *where)
{
	ph_mail_stage(c->m, where);
	return milter_verdict(c);
}

struct ph_verdict milter_emulate(struct milter *c)
{
	size_t n = ph_mail_recipient_count(c->m);

	if (ready(c))
		tell_connect(c);
	if (c->outcome != MILTER_ASK)
		return stop(c, "CONNECT");
	tell_helo(c, "localhost");
	if (c->outcome != MILTER_ASK)
		return stop(c, "HELO");
	tell_mail(c);
	if (c->outcome != MILTER_ASK)
		return stop(c, "MAIL");
	for (c->rcpt = 1; c->rcpt <= n; c->rcpt++) {
		tell_rcpt(c);
		if (c->outcome == MILTER_REPLY) {
			ph_log_as("cleanup", PH_LOG_WARNING, "%s: milter configuration error: can't reject recipient in non-smtpd(8) submission",
				  ph_mail_queue_id(c->m));
			milter_default(c, MILTER_DO_CONFIG);
		}
		if (c->outcome != MILTER_ASK)
			return stop(c, "RCPT");
	}
	c->rcpt = n;
	tell_data(c);
	return c->outcome == MILTER_ASK ? ph_verdict_dunno() : stop(c, "DATA");
}
