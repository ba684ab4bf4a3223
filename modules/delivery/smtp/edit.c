/* edit.c: what changes in a message on its way out: smtp_generic_maps, smtp_header_checks and their kin.
 *
 * Owns the service's tables.  A table that fails defers the mail: neither an address nor a line leaves unchecked.  Sources: generic(5), header_checks(5), smtp(8).
 * Yields where tables do. */
#include "smtp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHOWN 60                        /* bytes of a line that a log line shows */

enum { CHECK_HEADER, CHECK_MIME, CHECK_NESTED, CHECK_BODY, CHECK_N };
static const char *const titles[] = {
	SMTP_PREFIX "header_checks", SMTP_PREFIX "mime_header_checks", SMTP_PREFIX "nested_header_checks", SMTP_PREFIX "body_checks",
};

struct smtp_edit_tables {
	struct ph_maps *generic, *check[CHECK_N];       /* NULL: not set */
	bool propagate;                 /* extensions that the table does not know */
	int64_t body_limit;
};

void smtp_edit_start(struct smtp_service *svc)
{
	const struct smtp_settings *set = svc->set;
	const char *texts[] = { set->header_checks, set->mime_checks, set->nested_checks, set->body_checks };
	struct smtp_edit_tables *t = ph_alloc(sizeof(*t));
	bool any = *set->generic_maps;
	char *words, *cursor, *word;
	size_t i;

	if (*set->generic_maps)
		t->generic = ph_maps_open(svc->conf, SMTP_PREFIX "generic_maps", set->generic_maps);
	for (i = 0; i < CHECK_N; i++) {
		if (*texts[i]) {
			t->check[i] = ph_maps_open(svc->conf, titles[i], texts[i]);
			ph_maps_allow_lines(t->check[i]);
		}
		any = any || *texts[i];
	}
	if (!any) {
		free(t);
		return;
	}
	words = cursor = ph_strdup(svc->shared.propagate ? svc->shared.propagate : "");
	while ((word = ph_str_token(&cursor, PH_SEP_LIST)))
		t->propagate = t->propagate || strcasecmp(word, "generic") == 0;
	free(words);
	t->body_limit = svc->shared.body_limit;
	svc->edit = t;
}

void smtp_edit_stop(struct smtp_service *svc)
{
	free(svc->edit);
	svc->edit = NULL;
}

/* ---- generic(5) --------------------------------------------------------------------------- */

/* "@other" keeps the local part, a result without a domain is one of ours, an unknown extension may follow. */
static const char *complete(struct smtp_state *st, const char *address, const char *value, const char *ext)
{
	const char *at = strrchr(address, '@'), *rat;
	int local = at ? (int)(at - address) : (int)strlen(address);
	const char *result = value;

	if (value[0] == '@')
		return ph_arena_printf(st->arena, "%.*s%s", local, address, value);
	rat = strrchr(value, '@');
	if (ext && st->service->edit->propagate) {
		result = rat ? ph_arena_printf(st->arena, "%.*s%s%s", (int)(rat - value), value, ext, rat) : ph_arena_printf(st->arena, "%s%s", value, ext);
		rat = strrchr(result, '@');
	}
	return rat ? result : ph_arena_printf(st->arena, "%s@%s", result, st->service->shared.myorigin);
}

/* FOUND: *ret is the new address. */
static enum ph_lookup generic(struct smtp_state *st, const char *address, const char **ret)
{
	struct ph_maps *maps = st->service->edit->generic;
	const char *value, *ext = NULL;
	enum ph_lookup found;
	struct ph_err err;

	if (address[0] == '\0')
		return PH_LOOKUP_NOTFOUND;
	found = ph_maps_find_address(maps, st->service->conf, address, PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_LOCALPART | PH_ADDR_AT_DOMAIN, NULL, st->arena, &value, &ext, &err);
	if (found == PH_LOOKUP_FOUND)
		*ret = complete(st, address, value, ext);
	else if (found != PH_LOOKUP_NOTFOUND)
		ph_log(PH_LOG_WARNING, "%s: %sgeneric_maps: %s", st->queue_id, SMTP_PREFIX, err.text);
	return found;
}

