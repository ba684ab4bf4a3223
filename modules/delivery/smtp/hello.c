/* hello.c: from the greeting to the point where MAIL may be said: EHLO, HELO or LHLO, STARTTLS.  RFC 5321, 2033, 3207.  Yields. */
#include "smtp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct { const char *name; unsigned bit; } keywords[] = {
	{ "8BITMIME", EHLO_8BITMIME }, { "PIPELINING", EHLO_PIPELINING }, { "SIZE", EHLO_SIZE }, { "VRFY", EHLO_VRFY }, { "ETRN", EHLO_ETRN },
	{ "AUTH", EHLO_AUTH }, { "VERP", EHLO_VERP }, { "STARTTLS", EHLO_STARTTLS }, { "XCLIENT", EHLO_XCLIENT }, { "XFORWARD", EHLO_XFORWARD },
	{ "ENHANCEDSTATUSCODES", EHLO_ENHANCED }, { "DSN", EHLO_DSN }, { "SMTPUTF8", EHLO_SMTPUTF8 }, { "CHUNKING", EHLO_CHUNKING },
	{ "REQUIRETLS", EHLO_REQUIRETLS },
	{ "silent-discard", EHLO_SILENT },
};
static const struct { const char *name; unsigned bit; } xforward_words[] = {
	{ "NAME", XFORWARD_NAME }, { "ADDR", XFORWARD_ADDR }, { "PORT", XFORWARD_PORT }, { "PROTO", XFORWARD_PROTO }, { "HELO", XFORWARD_HELO },
	{ "IDENT", XFORWARD_IDENT }, { "SOURCE", XFORWARD_SOURCE },
};

static unsigned keyword_bit(const char *word)
{
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(keywords); i++) {
		if (strcasecmp(keywords[i].name, word) == 0)
			return keywords[i].bit;
	}
	return 0;
}

unsigned smtp_ehlo_mask(const char *words)
{
	char *copy = ph_strdup(words), *cursor = copy, *word;
	unsigned mask = 0, bit;

	while ((word = ph_str_token(&cursor, PH_SEP_LIST))) {
		bit = keyword_bit(word);
		if (bit == 0)
			ph_log(PH_LOG_WARNING, "unknown EHLO keyword \"%s\" in \"%s\"", word, words);
		mask |= bit;
	}
	free(copy);
	return mask;
}

/* Which keywords to overlook at this server. */
static unsigned discard_mask(struct smtp_state *st)
{
	struct smtp_service *svc = st->service;
	struct ph_buf b = PH_BUF_INIT(512);
	unsigned mask = svc->discard;
	const char *value;
	struct ph_err err;
	size_t i;

	if (svc->discard_maps) {
		switch (ph_maps_find(svc->discard_maps, st->session->addr, false, st->arena, &value, &err)) {
		case PH_LOOKUP_FOUND:
			mask = smtp_ehlo_mask(value);
			break;
		case PH_LOOKUP_NOTFOUND:
			break;
		case PH_LOOKUP_TEMPFAIL:
		case PH_LOOKUP_PERMERR:
			ph_log(PH_LOG_WARNING, "%sdiscard_ehlo_keyword_address_maps: %s", SMTP_PREFIX, err.text);
		}
	}
	if (mask && !(mask & EHLO_SILENT)) {
		for (i = 0; i < PH_ARRAY_LEN(keywords); i++) {
			if (mask & keywords[i].bit)
				ph_buf_printf(&b, " %s", keywords[i].name);
		}
		ph_log(PH_LOG_INFO, "discarding EHLO keywords:%s", ph_buf_str(&b));
		ph_buf_done(&b);
	}
	return mask;
}

/* ---- what the server says about itself ---------------------------------------------------- */

/* "mail for X loops back to myself": the server answers with our own name. */
static bool greets_as_us(struct smtp_state *st, const char *name)
{
	return !SMTP_IS_LMTP && st->loop_detect && strcasecmp(name, st->service->shared.myhostname) == 0;
}

