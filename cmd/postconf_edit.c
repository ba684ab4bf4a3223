/* postconf_edit.c: change main.cf and master.cf in place, comments and order kept.  Source: postconf(1). */
#include "cmd/postconf.h"
#include "cmd/postconf_file.h"

#include <errno.h>
#include <string.h>

static bool is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

enum line { LINE_COMMENT, LINE_START, LINE_MORE };

/* The next physical line, with a newline at its end even where the file has none.  false at the end. */
static bool next_line(const char **p, struct ph_buf *line, enum line *ret)
{
	const char *end = strchrnul(*p, '\n'), *first = *p;

	if (**p == '\0')
		return false;
	while (first < end && is_space((unsigned char)*first))
		first++;
	*ret = first == end || *first == '#' ? LINE_COMMENT : first > *p ? LINE_MORE : LINE_START;
	ph_buf_clear(line);
	ph_buf_append(line, *p, (size_t)(end - *p));
	ph_buf_putc(line, '\n');
	*p = *end ? end + 1 : end;
	return true;
}

static void refuse_odd(const char *arg)
{
	if (strpbrk(arg, "\r\n"))
		pc_fatal("-e, -X, or -# accepts no multi-line input");
	if (arg[strspn(arg, " \t")] == '#')
		pc_fatal("-e, -X, or -# accepts no comment input");
}

/* ---- main.cf ---- */

struct change {
	char *name, *value;
	int seen;
};

static struct change *parse_changes(struct pc *pc, enum pc_edit edit, char **args, int n)
{
	struct change *all = ph_arena_alloc(pc->arena, (size_t)n * sizeof(*all));
	int i;

	for (i = 0; i < n; i++) {
		refuse_odd(args[i]);
		all[i].name = ph_arena_strdup(pc->arena, args[i]);
		if (edit == PC_CHANGE)
			pc_split(pc, all[i].name, &all[i].name, &all[i].value);
		else if (strchr(args[i], '='))
			pc_fatal("specify one of -e -%c", edit == PC_REMOVE ? 'X' : '#');
		for (int k = 0; k < i && edit == PC_CHANGE; k++)
			if (strcmp(all[k].name, all[i].name) == 0)
				ph_log(PH_LOG_WARNING, "ignoring earlier request: '%s = %s'", all[k].name, all[k].value);
	}
	return all;
}

static struct change *find_change(struct change *all, int n, const char *line)
{
	size_t len = strcspn(line, " \t\r\n=");
	struct change *found = NULL;
	int i;

	for (i = 0; i < n; i++) {
		if (strncmp(all[i].name, line, len) == 0 && all[i].name[len] == '\0')
			found = &all[i];        /* of two changes the last one counts */
	}
	return found;
}

static void put_change(struct ph_buf *out, const struct change *c)
{
	if (ph_buf_printf(out, "%s = %s\n", c->name, c->value) < 0)
		pc_fatal("the file would become too large");
}

void pc_edit_params(struct pc *pc, enum pc_edit edit, char **args, int n)
{
	struct change *all = parse_changes(pc, edit, args, n), *current = NULL;
	struct pc_file f;
	struct ph_buf line, out;
	const char *p;
	enum line kind;
	int i;

	pc_file_open(&f, pc->dir, "main.cf");
	ph_buf_init(&line, PH_MAX_CONFIG_BYTES);
	ph_buf_init(&out, 2 * PH_MAX_CONFIG_BYTES);
	for (p = ph_buf_str(&f.text); next_line(&p, &line, &kind); ) {
		if (kind == LINE_START) {
			current = find_change(all, n, line.data);
			if (current && current->seen++ == 1)
				ph_log(PH_LOG_WARNING, "%s: multiple entries for \"%s\"", f.path, current->name);
			if (current && edit == PC_CHANGE)
				put_change(&out, current);
		}
		if (kind != LINE_COMMENT && current && edit != PC_COMMENT)
			continue;
		if (kind != LINE_COMMENT && current)
			ph_buf_putc(&out, '#');
		ph_buf_append(&out, line.data, line.len);
	}
	for (i = 0; i < n && edit == PC_CHANGE; i++) {
		if (all[i].seen == 0 && find_change(all, n, all[i].name) == &all[i])
			put_change(&out, &all[i]);
	}
	pc_file_replace(&f, &out);
	ph_buf_done(&line);
	ph_buf_done(&out);
}

