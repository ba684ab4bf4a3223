/* expand.c: $name in smtpd_reject_footer and the like.  Does not yield. */
#include "smtpd/expand.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#include "smtpd/session.h"

#define EXPAND_MAX (8 * 1024)

static const char *local_part(struct ph_arena *a, const char *address)
{
	const char *at = address ? strrchr(address, '@') : NULL;

	return !address ? NULL : at ? ph_arena_strndup(a, address, (size_t)(at - address)) : address;
}

static const char *domain_part(const char *address)
{
	const char *at = address ? strrchr(address, '@') : NULL;

	return at ? at + 1 : NULL;
}

static const char *value_of(struct ph_session *s, struct ph_arena *a, const char *name, size_t n)
{
	const char *sender = ph_session_sender(s);
	struct { const char *name, *value; } vars[] = {
		{ "client", s->namaddr },
		{ "client_address", s->addr },
		{ "client_name", s->name },
		{ "helo_name", s->helo },
		{ "sender", sender && !*sender ? "<>" : sender },
		{ "sender_name", local_part(a, sender) },
		{ "sender_domain", domain_part(sender) },
		{ "recipient", s->recipient },
		{ "recipient_name", local_part(a, s->recipient) },
		{ "recipient_domain", domain_part(s->recipient) },
		{ "server_name", s->set->myhostname },
		{ "server_address", s->server_addr },
	};
	time_t now = (time_t)(ph_wall_us() / 1000000);
	struct tm tm;
	char text[40];
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(vars); i++)
		if (strlen(vars[i].name) == n && strncmp(vars[i].name, name, n) == 0)
			return vars[i].value;
	if (n == 11 && strncmp(name, "client_port", n) == 0)
		return ph_arena_printf(a, "%d", s->port);
	if (n == 11 && strncmp(name, "server_port", n) == 0)
		return ph_arena_printf(a, "%d", s->server_port);
	if (n == 9 && strncmp(name, "localtime", n) == 0 && localtime_r(&now, &tm) &&
	    strftime(text, sizeof(text), "%b %d %H:%M:%S", &tm))
		return ph_arena_strdup(a, text);
	return ph_conf_get(s->svc->conf, ph_arena_strndup(a, name, n));
}

/* smtpd_expansion_filter as a table: the value may hold C escapes. */
static void filter_table(const char *spec, bool allowed[256])
{
	memset(allowed, 0, 256 * sizeof(*allowed));
	for (const char *p = spec; *p; p++) {
		int c = (unsigned char)*p;

		if (c == '\\' && p[1]) {
			p++;
			if (*p >= '0' && *p <= '7') {
				for (c = 0; *p >= '0' && *p <= '7'; p++)
					c = c * 8 + *p - '0';
				p--;
			} else {
				c = *p == 't' ? '\t' : *p == 'n' ? '\n' : *p == 'r' ? '\r' : (unsigned char)*p;
			}
		}
		allowed[c & 255] = true;
	}
}

static void put_value(struct ph_buf *b, const char *v, const bool allowed[256])
{
	for (; v && *v; v++)
		ph_buf_putc(b, allowed[(unsigned char)*v] ? *v : '_');
}

/* p stands behind "${"; the place behind the matching brace, or the end. */
static const char *brace_end(const char *p)
{
	int depth = 1;

	for (; *p; p++) {
		if (*p == '{')
			depth++;
		else if (*p == '}' && --depth == 0)
			return p;
	}
	return p;
}

static void expand_into(struct ph_session *s, struct ph_arena *a, const char *text, const char *end, struct ph_buf *b,
			const bool allowed[256], int depth)
{
	const char *p = text, *name, *name_end, *close, *v;

	while (p < end) {
		if (*p != '$' || p + 1 == end) {
			ph_buf_putc(b, *p++);
			continue;
		}
		p++;
		if (*p == '$') {
			ph_buf_putc(b, *p++);
			continue;
		}
		close = NULL;
		if (*p == '{' || *p == '(') {
			close = *p == '{' ? brace_end(p + 1) : memchr(p, ')', (size_t)(end - p));
			if (!close || close > end)
				close = end;
			p++;
		}
		for (name = p; p < end && (isalnum((unsigned char)*p) || *p == '_'); p++)
			;
		name_end = p;
		v = value_of(s, a, name, (size_t)(name_end - name));
		if (close && depth < 8 && p < close && (*p == '?' || *p == ':')) {
			if ((*p == '?') == (v && *v)) {
				const char *t = p + 1, *t_end = close;

				if (*t == '{' && brace_end(t + 1) < close) {
					t_end = brace_end(t + 1);
					t++;
				}
				expand_into(s, a, t, t_end, b, allowed, depth + 1);
			}
		} else {
			put_value(b, v, allowed);
		}
		if (close)
			p = close < end ? close + 1 : end;
	}
}

const char *ph_smtpd_expand(struct ph_session *s, struct ph_arena *a, const char *text)
{
	struct ph_buf b = PH_BUF_INIT(EXPAND_MAX);
	bool allowed[256];
	const char *out;

	filter_table(s->set->expansion_filter, allowed);
	expand_into(s, a, text, text + strlen(text), &b, allowed, 0);
	out = ph_arena_strdup(a, ph_buf_str(&b));
	ph_buf_done(&b);
	return out;
}