static void parse_xforward(struct smtp_session *s, char *words)
{
	char *word;
	size_t i;

	while ((word = ph_str_token(&words, " \t"))) {
		for (i = 0; i < PH_ARRAY_LEN(xforward_words); i++) {
			if (strcasecmp(xforward_words[i].name, word) == 0)
				s->xforward |= xforward_words[i].bit;
		}
	}
}

static void parse_keyword(struct smtp_session *s, char *line)
{
	char *word = ph_str_token(&line, " \t="), *arg;
	unsigned bit = word ? keyword_bit(word) : 0;

	s->features |= bit;
	if (bit == EHLO_SIZE) {
		arg = ph_str_token(&line, " \t");
		s->size_limit = 0;
		if (arg && arg[strspn(arg, "0123456789")] == '\0')
			(void)ph_str_int64(arg, 0, INT64_MAX, &s->size_limit);  /* more than that is no limit */
		else if (arg)
			ph_log(PH_LOG_WARNING, "bad EHLO SIZE limit \"%s\" from %s", arg, s->namaddrport);
	} else if (bit == EHLO_AUTH) {
		char *more;

		while ((arg = ph_str_token(&line, " \t=")) && strlen(s->auth) + strlen(arg) < 1000) {
			ph_assert(asprintf(&more, "%s%s%s", s->auth, *s->auth ? " " : "", arg) >= 0);
			free(s->auth);
			s->auth = more;
		}
	} else if (bit == EHLO_XFORWARD) {
		parse_xforward(s, line);
	}
}

/* The reply to EHLO or LHLO.  Negative after failing: the server is ourselves. */
static int parse_ehlo(struct smtp_state *st)
{
	struct smtp_session *s = st->session;
	char *lines = ph_arena_strdup(st->arena, ph_buf_str(&s->reply.text)), *line, *first;
	unsigned discard;
	int n = 0;

	s->features = s->xforward = 0;
	s->auth[0] = '\0';
	s->size_limit = 0;
	while ((line = strsep(&lines, "\n"))) {
		if (strlen(line) <= 4)
			continue;
		line += 4;
		if (n++ > 0) {
			parse_keyword(s, line);
			continue;
		}
		first = ph_str_token(&line, " \t");
		if (first && greets_as_us(st, first)) {
			ph_log(PH_LOG_WARNING, "host %s replied to HELO/EHLO with my own hostname %s", s->namaddrport, first);
			smtp_why_set(st, s->best_mx ? "5.4.6" : "4.4.6", "mail for %s loops back to myself", ph_delivery_nexthop(st->d));
			smtp_fail_all(st, true);
			return -1;
		}
	}
	if (n <= 1)
		return 0;
	discard = discard_mask(st);
	s->features &= ~discard;
	return 0;
}

/* ---- PIX firewalls ------------------------------------------------------------------------ */

static bool pix_banner(const char *text)
{
	return strncmp(text, "220", 3) == 0 && strchr(text, '*') && text[strspn(text, "20 *\t\n")] == '\0';
}

static unsigned pix_words(const char *text, struct ph_arena *arena)
{
	char *cursor = ph_arena_strdup(arena, text), *word;
	unsigned mask = 0;

	while ((word = ph_str_token(&cursor, PH_SEP_LIST))) {
		if (strcasecmp(word, "disable_esmtp") == 0)
			mask |= PIX_DISABLE_ESMTP;
		else if (strcasecmp(word, "delay_dotcrlf") == 0)
			mask |= PIX_DELAY_DOTCRLF;
		else
			ph_log(PH_LOG_WARNING, "unknown word \"%s\" in %spix_workarounds", word, SMTP_PREFIX);
	}
	return mask;
}

static void pix_check(struct smtp_state *st)
{
	struct smtp_session *s = st->session;
	const struct smtp_settings *set = st->service->set;
	const char *words = set->pix_workarounds, *value;
	struct ph_err err;

	if (!pix_banner(ph_buf_str(&s->reply.text)))
		return;
	if (ph_wall_us() / 1000 - ph_delivery_arrival_us(st->d) / 1000 <= set->pix_threshold_ms)
		return;
	if (st->service->pix_maps && ph_maps_find(st->service->pix_maps, s->addr, false, st->arena, &value, &err) == PH_LOOKUP_FOUND)
		words = value;
	s->pix = pix_words(words, st->arena);
	if (s->pix)
		ph_log(PH_LOG_INFO, "%s: enabling PIX workarounds:%s%s for %s", st->queue_id, s->pix & PIX_DISABLE_ESMTP ? " disable_esmtp" : "",
		       s->pix & PIX_DELAY_DOTCRLF ? " delay_dotcrlf" : "", s->namaddrport);
}

