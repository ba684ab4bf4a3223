/* macros.c: macros that go with each command, and their values.
 *
 * Owns nothing.  Values of the envelope resolve an address and so may yield.  A value is sent with its length and its NUL: it cannot begin another pair.
 * Source: MILTER_README's table of macros; what is defined when follows a running Postfix. */
#include "milter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MACROS_MAX 200

char **milter_words(const char *list)
{
	char *copy = ph_strdup(list), *cursor = copy, *w;
	char **words = ph_alloc((MACROS_MAX + 1) * sizeof(*words));
	size_t n = 0;

	while (n < MACROS_MAX && (w = strsep(&cursor, ", \t\r\n")))
		if (*w)
			words[n++] = ph_strdup(w);
	free(copy);
	return ph_realloc(words, (n + 1) * sizeof(*words));
}

void milter_words_free(char **words)
{
	for (char **w = words; w && *w; w++)
		free(*w);
	free(words);
}

/* ---- values ---- */

static const char *text_of(struct milter *c, long n)
{
	return ph_arena_printf(milter_arena(c), "%ld", n);
}

static const char *client(struct milter *c, const char *name)
{
	struct ph_session *s = c->s;

	if (strcmp(name, "addr") == 0)
		return s ? ph_session_client_addr(s) : "127.0.0.1";
	if (strcmp(name, "name") == 0)
		return s ? ph_session_client_name(s) : "localhost";
	if (strcmp(name, "port") == 0)
		return text_of(c, s ? ph_session_client_port(s) : 0);
	if (strcmp(name, "ptr") == 0)
		return s ? ph_session_client_reverse_name(s) : "localhost";
	if (!s || c->m)
		return NULL;
	if (strcmp(name, "connections") == 0)
		return text_of(c, ph_session_client_connections(s));
	if (strcmp(name, "resolve") != 0)
		return NULL;
	switch (ph_session_client_name_status(s)) {
	case 2:
		return "OK";
	case 4:
		return "TEMP";
	default:
		return strcasecmp(ph_session_client_reverse_name(s), "unknown") != 0 ? "FORGED" : "FAIL";
	}
}

static const char *daemon_value(struct milter *c, const char *name)
{
	if (strcmp(name, "name") == 0)
		return c->svc->set->macro_daemon_name;
	if (strcmp(name, "addr") == 0)
		return c->s ? ph_session_server_addr(c->s) : "127.0.0.1";
	if (strcmp(name, "port") == 0)
		return text_of(c, c->s ? ph_session_server_port(c->s) : 0);
	return NULL;
}

static const char *tls_value(const struct milter *c, const char *name)
{
	const struct ph_tls_info *t = ph_session_tls(c->s);
	const char *v = NULL;

	if (!t)
		return NULL;
	if (strcmp(name, "tls_version") == 0)
		return t->protocol;
	if (strcmp(name, "cipher") == 0)
		return t->cipher;
	if (strcmp(name, "cipher_bits") == 0)
		return ph_arena_printf(milter_arena(c), "%d", t->bits);
	if (!t->peer_verified)
		return NULL;
	if (strcmp(name, "cert_subject") == 0)
		v = t->peer_cn;
	else if (strcmp(name, "cert_issuer") == 0)
		v = t->peer_issuer_cn;
	return v && *v ? v : NULL;
}

static const char *auth_value(const struct milter *c, const char *name)
{
	const char *v = NULL;

	if (strcmp(name, "type") == 0)
		v = ph_session_sasl_method(c->s);
	else if (strcmp(name, "authen") == 0)
		v = ph_session_sasl_user(c->s);
	else if (strcmp(name, "author") == 0)
		v = ph_session_sasl_sender(c->s);
	return v && *v ? v : NULL;
}

/* An address on its way: completed and in lower case, as the resolver sees it. */
static const char *routed(struct milter *c, const char *address, const char *what)
{
	struct ph_session_route r;

	if (*address)
		address = ph_str_lower(ph_arena_strdup(milter_arena(c), ph_session_full_address(c->s, address)));
	if (strcmp(what, "addr") == 0)
		return *address ? ph_session_external_address(c->s, address) : "";
	if (ph_session_resolve(c->s, address, &r) != PH_LOOKUP_FOUND)
		return NULL;
	if (strcmp(what, "host") == 0)
		return r.nexthop;
	return strcmp(what, "mailer") == 0 ? r.transport : NULL;
}