/* ---- master.cf: an entry with the comments inside of it ---- */

/* What an editor wants with an entry: keep, comment out, drop, or (PC_CHANGE) the text in *text instead. */
typedef enum pc_edit decide_fn(void *arg, const struct ph_service *s, struct ph_buf *text);

struct entry {
	int line;
	struct ph_buf as_is, commented, comments, logical, pending;
};

static void entry_clear(struct entry *e)
{
	ph_buf_clear(&e->as_is);
	ph_buf_clear(&e->commented);
	ph_buf_clear(&e->comments);
	ph_buf_clear(&e->logical);
}

static void entry_add(struct entry *e, const struct ph_buf *line)
{
	/* Comments between a line and its continuation belong to the entry; those behind it do not. */
	ph_buf_append(&e->as_is, ph_buf_str(&e->pending), e->pending.len);
	ph_buf_append(&e->commented, ph_buf_str(&e->pending), e->pending.len);
	ph_buf_append(&e->comments, ph_buf_str(&e->pending), e->pending.len);
	ph_buf_clear(&e->pending);
	ph_buf_append(&e->as_is, line->data, line->len);
	ph_buf_printf(&e->commented, "#%s", line->data);
	ph_buf_append(&e->logical, line->data, line->len);
}

/* The one service in text.  Lives as long as *ret_config. */
static const struct ph_service *parse_service(struct pc *pc, const char *file, int line, const char *text, struct ph_config **ret_config)
{
	struct ph_config *c = ph_config_empty(pc->dir, PH_CONFIG_QUIET | PH_CONFIG_NO_VERIFY | PH_CONFIG_KEEP_ALL);
	struct ph_err err;
	struct ph_buf padded;
	size_t n;
	int i;

	ph_buf_init(&padded, PH_MAX_CONFIG_BYTES);
	for (i = 1; i < line; i++)
		ph_buf_putc(&padded, '\n');     /* so that messages name the right line */
	ph_buf_puts(&padded, text);
	if (ph_mastercf_parse(c, file, ph_buf_str(&padded), padded.len, &err) < 0)
		pc_fatal("%s", err.text);
	ph_buf_done(&padded);
	ph_config_services(c, &n);
	if (n != 1)
		pc_fatal("bad service entry: \"%s\"", text);
	*ret_config = c;
	return ph_config_services(c, &n);
}

static void finish_entry(struct pc *pc, const struct pc_file *f, struct entry *e, decide_fn *decide, void *arg, struct ph_buf *out)
{
	struct ph_config *c;
	struct ph_buf text;
	const struct ph_buf *show = &e->as_is;

	if (e->logical.len > 0) {
		ph_buf_init(&text, PH_MAX_CONFIG_BYTES);
		switch (decide(arg, parse_service(pc, f->path, e->line, e->logical.data, &c), &text)) {
		case PC_READ: break;
		case PC_COMMENT: show = &e->commented; break;
		case PC_CHANGE:
		case PC_REMOVE: show = &e->comments; break;
		}
		ph_buf_append(out, ph_buf_str(show), show->len);
		ph_buf_append(out, ph_buf_str(&text), text.len);
		ph_buf_done(&text);
		ph_config_free(&c);
	}
	ph_buf_append(out, ph_buf_str(&e->pending), e->pending.len);
	ph_buf_clear(&e->pending);
	entry_clear(e);
}

