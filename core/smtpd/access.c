/* access.c: the right-hand sides of access(5): REJECT, 450 text, HOLD, FILTER, a list of restrictions ...  Yields when a list does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpd/restrict.h"

struct action {
	struct ph_session *s;
	const char *where, *what, *cls_name;    /* table, value looked up, "Sender address" */
	enum ph_access_class cls;
	const char *word, *text;                /* "REJECT", "5.7.1 go away" */
	const char *full;                       /* as the table has it */
};

static bool at_eod(const struct ph_session *s)
{
	return s->stage == PH_STAGE_EOD;
}

/* "4.7.1 text": takes the enhanced code off the front: class, subject, detail, the latter two of up to three digits (RFC 3463 section 2). */
static const char *split_dsn(const char *text, char dsn[12])
{
	const char *p = text + 1;

	if (!*text || !strchr("245", *text))
		return text;
	for (int part = 0; part < 2; part++) {
		size_t n = *p == '.' ? strspn(p + 1, "0123456789") : 0;

		if (n < 1 || n > 3)
			return text;
		p += n + 1;
	}
	if (*p && *p != ' ' && *p != '\t')
		return text;
	memcpy(dsn, text, (size_t)(p - text));
	dsn[p - text] = '\0';
	return p + strspn(p, " \t");
}

static struct ph_verdict refusal(struct action *a, enum ph_verdict_class cls, int code, const char *def_text)
{
	char dsn[12] = "";
	const char *text = split_dsn(a->text, dsn);

	if (!dsn[0])
		strcpy(dsn, "5.7.1");
	dsn[0] = (char)('0' + code / 100);
	ph_dsn_fix(dsn, a->cls_name);
	return ph_verdict_text(a->s, cls, code, dsn, "<%.500s>: %s rejected: %.800s", a->what, a->cls_name, *text ? text : def_text);
}

static void note(struct action *a, const char *whatsup, const char *text)
{
	ph_smtpd_log_whatsup(a->s, whatsup, ph_arena_printf(ph_session_arena(a->s), "<%.500s>: %s %.800s", a->what, a->cls_name, text));
}

static struct ph_verdict warn(struct action *a, const char *what)
{
	/* Policy servers have no entries; "unix:" is a table type, too, but its names are no paths. */
	bool policy = strncmp(a->where, "inet:", 5) == 0 || (strncmp(a->where, "unix:", 5) == 0 && strchr(a->where, '/'));

	ph_log(PH_LOG_WARNING, "access table %s entry \"%s\" %s", a->where, policy ? "policy query" : a->what, what);
	return ph_verdict_dunno();
}

/* What the intake is to do with the message, now or when it begins. */
void ph_smtpd_message_action(struct ph_session *s, const char *verb, const char *arg)
{
	struct ph_smtpd_trans *t = s->t;
	struct ph_smtpd_action *x;

	if (!t)
		return;                 /* no message yet: as in Postfix nothing happens before MAIL */
	if (t->intake) {
		ph_intake_action(t->intake, verb, arg);
		return;
	}
	if (++t->n_actions > 1000)
		return;
	x = ph_arena_alloc(t->arena, sizeof(*x));
	x->verb = verb;
	x->arg = ph_arena_strdup(t->arena, arg);
	*t->actions_tail = x;
	t->actions_tail = &x->next;
}

static bool is(const struct action *a, const char *word)
{
	return strcasecmp(a->word, word) == 0;
}

/* Actions on the message need one that is ours: with smtpd_delay_reject = no the early lists run before there is any, VRFY has none, and with
 * smtpd_proxy_filter it is the filter's, to whom only headers can be added. */