/* The recipient was refused with this reply: "554 5.7.1 <a@b>: Relay access denied". */
static const char *rejected(struct milter *c, const char *what)
{
	const char *p = c->rejected, *colon;
	size_t n;

	if (strcmp(what, "mailer") == 0)
		return "error";
	p += strlen(p) > 4 ? 4 : strlen(p);
	n = strspn(p, "0123456789.");
	if (strcmp(what, "host") == 0)
		return n ? ph_arena_strndup(milter_arena(c), p, n) : strncmp(c->rejected, "4", 1) == 0 ? "4.0.0" : "5.0.0";
	p += n;
	p += strspn(p, " ");
	colon = *p == '<' ? strstr(p, ">: ") : NULL;
	return colon ? colon + 3 : p;
}

static const char *rcpt_value(struct milter *c, const char *what)
{
	const char *rcpt;

	if (c->rejected)
		return rejected(c, what);
	rcpt = ph_session_recipient(c->s);
	if (!rcpt && ph_session_recipient_count(c->s) && ph_session_stage(c->s) == PH_STAGE_DATA)
		rcpt = ph_session_accepted(c->s, 0);
	return rcpt ? routed(c, rcpt, what) : NULL;
}

/* The envelope of mail that is not from SMTP; there is no session to ask for more. */
static const char *local_value(struct milter *c, const char *name)
{
	if (strcmp(name, "mail_addr") == 0 && c->mail_asked)
		return ph_mail_clean_sender(c->m);
	if (strcmp(name, "rcpt_addr") == 0 && c->rcpt)
		return ph_mail_clean_recipient(c->m, c->rcpt - 1);
	return NULL;
}

static const char *braced(struct milter *c, const char *name)
{
	const char *v = NULL;

	if (strncmp(name, "client_", 7) == 0)
		return client(c, name + 7);
	if (strncmp(name, "daemon_", 7) == 0)
		return daemon_value(c, name + 7);
	if (!c->s)
		return local_value(c, name);
	if (c->m)                               /* what clean-up knows in Postfix ends here */
		return NULL;
	if (strncmp(name, "mail_", 5) == 0)
		return ph_session_sender(c->s) ? routed(c, ph_session_sender(c->s), name + 5) : NULL;
	if (strncmp(name, "rcpt_", 5) == 0)
		return rcpt_value(c, name + 5);
	if (strncmp(name, "auth_", 5) == 0)
		v = auth_value(c, name + 5);
	return v ? v : tls_value(c, name);
}

static const char *by_default(const struct milter *c, const char *name)
{
	for (char **d = c->svc->defaults; *d; d += 2)
		if (strcmp(d[0], name) == 0)
			return d[1];
	return NULL;
}

const char *milter_macro(struct milter *c, const char *name)
{
	size_t n = strlen(name);
	const char *v = NULL, *bare = name;

	if (n > 2 && name[0] == '{' && name[n - 1] == '}')
		bare = ph_arena_strndup(milter_arena(c), name + 1, n - 2);
	if (strlen(bare) > 1) {
		v = braced(c, bare);
	} else {
		switch (*bare) {
		case 'i':
			v = c->m ? ph_mail_queue_id(c->m) : ph_session_queue_id(c->s);
			break;
		case 'j':
			v = c->svc->set->myhostname;
			break;
		case 'v':
			v = c->svc->set->macro_v;
			break;
		case '_':
			v = c->s ? ph_arena_printf(milter_arena(c), "%s [%s]", ph_session_client_name(c->s), ph_session_client_addr(c->s)) :
				"localhost [127.0.0.1]";
			break;
		}
	}
	return v ? v : by_default(c, bare);
}

/* A name of more than one character stands in braces on the wire, however it was written. */
void milter_put_macros(struct milter *c, enum milter_stage stage, char command)
{
	char **names = stage < MILTER_STAGES && c->macros[stage] ? c->macros[stage] : c->svc->macros[stage];
	size_t p = milter_begin(&c->out, SMFIC_MACRO);

	ph_buf_append(&c->out, &command, 1);
	for (; *names; names++) {
		bool bare = **names != '{' && (*names)[1];
		const char *v = milter_macro(c, *names);

		if (!v)
			continue;
		if (bare)
			ph_buf_putc(&c->out, '{');
		ph_buf_puts(&c->out, *names);
		if (bare)
			ph_buf_putc(&c->out, '}');
		ph_buf_append(&c->out, "", 1);
		milter_put_str(&c->out, v);
	}
	milter_end(&c->out, p);
}
