/* auth.c: AUTH with the credentials of smtp_sasl_password_maps: CRAM-MD5, PLAIN, LOGIN.
 *
 * RFC 4954, 4616, 2195.  Credentials are looked up by sender (where that is asked for), server name and destination, in this order.  Yields. */
#include "smtp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { OPT_NOPLAIN = 1, OPT_NOACTIVE = 2, OPT_NODICT = 4, OPT_NOANON = 8, OPT_MUTUAL = 16, OPT_FORWARD = 32 };
static const struct { const char *name; unsigned bit; } options[] = {
	{ "noplaintext", OPT_NOPLAIN }, { "noactive", OPT_NOACTIVE }, { "nodictionary", OPT_NODICT }, { "noanonymous", OPT_NOANON },
	{ "mutual_auth", OPT_MUTUAL }, { "forward_secrecy", OPT_FORWARD },
};
/* Strongest first.  without: options that rule it out. */
static const struct { const char *name; unsigned without; } mechanisms[] = {
	{ "CRAM-MD5", OPT_NOACTIVE | OPT_NODICT | OPT_MUTUAL | OPT_FORWARD },
	{ "PLAIN", OPT_NOPLAIN | OPT_NOACTIVE | OPT_NODICT | OPT_MUTUAL | OPT_FORWARD },
	{ "LOGIN", OPT_NOPLAIN | OPT_NOACTIVE | OPT_NODICT | OPT_MUTUAL | OPT_FORWARD },
};

int smtp_auth_options(const char *name, const char *words, struct ph_err *err)
{
	char *copy = ph_strdup(words), *cursor = copy, *word;
	int mask = 0;
	size_t i;

	while ((word = ph_str_token(&cursor, PH_SEP_LIST)) && mask >= 0) {
		for (i = 0; i < PH_ARRAY_LEN(options) && strcasecmp(options[i].name, word) != 0; i++)
			;
		mask = i < PH_ARRAY_LEN(options) ? mask | (int)options[i].bit : ph_err_set(err, -EINVAL, "%s: unknown word \"%s\"", name, word);
	}
	free(copy);
	return mask;
}

/* ---- credentials -------------------------------------------------------------------------- */

struct login { const char *user, *password; };

/* FOUND: *ret is filled; NOTFOUND: no need to log in. */
static enum ph_lookup find_login(struct smtp_state *st, struct login *ret)
{
	struct smtp_service *svc = st->service;
	const char *sender = ph_delivery_sender(st->d), *value = NULL, *delimiter = svc->set->sasl_delimiter;
	enum ph_lookup found = PH_LOOKUP_NOTFOUND;
	struct ph_err err;
	char *copy, *split;

	if (svc->set->sasl_by_sender && *sender)
		found = ph_maps_find_address(svc->sasl_maps, svc->conf, sender, PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_AT_DOMAIN, NULL, st->arena, &value, NULL, &err);
	if (found == PH_LOOKUP_NOTFOUND)
		found = ph_maps_find(svc->sasl_maps, st->session->host, false, st->arena, &value, &err);
	if (found == PH_LOOKUP_NOTFOUND)
		found = ph_maps_find(svc->sasl_maps, st->dest, false, st->arena, &value, &err);
	if (found == PH_LOOKUP_TEMPFAIL || found == PH_LOOKUP_PERMERR)
		ph_log(PH_LOG_WARNING, "%s: %ssasl_password_maps: %s", st->queue_id, SMTP_PREFIX, err.text);
	if (found != PH_LOOKUP_FOUND)
		return found;
	copy = ph_arena_strdup(st->arena, value);
	split = strstr(copy, delimiter);
	ret->password = "";
	if (split) {
		*split = '\0';
		ret->password = split + strlen(delimiter);
	}
	ret->user = copy;
	return *copy ? PH_LOOKUP_FOUND : PH_LOOKUP_NOTFOUND;
}

/* ---- mechanisms --------------------------------------------------------------------------- */

