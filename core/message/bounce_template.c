/* bounce_template.c: what notifications say.
 *
 * Owns the templates of a configuration view (attached to it).  Does not yield; the file is read when the first notification is made.
 * The built-in texts say what Postfix's say, so that people and programs that know them understand.  Source: bounce(5). */
#include "message/bounce_template.h"

#include "message/header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILE_MAX (256 * 1024)

#define HOST "This is the mail system at host $myhostname.\n\n"
#define HELP \
	"For further assistance, please send mail to postmaster.\n\n" \
	"If you do so, please include this problem report. You can\n" \
	"delete your own text from the attached returned message.\n\n" \
	"                   The mail system\n"

static const struct ph_bounce_template builtin[] = {
	[PH_BOUNCE_FAILURE] = { "us-ascii", "MAILER-DAEMON (Mail Delivery System)", "Undelivered Mail Returned to Sender", "Postmaster Copy: Undelivered Mail",
		HOST "I'm sorry to have to inform you that your message could not\n"
		"be delivered to one or more recipients. It's attached below.\n\n" HELP },
	[PH_BOUNCE_DELAY] = { "us-ascii", "MAILER-DAEMON (Mail Delivery System)", "Delayed Mail (still being retried)", "Postmaster Warning: Delayed Mail",
		HOST "####################################################################\n"
		"# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #\n"
		"####################################################################\n\n"
		"Your message could not be delivered for more than $delay_warning_time_hours hour(s).\n"
		"It will be retried until it is $maximal_queue_lifetime_days day(s) old.\n\n" HELP },
	[PH_BOUNCE_SUCCESS] = { "us-ascii", "MAILER-DAEMON (Mail Delivery System)", "Successful Mail Delivery Report", NULL,
		HOST "Your message was successfully delivered to the destination(s)\n"
		"listed below. If the message was delivered to mailbox you will\n"
		"receive no further notifications. Otherwise you may still receive\n"
		"notifications of mail delivery errors from other systems.\n\n"
		"                   The mail system\n" },
	[PH_BOUNCE_TRACE] = { "us-ascii", "MAILER-DAEMON (Mail Delivery System)", "Mail Delivery Status Report", NULL,
		HOST "Enclosed is the mail delivery report that you requested.\n\n"
		"                   The mail system\n" },
};
static const char *const names[] = {
	[PH_BOUNCE_FAILURE] = "failure_template", [PH_BOUNCE_DELAY] = "delay_template", [PH_BOUNCE_SUCCESS] = "success_template",
	[PH_BOUNCE_TRACE] = "verify_template",
};

struct set {
	struct ph_arena *arena;
	struct ph_bounce_template t[PH_ARRAY_LEN(builtin)];
};

/* The lines between "name=<<WORD" and WORD. */
static bool find_text(const char *text, const char *name, const char **start, const char **end)
{
	size_t n = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		const char *p, *word;
		size_t k;

		line += *line == '\n';
		if (!*line)
			break;
		if (strncmp(line, name, n) != 0)
			continue;
		p = line + n;
		p += strspn(p, " \t");
		if (*p++ != '=')
			continue;
		p += strspn(p, " \t");
		if (strncmp(p, "<<", 2) != 0)
			return false;
		word = p + 2 + strspn(p + 2, " \t");
		k = strcspn(word, " \t\r\n");
		p = strchr(word, '\n');
		if (!k || !p)
			return false;
		*start = ++p;
		for (; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
			if (strncmp(p, word, k) == 0 && (p[k] == '\n' || p[k] == '\r' || p[k] == '\0')) {
				*end = p;
				return true;
			}
		return false;
	}
	return false;
}

static bool take_header(struct ph_arena *arena, struct ph_bounce_template *t, const char *line, size_t n)
{
	static const struct { const char *name; size_t field; } fields[] = {
		{ "charset", offsetof(struct ph_bounce_template, charset) }, { "from", offsetof(struct ph_bounce_template, from) },
		{ "subject", offsetof(struct ph_bounce_template, subject) }, { "postmaster-subject", offsetof(struct ph_bounce_template, postmaster_subject) },
	};
	size_t name = ph_header_name(line, n), value = ph_header_value(line, n);

	for (size_t i = 0; name && i < PH_ARRAY_LEN(fields); i++)
		if (strlen(fields[i].name) == name && strncasecmp(fields[i].name, line, name) == 0) {
			*(const char **)((char *)t + fields[i].field) = ph_str_printable(arena, line + value, n - value, true);
			return true;
		}
	return false;
}