/* Rewrite master.cf entry by entry; what append puts behind the last one is kept, too. */
static void edit_master(struct pc *pc, decide_fn *decide, void (*append)(void *arg, struct ph_buf *out), void *arg)
{
	struct entry e = { 0 };
	struct pc_file f;
	struct ph_buf line, out;
	const char *p;
	enum line kind;
	int at = 0;

	pc_file_open(&f, pc->dir, "master.cf");
	ph_buf_init(&line, PH_MAX_CONFIG_BYTES);
	ph_buf_init(&out, 2 * PH_MAX_CONFIG_BYTES);
	ph_buf_init(&e.as_is, PH_MAX_CONFIG_BYTES);
	e.commented = e.comments = e.logical = e.pending = e.as_is;
	for (p = ph_buf_str(&f.text); next_line(&p, &line, &kind); ) {
		at++;
		if (kind == LINE_START) {
			finish_entry(pc, &f, &e, decide, arg, &out);
			e.line = at;
		}
		if (kind == LINE_COMMENT)
			ph_buf_append(&e.pending, line.data, line.len);
		else
			entry_add(&e, &line);
	}
	finish_entry(pc, &f, &e, decide, arg, &out);
	if (append)
		append(arg, &out);
	pc_file_replace(&f, &out);
	ph_buf_done(&e.as_is);
	ph_buf_done(&e.commented);
	ph_buf_done(&e.comments);
	ph_buf_done(&e.logical);
	ph_buf_done(&e.pending);
	ph_buf_done(&line);
	ph_buf_done(&out);
}

/* ---- the three kinds of master.cf edits ---- */

struct edits {
	struct pc *pc;
	enum pc_edit edit;
	struct pc_request *list;
	char **values;                  /* behind "=", or NULL */
	int n;
};

static struct edits parse_edits(struct pc *pc, enum pc_edit edit, char **args, int n, int parts, const char *option, const char *needs)
{
	struct edits e = { pc, edit, ph_arena_alloc(pc->arena, (size_t)n * sizeof(*e.list)),
			   ph_arena_alloc(pc->arena, (size_t)n * sizeof(*e.values)), n };
	char *name;
	int i, slashes;
	const char *p;

	for (i = 0; i < n; i++) {
		refuse_odd(args[i]);
		name = ph_arena_strdup(pc->arena, args[i]);
		if (edit == PC_CHANGE)
			pc_split(pc, name, &name, &e.values[i]);
		for (slashes = 0, p = name; *p; p++)
			slashes += *p == '/';
		if (slashes != parts - 1)
			pc_fatal("%s", needs);
		pc_parse_request(pc, name, parts, option, &e.list[i]);
		e.list[i].text = args[i];
	}
	return e;
}

static void warn_unmatched(const struct edits *e)
{
	int i;

	for (i = 0; i < e->n; i++) {
		if (!e->list[i].matched)
			ph_log(PH_LOG_WARNING, "unmatched service_name/type: \"%s\"", e->list[i].text);
	}
}

/* line is checked by parsing it, and comes out in the form of postconf -Mf. */
static void put_service(struct pc *pc, const char *line, struct ph_buf *out)
{
	struct ph_config *c;
	const struct ph_service *s = parse_service(pc, "master.cf", 1, line, &c);

	pc_format_service(PC_FOLD, s, out);
	ph_buf_putc(out, '\n');
	ph_config_free(&c);
}

static enum pc_edit decide_service(void *arg, const struct ph_service *s, struct ph_buf *text)
{
	struct edits *e = arg;
	enum pc_edit what = PC_READ;
	int i;

	for (i = 0; i < e->n; i++) {
		bool again = e->list[i].matched;

		if (!pc_request_fits(&e->list[i], s))
			continue;
		e->list[i].matched = true;
		what = e->edit == PC_CHANGE && again ? PC_REMOVE : e->edit;     /* "*" of a name stands for several, and one takes their place */
		ph_buf_clear(text);
		if (what == PC_CHANGE)
			put_service(e->pc, e->values[i], text);
	}
	return what;
}

static void append_services(void *arg, struct ph_buf *out)
{
	struct edits *e = arg;
	int i;

	for (i = 0; i < e->n && e->edit == PC_CHANGE; i++) {
		if (!e->list[i].matched)
			put_service(e->pc, e->values[i], out);
	}
}

void pc_edit_services(struct pc *pc, enum pc_edit edit, char **args, int n)
{
	struct edits e = parse_edits(pc, edit, args, n, 2, "M", "-Me, -MX or -M# requires service_name/type");

	edit_master(pc, decide_service, append_services, &e);
}

static enum pc_edit decide_field(void *arg, const struct ph_service *s, struct ph_buf *text)
{
	struct edits *e = arg;
	struct ph_service copy = *s;
	char *none[] = { NULL };
	bool changed = false;
	struct ph_buf line;
	int i, field;

