/* address.c: the text of one address: paths of SMTP commands, quoting, extensions.
 *
 * Pure; owns nothing; does not yield.  The internal form is the address without quotes and escapes, split at its last @.
 * RFC 5321 sections 4.1.2 and 4.1.3, RFC 6531 section 3.3. */
#include "route/route.h"
#include "route/hostname.h"
#include "route/token.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define PATH_MAX_BYTES 2048

void ph_address_split(const char *address, struct ph_slice *local, const char **domain)
{
	const char *at = strrchr(address, '@');

	*local = (struct ph_slice){ address, at ? (size_t)(at - address) : strlen(address) };
	*domain = at ? at + 1 : NULL;
}

/* Where the path ends: behind the > that matches, else at white space outside quotes. */
static const char *path_end(const char *p, const char *end)
{
	bool angle = p < end && *p == '<';
	size_t comment = 0, depth = 0;
	char quote = 0;

	for (; p < end; p++) {
		if (*p == '\\' && p + 1 < end) {
			p++;
		} else if (quote) {
			if (*p == quote)
				quote = 0;
		} else if (comment) {
			comment += *p == '(' ? 1 : *p == ')' ? (size_t)-1 : 0;
		} else if (*p == '"') {
			quote = '"';
		} else if (*p == '[') {
			quote = ']';
		} else if (*p == '(') {
			comment++;
		} else if (angle && *p == '<') {
			depth++;
		} else if (angle && *p == '>' && depth > 0 && --depth == 0) {
			p++;
			break;
		} else if ((*p == ' ' || *p == '\t') && depth == 0) {
			break;
		}
	}
	/* "<a@x>,b": what is glued on belongs to the path, and spoils it. */
	while (p < end && *p != ' ' && *p != '\t')
		p++;
	return p;
}

/* A source route "@a,@b:" in front is dropped; without its colon it is none. */
static const char *skip_route(const char *p, const char *end)
{
	const char *q = p;
	struct ph_tok t;

	ph_tok_next(&q, end, &t);
	if (t.type != PH_TOK_OP || t.op != '@')
		return p;
	do {
		ph_tok_next(&q, end, &t);
		if (t.type == PH_TOK_OP && t.op == ':')
			return q;
	} while (t.type != PH_TOK_END);
	return p;
}

/* The tokens of one address, joined.  Words that no operator joins are two addresses, or none. */
static int join_tokens(const char *p, const char *end, struct ph_buf *out, struct ph_err *err)
{
	enum ph_tok_type before = PH_TOK_OP;
	struct ph_tok t;

	for (;;) {
		ph_tok_next(&p, end, &t);
		if (t.type == PH_TOK_END)
			return 0;
		if (t.open && (t.type == PH_TOK_QUOTED || t.type == PH_TOK_COMMENT))
			return ph_err_set(err, -EINVAL, "missing closing quote or parenthesis");
		if (t.type == PH_TOK_COMMENT)
			continue;
		if (t.type == PH_TOK_OP && t.op == ';' && p == end)     /* the end of a group, of which there was none */
			return 0;
		if (t.type == PH_TOK_OP && strchr("<>,;", t.op))       /* a ":" is text, as Postfix has it */
			return ph_err_set(err, -EINVAL, "more or less than one address");
		if (t.type != PH_TOK_OP && before != PH_TOK_OP)
			return ph_err_set(err, -EINVAL, "white space or two words without an operator");
		if (t.type == PH_TOK_DOMLIT && t.open) {        /* "[1.2.3.4": closed for the sender, as Postfix does */
			if (ph_tok_internal(&t, out) < 0 || ph_buf_putc(out, ']') < 0)
				return ph_err_set(err, -EINVAL, "address too long");
		} else if (t.type == PH_TOK_ATOM && t.text.p[t.text.n - 1] == '\\' && (t.text.n < 2 || t.text.p[t.text.n - 2] != '\\')) {
			return ph_err_set(err, -EINVAL, "backslash at the end");
		} else if (ph_tok_internal(&t, out) < 0) {
			return ph_err_set(err, -EINVAL, "address too long");
		}
		before = t.type;
	}
}

static int check_bytes(const struct ph_buf *b, bool utf8, struct ph_err *err)
{
	bool high = false;

	for (size_t i = 0; i < b->len; i++) {
		unsigned char c = (unsigned char)b->data[i];

		if (c == 0 || c == '\n' || c == '\r')
			return ph_err_set(err, -EINVAL, "NUL or line end in the address");
		high |= c >= 0x80;
	}
	if (high && !utf8)
		return ph_err_set(err, -EILSEQ, "non-ASCII address without SMTPUTF8");
	if (high && !ph_utf8_valid(b->data, b->len))
		return ph_err_set(err, -EBADMSG, "malformed UTF-8 in the address");
	return 0;
}

