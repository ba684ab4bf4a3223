/* outcome.c: what a filter, or its failure, means for the session and the message.  Does not yield. */
#include "milter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void milter_decide(struct milter *c, enum milter_outcome o, bool for_message)
{
	c->outcome = o;
	c->for_message = for_message;
}

void milter_decide_reply(struct milter *c, int code, const char *dsn, const char *text, bool verbatim, bool for_message)
{
	free(c->reply_text);
	c->reply_text = ph_strdup(text);
	c->reply = (struct ph_verdict){
		.cls = code == 421 || code == 521 ? PH_DISCONNECT : code < 500 ? PH_DEFER : PH_REJECT, .code = code, .text = c->reply_text,
		.complete = true, .verbatim = verbatim,
	};
	snprintf(c->reply.dsn, sizeof(c->reply.dsn), "%s", dsn);
	milter_decide(c, MILTER_REPLY, for_message);
}

/* The replies that are not the filter's own. */
static void canned(struct milter *c, char reply, bool for_message)
{
	if (reply == SMFIR_REJECT)
		milter_decide_reply(c, 550, "5.7.1", "Command rejected", false, for_message);
	else
		milter_decide_reply(c, 451, "4.7.1", "Service unavailable - try again later", false, for_message);
}

void milter_default(struct milter *c, enum milter_action action)
{
	switch (action) {
	case MILTER_DO_ACCEPT:
		milter_decide(c, MILTER_PASS, false);
		break;
	case MILTER_DO_REJECT:
		milter_decide_reply(c, 550, "5.5.0", "Service unavailable", false, false);
		break;
	case MILTER_DO_TEMPFAIL:
		canned(c, SMFIR_TEMPFAIL, false);
		break;
	case MILTER_DO_QUARANTINE:
		milter_decide(c, MILTER_HOLD, false);
		break;
	case MILTER_DO_SHUTDOWN:
		milter_decide(c, MILTER_SHUTDOWN, false);
		break;
	case MILTER_DO_CONFIG:
		milter_decide_reply(c, 451, "4.3.5", "Server configuration problem - try again later", false, false);
		break;
	}
}

struct ph_verdict milter_verdict(struct milter *c)
{
	switch (c->outcome) {
	case MILTER_ASK:
	case MILTER_PASS:
		break;
	case MILTER_REPLY:
		return c->reply;
	case MILTER_HOLD:
		if (c->m)
			ph_edit_hold(c->m, "milter triggers HOLD action");
		else
			ph_session_hold(c->s, "milter triggers HOLD action");
		break;
	case MILTER_DISCARD:
		if (c->m)
			ph_edit_discard(c->m, "milter triggers DISCARD action");
		else
			ph_session_discard(c->s, "milter triggers DISCARD action");
		break;
	case MILTER_SHUTDOWN:
		return (struct ph_verdict){ .cls = PH_DISCONNECT, .code = 421, .dsn = "4.7.0", .text = "Server closing connection", .complete = true };
	}
	return ph_verdict_dunno();
}

/* Before MAIL a decision holds for the session: the filter has nothing more to do.  Later it is about the message; a refused RCPT only about itself. */
static bool of_session(const struct milter *c)
{
	return c->command == SMFIC_CONNECT || c->command == SMFIC_HELO;
}

static void refuse(struct milter *c, const struct milter_reply *r)
{
	struct milter_smtp s;

	if (r->command != SMFIR_REPLYCODE) {
		canned(c, r->command, true);
	} else if (milter_smtp_parse(r->s1, milter_arena(c), &s) == 0) {
		if (c->svc->set->soft_bounce && s.code >= 500) {
			s.code -= 100;
			for (char *p = (char *)s.text; s.verbatim && *p; p++)
				if (*p == '5' && p[1] == '.' && (p == s.text || p[-1] == '\n'))
					*p = '4';
			if (s.dsn[0] == '5')
				s.dsn[0] = '4';
		}
		milter_decide_reply(c, s.code, s.dsn, s.text, s.verbatim, true);
	} else {
		const char *bad = ph_str_printable(milter_arena(c), r->s1, strlen(r->s1), true);

		milter_broken(c, "milter %s: malformed reply: %.200s", c->svc->name, bad);
		milter_default(c, MILTER_DO_CONFIG);
		return;
	}
	c->for_message = !of_session(c);
}

bool milter_take_common(struct milter *c, const struct milter_reply *r)
{
	switch (r->command) {
	case SMFIR_CONTINUE:
	case SMFIR_SKIP:
		return true;
	case SMFIR_ACCEPT:
		milter_decide(c, MILTER_PASS, !of_session(c));
		break;
	case SMFIR_DISCARD:
		if (of_session(c)) {
			ph_log(PH_LOG_WARNING, "milter %s: DISCARD action is not allowed for connect or helo", c->svc->name);
			return true;
		}
		milter_decide(c, MILTER_DISCARD, true);
		break;
	case SMFIR_REJECT:
	case SMFIR_TEMPFAIL:
	case SMFIR_REPLYCODE:
		refuse(c, r);
		break;
	case SMFIR_SHUTDOWN:
		milter_decide(c, MILTER_SHUTDOWN, false);
		break;
	default:
		return false;
	}
	/* Where all has been said for the session the filter can go. */
	if (!c->for_message)
		milter_hangup(c, false);
	return true;
}
