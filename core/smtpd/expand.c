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

struct expansion {
	struct ph_session *s;
	struct ph_arena *arena;
	const struct ph_session_var *vars;
	size_t n_vars;
	bool allowed[256];
	struct ph_buf out;
};

static const char *value_of(struct expansion *e, const char *name, size_t n)
{
	struct ph_session *s = e->s;
	struct ph_arena *a = e->arena;
	const char *given = ph_session_sender(s), *sender = given && !*given ? "<>" : given;
	struct { const char *name, *value; } vars[] = {
		{ "client", s->namaddr },
		{ "client_address", s->addr },
		{ "client_name", s->name },
		{ "reverse_client_name", s->reverse_name },
		{ "helo_name", s->helo },
		{ "sender", sender },
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
	const char *value;
	char text[40];
	size_t i;

	for (i = 0; i < e->n_vars; i++)
		if (strlen(e->vars[i].name) == n && strncmp(e->vars[i].name, name, n) == 0)
			return e->vars[i].value;
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
	value = ph_conf_get(s->svc->conf, ph_arena_strndup(a, name, n));
	if (!value)
		ph_log(PH_LOG_WARNING, "unknown macro name \"%.*s\" in expansion request", (int)n, name);
	return value;
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

static void put_value(struct expansion *e, const char *v)
{
	for (; v && *v; v++)
		ph_buf_putc(&e->out, e->allowed[(unsigned char)*v] ? *v : '_');
}

/* p stands behind "${"; the place of the matching brace, or the end. */
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

static void expand_into(struct expansion *e, const char *text, const char *end, int depth);

/* "?text" or ":text", up to close. */
static void put_conditional(struct expansion *e, const char *p, const char *close, const char *v, int depth)
{
	const char *t = p + 1, *t_end = close;

	if ((*p == '?') != (v && *v))
		return;
	if (*t == '{' && brace_end(t + 1) < close) {
		t_end = brace_end(t + 1);
		t++;
	}
	expand_into(e, t, t_end, depth + 1);
}

/* p stands behind "$"; returns what follows. */
static const char *expand_name(struct expansion *e, const char *p, const char *end, int depth)
{
	const char *close = NULL, *name, *v;

	if (*p == '{' || *p == '(') {
		close = *p == '{' ? brace_end(p + 1) : memchr(p, ')', (size_t)(end - p));
		if (!close || close > end)
			close = end;
		p++;
	}
	for (name = p; p < end && (isalnum((unsigned char)*p) || *p == '_'); p++)
		;
	v = value_of(e, name, (size_t)(p - name));
	if (close && depth < 8 && p < close && (*p == '?' || *p == ':'))
		put_conditional(e, p, close, v, depth);
	else
		put_value(e, v);
	return !close ? p : close < end ? close + 1 : end;
}

static void expand_into(struct expansion *e, const char *text, const char *end, int depth)
{
	const char *p = text;

	while (p < end) {
		if (*p != '$' || p + 1 == end) {
			ph_buf_putc(&e->out, *p++);
		} else if (p[1] == '$') {
			ph_buf_putc(&e->out, '$');
			p += 2;
		} else {
			p = expand_name(e, p + 1, end, depth);
		}
	}
}

const char *ph_smtpd_expand(struct ph_session *s, struct ph_arena *a, const char *text, const struct ph_session_var *vars, size_t n)
{
	struct expansion e = { .s = s, .arena = a, .vars = vars, .n_vars = n, .out = PH_BUF_INIT(EXPAND_MAX) };
	const char *out;

	filter_table(s->set->expansion_filter, e.allowed);
	expand_into(&e, text, text + strlen(text), 0);
	out = ph_arena_strdup(a, ph_buf_str(&e.out));
	ph_buf_done(&e.out);
	return out;
}