static bool has_message(struct action *a)
{
	if (*a->s->set->proxy_filter && !is(a, "PREPEND")) {
		ph_log(PH_LOG_WARNING, "access table %s: with smtpd_proxy_filter specified, action %s is unavailable", a->where, a->word);
		return false;
	}
	if (a->s->stage == PH_STAGE_ETRN && !is(a, "PREPEND")) {
		ph_log(PH_LOG_WARNING, "access table %s: action %s is unavailable in smtpd_etrn_restrictions", a->where, a->word);
		return false;
	}
	if (a->s->t)
		return true;
	ph_log(PH_LOG_WARNING, "access table %s: with smtpd_delay_reject=no, action %s is always skipped in Client host or Helo command restrictions",
	       a->where, a->word);
	return false;
}

static struct ph_verdict do_filter(struct action *a)
{
	if (!*a->text)
		return warn(a, "has FILTER entry without value");
	if (!strchr(a->text, ':'))
		return warn(a, "requires transport:destination");
	note(a, "filter", ph_arena_printf(ph_session_arena(a->s), "triggers FILTER %s", a->text));
	ph_smtpd_message_action(a->s, "FILTER", a->text);
	return ph_verdict_dunno();
}

static struct ph_verdict do_address(struct action *a, const char *verb, const char *whatsup)
{
	if (!strchr(a->text, '@'))
		return warn(a, "requires user@domain target");
	note(a, whatsup, ph_arena_printf(ph_session_arena(a->s), "triggers %s %s", verb, a->text));
	ph_smtpd_message_action(a->s, verb, a->text);
	return ph_verdict_dunno();
}

static struct ph_verdict do_prepend(struct action *a)
{
	const char *colon = strchr(a->text, ':');
	bool ok = colon && colon > a->text;

	if (at_eod(a->s)) {
		ph_log(PH_LOG_WARNING, "access table %s: action PREPEND must be used before smtpd_end_of_data_restrictions", a->where);
		return ph_verdict_dunno();
	}
	for (const char *p = a->text; ok && p < colon; p++)
		ok = (unsigned char)*p > 32 && (unsigned char)*p < 127;
	if (!ok || strpbrk(a->text, "\r\n"))
		return warn(a, "requires header: text");
	ph_smtpd_message_action(a->s, "PREPEND", a->text);
	return ph_verdict_dunno();
}

static struct ph_verdict do_hold(struct action *a)
{
	note(a, "hold", *a->text ? a->text : "triggers HOLD action");
	ph_smtpd_message_action(a->s, "HOLD", a->text);
	return ph_verdict_dunno();
}

static struct ph_verdict do_discard(struct action *a)
{
	note(a, "discard", *a->text ? a->text : "triggers DISCARD action");
	ph_smtpd_message_action(a->s, "DISCARD", a->text);
	ph_check_log_permit(a->s, "DISCARD", a->cls_name, a->what, a->where);
	a->s->t->discard = true;        /* nothing else has a say any more */
	return ph_verdict_permit();
}

static struct ph_verdict do_hangup(struct action *a)
{
	ph_smtpd_log_whatsup(a->s, "hangup", a->text);
	a->s->hangup = a->s->closing = true;
	a->s->refusal = "421 4.7.0 ";
	return (struct ph_verdict){ .cls = PH_REJECT, .text = "" };
}

static struct ph_verdict permit(struct action *a)
{
	ph_check_log_permit(a->s, a->word, a->cls_name, a->what, a->where);
	return ph_verdict_permit();
}

/* Words that are no action: restrictions and classes. */
static struct ph_verdict do_list(struct action *a)
{
	struct ph_session *s = a->s;
	struct ph_rlist *l;

	if (s->recursion >= PH_SMTPD_RECURSION_MAX) {
		ph_log(PH_LOG_WARNING, "access table %s entry %s causes unreasonable recursion", a->where, a->full);
		l = NULL;
	} else {
		l = ph_rcache_get(s->svc, a->where, a->full);
	}
	if (!l)
		return ph_verdict_text(s, PH_DEFER, 451, "4.3.5", "Server configuration error");
	switch (ph_rlist_run(s, l, a->what, a->cls_name, a->cls)) {
	case PH_CHECK_DUNNO:
		return ph_verdict_dunno();
	case PH_CHECK_OK:
		return ph_verdict_permit();
	case PH_CHECK_REJECT:
		break;
	}
	return (struct ph_verdict){ .cls = PH_REJECT, .text = "" };     /* carried out already: see run_module */
}