bool ph_bounce_template_parse(const char *text, const char *name, struct ph_arena *arena, struct ph_bounce_template *ret)
{
	struct ph_bounce_template t = { 0 };
	const char *p, *end;

	if (!find_text(text, name, &p, &end))
		return false;
	while (p < end && *p != '\n') {
		size_t n = strcspn(p, "\n");

		if (!take_header(arena, &t, p, n))
			return false;
		p += n + 1;
	}
	if (p >= end || !t.from || !t.subject || !t.charset || !ph_utf8_valid(p, (size_t)(end - p)))
		return false;
	t.body = ph_arena_strndup(arena, p + 1, (size_t)(end - p - 1));
	*ret = t;
	return true;
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text;
	size_t n;

	if (!f)
		return NULL;
	text = ph_alloc(FILE_MAX + 1);
	n = fread(text, 1, FILE_MAX, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void set_free(void *obj)
{
	struct set *s = obj;

	ph_arena_free(&s->arena);
	free(s);
}

static struct set *load(const struct ph_conf *conf)
{
	struct set *s = ph_alloc(sizeof(*s));
	const char *path = ph_conf_get(conf, "bounce_template_file");
	char *text;

	s->arena = ph_arena_new();
	memcpy(s->t, builtin, sizeof(builtin));
	for (size_t i = 0; i < PH_ARRAY_LEN(builtin); i++)
		s->t[i].builtin = true;
	if (path && *path) {
		text = read_file(path);
		if (!text)
			ph_log_as("bounce", PH_LOG_WARNING, "bounce_template_file %s: cannot be read -- using built-in templates", path);
		for (size_t i = 0; text && i < PH_ARRAY_LEN(names); i++)
			if (strstr(text, names[i]) && !ph_bounce_template_parse(text, names[i], s->arena, &s->t[i]))
				ph_log_as("bounce", PH_LOG_WARNING, "%s: %s is damaged -- using the built-in template", path, names[i]);
		free(text);
	}
	ph_conf_attach_set(conf, "bounce_templates", s, set_free);
	return s;
}

const struct ph_bounce_template *ph_bounce_template(const struct ph_conf *conf, enum ph_bounce_kind kind)
{
	struct set *s = ph_conf_attach_get(conf, "bounce_templates");

	return &(s ? s : load(conf))->t[kind];
}

/* "delay_warning_time_hours": a time parameter in a unit, rounded down. */
static bool time_value(const struct ph_conf *conf, const char *name, size_t n, int64_t *ret)
{
	static const struct { const char *suffix; int64_t ms; } units[] = {
		{ "_seconds", 1000 }, { "_minutes", 60000 }, { "_hours", 3600000 }, { "_days", 86400000 }, { "_weeks", 604800000 },
	};
	static const struct { const char *param; char unit; } params[] = { { "delay_warning_time", 'h' }, { "maximal_queue_lifetime", 'd' } };

	for (size_t i = 0; i < PH_ARRAY_LEN(params); i++) {
		size_t k = strlen(params[i].param);
		const char *value;

		if (n <= k || strncmp(name, params[i].param, k) != 0)
			continue;
		for (size_t u = 0; u < PH_ARRAY_LEN(units); u++) {
			if (strlen(units[u].suffix) != n - k || strncmp(name + k, units[u].suffix, n - k) != 0)
				continue;
			value = ph_conf_get(conf, params[i].param);
			if (!value || ph_parse_time(value, params[i].unit, ret) < 0)
				return false;
			*ret /= units[u].ms;
			return true;
		}
	}
	return false;
}

const char *ph_bounce_template_text(const struct ph_conf *conf, struct ph_arena *arena, const struct ph_bounce_template *t)
{
	struct ph_buf b = PH_BUF_INIT(FILE_MAX * 2);
	const char *out;

	for (const char *p = t->body; *p;) {
		bool brace = p[0] == '$' && (p[1] == '{' || p[1] == '(');
		const char *name = p + 1 + brace, *value;
		size_t n = *p == '$' ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") : 0;
		int64_t number;

		if (p[0] == '$' && p[1] == '$') {
			ph_buf_putc(&b, '$');
			p += 2;
			continue;
		}
		if (!n) {
			ph_buf_putc(&b, *p++);
			continue;
		}
		if (time_value(conf, name, n, &number)) {
			ph_buf_printf(&b, "%lld", (long long)number);
		} else {
			value = ph_conf_get(conf, ph_arena_strndup(arena, name, n));
			ph_buf_puts(&b, value ? value : "");
		}
		p = name + n + (brace && (name[n] == '}' || name[n] == ')'));
	}
	out = ph_arena_strndup(arena, ph_buf_str(&b), b.len);
	ph_buf_done(&b);
	return out;
}
