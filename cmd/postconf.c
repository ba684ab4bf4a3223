/* postconf.c: show and change the configuration: options, and which part does the work.  Source: postconf(1). */
#include "cmd/cmd.h"
#include "cmd/postconf.h"

#include "base/log.h"
#include "module/loader.h"
#include "queue/listing.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pc_fatal(const char *fmt, ...)
{
	struct ph_buf text;
	va_list ap;

	ph_buf_init(&text, 65536);
	va_start(ap, fmt);
	ph_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	fflush(stdout);
	ph_log(PH_LOG_FATAL, "%s", ph_buf_str(&text));
	ph_log_flush();
	exit(1);
}

void pc_split(struct pc *pc, char *arg, char **ret_name, char **ret_value)
{
	const char *copy = ph_arena_strdup(pc->arena, arg);

	if (strchr("=", arg[strspn(arg, " \t\r\n")]))
		pc_fatal("missing attribute name: \"%s\"", copy);
	if (ph_setting_split(arg, ret_name, ret_value))
		pc_fatal("missing '=' after attribute name: \"%s\"", copy);
}

/* ---- loading ---- */

static void set_override(struct pc *pc, const char *name, const char *value)
{
	struct ph_setting *set = ph_arena_alloc(pc->c->arena, sizeof(*set));

	set->name = ph_arena_strdup(pc->c->arena, name);
	set->value = ph_arena_strdup(pc->c->arena, value);
	set->file = pc->c->main_file;
	set->origin = "command line";
	ph_settings_set(&pc->c->main, pc->c->arena, set);
}

void pc_load(struct pc *pc)
{
	unsigned flags = PH_CONFIG_QUIET | PH_CONFIG_NO_MASTER | PH_CONFIG_NO_VERIFY | PH_CONFIG_KEEP_ALL;
	const struct ph_note *note;
	struct ph_err err;
	char *name, *value;
	int i;

	if (pc->show & PC_DEFAULTS)
		pc->c = ph_config_empty(pc->dir, flags);
	else if (ph_config_load(pc->dir, flags, &pc->c, &err) < 0)
		pc_fatal("%s", err.text);
	pc->c->main_view->process = "postconf"; /* also as "posthouse postconf" */
	pc->c->main_view->service = "";
	for (note = pc->c->notes; note; note = note->next)
		ph_log(PH_LOG_WARNING, "%s, line %d: %s", note->file, note->line, note->text);
	for (i = 0; i < pc->n_override; i++) {
		pc_split(pc, pc->override[i], &name, &value);
		set_override(pc, name, value);
	}
	if (pc->dir_given && !(pc->show & PC_DEFAULTS))
		set_override(pc, "config_directory", pc->dir);
	if (ph_config_add_master(pc->c, &err) < 0) {
		if (err.code != -ENOENT)
			pc_fatal("%s", err.text);
		ph_log(PH_LOG_WARNING, "%s", err.text);
	}
	pc->conf = ph_config_main(pc->c);
	ph_refs_main(&pc->refs, pc->c, pc->arena);
	ph_modules_configure(pc->conf);
}

/* ---- printing ---- */

static void print_json(const char *name, const char *value)
{
	struct ph_buf b = PH_BUF_INIT(SIZE_MAX / 2);

	ph_buf_putc(&b, '{');
	ph_json_put(&b, name);
	ph_buf_puts(&b, ": ");
	ph_json_put(&b, value);
	printf("%s}\n", ph_buf_str(&b));
	ph_buf_done(&b);
}

/* Words with one space between them; a line of more than 80 columns goes on in the next, indented. */
static void print_words(const char *text, size_t column, bool fold)
{
	const char *word = text;
	size_t n;

	for (;; word += n) {
		word += strspn(word, " \t\r\n");
		n = strcspn(word, " \t\r\n");
		if (n == 0)
			break;
		if (fold && column > 4 && column + 1 + n > 80) {
			printf("\n    ");
			column = 4;
		} else if (column > 0) {
			putchar(' ');
			column++;
		}
		fwrite(word, 1, n, stdout);
		column += n;
	}
	putchar('\n');
}

void pc_print(const struct pc *pc, const char *name, const char *value)
{
	if (pc->show & PC_JSON) {
		print_json(name, value);
	} else if (pc->show & PC_HIDE_VALUE) {
		printf("%s\n", name);
	} else {
		if (!(pc->show & PC_HIDE_NAME))
			printf("%s =", name);
		print_words(value, pc->show & PC_HIDE_NAME ? 0 : strlen(name) + 2, pc->show & PC_FOLD);
	}
}

