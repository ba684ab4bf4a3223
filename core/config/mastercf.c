/* mastercf.c: the services of master.cf.
 *
 * Eight columns and the command's words; "{ ... }" is one word; "-o name=value" and "-o { name = value }" become the
 * service's own settings, in front of main.cf's.  Options end at the first word without a dash.  Pure; no yield.
 * Source: master(5). */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "config/private.h"

static const char space[] = " \t\r\n\v\f";

static const struct { const char *name; enum ph_service_type type; } types[] = {
	{ "inet", PH_SVC_INET }, { "unix", PH_SVC_UNIX }, { "fifo", PH_SVC_FIFO }, { "pass", PH_SVC_PASS },
	{ "unix-dgram", PH_SVC_UNIX_DGRAM },
};

const char *ph_service_type_name(enum ph_service_type type)
{
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(types); i++) {
		if (types[i].type == type)
			return types[i].name;
	}
	return "?";
}

/* The line that is being read. */
struct entry {
	struct ph_config *c;
	const char *file;
	int line;
	struct ph_service *s;
	struct ph_conf *conf;
	size_t *n_words;
	struct ph_err *err;
};

static int bad(const struct entry *e, const char *column, const char *text, const char *expected)
{
	return ph_err_set(e->err, -EINVAL, "%s, line %d: bad %s field \"%.60s\": %s", e->file, e->line, column, text, expected);
}

static int parse_type(const struct entry *e, const char *text)
{
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(types); i++) {
		if (strcmp(types[i].name, text) == 0) {
			e->s->type = types[i].type;
			return 0;
		}
	}
	return bad(e, "type", text, "expected inet, unix, fifo, pass or unix-dgram");
}

static int parse_flag(const struct entry *e, const char *column, const char *text, bool def, bool *ret)
{
	if (strcmp(text, "-") == 0)
		*ret = def;
	else if (strcmp(text, "y") == 0 || strcmp(text, "n") == 0)
		*ret = text[0] == 'y';
	else
		return bad(e, column, text, "expected y, n or -");
	return 0;
}

static int parse_wakeup(const struct entry *e, const char *text)
{
	char digits[16];
	size_t n = strlen(text);
	int64_t v = 0;

	if (strcmp(text, "-") == 0)
		return 0;
	e->s->wakeup_if_used = n > 0 && text[n - 1] == '?';
	if (e->s->wakeup_if_used)
		n--;
	if (n == 0 || n >= sizeof(digits))
		return bad(e, "wakeup", text, "expected a number of seconds, with or without '?'");
	memcpy(digits, text, n);
	digits[n] = '\0';
	if (ph_str_int64(digits, 0, INT_MAX, &v) < 0)
		return bad(e, "wakeup", text, "expected a number of seconds, with or without '?'");
	e->s->wakeup_s = (int)v;
	return 0;
}

/* Commands that start a process for each delivery keep Postfix's limit unless somebody asks for more. */
static bool starts_processes(const char *command)
{
	static const char *const list[] = { "local", "pipe", "spawn", "virtual" };
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(list); i++) {
		if (strcmp(list[i], command) == 0)
			return true;
	}
	return false;
}

static int parse_maxproc(const struct entry *e, const char *text)
{
	const char *def;
	int64_t v = 0;

	if (strcmp(text, "-") != 0) {
		if (ph_str_int64(text, 0, INT_MAX, &v) < 0)
			return bad(e, "process_limit", text, "expected a number, 0 for no limit, or -");
	} else {
		int rc = ph_conf_value(e->c->main_view, "default_process_limit", &def, e->err);

		if (rc < 0)
			return rc;
		if (ph_str_int64(def, 1, INT_MAX, &v) < 0)
			return ph_err_set(e->err, -EINVAL, "%s: bad numerical configuration: default_process_limit = %s",
					  ph_setting_where(e->c->main_view, "default_process_limit", e->c->arena), def);
		if (starts_processes(e->s->command) && !ph_conf_setting(e->c->main_view, "default_process_limit"))
			v = 100;
	}
	e->s->maxproc = (int)v;
	return 0;
}

/* ---- the command's words ---- */

