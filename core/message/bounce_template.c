/* bounce_template.c: what notifications say.
 *
 * Owns the templates of a configuration view (attached to it).  Does not yield; the file is read when the first notification is made.
 * The built-in texts say what Postfix's say, so that people and programs that know them understand.  Source: bounce(5). */
#include "message/bounce_template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (256 * 1024)
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

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
struct set {
	struct ph_arena *arena;
	struct ph_bounce_template t[PH_BOUNCE_KINDS];
};

void ph_bounce_template_builtin(struct ph_bounce_template ret[PH_BOUNCE_KINDS])
{
	memcpy(ret, builtin, sizeof(builtin));
	for (int i = 0; i < PH_BOUNCE_KINDS; i++) {
		ret[i].builtin = true;
		ret[i].name = ph_bounce_template_name(i);
		ret[i].origin = "[built-in]";
	}
}

int ph_bounce_template_read(const char *path, struct ph_arena *arena, struct ph_bounce_template ret[PH_BOUNCE_KINDS], struct ph_err *err)
{
	FILE *f = fopen(path, "re");
	char *text;
	size_t n;

	if (!f)
		return ph_err_errno(err, -errno, "open %s", path);
	text = ph_arena_alloc(arena, FILE_MAX + 2);
	n = fread(text, 1, FILE_MAX + 1, f);
	text[n] = '\0';
	fclose(f);
	if (n > FILE_MAX)
		return ph_err_set(err, -EFBIG, "%s: more than %d bytes", path, FILE_MAX);
	return ph_bounce_template_parse(text, path, arena, ret, err);
}

static void set_free(void *obj)
{
	struct set *s = obj;

	ph_arena_free(&s->arena);
	free(s);
}

/* "Your message could not be delivered for more than 0 hours" helps nobody. */
static void warn_zero(const struct ph_bounce_template *t, const char *name, size_t n, const char *unit)
{
	ph_log_as("bounce", PH_LOG_WARNING, "%s: zero result in %s template conversion of parameter \"%.*s\"", t->origin, t->name, (int)n, name);
	ph_log_as("bounce", PH_LOG_WARNING, "please reduce time unit \"%s\" of \"%.*s\" in %s template", unit, (int)n, name, t->name);
	ph_log_as("bounce", PH_LOG_WARNING, "for instructions see the bounce(5) manual");
}

/* "delay_warning_time_hours": a time parameter in a unit, rounded down. */
static bool time_value(const struct ph_conf *conf, const struct ph_bounce_template *t, const char *name, size_t n, int64_t *ret)
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
			if (*ret > 0 && *ret < units[u].ms)
				warn_zero(t, name, n, units[u].suffix + 1);
			*ret /= units[u].ms;
			return true;
		}
	}
	return false;
}

/* A name that nobody knows: its text would have a hole. */
static const char *undefined_name(const struct ph_conf *conf, struct ph_arena *arena, const char *text)
{
	const char *name;
	size_t n;

	for (const char *p = text; (p = strchr(p, '$')); p += n) {
		p++;
		n = *p == '$';
		if (n)
			continue;
		p += *p == '{' || *p == '(';
		n = strspn(p, NAME_CHARS);
		name = ph_arena_strndup(arena, p, n);
		if (n && !ph_conf_get(conf, name) && strncmp(name, "delay_warning_time_", 19) != 0 && strncmp(name, "maximal_queue_lifetime_", 23) != 0)
			return name;
	}
	return NULL;
}

static void check_names(const struct ph_conf *conf, struct set *s)
{
	struct ph_bounce_template own[PH_BOUNCE_KINDS];
	const char *name;

	ph_bounce_template_builtin(own);
	for (int i = 0; i < PH_BOUNCE_KINDS; i++) {
		name = undefined_name(conf, s->arena, s->t[i].body);
		if (!name)
			continue;
		ph_log_as("bounce", PH_LOG_WARNING, "bounce_template_file: undefined $name in %s template: %s -- using the built-in template", s->t[i].name, name);
		s->t[i] = own[i];
	}
}

/* Whoever waits for a notification is told in words of ours rather than not at all. */
static struct set *load(const struct ph_conf *conf)
{
	struct set *s = ph_alloc(sizeof(*s));
	const char *path = ph_conf_get(conf, "bounce_template_file");
	struct ph_err err;

	s->arena = ph_arena_new();
	ph_bounce_template_builtin(s->t);
	if (path && *path && ph_bounce_template_read(path, s->arena, s->t, &err) < 0)
		ph_log_as("bounce", PH_LOG_WARNING, "bounce_template_file: %s -- using built-in templates", err.text);
	check_names(conf, s);
	ph_conf_attach_set(conf, "bounce_templates", s, set_free);
	return s;
}

const struct ph_bounce_template *ph_bounce_template(const struct ph_conf *conf, enum ph_bounce_kind kind)
{
	struct set *s = ph_conf_attach_get(conf, "bounce_templates");

	return &(s ? s : load(conf))->t[kind];
}

const char *ph_bounce_template_text(const struct ph_conf *conf, struct ph_arena *arena, const struct ph_bounce_template *t)
{
	struct ph_buf b = PH_BUF_INIT(FILE_MAX * 2);
	const char *out;

	for (const char *p = t->body; *p;) {
		bool brace = p[0] == '$' && (p[1] == '{' || p[1] == '(');
		const char *name = p + 1 + brace, *value;
		size_t n = *p == '$' ? strspn(name, NAME_CHARS) : 0;
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
		if (time_value(conf, t, name, n, &number)) {
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