/* ---- expanding ---- */

static const char *lookup(void *arg, const char *name, bool *ret_final)
{
	return ph_conf_raw(arg, name, ret_final);
}

const char *pc_expand(struct pc *pc, const struct ph_conf *view, const char *file, const char *text)
{
	struct ph_expand x = { lookup, (void *)(uintptr_t)view, 0 };
	struct ph_buf out;
	struct ph_err err;
	const char *value;

	ph_buf_init(&out, PH_MAX_VALUE_BYTES);
	if (ph_expand(&x, text, &out, &err) < 0)
		pc_fatal("%s: %s", file, err.text);
	value = ph_arena_strdup(pc->arena, ph_buf_str(&out));
	ph_buf_done(&out);
	return value;
}

/* ---- options ---- */

static void usage(void) __attribute__((noreturn));
static void usage(void)
{
	pc_fatal("usage: postconf [-a (server SASL types)] [-A (client SASL types)] [-b (bounce templates)] [-c config_dir] [-C param_class] "
		 "[-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)] [-F (master.cf fields)] [-h (no names)] "
		 "[-H (no values)] [-j (JSON)] [-l (lock types)] [-m (map types)] [-M (master.cf)] [-n (non-default parameters)] "
		 "[-o name=value (override parameter value)] [-p (main.cf, default)] [-P (master.cf parameters)] [-t (bounce templates)] "
		 "[-T compile-version|run-version|public-key-algorithms] [-v (verbose)] [-x (expand parameter values)] [-X (exclude)] "
		 "[-# (comment-out)] [name...]");
}

/* Options that exclude each other, and those that -M, -F, -P and the lists do not go with. */
static void check_options(const char *given)
{
	static const char *const together[] = {
		"dn", "do", "de", "dX", "d#", "hH", "ef", "eh", "eH", "en", "ex", "eX", "e#", "eC", "eo", "ej", "Xf", "Xh", "XH", "Xn", "Xx", "X#", "XC",
		"Xo", "Xj", "#f", "#h", "#H", "#n", "#x", "#C", "#o", "#j", "aA", "ab", "al", "am", "at", "aT", "Ab", "Al", "Am", "At", "AT", "bl", "bm",
		"bt", "bT", "lm", "lt", "lT", "mt", "mT", "tT", "FM", "FP", "MP", "Fp", "Mp", "Pp", "jf", "jh", "jH",
	};
	static const struct { char with; const char *not; } modes[] = {
		{ 'M', "dnhHC" }, { 'F', "dnCX#" }, { 'P', "dn#" }, { 'a', "deXnhHxfMFPC#o" }, { 'A', "deXnhHxfMFPC#o" },
		{ 'l', "deXnhHxfMFPC#o" }, { 'm', "deXnhHxfMFPC#o" }, { 'b', "deXnhHxfMFPC#o" }, { 't', "deXnhHxfMFPC#o" }, { 'T', "deXnhHxfMFPC#o" },
	};
	size_t i;
	const char *p;

	for (i = 0; i < PH_ARRAY_LEN(together); i++) {
		if (strchr(given, together[i][0]) && strchr(given, together[i][1]))
			pc_fatal("specify one of -%c -%c", together[i][0], together[i][1]);
	}
	for (i = 0; i < PH_ARRAY_LEN(modes); i++) {
		for (p = modes[i].not; *p; p++) {
			if (strchr(given, modes[i].with) && strchr(given, *p))
				pc_fatal("with option -%c, do not specify -%c", modes[i].with, *p);
		}
	}
}

static unsigned parse_classes(const char *text)
{
	static const struct { const char *name; unsigned class; } classes[] = {
		{ "builtin", PC_BUILTIN }, { "service", PC_SERVICE }, { "user", PC_USER }, { "all", PC_ALL },
	};
	char *copy = ph_strdup(text), *cursor = copy, *word;
	unsigned set = 0;
	size_t i;

	while ((word = ph_str_token(&cursor, PH_SEP_LIST))) {
		for (i = 0; i < PH_ARRAY_LEN(classes) && !ph_str_ieq(classes[i].name, word); i++)
			;
		if (i == PH_ARRAY_LEN(classes))
			pc_fatal("unknown -C option value \"%s\" in \"%s\"", word, text);
		set |= classes[i].class;
	}
	free(copy);
	return set;
}