static int map_envelope(struct smtp_state *st, const char **address)
{
	enum ph_lookup found = generic(st, *address, address);

	return found == PH_LOOKUP_TEMPFAIL || found == PH_LOOKUP_PERMERR ? -1 : 0;
}

int smtp_edit_envelope(struct smtp_state *st)
{
	size_t i;
	int r;

	st->sender = ph_delivery_sender(st->d);
	if (st->service->edit == NULL || st->service->edit->generic == NULL)
		return 0;
	st->rcpt = ph_arena_alloc(st->arena, st->n * sizeof(*st->rcpt));
	r = map_envelope(st, &st->sender);
	for (i = 0; i < st->n && r == 0; i++) {
		st->rcpt[i] = ph_delivery_rcpt(st->d, i)->address;
		r = map_envelope(st, &st->rcpt[i]);
	}
	if (r < 0)
		smtp_why_set(st, "4.3.0", "address mapping problem in " SMTP_PREFIX "generic_maps");
	return r;
}

const char *smtp_rcpt_address(const struct smtp_state *st, size_t i)
{
	return st->rcpt ? st->rcpt[i] : ph_delivery_rcpt(st->d, i)->address;
}

/* ---- lines -------------------------------------------------------------------------------- */

struct smtp_edit {
	struct smtp_state *st;
	void (*put)(void *out, const char *line, size_t n);
	void *out;
	struct ph_buf text;             /* of the line that is being changed */
	struct ph_arena *scratch;
	int64_t body_bytes;
	int err;
};

static const char *map_header_address(void *arg, const char *address)
{
	struct smtp_edit *e = arg;
	const char *to = NULL;
	enum ph_lookup found = generic(e->st, address, &to);

	if (found == PH_LOOKUP_TEMPFAIL || found == PH_LOOKUP_PERMERR)
		e->err = -EAGAIN;
	return found == PH_LOOKUP_FOUND ? to : NULL;
}

static bool is_header(const char *text)
{
	size_t n = strcspn(text, ": \t\n");

	return n && text[n + strspn(text + n, " \t")] == ':';
}

static void log_action(struct smtp_edit *e, int kind, const char *verb, const char *line, size_t n, const char *text)
{
	ph_log(PH_LOG_INFO, "%s: %s: %s %s%s%s", e->st->queue_id, verb, kind == CHECK_BODY ? "body" : "header",
	       ph_str_printable(e->scratch, line, n < SHOWN ? n : SHOWN, true), *text ? ": " : "", text);
}

/* The actions that are left here: the mail is on its way already. */
static void act(struct smtp_edit *e, int kind, const char *line, size_t n, const char *verb, const char *text, struct ph_line_change *c)
{
	bool replace = strcasecmp(verb, "REPLACE") == 0, prepend = strcasecmp(verb, "PREPEND") == 0;

	if ((replace || prepend) && *text == '\0') {
		ph_log(PH_LOG_WARNING, "%s action without text in %s map", replace ? "REPLACE" : "PREPEND", titles[kind]);
	} else if ((replace || prepend) && kind != CHECK_BODY && !is_header(text)) {
		ph_log(PH_LOG_WARNING, "bad %s header text \"%s\" in %s map -- need \"headername: headervalue\"", replace ? "REPLACE" : "PREPEND", text, titles[kind]);
	} else if (replace) {
		log_action(e, kind, "replace", line, n, text);
		c->text = text;
	} else if (prepend) {
		log_action(e, kind, "prepend", line, n, text);
		c->prepend = text;
	} else if (strcasecmp(verb, "IGNORE") == 0) {
		c->drop = true;
	} else if (strcasecmp(verb, "STRIP") == 0) {
		log_action(e, kind, "strip", line, n, text);
		c->drop = true;
	} else if (strcasecmp(verb, "WARN") == 0) {
		log_action(e, kind, "warning", line, n, text);
	} else if (strcasecmp(verb, "INFO") == 0) {
		log_action(e, kind, "info", line, n, text);
	} else if (strcasecmp(verb, "DUNNO") != 0 && strcasecmp(verb, "OK") != 0) {
		ph_log(PH_LOG_WARNING, "unsupported command in %s map: %s%s%s", titles[kind], verb, *text ? " " : "", text);
	}
}

