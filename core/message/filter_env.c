/* filter_env.c: what filters want changed about the envelope: recipients, sender, and what becomes of the message.
 *
 * Owns nothing.  Addresses and arguments come from a stranger: they are checked like those of SMTP, and what is wrong is logged and left out.  Does not
 * yield.  RFC 3461 section 4; log lines in the shape of cleanup(8). */
#include "message/filter_mail.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define WARN(in, fmt, ...) ph_log_as("cleanup", PH_LOG_WARNING, "%s: " fmt, (in)->queue_id, __VA_ARGS__)

static const char *shown(struct ph_intake *in, const char *text)
{
	return ph_str_printable(in->arena, text, strnlen(text, 100), true);
}

/* The first address of text, in internal form; "" for <>; NULL: there is none.  *ret_more: there is something behind it, or it is none at all. */
static const char *first_address(struct ph_intake *in, const char *text, bool *ret_more)
{
	const char *address, *rest = "";

	text += strspn(text, " \t");
	*ret_more = false;
	if (ph_address_parse_path(text, strlen(text), true, in->arena, &address, &rest, NULL) < 0) {
		*ret_more = true;
		return NULL;
	}
	*ret_more = rest && rest[strspn(rest, " \t")];
	return address;
}

/* xtext: "+2B" is "+".  NULL: malformed, or something that has no place in an envelope. */
static const char *xtext(struct ph_intake *in, const char *p, size_t n)
{
	char *out = ph_arena_alloc(in->arena, n + 1), *q = out;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '+') {
			if (i + 2 >= n || !isxdigit((unsigned char)p[i + 1]) || !isxdigit((unsigned char)p[i + 2]))
				return NULL;
			c = (unsigned char)((isdigit((unsigned char)p[i + 1]) ? p[i + 1] - '0' : (p[i + 1] | 32) - 'a' + 10) * 16 +
					    (isdigit((unsigned char)p[i + 2]) ? p[i + 2] - '0' : (p[i + 2] | 32) - 'a' + 10));
			i += 2;
		}
		if (c < 32 || c == 127)
			return NULL;
		*q++ = (char)c;
	}
	return q == out || !ph_utf8_valid(out, (size_t)(q - out)) ? NULL : out;
}

/* NOTIFY's value; 0: malformed. */
static unsigned notify_bits(const char *p, size_t n)
{
	static const struct { const char *word; unsigned bit; } words[] = {
		{ "NEVER", PH_NOTIFY_NEVER }, { "SUCCESS", PH_NOTIFY_SUCCESS }, { "FAILURE", PH_NOTIFY_FAILURE }, { "DELAY", PH_NOTIFY_DELAY },
	};
	unsigned bits = 0;

	while (n) {
		const char *comma = memchr(p, ',', n);
		size_t len = comma ? (size_t)(comma - p) : n, i;

		for (i = 0; i < PH_ARRAY_LEN(words); i++)
			if (strlen(words[i].word) == len && strncasecmp(p, words[i].word, len) == 0)
				break;
		if (i == PH_ARRAY_LEN(words) || (bits & words[i].bit) || (comma && len + 1 == n))
			return 0;
		bits |= words[i].bit;
		p += len + (comma != NULL);
		n -= len + (comma != NULL);
	}
	return (bits & PH_NOTIFY_NEVER) && bits != PH_NOTIFY_NEVER ? 0 : bits;
}

/* "type;xtext". */
static const char *original_rcpt(struct ph_intake *in, const char *p, size_t n)
{
	const char *semi = memchr(p, ';', n), *text;

	if (!semi || semi == p)
		return NULL;
	for (const char *c = p; c < semi; c++)
		if (!isalnum((unsigned char)*c) && *c != '-')
			return NULL;
	text = xtext(in, semi + 1, n - (size_t)(semi + 1 - p));
	return text ? ph_arena_printf(in->arena, "%.*s%s", (int)(semi + 1 - p), p, text) : NULL;
}

static bool starts(const char *word, size_t n, const char *name, const char **value, size_t *value_n)
{
	size_t k = strlen(name);

	if (n < k || strncasecmp(word, name, k) != 0)
		return false;
	*value = word + k;
	*value_n = n - k;
	return true;
}