static bool offered(const char *list, const char *name)
{
	size_t n = strlen(name);
	const char *s;

	for (s = list; *s; s += strcspn(s, " ")) {
		s += strspn(s, " ");
		if (strncasecmp(s, name, n) == 0 && (s[n] == ' ' || s[n] == '\0'))
			return true;
	}
	return false;
}

static unsigned options_now(struct smtp_state *st)
{
	const struct ph_tls_info *tls = ph_stream_tls(st->session->stream);

	if (tls == NULL)
		return st->service->sasl_options;
	return tls->peer_matched ? st->service->sasl_tls_verified_options : st->service->sasl_tls_options;
}

static bool filtered_out(struct smtp_state *st, const char *mech)
{
	return *st->service->set->sasl_filter && ph_match_find(st->service->sasl_filter, mech, NULL, NULL) != PH_LOOKUP_FOUND;
}

static const char *choose(struct smtp_state *st)
{
	unsigned opts = options_now(st);
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(mechanisms); i++) {
		if (!(mechanisms[i].without & opts) && offered(st->session->auth, mechanisms[i].name) && !filtered_out(st, mechanisms[i].name))
			return mechanisms[i].name;
	}
	return NULL;
}

/* Does smtp_sasl_mechanism_filter leave anything of what the server offers? */
static bool any_left(struct smtp_state *st)
{
	char *cursor = ph_arena_strdup(st->arena, st->session->auth), *word;

	while ((word = ph_str_token(&cursor, " "))) {
		if (!filtered_out(st, word))
			return true;
	}
	return false;
}

static void no_mechanism(struct smtp_state *st)
{
	const char *server = st->session->namaddr;

	if (any_left(st)) {
		ph_log(PH_LOG_WARNING, "SASL authentication failure: No worthy mechs found");
		smtp_why_set(st, "4.7.0", "SASL authentication failed; cannot authenticate to server %s: no mechanism available", server);
	} else {
		smtp_why_set(st, "4.7.0", "SASL authentication failed: server %s offered no compatible authentication mechanisms for this type of connection security", server);
	}
}

static const char *base64(struct smtp_state *st, const char *p, size_t n)
{
	char *out = ph_arena_alloc(st->arena, n / 3 * 4 + 5);

	EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)p, (int)n);
	return out;
}

/* The challenge in "334 text", decoded into out (NUL-terminated); NULL: it is none. */
static char *challenge(struct smtp_state *st, size_t *ret_n)
{
	const char *text = ph_buf_str(&st->session->reply.text);
	size_t n, pad = 0;
	char *out;
	int r;

	text += strlen(text) > 4 ? 4 : strlen(text);
	n = strcspn(text, "\n");
	out = ph_arena_alloc(st->arena, n + 4);
	while (n > 0 && text[n - 1] == '=' && pad < 2) {
		n--;
		pad++;
	}
	r = (n + pad) % 4 || n == 0 ? -1 : EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)(n + pad));
	if (r < 0)
		return NULL;
	*ret_n = (size_t)r - pad;
	out[*ret_n] = '\0';
	return out;
}

static int say_plain(struct smtp_state *st, const struct login *l, int64_t limit)
{
	size_t u = strlen(l->user), p = strlen(l->password), z = st->service->set->send_authzid ? u : 0;
	char *text = ph_arena_alloc(st->arena, z + u + p + 3);

	memcpy(text, l->user, z);
	memcpy(text + z + 1, l->user, u);
	memcpy(text + z + u + 2, l->password, p);
	return smtp_command(st, limit, "AUTH PLAIN %s", base64(st, text, z + u + p + 2));
}

static int say_login(struct smtp_state *st, const struct login *l, int64_t limit)
{
	int r = smtp_command(st, limit, "AUTH LOGIN");

	if (r == 0 && st->session->reply.code == 334)
		r = smtp_command(st, limit, "%s", base64(st, l->user, strlen(l->user)));
	if (r == 0 && st->session->reply.code == 334)
		r = smtp_command(st, limit, "%s", base64(st, l->password, strlen(l->password)));
	return r;
}