static void check(struct smtp_edit *e, int kind, const char *line, size_t n, struct ph_line_change *c)
{
	struct ph_maps *maps = e->st->service->edit->check[kind];
	char *key, *verb, *s;
	const char *value;
	struct ph_err err;

	if (maps == NULL || e->err)
		return;
	key = ph_arena_strndup(e->scratch, line, n);
	for (s = key; s < key + n; s++) {
		if (*s == '\0')
			*s = ' ';               /* the table sees a C string */
	}
	switch (ph_maps_find(maps, key, false, e->scratch, &value, &err)) {
	case PH_LOOKUP_NOTFOUND:
		return;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		ph_log(PH_LOG_WARNING, "%s: %s: %s", e->st->queue_id, titles[kind], err.text);
		e->err = -EAGAIN;
		return;
	case PH_LOOKUP_FOUND:
		break;
	}
	verb = ph_arena_strdup(e->scratch, value);
	s = verb + strcspn(verb, " \t\n");
	if (*s)
		*s++ = '\0';
	act(e, kind, line, n, verb, s + strspn(s, " \t\n"), c);
}

static void on_header(void *arg, enum ph_header_kind kind, const char *line, size_t n, struct ph_line_change *c)
{
	struct smtp_edit *e = arg;
	const char *now = line;

	ph_arena_reset(e->scratch);
	check(e, kind == PH_HEADER_PRIMARY ? CHECK_HEADER : kind == PH_HEADER_MIME ? CHECK_MIME : CHECK_NESTED, line, n, c);
	if (e->err || c->drop || kind != PH_HEADER_PRIMARY || e->st->service->edit->generic == NULL)
		return;
	if (c->text) {
		now = c->text;
		n = strlen(now);
	}
	ph_buf_clear(&e->text);
	if (ph_header_map_addresses(now, n, e->scratch, map_header_address, e, &e->text) > 0)
		c->text = ph_buf_str(&e->text);
}

static void on_body(void *arg, const char *line, size_t n, struct ph_line_change *c)
{
	struct smtp_edit *e = arg;
	int64_t limit = e->st->service->edit->body_limit;

	if (e->st->service->edit->check[CHECK_BODY] == NULL || e->body_bytes >= limit)
		return;
	e->body_bytes += (int64_t)n + 1;
	ph_arena_reset(e->scratch);
	check(e, CHECK_BODY, line, n, c);
}

static void put_line(void *arg, const char *line, size_t n)
{
	struct smtp_edit *e = arg;

	if (e->err == 0)
		e->put(e->out, line, n);
}

static const struct ph_mime_edit edits = { .header = on_header, .body = on_body };

struct ph_mime_downgrade *smtp_edit_content(struct smtp_state *st, bool downgrade, void (*put)(void *out, const char *line, size_t n), void *out, struct smtp_edit **ret)
{
	struct smtp_edit *e = ph_arena_alloc(st->arena, sizeof(*e));
	struct ph_mime_downgrade *m;

	if (st->service->edit == NULL)
		return downgrade ? ph_mime_downgrade_new(put, out) : NULL;
	e->st = st;
	e->put = put;
	e->out = out;
	e->scratch = ph_arena_new();
	ph_buf_init(&e->text, 1024 * 1024);
	m = ph_mime_downgrade_new(put_line, e);
	ph_mime_downgrade_edit(m, &edits, downgrade);
	*ret = e;
	return m;
}

int smtp_edit_end(struct smtp_edit *e)
{
	if (e == NULL)
		return 0;
	ph_buf_done(&e->text);
	ph_arena_free(&e->scratch);
	return e->err;
}