/* The next word of *cursor.  ret_braced: it was "{ text }", and is now "text". */
static int next_word(const struct entry *e, char **cursor, char **ret, bool *ret_braced)
{
	char *p = *cursor + strspn(*cursor, space), *end;
	int depth = 0;

	*ret = NULL;
	*ret_braced = *p == '{';
	if (*p == '\0')
		return 0;
	if (!*ret_braced) {
		/* blanks between braces are part of the word: "-o x=inline:{a=b, c=d}" */
		for (end = p; *end && (depth > 0 || !strchr(space, *end)); end++)
			depth += *end == '{' ? 1 : *end == '}' && depth > 0 ? -1 : 0;
		*cursor = *end ? end + 1 : end;
		*end = '\0';
		*ret = p;
		return 1;
	}
	for (end = p; *end; end++) {
		depth += (*end == '{') - (*end == '}');
		if (depth == 0)
			break;
	}
	if (*end == '\0')
		return ph_err_set(e->err, -EINVAL, "%s, line %d: '{' without its '}' in \"%.80s\"", e->file, e->line, p);
	*cursor = end + 1;
	if (**cursor && !strchr(space, **cursor))
		return ph_err_set(e->err, -EINVAL, "%s, line %d: there must be white space behind '}' in \"%.80s\"", e->file, e->line, p);
	for (*end = '\0'; end > p + 1 && strchr(space, end[-1]); )
		*--end = '\0';
	*ret = p + 1 + strspn(p + 1, space);
	return 1;
}

static void keep_word(const struct entry *e, const char *word)
{
	e->s->words[(*e->n_words)++] = ph_arena_strdup(e->c->arena, word);
}

static int override(const struct entry *e, char *text)
{
	struct ph_setting *set;
	const struct ph_setting *old;
	const char *wrong;
	char *name, *value;

	wrong = ph_setting_split(text, &name, &value);
	if (wrong)
		return ph_err_set(e->err, -EINVAL, "%s, line %d: -o: %s: \"%.80s\"", e->file, e->line, wrong, text);
	if (name[strcspn(name, space)] != '\0')
		return ph_err_set(e->err, -EINVAL, "%s, line %d: -o: bad parameter name \"%.80s\"", e->file, e->line, name);
	set = ph_arena_alloc(e->c->arena, sizeof(*set));
	set->name = ph_arena_strdup(e->c->arena, name);
	set->value = ph_arena_strdup(e->c->arena, value);
	set->file = e->file;
	set->line = e->line;
	set->origin = ph_arena_printf(e->c->arena, "%s:%d", e->file, e->line);
	keep_word(e, "-o");
	keep_word(e, ph_arena_printf(e->c->arena, "%s=%s", name, value));
	set->service = ph_arena_printf(e->c->arena, "%s/%s", e->s->name, ph_service_type_name(e->s->type));
	old = ph_settings_set(&e->conf->overrides, e->c->arena, set);
	if (old)
		ph_config_note(e->c, e->file, e->line, "service %s: -o %s is given twice; the last one counts", set->service, name);
	return 0;
}

/* -o, -v and -D; the word is text.  1: it was an option, 0: options end here. */
static int option(const struct entry *e, char *text, char **cursor)
{
	bool braced;
	char *word;
	int rc;

	if (text[0] != '-' || text[1] == '\0')
		return 0;
	if (text[1] == 'o') {
		word = text + 2;
		if (*word == '\0') {
			rc = next_word(e, cursor, &word, &braced);
			if (rc < 0)
				return rc;
			if (rc == 0)
				return ph_err_set(e->err, -EINVAL, "%s, line %d: -o needs \"name=value\" behind it", e->file, e->line);
		}
		rc = override(e, word);
		return rc < 0 ? rc : 1;
	}
	if (strspn(text + 1, "vD") != strlen(text + 1))
		return ph_err_set(e->err, -EINVAL, "%s, line %d: unknown option \"%.40s\"; known are -o name=value, -v and -D",
				  e->file, e->line, text);
	keep_word(e, text);
	for (word = text + 1; *word; word++)
		e->s->verbose += *word == 'v';
	return 1;
}