/* ---- the dialogue ------------------------------------------------------------------------- */

static enum smtp_hello refused(struct smtp_state *st)
{
	smtp_why_reply(st, "host %s refused to talk to me: %s", st->session->namaddr, smtp_reply_text(st));
	smtp_fail_all(st, true);
	return SMTP_HELLO_FAILED;
}

static bool greeting_esmtp(struct smtp_session *s)
{
	return strcasestr(ph_buf_str(&s->reply.text), "ESMTP") != NULL;
}

/* The name in the greeting is ours: only said, as it proves nothing. */
static void check_greeting_name(struct smtp_state *st)
{
	char *text = ph_arena_strdup(st->arena, ph_buf_str(&st->session->reply.text)), *name;

	text += strlen(text) > 4 ? 4 : strlen(text);
	name = ph_str_token(&text, " \t\n");
	if (name && greets_as_us(st, name))
		ph_log(PH_LOG_WARNING, "host %s greeted me with my own hostname %s", st->session->namaddrport, name);
}

static enum smtp_hello greeting(struct smtp_state *st)
{
	struct smtp_session *s = st->session;
	int r = smtp_read_reply(st, st->service->set->helo_ms);

	if (r < 0) {
		smtp_fail_stream(st, r, "receiving the initial server greeting");
		return SMTP_HELLO_FAILED;
	}
	if (s->reply.code / 100 != 2) {
		if (s->reply.code / 100 == 5 && st->service->set->skip_5xx_greeting)
			s->reply.dsn[0] = '4';
		return refused(st);
	}
	s->esmtp = SMTP_IS_LMTP || ((st->service->set->always_ehlo || greeting_esmtp(s)) && !st->service->set->never_ehlo);
	check_greeting_name(st);
	if (!SMTP_IS_LMTP)
		pix_check(st);
	if (s->pix & PIX_DISABLE_ESMTP)
		s->esmtp = false;
	return SMTP_HELLO_OK;
}

static enum smtp_hello say_hello(struct smtp_state *st)
{
	struct smtp_session *s = st->session;
	const struct smtp_settings *set = st->service->set;
	int r;

	if (s->esmtp) {
		r = smtp_command(st, set->helo_ms, "%s %s", SMTP_IS_LMTP ? "LHLO" : "EHLO", set->helo_name);
		if (r < 0) {
			smtp_fail_stream(st, r, SMTP_IS_LMTP ? "performing the LHLO handshake" : "performing the EHLO handshake");
			return SMTP_HELLO_FAILED;
		}
		if (s->reply.code / 100 == 2)
			return parse_ehlo(st) < 0 ? SMTP_HELLO_FAILED : SMTP_HELLO_OK;
		if (SMTP_IS_LMTP || s->reply.code == 421)
			return refused(st);
		s->esmtp = false;
	}
	s->features = 0;
	r = smtp_command(st, set->helo_ms, "HELO %s", set->helo_name);
	if (r < 0) {
		smtp_fail_stream(st, r, "performing the HELO handshake");
		return SMTP_HELLO_FAILED;
	}
	if (s->reply.code / 100 != 2)
		return refused(st);
	return parse_ehlo(st) < 0 ? SMTP_HELLO_FAILED : SMTP_HELLO_OK;
}

/* ---- TLS ---------------------------------------------------------------------------------- */

/* Mail that has been waiting for a while goes in plaintext rather than not at all, where the policy allows it; but not the password of a login. */
static bool may_do_without(const struct smtp_state *st)
{
	return st->tls->level == SMTP_TLS_MAY && st->requiretls < SMTP_RT_STARTTLS && !st->service->set->tls_wrapper && st->service->sasl_maps == NULL &&
	       ph_wall_us() / 1000 - ph_delivery_arrival_us(st->d) / 1000 >= st->service->shared.min_backoff_ms;
}