static int say_cram(struct smtp_state *st, const struct login *l, int64_t limit)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0, i;
	struct ph_buf b = PH_BUF_INIT(8192);
	char *text;
	size_t n;
	int r = smtp_command(st, limit, "AUTH CRAM-MD5");

	if (r < 0 || st->session->reply.code != 334)
		return r;
	text = challenge(st, &n);
	if (text == NULL || HMAC(EVP_md5(), l->password, (int)strlen(l->password), (const unsigned char *)text, n, sum, &len) == NULL)
		return smtp_command(st, limit, "*");
	ph_buf_printf(&b, "%s ", l->user);
	for (i = 0; i < len; i++)
		ph_buf_printf(&b, "%02x", sum[i]);
	r = smtp_command(st, limit, "%s", base64(st, b.data, b.len));
	ph_buf_done(&b);
	return r;
}

/* ---- the step between EHLO and MAIL ------------------------------------------------------- */

static int failed(struct smtp_state *st, const struct login *l)
{
	struct smtp_session *s = st->session;

	if (s->reply.code / 100 == 3) {         /* it asks for more than there is to say */
		smtp_why_set(st, "4.7.0", "SASL authentication failed; cannot authenticate to server %s: generic failure", s->namaddr);
		smtp_fail_all(st, true);
		return -1;
	}
	smtp_auth_cache_note(st, l->user, l->password);
	if (st->service->set->sasl_soft_bounce && s->reply.dsn[0] == '5')
		s->reply.dsn[0] = '4';
	smtp_why_reply(st, "SASL authentication failed; server %s said: %s", s->namaddr, smtp_reply_text(st));
	smtp_fail_all(st, true);
	return -1;
}

/* The server has refused this password before. */
static int failed_before(struct smtp_state *st, const char *dsn, const char *text)
{
	bool soft = st->service->set->sasl_soft_bounce && dsn[0] == '5';

	smtp_why_set(st, dsn, "SASL [CACHED] authentication failed; server %s said: %s", st->session->host, text);
	if (soft)
		st->why.dsn[0] = '4';
	st->why.mta = ph_arena_strdup(st->arena, st->session->host);
	st->why.diag = ph_arena_printf(st->arena, "smtp; %s", text);
	smtp_fail_all(st, true);
	return -1;
}

int smtp_auth(struct smtp_state *st)
{
	struct smtp_session *s = st->session;
	int64_t limit = st->service->set->helo_ms;
	const char *mech, *dsn, *text;
	struct login login;
	enum ph_lookup found;
	int r;

	if (st->service->sasl_maps == NULL || !(s->features & EHLO_AUTH))
		return 0;
	found = find_login(st, &login);
	if (found == PH_LOOKUP_NOTFOUND)
		return 0;
	s->no_reuse = s->no_reuse || st->service->set->sasl_by_sender;  /* another sender is another user */
	if (found != PH_LOOKUP_FOUND) {
		smtp_why_set(st, "4.3.0", "SASL authentication failed; password lookup error");
		smtp_fail_all(st, true);
		return -1;
	}
	if (smtp_auth_cache_find(st, login.user, login.password, &dsn, &text))
		return failed_before(st, dsn, text);
	mech = choose(st);
	if (mech == NULL) {
		no_mechanism(st);
		smtp_fail_all(st, true);
		return -1;
	}
	r = strcmp(mech, "PLAIN") == 0 ? say_plain(st, &login, limit) : strcmp(mech, "LOGIN") == 0 ? say_login(st, &login, limit) : say_cram(st, &login, limit);
	if (r < 0) {
		smtp_fail_stream(st, r, SMTP_IS_LMTP ? "performing the LHLO handshake" : "performing the EHLO handshake");
		return -1;
	}
	return s->reply.code / 100 == 2 ? 0 : failed(st, &login);
}
