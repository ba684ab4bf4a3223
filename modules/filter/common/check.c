/* check.c: the actions of header_checks(5) and body_checks(5).
 *
 * Owns struct check_msg.  Yields where tables do.  Source: header_checks(5); log lines in the shape of cleanup(8). */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 200

struct line {
	struct check_msg *c;
	struct ph_mail *m;
	const char *title, *what, *text;
	size_t n;
};

struct check_msg *check_msg_new(void)
{
	struct check_msg *c = ph_alloc(sizeof(*c));

	c->scratch = ph_arena_new();
	ph_buf_init(&c->key, 16 * 1024 * 1024);
	return c;
}

void check_msg_free(struct check_msg *c)
{
	ph_arena_free(&c->scratch);
	ph_buf_done(&c->key);
	free(c);
}

/* "QID: warning: header X: y from name[addr]; from=<> to=<> proto=ESMTP helo=<x>: text". */
static void log_line(const struct line *l, const char *verb, const char *text)
{
	struct ph_session *s = ph_mail_session(l->m);
	struct ph_buf b = PH_BUF_INIT(8192);
	size_t rcpts = ph_mail_recipient_count(l->m);
	const char *to = rcpts ? ph_mail_clean_recipient(l->m, rcpts - 1) : NULL;
	bool milter = strcmp(l->what, "milter-header") == 0;

	ph_buf_printf(&b, "%s: %s%s: %s %s from ", ph_mail_queue_id(l->m), milter ? "milter-header-" : "", verb, milter ? "header" : l->what,
		      ph_str_printable(l->c->scratch, l->text, l->n < SHOWN ? l->n : SHOWN, true));
	if (s)
		ph_buf_printf(&b, "%s[%s]", ph_session_client_name(s), ph_session_client_addr(s));
	else
		ph_buf_puts(&b, milter ? "localhost[127.0.0.1]" : "local");      /* as milters are told of it */
	ph_buf_printf(&b, "; from=<%s>", ph_mail_clean_sender(l->m));
	if (to)
		ph_buf_printf(&b, " to=<%s>", to);
	if (s)
		ph_buf_printf(&b, " proto=%s", ph_session_protocol(s));
	if (s && ph_session_helo(s))
		ph_buf_printf(&b, " helo=<%s>", ph_session_helo(s));
	if (*text)
		ph_buf_printf(&b, ": %s", text);
	ph_log_as("cleanup", PH_LOG_INFO, "%s", ph_buf_str(&b));
	ph_buf_done(&b);
}

static struct ph_verdict verdict(enum ph_verdict_class cls)
{
	return (struct ph_verdict){ .cls = cls };
}

/* "5.7.1 text": the class of the enhanced code decides the reply's.  Without one: 5.7.1. */
static struct ph_verdict reject(const struct line *l, const char *text)
{
	struct ph_verdict v = { .cls = PH_REJECT, .code = 550, .dsn = "5.7.1", .complete = true };
	int n = 0;
	unsigned a, b, c;

	if (sscanf(text, "%1u.%3u.%3u%n", &a, &b, &c, &n) == 3 && (a == 4 || a == 5) && n < (int)sizeof(v.dsn) && (!text[n] || text[n] == ' ')) {
		memcpy(v.dsn, text, (size_t)n);
		v.dsn[n] = '\0';
		text += n;
		text += strspn(text, " ");
		if (a == 4) {
			v.cls = PH_DEFER;
			v.code = 451;
		}
	}
	v.text = ph_arena_strdup(ph_mail_arena(l->m), *text ? text : "message content rejected");
	log_line(l, "reject", ph_arena_printf(l->c->scratch, "%s %s", v.dsn, v.text));
	return v;
}

static struct ph_verdict failed(const struct line *l, const struct ph_err *err)
{
	ph_log_as("cleanup", PH_LOG_WARNING, "%s: %s map lookup problem -- message not accepted, try again later: %s", ph_mail_queue_id(l->m),
		  l->title, err->text);
	return (struct ph_verdict){ .cls = PH_DEFER, .code = 451, .dsn = "4.3.0", .text = "Error: queue file write error", .complete = true };
}

static void without_text(const struct line *l, const char *verb)
{
	ph_log_as("cleanup", PH_LOG_WARNING, "%s action without text in %s map", verb, l->title);
}

/* "Name: value" in front. */
static bool is_header(const char *text)
{
	size_t n = strcspn(text, ": \t\n");

	return n && text[n + strspn(text + n, " \t")] == ':';
}

static struct ph_verdict act_text(const struct line *l, const char *verb, const char *text)
{
	bool header = strcmp(l->what, "body") != 0;

	if (!*text && strcmp(verb, "REPLACE") == 0) {
		without_text(l, verb);
		return verdict(PH_DUNNO);
	}
	if (!*text && strcmp(verb, "PREPEND") == 0) {
		without_text(l, verb);
		return verdict(PH_DUNNO);
	}
	if (header && !is_header(text)) {
		ph_log_as("cleanup", PH_LOG_WARNING, "bad %s header text \"%s\" in %s map -- need \"headername: headervalue\"", verb, text, l->title);
		return verdict(PH_DUNNO);
	}
	if (strcmp(verb, "REPLACE") == 0) {
		log_line(l, "replace", text);
		ph_edit_line_replace(l->m, text);
	} else if (strcmp(l->what, "milter-header") == 0) {
		log_line(l, "prepend", text);
		ph_log_as("cleanup", PH_LOG_WARNING, "the milter_header/body_checks prepend action is not implemented");
	} else {
		log_line(l, "prepend", text);
		ph_edit_line_prepend(l->m, text);
	}
	return verdict(PH_DUNNO);
}

