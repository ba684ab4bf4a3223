/* cleanup_header.c: the primary headers: what is dropped, logged, counted, rewritten and added.
 *
 * Owns nothing.  Yields where address tables do.  RFC 5322 section 3.6, RFC 5321 section 6.3; sources: cleanup(8), postconf(5). */
#include "message/cleanup.h"
#include "message/encoded_word.h"
#include "route/token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define BIT(id) (1ull << (id))

struct rewrite_arg { struct ph_intake *in; bool sender; };

static const char *rewrite_one(void *arg, const char *addr)
{
	struct rewrite_arg *a = arg;

	return ph_cleanup_header_addr(a->in, a->sender, addr);
}

/* Rewrite the addresses of a header.  1: written, 0: nothing had to change, negative: failed. */
static int rewrite_addresses(struct ph_intake *in, const struct ph_header_info *h, const char *line, size_t name, size_t n)
{
	struct rewrite_arg arg = { in, h->flags & PH_HDRF_SENDER };
	struct ph_buf out = PH_BUF_INIT(4 * (size_t)in->c->s.header_limit + 65536);
	size_t value = ph_header_value(line, n);
	int r;

	if (!in->scratch)
		in->scratch = ph_arena_new();
	ph_buf_append(&out, line, name);
	ph_buf_puts(&out, ": ");
	r = ph_addrlist_rewrite(line + value, n - value, (size_t)in->c->s.token_limit, in->scratch, rewrite_one, &arg, &out);
	if (r == -ENOBUFS) {
		ph_log_as("cleanup", PH_LOG_WARNING, "%s: header is not rewritten: too long: %.100s", in->queue_id, line);
		r = 0;
	}
	if (r > 0) {
		ph_header_join_lines(&out);
		r = ph_content_out_header(in, ph_buf_str(&out), out.len);
		r = r < 0 ? r : 1;
	}
	ph_buf_done(&out);
	ph_arena_reset(in->scratch);
	return in->lost ? in->lost : r;
}

static void log_message_id(struct ph_intake *in, const char *prefix, const char *value, size_t n)
{
	while (n && (value[n - 1] == ' ' || value[n - 1] == '\n' || value[n - 1] == '\t'))
		n--;
	ph_log_as("cleanup", PH_LOG_INFO, "%s: %smessage-id=%.*s", in->queue_id, prefix, (int)(n > 1000 ? 1000 : n), value);
}

static void note_header(struct ph_intake *in, const struct ph_header_info *h, const char *line, size_t n)
{
	size_t value = ph_header_value(line, n);

	if (h->id != PH_HDR_OTHER)
		in->seen |= BIT(h->id);
	if (h->id == PH_HDR_MESSAGE_ID || h->id == PH_HDR_RESENT_MESSAGE_ID)
		log_message_id(in, h->id == PH_HDR_MESSAGE_ID ? "" : "resent-", line + value, n - value);
	in->hops += h->id == PH_HDR_RECEIVED;
}

/* Is the header called name, with this value?  Comments do not count: they are no part of either form. */
static bool header_says(const char *line, size_t n, size_t name_n, const char *name, const char *value)
{
	size_t at = ph_header_value(line, n);

	if (name_n != strlen(name) || strncasecmp(line, name, name_n) != 0)
		return false;
	while (n > at && strchr(" \t\r\n", line[n - 1]))
		n--;
	return n - at == strlen(value) && strncasecmp(line + at, value, n - at) == 0;
}

/* RFC 8689 section 5, and the header in which REQUIRETLS passes through content filters. */
static void note_tls_request(struct ph_intake *in, const char *line, size_t n, size_t name_n)
{
	const struct ph_cleanup_settings *s = &in->c->s;

	if (s->tls_required && header_says(line, n, name_n, "TLS-Required", "no"))
		in->env.flags |= PH_ENV_TLS_OPTIONAL;
	if (s->requiretls && s->requiretls_header && header_says(line, n, name_n, "Require-TLS-ESMTP", "yes") && !(in->p.flags & PH_INTAKE_BOUNCE))
		in->env.flags |= PH_ENV_REQUIRETLS;
}

int ph_cleanup_header(struct ph_intake *in, const char *line, size_t n)
{
	size_t name = ph_header_name(line, n);
	const struct ph_header_info *h;
	int r;

	if (!name)
		return ph_content_out_header(in, line, n);
	h = ph_header_find(line, name);
	in->resent |= (h->flags & PH_HDRF_RESENT) != 0;         /* Resent-Bcc, too, which goes */
	if ((in->c->drop_initials & (1u << (line[0] & 31))) && ph_header_in_list(in->c->s.drop_headers, line, name))
		return 0;
	note_header(in, h, line, n);
	if (h->id == PH_HDR_OTHER)
		note_tls_request(in, line, n, name);
	if (in->rewrite_headers && (h->flags & (PH_HDRF_SENDER | PH_HDRF_RCPT))) {
		r = rewrite_addresses(in, h, line, name, n);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return ph_content_out_header(in, line, n);
}

/* ---- what is missing ---- */

static int add(struct ph_intake *in, const char *fmt, ...) PH_PRINTF(2, 3);
static int add(struct ph_intake *in, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(16384);
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (r == 0)
		r = ph_content_out_header(in, ph_buf_str(&b), b.len);
	ph_buf_done(&b);
	return r < 0 ? r : 0;
}

/* What has no id is named with the one it gets, unless its headers alone have its client refused. */
static void log_made_id(struct ph_intake *in, const char *prefix, const char *id)
{
	if (in->hops < (unsigned)in->c->s.hop_limit || (in->p.flags & PH_INTAKE_BOUNCES))
		log_message_id(in, prefix, id, strlen(id));
}

static int add_message_id(struct ph_intake *in)
{
	const char *prefix = in->resent ? "Resent-" : "";
	char stamp[32], id[512];
	time_t now = (time_t)(in->env.arrival_us / 1000000);
	struct tm tm;

	if (in->c->s.long_ids) {
		snprintf(id, sizeof(id), "<%s@%s>", in->queue_id, in->c->s.myhostname);
	} else {
		gmtime_r(&now, &tm);
		strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm);
		snprintf(id, sizeof(id), "<%s.%s@%s>", stamp, in->queue_id, in->c->s.myhostname);
	}
	log_made_id(in, in->resent ? "resent-" : "", id);
	in->seen |= BIT(in->resent ? PH_HDR_RESENT_MESSAGE_ID : PH_HDR_MESSAGE_ID);
	return add(in, "%sMessage-Id: %s", prefix, id);
}