	for (i = 0; i < e->n; i++) {
		if (!pc_request_fits(&e->list[i], s))
			continue;
		for (field = 0; strcmp(pc_fields[field], e->list[i].third) != 0; field++)
			;
		copy.raw_fields[field] = e->values[i];
		if (field == PC_N_FIELDS - 1)
			copy.words = none;      /* the value holds the arguments, too */
		e->list[i].matched = changed = true;
	}
	if (!changed)
		return PC_READ;
	ph_buf_init(&line, PH_MAX_CONFIG_BYTES);
	pc_format_service(0, &copy, &line);
	put_service(e->pc, ph_buf_str(&line), text);
	ph_buf_done(&line);
	return PC_CHANGE;
}

void pc_edit_fields(struct pc *pc, char **args, int n)
{
	struct edits e = parse_edits(pc, PC_CHANGE, args, n, 3, "F", "-Fe or -FX requires service_name/type/field_name");
	int i, field;

	for (i = 0; i < n; i++) {
		for (field = 0; field < PC_N_FIELDS && strcmp(pc_fields[field], e.list[i].third) != 0; field++)
			;
		if (field == PC_N_FIELDS)
			pc_fatal("invalid service attribute name: \"%s\"", e.list[i].third);
		if (field < PC_N_FIELDS - 1 && strpbrk(e.values[i], " \t"))
			pc_fatal("-Fe does not accept whitespace in non-command field");
		if (field < PC_N_FIELDS - 1 && e.values[i][0] == '\0')
			pc_fatal("invalid %s field \"%s\"", pc_fields[field], e.values[i]);
	}
	edit_master(pc, decide_field, NULL, &e);
	warn_unmatched(&e);
}

/* The service's words with one parameter set (value) or left out (NULL). */
static char **change_words(struct pc *pc, char **words, const char *name, const char *value)
{
	size_t n = 0, k, len = strlen(name);
	char **out, *pair;
	bool options = true;

	while (words[n])
		n++;
	out = ph_arena_alloc(pc->arena, (n + 3) * sizeof(*out));
	pair = value ? ph_arena_printf(pc->arena, "%s=%s", name, value) : NULL;
	for (k = 0, n = 0; words[k]; k++) {
		if (options && strcmp(words[k], "-o") == 0 && words[k + 1]) {
			k++;
			if (strncmp(words[k], name, len) == 0 && words[k][len] == '=') {
				if (pair == NULL)
					continue;
				words[k] = pair;
				pair = NULL;
				value = NULL;
			}
			out[n++] = (char *)(uintptr_t)"-o";
			out[n++] = words[k];
			continue;
		}
		if (options && words[k][0] != '-') {
			options = false;
			if (pair) {
				out[n++] = (char *)(uintptr_t)"-o";
				out[n++] = pair;
				pair = NULL;
			}
		}
		out[n++] = words[k];
	}
	if (pair) {
		out[n++] = (char *)(uintptr_t)"-o";
		out[n++] = pair;
	}
	return out;
}

static enum pc_edit decide_override(void *arg, const struct ph_service *s, struct ph_buf *text)
{
	struct edits *e = arg;
	struct ph_service copy = *s;
	bool changed = false;
	struct ph_buf line;
	int i;

	for (i = 0; i < e->n; i++) {
		if (!pc_request_fits(&e->list[i], s))
			continue;
		copy.words = change_words(e->pc, copy.words, e->list[i].third, e->edit == PC_CHANGE ? e->values[i] : NULL);
		e->list[i].matched = changed = true;
	}
	if (!changed)
		return PC_READ;
	ph_buf_init(&line, PH_MAX_CONFIG_BYTES);
	pc_format_service(0, &copy, &line);
	put_service(e->pc, ph_buf_str(&line), text);
	ph_buf_done(&line);
	return PC_CHANGE;
}

void pc_edit_overrides(struct pc *pc, enum pc_edit edit, char **args, int n)
{
	struct edits e = parse_edits(pc, edit, args, n, 3, "P", "-Pe or -PX requires service_name/type/parameter");

	edit_master(pc, decide_override, NULL, &e);
	warn_unmatched(&e);
}