static enum smtp_hello handshake(struct smtp_state *st)
{
	struct smtp_session *s = st->session;
	int r;

	if (ph_stream_peek(s->stream).n > 0) {
		/* Plaintext behind the reply would be taken for the server's words under TLS. */
		ph_log(PH_LOG_WARNING, "SSL_connect error to %s: unexpected data before the handshake", s->namaddrport);
		r = -EPROTO;
	} else {
		r = smtp_tls_handshake(st);
	}
	if (r == 0) {
		s->tls_on = true;
		s->verified = st->tls->level >= SMTP_TLS_DANE && smtp_tls_verified(st);
		if (s->verified || st->tls->level < SMTP_TLS_DANE)
			return SMTP_HELLO_OK;
		if (st->requiretls == SMTP_RT_ENFORCE)
			smtp_requiretls_no_match(st);
		else
			smtp_why_set(st, "4.7.5", "Server certificate not verified");
		smtp_fail_all(st, true);
		return SMTP_HELLO_FAILED;
	}
	s->no_reuse = true;
	smtp_reply_reset(&s->reply);            /* no QUIT into a broken stream */
	if (may_do_without(st))
		return SMTP_HELLO_PLAINTEXT;
	smtp_why_set(st, "4.7.5", "Cannot start TLS: handshake failure");
	st->why.message_only = smtp_requiretls_alone(st);
	smtp_fail_all(st, true);
	return SMTP_HELLO_FAILED;
}

static enum smtp_hello start_tls(struct smtp_state *st)
{
	struct smtp_session *s = st->session;
	enum smtp_hello h;
	int r;

	if (!(s->features & EHLO_STARTTLS)) {
		if (st->requiretls >= SMTP_RT_STARTTLS)
			smtp_requiretls_no_tls(st);
		else if (st->tls->level < SMTP_TLS_ENCRYPT)
			return SMTP_HELLO_OK;
		else
			smtp_why_set(st, "4.7.4", "TLS is required, but was not offered by host %s", s->namaddr);
		smtp_fail_all(st, true);
		return SMTP_HELLO_FAILED;
	}
	r = smtp_command(st, st->service->set->starttls_ms, "STARTTLS");
	if (r < 0) {
		smtp_fail_stream(st, r, "receiving the STARTTLS response");
		return SMTP_HELLO_FAILED;
	}
	if (s->reply.code / 100 != 2) {
		if (st->tls->level < SMTP_TLS_ENCRYPT && st->requiretls < SMTP_RT_STARTTLS)
			return SMTP_HELLO_OK;
		smtp_why_reply(st, "TLS is required, but host %s refused to start TLS: %s", s->namaddr, smtp_reply_text(st));
		st->why.message_only = smtp_requiretls_alone(st);
		smtp_fail_all(st, true);
		return SMTP_HELLO_FAILED;
	}
	h = handshake(st);
	return h == SMTP_HELLO_OK ? say_hello(st) : h;
}

enum smtp_hello smtp_hello(struct smtp_state *st, bool allow_tls)
{
	bool wanted = allow_tls && st->tls->level != SMTP_TLS_NONE;
	enum smtp_hello h;

	if (wanted && st->service->set->tls_wrapper) {
		h = handshake(st);
		if (h != SMTP_HELLO_OK)
			return h;
	}
	h = greeting(st);
	if (h == SMTP_HELLO_OK)
		h = say_hello(st);
	if (h == SMTP_HELLO_OK && !st->session->tls_on && wanted)
		h = start_tls(st);
	if (h != SMTP_HELLO_OK)
		return h;
	if (!st->session->tls_on && st->tls->level == SMTP_TLS_NONE && (st->session->features & EHLO_STARTTLS) && st->service->set->tls_note_offer)
		ph_log(PH_LOG_INFO, "Host offered STARTTLS: [%s]", st->session->host);
	return smtp_auth(st) < 0 ? SMTP_HELLO_FAILED : SMTP_HELLO_OK;
}
