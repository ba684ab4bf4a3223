/* postconf_master.c: the services of master.cf: whole entries (-M), fields (-F) and parameters (-P). */
#include "cmd/postconf.h"

#include <stdlib.h>
#include <string.h>

const char *const pc_fields[PC_N_FIELDS] = {
	"service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command",
};

/* ---- requests: "service/type/third" ---- */

void pc_parse_request(struct pc *pc, const char *text, int max, const char *option, struct pc_request *ret)
{
	char *copy = ph_arena_strdup(pc->arena, text), *part[4] = { NULL }, *cursor = copy;
	int n = 0;

	while (cursor && n < 4)
		part[n++] = strsep(&cursor, "/");
	if (cursor || n > max || *part[0] == '\0' || (n > 1 && *part[1] == '\0') || (n > 2 && *part[2] == '\0'))
		pc_fatal("-%s option requires service_name[/type%s]", option, max == 2 ? "" : *option == 'F' ? "[/field]" : "[/parameter]");
	ret->text = text;
	ret->service = part[0];
	ret->type = n > 1 ? part[1] : "*";
	ret->third = n > 2 ? part[2] : "*";
	ret->matched = false;
}

static bool fits(const char *pattern, const char *text)
{
	return strcmp(pattern, "*") == 0 || strcmp(pattern, text) == 0;
}

bool pc_request_fits(struct pc_request *r, const struct ph_service *s)
{
	return fits(r->service, s->raw_fields[0]) && fits(r->type, s->raw_fields[1]);
}

struct requests {
	struct pc_request *list;
	int n;
};

static struct requests parse_all(struct pc *pc, char **args, int n, int max, const char *option)
{
	static char *everything[] = { (char *)(uintptr_t)"*" };
	struct requests r;
	int i;

	if (n == 0) {
		args = everything;
		n = 1;
	}
	r.n = n;
	r.list = ph_alloc((size_t)n * sizeof(*r.list));
	for (i = 0; i < n; i++)
		pc_parse_request(pc, args[i], max, option, &r.list[i]);
	return r;
}

static void finish(struct requests *r)
{
	int i;

	for (i = 0; i < r->n; i++) {
		if (!r->list[i].matched && strcmp(r->list[i].text, "*") != 0)
			ph_log(PH_LOG_WARNING, "unmatched request: \"%s\"", r->list[i].text);
	}
	free(r->list);
}

/* ---- -M ---- */

/* What belongs together on one line: "-o name=value", or one word.  Braces where white space would split it. */
static const char *const *format_unit(const char *const *words, char *unit, size_t size)
{
	const char *word = words[0];
	int n = 0;

	if (strcmp(word, "-o") == 0 && words[1]) {
		n = snprintf(unit, size, "-o ");
		word = *++words;
	}
	if (word[strcspn(word, " \t\r\n")] || *word == '\0')
		snprintf(unit + n, size - (size_t)n, "{%s}", word);
	else
		snprintf(unit + n, size - (size_t)n, "%s", word);
	return words + 1;
}

static size_t line_length(const struct ph_buf *b)
{
	const char *newline = b->len ? memrchr(b->data, '\n', b->len) : NULL;

	return newline ? (size_t)(b->data + b->len - newline - 1) : b->len;
}

/* Each -o on a line of its own; other words share lines of 80 columns. */
static void format_words(unsigned show, const struct ph_service *s, struct ph_buf *ret)
{
	const char *const *words = (const char *const *)s->words;
	bool options = true, own_line = false, was_own = false, jump;
	size_t size = 0;
	char *unit;

	for (; *words; words++)
		size = strlen(*words) + 8 > size ? strlen(*words) + 8 : size;
	unit = ph_alloc(size + 8);
	for (words = (const char *const *)s->words; *words; was_own = own_line) {
		if (**words != '-' || strcmp(*words, "--") == 0)
			options = false;
		own_line = options && strcmp(*words, "-o") == 0;
		if (options || strcmp(*words, "-o") != 0) {
			words = format_unit(words, unit, size + 8);
		} else {
			snprintf(unit, size, "%s", *words);
			words++;
		}
		jump = own_line || was_own || line_length(ret) + 1 + strlen(unit) > 80;
		ph_buf_printf(ret, "%s%s", (show & PC_FOLD) && jump ? "\n    " : " ", unit);
	}
	free(unit);
}

void pc_format_service(unsigned show, const struct ph_service *s, struct ph_buf *ret)
{
	static const size_t columns[PC_N_FIELDS] = { 0, 11, 17, 25, 33, 41, 49, 57 };
	size_t start = ret->len;
	int i;

	for (i = 0; i < PC_N_FIELDS; i++) {
		if (i > 0)
			ph_buf_putc(ret, ' ');
		while (ret->len - start < columns[i])
			ph_buf_putc(ret, ' ');
		ph_buf_puts(ret, s->raw_fields[i]);
	}
	format_words(show, s, ret);
}