/* The domain must be a name or a good literal; nothing else can ever be routed. */
static int check_domain(const char *internal, bool utf8, struct ph_err *err)
{
	const char *at = strrchr(internal, '@'), *dom = at ? at + 1 : NULL;
	char text[258];
	size_t n;

	if (!dom)
		return 0;
	n = strlen(dom);
	if (n == 0 && at > internal)    /* "user@": the resolver knows resolve_null_domain */
		return 0;
	if (n == 0 || n >= sizeof(text))
		return ph_err_set(err, -EINVAL, "empty or too long domain");
	memcpy(text, dom, n + 1);
	if (text[0] == '[') {
		if (n < 3 || text[n - 1] != ']')
			return ph_err_set(err, -EINVAL, "malformed address literal");
		text[n - 1] = '\0';
		return ph_hostliteral_valid(text + 1) ? 0 : ph_err_set(err, -EINVAL, "invalid address literal");
	}
	if (text[n - 1] == '.')
		text[n - 1] = '\0';
	if (!ph_hostname_valid(text, PH_HOST_NUMERIC | (utf8 ? PH_HOST_UTF8 : 0)))
		return ph_err_set(err, -EINVAL, "invalid domain name");
	return 0;
}

int ph_address_parse_path(const char *text, size_t n, bool utf8, struct ph_arena *arena, const char **ret, const char **ret_rest,
			  struct ph_err *err)
{
	const char *end = text + n, *p = text, *stop;
	struct ph_buf out = PH_BUF_INIT(PATH_MAX_BYTES);
	int r;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	stop = path_end(p, end);
	if (ret_rest)
		*ret_rest = stop;
	if (p == stop) {
		r = ph_err_set(err, -EINVAL, "no address");
		goto out;
	}
	if (*p == '<') {
		if (stop[-1] != '>') {
			r = ph_err_set(err, -EINVAL, "missing >");
			goto out;
		}
		p++, stop--;
		if (p < stop && *p == '<' && stop[-1] == '>')   /* "<<a@b>>" is seen in the wild */
			p++, stop--;
		else
			while (stop - p > 1 && stop[-1] == '>' && stop[-2] != '\\')   /* "<a@b>>", too */
				stop--;
	}
	for (const char *from = NULL; from != p;)
		p = skip_route(from = p, stop);
	r = join_tokens(p, stop, &out, err);
	if (r == 0)
		r = check_bytes(&out, utf8, err);
	if (r == 0 && out.len)
		r = check_domain(ph_buf_str(&out), utf8, err);
	if (r == 0)
		*ret = ph_arena_strndup(arena, ph_buf_str(&out), out.len);
out:
	ph_buf_done(&out);
	return r;
}

/* A dot-string, so that no quotes are needed.  Bytes above 127 are atom text (RFC 6532). */
static bool is_dot_string(const char *p, size_t n)
{
	if (n == 0 || p[0] == '.' || p[n - 1] == '.')
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c <= ' ' || c == 127 || strchr("()<>@,;:\\\"[]", c))
			return false;
		if (c == '.' && p[i + 1] == '.' && i + 1 < n)
			return false;
	}
	return true;
}

bool ph_address_needs_quotes(const char *local, size_t n)
{
	return !is_dot_string(local, n);
}

const char *ph_address_quote(struct ph_arena *arena, const char *internal)
{
	struct ph_slice local;
	const char *domain;
	char *out, *q;

	ph_address_split(internal, &local, &domain);
	if (!*internal || is_dot_string(local.p, local.n))
		return internal;
	out = q = ph_arena_alloc(arena, 2 * local.n + 4 + (domain ? strlen(domain) + 1 : 0));
	*q++ = '"';
	for (size_t i = 0; i < local.n; i++) {
		if (strchr("\"\\\r\n", local.p[i]) && local.p[i])
			*q++ = '\\';
		*q++ = local.p[i];
	}
	*q++ = '"';
	if (domain) {
		*q++ = '@';
		strcpy(q, domain);
	}
	return out;
}

/* Names that a delimiter must not cut: the site's own senders, and owner-list and list-request. */
static bool is_protected(const char *p, size_t n, bool owner_request)
{
	static const char *const whole[] = { "postmaster", "mailer-daemon", "double-bounce" };

	for (size_t i = 0; i < PH_ARRAY_LEN(whole); i++)
		if (n == strlen(whole[i]) && strncasecmp(p, whole[i], n) == 0)
			return true;
	return owner_request && ((n > 6 && strncasecmp(p, "owner-", 6) == 0) || (n > 8 && strncasecmp(p + n - 8, "-request", 8) == 0));
}

const char *ph_address_extension(const char *local, size_t n, const char *delimiters)
{
	if (!delimiters || !*delimiters || is_protected(local, n, strchr(delimiters, '-') != NULL))
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (local[i] && strchr(delimiters, local[i]))
			return i ? local + i : NULL;    /* a leading delimiter does not make an empty user */
	return NULL;
}