static void add_recipient(struct ph_intake *in, const struct ph_edit *e)
{
	const char *address, *orcpt = NULL, *v;
	unsigned notify = 0;
	bool more;
	size_t n, vn;

	address = first_address(in, e->value, &more);
	if (more)
		WARN(in, "Milter or header/body_checks request to add multi-recipient: \"%s\"", shown(in, e->value));
	if (address && !*address)
		WARN(in, "ignoring attempt from %s to add null recipient", "Milter");
	if (!address || !*address)
		return;
	for (const char *w = e->name ? e->name : ""; w += strspn(w, " \t"), *w; w += n) {
		n = strcspn(w, " \t");
		if (starts(w, n, "NOTIFY=", &v, &vn)) {
			notify = notify_bits(v, vn);
			if (!notify)
				WARN(in, "Bad NOTIFY parameter from Milter or header/body_checks: \"%.*s\"", (int)(n < 100 ? n : 100), w);
		} else if (starts(w, n, "ORCPT=", &v, &vn)) {
			orcpt = original_rcpt(in, v, vn);
			if (!orcpt)
				WARN(in, "Bad ORCPT parameter from Milter or header/body_checks: \"%.*s\"", (int)(n < 100 ? n : 100), w);
		} else {
			WARN(in, "ignoring ESMTP argument from Milter or header/body_checks: \"%.*s\"", (int)(n < 100 ? n : 100), w);
		}
	}
	ph_route_rewrite(in->c->route, true, address, in->arena, &address);
	ph_cleanup_envelope_done(in);
	if (ph_intake_rcpt(in, address, orcpt, notify) < 0)
		ph_intake_fail(in, -ENOBUFS, 452, "4.5.3", "Error: too many recipients");
}

/* What the client gave, before aliases, letter by letter. */
static void delete_recipient(struct ph_intake *in, const char *text)
{
	bool more;
	const char *address = first_address(in, text, &more);
	size_t kept = 0;

	if (more)
		WARN(in, "Milter request to drop multi-recipient: \"%s\"", shown(in, text));
	if (!address)
		return;
	for (size_t i = 0; i < in->n_rcpts; i++)
		if (strcmp(in->rcpts[i].address, address) != 0)
			in->rcpts[kept++] = in->rcpts[i];
	if (kept < in->n_rcpts)
		ph_cleanup_envelope_done(in);
	in->n_deleted += in->n_rcpts - kept;
	in->n_rcpts = kept;
}

/* All recipients gone: the message is taken, and goes nowhere. */
void ph_mail_check_rcpts(struct ph_intake *in, size_t before)
{
	if (before && !in->n_rcpts)
		in->discard = true;
}

static void change_sender(struct ph_intake *in, const struct ph_edit *e)
{
	const char *address, *v;
	bool more;
	size_t n, vn;

	address = first_address(in, e->value, &more);
	if (more)
		WARN(in, "Milter request to add multi-sender: \"%s\"", shown(in, e->value));
	if (!address)
		return;
	in->env.sender = address;
	ph_cleanup_envelope_done(in);
	for (const char *w = e->name ? e->name : ""; w += strspn(w, " \t"), *w; w += n) {
		const char *text;

		n = strcspn(w, " \t");
		if (starts(w, n, "RET=FULL", &v, &vn) && !vn)
			in->env.ret = "FULL";
		else if (starts(w, n, "RET=HDRS", &v, &vn) && !vn)
			in->env.ret = "HDRS";
		else if (starts(w, n, "ENVID=", &v, &vn) && (text = xtext(in, v, vn)))
			in->env.envid = text;
		else
			ph_log_as("cleanup", PH_LOG_WARNING, "Ignoring bad ESMTP parameter \"%.*s\" in SMFI_CHGFROM request", (int)(n < 100 ? n : 100),
				  w);
	}
}

static const char *internal(struct ph_intake *in, const char *address)
{
	bool more;
	const char *p = first_address(in, address, &more);

	return p ? p : address;
}

static void hold(struct ph_mail *m, const struct ph_edit *e)
{
	if (!e->quiet && !(m->in->env.flags & PH_ENV_HOLD) && !m->in->discard)
		ph_mail_log(m, "milter-hold", *e->value ? e->value : "triggers HOLD action");
	ph_intake_action(m->in, "HOLD", "");
}

static void discard(struct ph_mail *m, const struct ph_edit *e)
{
	if (!e->quiet)
		ph_mail_log(m, "milter-discard", *e->value ? e->value : "triggers DISCARD action");
	ph_intake_action(m->in, "DISCARD", "");
}

void ph_mail_apply_envelope(struct ph_mail *m, const struct ph_edit *e)
{
	struct ph_intake *in = m->in;

	switch (e->type) {
	case PH_EDIT_ADD_RCPT:
		add_recipient(in, e);
		break;
	case PH_EDIT_DEL_RCPT:
		delete_recipient(in, e->value);
		break;
	case PH_EDIT_SENDER:
		change_sender(in, e);
		break;
	case PH_EDIT_HOLD:
		hold(m, e);
		break;
	case PH_EDIT_DISCARD:
		discard(m, e);
		break;
	case PH_EDIT_FILTER:
		ph_intake_action(in, "FILTER", e->value);
		break;
	case PH_EDIT_REDIRECT:
		ph_intake_action(in, "REDIRECT", internal(in, e->value));
		break;
	case PH_EDIT_BCC:
		ph_intake_action(in, "BCC", internal(in, e->value));
		break;
	case PH_EDIT_ADD_HEADER:
	case PH_EDIT_INSERT_HEADER:
	case PH_EDIT_CHANGE_HEADER:
	case PH_EDIT_LINE:
		break;
	}
}