/* A copy whose -o values are expanded (-x). */
static const struct ph_service *expanded(struct pc *pc, const struct ph_service *s)
{
	struct ph_service *copy = ph_arena_alloc(pc->arena, sizeof(*copy));
	const struct ph_setting *set;
	size_t n = 0, i;

	while (s->words[n])
		n++;
	*copy = *s;
	copy->words = ph_arena_alloc(pc->arena, (n + 1) * sizeof(*copy->words));
	memcpy(copy->words, s->words, n * sizeof(*copy->words));
	for (i = 0; i + 1 < n && copy->words[i][0] == '-'; i++) {
		if (strcmp(copy->words[i], "-o") != 0)
			continue;
		i++;
		for (set = s->conf->overrides.first; set; set = set->next) {
			size_t len = strlen(set->name);

			if (strncmp(copy->words[i], set->name, len) == 0 && copy->words[i][len] == '=' && !ph_param_is_raw(set->name))
				copy->words[i] = ph_arena_printf(pc->arena, "%s=%s", set->name,
								 pc_expand(pc, s->conf, pc->c->master_file, copy->words[i] + len + 1));
		}
	}
	return copy;
}

void pc_show_services(struct pc *pc, char **requests, int n)
{
	struct requests r = parse_all(pc, requests, n, 2, "M");
	const struct ph_service *s;
	struct ph_buf line;
	size_t i;
	int k;

	ph_buf_init(&line, 4 << 20);
	for (i = 0; i < pc->c->n_services; i++) {
		s = &pc->c->services[i];
		for (k = 0; k < r.n; k++) {
			if (!pc_request_fits(&r.list[k], s))
				continue;
			r.list[k].matched = true;
			ph_buf_clear(&line);
			pc_format_service(pc->show, pc->show & PC_EXPAND ? expanded(pc, s) : s, &line);
			if (pc->show & PC_JSON)
				pc_print(pc, ph_arena_printf(pc->arena, "%s/%s", s->raw_fields[0], s->raw_fields[1]), ph_buf_str(&line));
			else
				printf("%s\n", ph_buf_str(&line));
			break;
		}
	}
	ph_buf_done(&line);
	finish(&r);
}

/* ---- -F ---- */

static void show_field(struct pc *pc, const struct ph_service *s, int field)
{
	const char *name = ph_arena_printf(pc->arena, "%s/%s/%s", s->raw_fields[0], s->raw_fields[1], pc_fields[field]);
	struct ph_buf value;

	if (field < PC_N_FIELDS - 1) {
		pc_print(pc, name, s->raw_fields[field]);
		return;
	}
	ph_buf_init(&value, 4 << 20);
	ph_buf_puts(&value, s->raw_fields[field]);
	format_words(pc->show, s, &value);
	if (pc->show & (PC_JSON | PC_HIDE_VALUE))
		pc_print(pc, name, ph_buf_str(&value));
	else if (pc->show & PC_HIDE_NAME)
		printf("%s\n", ph_buf_str(&value));
	else
		printf("%s = %s\n", name, ph_buf_str(&value));
	ph_buf_done(&value);
}

static void check_field_name(const char *name)
{
	int i;

	if (strcmp(name, "*") == 0)
		return;
	for (i = 0; i < PC_N_FIELDS; i++) {
		if (strcmp(pc_fields[i], name) == 0)
			return;
	}
	pc_fatal("invalid service attribute name: \"%s\"", name);
}

void pc_show_fields(struct pc *pc, char **requests, int n)
{
	struct requests r = parse_all(pc, requests, n, 3, "F");
	size_t i;
	int k, field;

	for (k = 0; k < r.n; k++)
		check_field_name(r.list[k].third);
	for (i = 0; i < pc->c->n_services; i++) {
		for (field = 0; field < PC_N_FIELDS; field++) {
			for (k = 0; k < r.n; k++) {
				if (!pc_request_fits(&r.list[k], &pc->c->services[i]) || !fits(r.list[k].third, pc_fields[field]))
					continue;
				r.list[k].matched = true;
				show_field(pc, &pc->c->services[i], field);
				break;
			}
		}
	}
	finish(&r);
}

/* ---- -P ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct ph_setting *const *)a)->name, (*(const struct ph_setting *const *)b)->name);
}

static void show_overrides(struct pc *pc, const struct ph_service *s, struct requests *r)
{
	const struct ph_settings *all = &s->conf->overrides;
	const struct ph_setting **sorted = ph_alloc((all->n + 1) * sizeof(*sorted)), *set;
	const char *value;
	size_t i, n = 0;
	int k;

	for (set = all->first; set; set = set->next)
		sorted[n++] = set;
	qsort(sorted, n, sizeof(*sorted), by_name);
	for (i = 0; i < n; i++) {
		for (k = 0; k < r->n && !(pc_request_fits(&r->list[k], s) && fits(r->list[k].third, sorted[i]->name)); k++)
			;
		if (k == r->n)
			continue;
		r->list[k].matched = true;
		value = sorted[i]->value;
		if ((pc->show & PC_EXPAND) && !ph_param_is_raw(sorted[i]->name))
			value = pc_expand(pc, s->conf, pc->c->master_file, value);
		pc_print(pc, ph_arena_printf(pc->arena, "%s/%s/%s", s->raw_fields[0], s->raw_fields[1], sorted[i]->name), value);
	}
	free(sorted);
}

void pc_show_overrides(struct pc *pc, char **requests, int n)
{
	struct requests r = parse_all(pc, requests, n, 3, "P");
	size_t i;

	for (i = 0; i < pc->c->n_services; i++)
		show_overrides(pc, &pc->c->services[i], &r);
	finish(&r);
}