static struct ph_verdict act_redirect(const struct line *l, const char *text)
{
	if (!strchr(text, '@')) {
		ph_log_as("cleanup", PH_LOG_WARNING, "bad REDIRECT target \"%s\" in %s map -- need user@domain", text, l->title);
		return verdict(PH_DUNNO);
	}
	log_line(l, "redirect", text);
	ph_edit_redirect(l->m, text);
	return verdict(PH_PERMIT);
}

static struct ph_verdict act_bcc(const struct line *l, const char *text)
{
	if (!strchr(text, '@')) {
		ph_log_as("cleanup", PH_LOG_WARNING, "bad BCC address \"%s\" in %s map -- need user@domain", text, l->title);
		return verdict(PH_DUNNO);
	}
	log_line(l, "bcc", text);
	ph_edit_bcc(l->m, text);
	return verdict(PH_DUNNO);
}

static struct ph_verdict act_filter(const struct line *l, const char *text)
{
	if (!*text) {
		ph_log_as("cleanup", PH_LOG_WARNING, "missing FILTER command argument in %s map", l->title);
	} else if (!strchr(text, ':')) {
		ph_log_as("cleanup", PH_LOG_WARNING, "bad FILTER command %s in %s -- need transport:destination", text, l->title);
	} else {
		log_line(l, "filter", text);
		ph_edit_filter(l->m, text);
	}
	return verdict(PH_DUNNO);
}

static struct ph_verdict act(const struct line *l, const char *verb, const char *text)
{
	if (ph_str_ieq(verb, "REJECT"))
		return reject(l, text);
	if (ph_str_ieq(verb, "WARN"))
		log_line(l, "warning", text);
	else if (ph_str_ieq(verb, "INFO"))
		log_line(l, "info", text);
	else if (ph_str_ieq(verb, "FILTER"))
		return act_filter(l, text);
	else if (ph_str_ieq(verb, "REDIRECT"))
		return act_redirect(l, text);
	else if (ph_str_ieq(verb, "BCC"))
		return act_bcc(l, text);
	else if (ph_str_ieq(verb, "REPLACE"))
		return act_text(l, "REPLACE", text);
	else if (ph_str_ieq(verb, "PREPEND"))
		return act_text(l, "PREPEND", text);
	else if (ph_str_ieq(verb, "IGNORE"))
		ph_edit_line_drop(l->m);
	else if (ph_str_ieq(verb, "STRIP")) {
		log_line(l, "strip", text);
		ph_edit_line_drop(l->m);
	} else if (ph_str_ieq(verb, "HOLD")) {
		if (!ph_mail_held(l->m) && !l->c->discarded) {
			log_line(l, "hold", text);
			ph_edit_hold(l->m, text);
		}
	} else if (ph_str_ieq(verb, "DISCARD")) {
		log_line(l, "discard", text);
		ph_edit_discard(l->m, text);
		l->c->discarded = true;
		return verdict(PH_PERMIT);
	} else if (ph_str_ieq(verb, "PASS")) {
		log_line(l, "pass", text);
		return verdict(PH_PERMIT);
	} else if (!ph_str_ieq(verb, "DUNNO") && !ph_str_ieq(verb, "OK"))
		ph_log_as("cleanup", PH_LOG_WARNING, "%s command in %s map: %s%s%s",
			  strcmp(l->what, "milter-header") == 0 ? "unsupported" : "unknown", l->title, verb, *text ? " " : "", text);
	return verdict(PH_DUNNO);
}

struct ph_verdict check_line(struct check_msg *c, struct ph_mail *m, struct ph_maps *maps, const char *title, const char *what, const char *line, size_t n,
			     size_t limit)
{
	struct line l = { c, m, title, what, line, n };
	struct ph_verdict v = verdict(PH_DUNNO);
	const char *value;
	struct ph_err err;
	char verb[32];
	size_t k;

	/* The table sees a C string: a NUL must not hide what follows it. */
	ph_buf_clear(&c->key);
	if (ph_buf_append(&c->key, line, n < limit ? n : limit) < 0 || !c->key.data)
		ph_buf_puts(&c->key, "");
	for (char *p = c->key.data; p && p < c->key.data + c->key.len; p++)
		if (!*p)
			*p = ' ';
	switch (ph_maps_find(maps, ph_buf_str(&c->key), false, c->scratch, &value, &err)) {
	case PH_LOOKUP_NOTFOUND:
		break;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		v = failed(&l, &err);
		break;
	case PH_LOOKUP_FOUND:
		value += strspn(value, " \t");
		k = strcspn(value, " \t\n");
		snprintf(verb, sizeof(verb), "%.*s", (int)(k < sizeof(verb) ? k : sizeof(verb) - 1), value);
		value += k;
		v = act(&l, verb, value + strspn(value, " \t\n"));
		break;
	}
	ph_arena_reset(c->scratch);
	return v;
}