/* What is done to the message.  false: the word is none of these. */
static bool on_message(struct action *a, struct ph_verdict *ret)
{
	static const char *const words[] = { "FILTER", "HOLD", "DISCARD", "REDIRECT", "BCC", "PREPEND" };
	size_t i = 0;

	while (i < PH_ARRAY_LEN(words) && !is(a, words[i]))
		i++;
	if (i == PH_ARRAY_LEN(words))
		return false;
	a->word = words[i];
	*ret = ph_verdict_dunno();
	if (!has_message(a))
		return true;
	switch (i) {
	case 0: *ret = do_filter(a); break;
	case 1: *ret = do_hold(a); break;
	case 2: *ret = do_discard(a); break;
	case 3: *ret = do_address(a, "REDIRECT", "redirect"); break;
	case 4: *ret = do_address(a, "BCC", "bcc"); break;
	default: *ret = do_prepend(a); break;
	}
	return true;
}

static struct ph_verdict carry_out(struct action *a)
{
	struct ph_session *s = a->s;
	struct ph_verdict v;
	int code;

	if (is(a, "REJECT"))
		return refusal(a, PH_REJECT, s->set->access_reject_code, "Access denied");
	if (is(a, "DEFER"))
		return refusal(a, PH_DEFER, s->set->access_defer_code, "Access denied");
	if (is(a, "DEFER_IF_PERMIT"))
		return refusal(a, PH_DEFER_IF_PERMIT, s->set->access_defer_code, "Service unavailable");
	if (is(a, "DEFER_IF_REJECT"))
		return refusal(a, PH_DEFER_IF_REJECT, s->set->access_defer_code, "Service unavailable");
	if (is(a, "DUNNO"))
		return ph_verdict_dunno();
	if (is(a, "OK") || is(a, "RELAY"))
		return permit(a);
	if (is(a, "WARN") || is(a, "INFO")) {
		ph_smtpd_log_whatsup(s, is(a, "WARN") ? "warn" : "info", a->text);
		return ph_verdict_dunno();
	}
	if (on_message(a, &v))
		return v;
	if (is(a, "HANGUP"))
		return do_hangup(a);
	if (strspn(a->word, "0123456789") == strlen(a->word)) {
		if (!*a->text)
			return permit(a);       /* all digits: OK, as written by pop-before-smtp programs */
		if (strlen(a->word) == 3 && (a->word[0] == '4' || a->word[0] == '5')) {
			code = atoi(a->word);
			return refusal(a, code < 500 ? PH_DEFER : PH_REJECT, code, "Access denied");
		}
	}
	return do_list(a);
}

struct ph_verdict ph_access_action(struct ph_session *s, const char *where, const char *action, const char *what, enum ph_access_class cls)
{
	struct ph_arena *arena = ph_session_arena(s);
	struct action a = { s, where, what, ph_access_class_name(cls), cls, NULL, NULL, NULL };
	size_t n;

	if (cls == PH_ACCESS_CLIENT)
		a.what = s->namaddr;
	a.full = action + strspn(action, " \t");
	n = strcspn(a.full, " \t");
	if (n == 0) {
		ph_log(PH_LOG_WARNING, "access table %s entry %s has empty value", where, what);
		return ph_verdict_permit();
	}
	a.word = ph_arena_strndup(arena, a.full, n);
	a.text = a.full + n + strspn(a.full + n, " \t");
	if (ph_trace_on(s))
		ph_smtpd_trace(s, "access", ph_arena_printf(arena, "%s <%s>", where, what), action);
	return carry_out(&a);
}