/* A display name that holds nothing but atoms and blanks needs no quotes. */
static const char *display_name(struct ph_arena *arena, const char *name)
{
	char *clean = ph_str_printable(arena, name, strlen(name), true), *out, *q;

	if (!strpbrk(clean, "()<>@,;:\\\".[]"))
		return clean;
	out = q = ph_arena_alloc(arena, 2 * strlen(clean) + 3);
	*q++ = '"';
	for (const char *p = clean; *p; p++) {
		if (*p == '"' || *p == '\\')
			*q++ = '\\';
		*q++ = *p;
	}
	*q = '"';
	return out;
}

/* A name as a comment: whole when its parentheses match and nothing is left half escaped, else as far as it is plain. */
static const char *comment_name(struct ph_arena *arena, const char *name)
{
	size_t n = 0;
	int depth = 0;

	while (name[n] && depth >= 0) {
		if (name[n] == '\\' && name[n + 1])
			n++;
		else
			depth += name[n] == '(' ? 1 : name[n] == ')' || name[n] == '\\' ? -1 : 0;
		n++;
	}
	if (depth != 0)
		n = strcspn(name, "()\\");
	return ph_str_printable(arena, name, n, true);
}

/* A name that is not ASCII, as the charset says (control characters are none); NULL: it cannot be given. */
static const char *encoded_name(struct ph_intake *in, const char *name)
{
	const char *charset = in->c->s.name_charset, *text = NULL;
	char *clean = ph_arena_strdup(in->arena, name);
	struct ph_buf b = PH_BUF_INIT(8192);

	if (ph_str_ieq(charset, "utf-8"))
		clean = ph_str_printable(in->arena, clean, strlen(clean), true);
	for (char *p = clean; *p; p++)
		if ((unsigned char)*p < 32 || *p == 127)
			*p = '?';
	switch (ph_encoded_words(charset, clean, &b)) {
	case 0:
		text = ph_arena_strdup(in->arena, ph_buf_str(&b));
		break;
	case -EINVAL:
		ph_log_as("cleanup", PH_LOG_WARNING, "%s: bad value of full_name_encoding_charset: \"%.100s\"; the full name is left out",
			  in->queue_id, charset);
		break;
	default:
		ph_log_as("cleanup", PH_LOG_WARNING, "%s: full name is left out: too long", in->queue_id);
	}
	ph_buf_done(&b);
	return text;
}

static int add_from(struct ph_intake *in)
{
	const char *prefix = in->resent ? "Resent-" : "", *addr = in->env.sender, *full = in->full_name;
	bool encode = full && !ph_str_ascii(full) && *in->c->s.name_charset;
	int r;

	if (!*addr)             /* whose name would that be?  It stays as it is, as in Postfix */
		return add(in, "%sFrom: MAILER-DAEMON", prefix);
	ph_route_rewrite(in->c->route, in->p.local_origin, addr, in->arena, &addr);
	ph_cleanup_map_sender(in, PH_CLS_HDR_SENDER, &addr);
	if (in->lost)
		return in->lost;
	addr = ph_address_quote(in->arena, addr);
	if (encode)
		full = encoded_name(in, full);
	if (!full || !*full)
		r = add(in, "%sFrom: %s", prefix, addr);
	else if (ph_str_ieq(in->c->s.header_from_format, "obsolete"))
		r = add(in, "%sFrom: %s (%s)", prefix, addr, encode ? full : comment_name(in->arena, full));
	else
		r = add(in, "%sFrom: %s <%s>", prefix, encode ? full : display_name(in->arena, full), addr);
	return r;
}

int ph_cleanup_headers_end(struct ph_intake *in)
{
	bool complete = in->p.local_origin || in->rewrite_headers || in->c->s.always_add;
	const char *prefix = in->resent ? "Resent-" : "";
	char date[64];
	int r = 0;

	if (complete && !(in->seen & BIT(in->resent ? PH_HDR_RESENT_MESSAGE_ID : PH_HDR_MESSAGE_ID)))
		r = add_message_id(in);
	if (r == 0 && !(in->seen & BIT(PH_HDR_MESSAGE_ID)))
		log_made_id(in, "", "<>");
	if (r == 0 && complete && !(in->seen & BIT(in->resent ? PH_HDR_RESENT_DATE : PH_HDR_DATE)))
		r = add(in, "%sDate: %s", prefix, ph_header_date(in->env.arrival_us, date, sizeof(date)));
	if (r == 0 && complete && !(in->seen & BIT(in->resent ? PH_HDR_RESENT_FROM : PH_HDR_FROM)))
		r = add_from(in);
	if (r == 0 && complete && *in->c->s.undisclosed &&
	    !(in->seen & (BIT(PH_HDR_TO) | BIT(PH_HDR_CC) | BIT(PH_HDR_RESENT_TO) | BIT(PH_HDR_RESENT_CC))))
		r = add(in, "%s", in->c->s.undisclosed);
	return r;
}