static int parse_words(struct entry *e, char *text)
{
	struct ph_service *s = e->s;
	bool options = true, braced;
	size_t cap = 3 + strlen(text), n_words = 0;    /* "-oa=b" is two words */
	char *word;
	int rc;

	e->n_words = &n_words;
	s->words = ph_arena_alloc(e->c->arena, cap * sizeof(*s->words));
	s->argv = ph_arena_alloc(e->c->arena, cap * sizeof(*s->argv));
	e->conf->words = s->argv;
	while ((rc = next_word(e, &text, &word, &braced)) > 0) {
		if (options) {
			rc = braced ? 0 : option(e, word, &text);
			if (rc < 0)
				return rc;
			if (rc > 0)
				continue;
			options = false;
		}
		keep_word(e, word);
		s->argv[s->argc++] = ph_arena_strdup(e->c->arena, word);
	}
	return rc;
}

/* ---- a line ---- */

/* chroot's default changed with compatibility level 1. */
static bool default_chroot(const struct ph_conf *conf)
{
	return ph_conf_compatibility(conf) < 1000;
}

static int parse_columns(struct entry *e, char *text)
{
	static const char *const columns[] = { "service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit" };
	struct ph_service *s = e->s;
	char *field[8], *end;
	int i, rc;

	for (i = 0; i < 8; i++) {
		text += strspn(text, space);
		if (*text == '\0')
			return ph_err_set(e->err, -EINVAL, "%s, line %d: bad field count: %d instead of at least 8 (service type private "
					  "unpriv chroot wakeup maxproc command)", e->file, e->line, i);
		field[i] = text;
		end = text + strcspn(text, space);
		text = *end ? end + 1 : end;
		*end = '\0';
		s->raw_fields[i] = ph_arena_strdup(e->c->arena, field[i]);
	}
	s->name = s->raw_fields[0];
	s->command = strrchr(field[7], '/') ? ph_arena_strdup(e->c->arena, strrchr(field[7], '/') + 1) : s->raw_fields[7];
	e->conf = ph_conf_new(e->c, NULL, s->name, s->command);
	s->conf = e->conf;
	if ((rc = parse_type(e, field[1])) < 0 ||
	    (rc = parse_flag(e, columns[2], field[2], true, &s->is_private)) < 0 ||
	    (rc = parse_flag(e, columns[3], field[3], true, &s->unpriv)) < 0 ||
	    (rc = parse_flag(e, columns[4], field[4], default_chroot(e->c->main_view), &s->chroot)) < 0 ||
	    (rc = parse_wakeup(e, field[5])) < 0 ||
	    (rc = parse_maxproc(e, field[6])) < 0)
		return rc;
	if (s->type == PH_SVC_INET)
		s->is_private = false;          /* a network socket cannot be, whatever the column says */
	return parse_words(e, text);
}

static void add_service(struct ph_config *c, const struct ph_service *s, size_t *cap)
{
	struct ph_service *bigger, *old;
	size_t i;

	for (i = 0; i < c->n_services && !(c->flags & PH_CONFIG_KEEP_ALL); i++) {
		old = &c->services[i];
		if (old->type == s->type && strcmp(old->name, s->name) == 0) {
			ph_config_note(c, s->file, s->line, "duplicate master.cf entry for service %s/%s; the one of line %d has no effect",
				       s->name, ph_service_type_name(s->type), old->line);
			*old = *s;
			return;
		}
	}
	if (c->n_services == *cap) {
		*cap = *cap ? *cap * 2 : 32;
		bigger = ph_arena_alloc(c->arena, *cap * sizeof(*bigger));
		if (c->n_services)
			memcpy(bigger, c->services, c->n_services * sizeof(*bigger));
		c->services = bigger;
	}
	c->services[c->n_services++] = *s;
}

int ph_mastercf_parse(struct ph_config *c, const char *file, const char *text, size_t n, struct ph_err *err)
{
	struct ph_lines l;
	struct ph_service s;
	struct entry e = { .c = c, .file = file, .s = &s, .err = err };
	size_t cap = 0;
	char *line;
	int rc, at = 0;

	ph_lines_init(&l, file, text, n);
	while ((rc = ph_lines_next(&l, &line, &at, err)) > 0) {
		memset(&s, 0, sizeof(s));
		s.file = file;
		s.line = e.line = at;
		rc = parse_columns(&e, line);
		if (rc < 0)
			break;
		if (c->n_services == PH_MAX_SERVICES) {
			rc = ph_err_set(err, -E2BIG, "%s, line %d: more than %d services", file, at, PH_MAX_SERVICES);
			break;
		}
		add_service(c, &s, &cap);
	}
	ph_lines_done(&l);
	return rc;
}