static void option(struct pc *pc, int c, char *arg)
{
	switch (c) {
	case 'c':
		pc->dir = arg;
		pc->dir_given = true;
		break;
	case 'C':
		pc->classes = parse_classes(arg);
		break;
	case 'd': pc->show |= PC_DEFAULTS; break;
	case 'f': pc->show |= PC_FOLD; break;
	case 'h': pc->show |= PC_HIDE_NAME; break;
	case 'H': pc->show |= PC_HIDE_VALUE; break;
	case 'j': pc->show |= PC_JSON; break;
	case 'n': pc->show |= PC_SET_ONLY; break;
	case 'x': pc->show |= PC_EXPAND; break;
	case 'o':
		if (arg[strspn(arg, " \t\r\n")] == '=')
			pc_fatal("invalid parameter override: %s: missing attribute name", arg);
		if (strchr(arg, '=') == NULL)
			pc_fatal("invalid parameter override: %s: missing '=' after attribute name", arg);
		pc->override[pc->n_override++] = ph_arena_strdup(pc->arena, arg);
		break;
	case 'v':
		ph_log_set_verbose(1);
		break;
	case '?':
		usage();
	}
}

static enum pc_edit edit_of(const char *given)
{
	if (strchr(given, 'X'))
		return PC_REMOVE;
	if (strchr(given, '#'))
		return PC_COMMENT;
	return strchr(given, 'e') ? PC_CHANGE : PC_READ;
}

/* Which file and which part of it. */
static void run(struct pc *pc, const char *given, const char *list_arg, char **args, int n)
{
	enum pc_edit edit = edit_of(given);
	const char *list = strpbrk(given, "aAblmtT");

	if (list) {
		if (*list == 'T')
			pc_list(pc, 'T', (char *[]){ (char *)(uintptr_t)list_arg }, 1);
		else
			pc_list(pc, *list, args, n);
	} else if (edit != PC_READ) {
		if (n == 0)
			pc_fatal(edit == PC_CHANGE ? "-e requires name=value argument" : "missing service argument");
		if (strchr(given, 'M'))
			pc_edit_services(pc, edit, args, n);
		else if (strchr(given, 'F'))
			pc_edit_fields(pc, args, n);
		else if (strchr(given, 'P'))
			pc_edit_overrides(pc, edit, args, n);
		else
			pc_edit_params(pc, edit, args, n);
	} else {
		pc_load(pc);
		if (!(pc->show & PC_DEFAULTS))
			pc_warn_undefined(pc);
		if (strchr(given, 'M'))
			pc_show_services(pc, args, n);
		else if (strchr(given, 'F'))
			pc_show_fields(pc, args, n);
		else if (strchr(given, 'P'))
			pc_show_overrides(pc, args, n);
		else
			pc_show_params(pc, args, n);
		fflush(stdout);
		if (!(pc->show & PC_DEFAULTS))
			pc_warn_unused(pc, strpbrk(given, "MFP") == NULL);
	}
}

int ph_main_postconf(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "postconf", .only_stderr = true };
	struct pc pc = { .classes = PC_ALL };
	const char *list_arg = NULL;
	char given[64] = "";
	size_t n = 0;
	int c;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	pc.arena = ph_arena_new();
	pc.override = ph_arena_alloc(pc.arena, (size_t)argc * sizeof(*pc.override));
	pc.dir_given = getenv("MAIL_CONFIG") != NULL;
	optind = 0;
	while ((c = getopt(argc, argv, "+aAbc:C:defFhHjlmMno:pPtT:vxX#")) != -1) {
		option(&pc, c, optarg);
		if (c == 'T')
			list_arg = optarg;
		if (n + 2 < sizeof(given) && !strchr(given, c))
			given[n++] = (char)c;
	}
	pc.dir = ph_cmd_config_dir(pc.dir);
	/* "postconf name=value" means -e; the first argument tells. */
	if (optind < argc && strchr(argv[optind], '=') && !strpbrk(given, "eX#aAblmtT"))
		given[n] = 'e';
	check_options(given);
	run(&pc, given, list_arg, argv + optind, argc - optind);
	if (fflush(stdout) != 0 || ferror(stdout))
		pc_fatal("write error: %s", strerror(errno));
	ph_refs_done(&pc.refs);
	ph_arena_free(&pc.arena);
	ph_config_free(&pc.c);
	return 0;
}
