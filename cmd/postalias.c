/* postalias.c: make and ask alias databases from aliases(5) source: "name: value, value ...".  Source: postalias(1), aliases(5). */
#include "cmd.h"
#include "maptool.h"
#include "../modules/lookup/common/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void usage(void)
{
	ph_maptool_fatal("usage: postalias [-fijnNoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...");
}

/* The end of the name at p: the first ':' outside of quotes and comments; NULL: none. */
static char *find_colon(char *p)
{
	bool quoted = false;
	int depth = 0;

	for (; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '"' && depth == 0)
			quoted = !quoted;
		else if (!quoted && *p == '(')
			depth++;
		else if (!quoted && *p == ')' && depth > 0)
			depth--;
		else if (!quoted && depth == 0 && *p == ':')
			return p;
	}
	return NULL;
}

/* A copy with runs of blanks as one blank (outside of quotes), and for a name without its quotes and backslashes.  Comments stay
 * where they are, as Postfix leaves them. */
static char *clean(struct ph_arena *a, const char *s, bool is_name)
{
	char *out = ph_arena_alloc(a, strlen(s) + 1), *w = out;
	bool quoted = false;

	for (; *s; s++) {
		if (*s == '\\' && s[1]) {
			if (!is_name)
				*w++ = *s;
			*w++ = *++s;
		} else if (*s == '"') {
			quoted = !quoted;
			if (!is_name)
				*w++ = *s;
		} else if (!quoted && isspace((unsigned char)*s)) {
			if (w > out && w[-1] != ' ')
				*w++ = ' ';
		} else {
			*w++ = *s;
		}
	}
	return ltext_trim(out);
}

static void put_line(struct ph_maptool *t, struct ph_mapout *out, char *line, const char *source, int lineno, struct ph_arena *a)
{
	char *colon, *key, *value;

	if (t->utf8 && !ph_utf8_valid(line, strlen(line))) {
		ph_log(PH_LOG_WARNING, "%s, line %d: non-UTF-8 input \"%s\" -- ignoring this line", source, lineno, line);
		return;
	}
	colon = find_colon(line);
	if (colon == NULL) {
		ph_log(PH_LOG_WARNING, "%s, line %d: need name:value pair", source, lineno);
		return;
	}
	*colon = '\0';
	key = clean(a, line, true);
	value = clean(a, colon + 1, false);
	if (*key == '\0' || *value == '\0') {
		ph_log(PH_LOG_WARNING, "%s, line %d: need name:value pair", source, lineno);
		return;
	}
	if (strchr(key, '@'))
		ph_log(PH_LOG_WARNING, "%s, line %d: name must be local", source, lineno);
	else
		ph_mapout_put(t, out, t->fold ? ph_table_fold(out->table, key, a) : key, value);
}

/* What NIS (and so some readers) expect of an alias table: when and where it was made; and Sendmail's "this table is complete". */
static void put_marks(struct ph_maptool *t, struct ph_mapout *out)
{
	char when[32], host[256] = "localhost";
	bool replace = t->replace;

	snprintf(when, sizeof when, "%010lld", (long long)time(NULL));
	gethostname(host, sizeof host - 1);
	t->replace = true;
	ph_mapout_put(t, out, "YP_LAST_MODIFIED", when);
	ph_mapout_put(t, out, "YP_MASTER_NAME", host);
	ph_mapout_put(t, out, "@", "@");
	t->replace = replace;
}

static void create(struct ph_maptool *t, const char *type, const char *name)
{
	struct ph_arena *a = ph_arena_new();
	struct ltext *text = NULL;
	struct ph_err err = { 0 };
	struct ph_mapout out = { 0 };
	struct stat st;
	char *line;
	int lineno, r;

	if (t->incremental)
		r = ltext_open_fd("postalias", name, STDIN_FILENO, &text, &err);
	else
		r = ltext_open("postalias", name, false, &text, &err);
	if (r < 0)
		ph_maptool_fatal("%s", err.text);
	ph_mapout_open(t, type, name, !t->incremental && stat(name, &st) == 0 ? &st : NULL, &out);
	while ((line = ltext_next(text, &lineno)) != NULL) {
		put_line(t, &out, line, name, lineno, a);
		ph_arena_reset(a);
	}
	put_marks(t, &out);
	ph_mapout_close(t, &out);
	ltext_free(&text);
	ph_arena_free(&a);
}

int ph_main_postalias(int argc, char **argv)
{
	struct ph_maptool t = { .prog = "postalias", .aliases = true, .fold = true, .keep_perm = true, .as_owner = true, .utf8 = -1 };
	const char *dir = NULL;
	bool again = false;
	int c;

	ph_maptool_begin(&t);
	optind = 1;
	while ((c = getopt(argc, argv, "+c:d:fijnNopq:rsuvw")) != -1) {
		switch (c) {
		case 'c': dir = optarg; break;
		case 'd': again |= t.remove != NULL; t.remove = optarg; break;
		case 'f': t.fold = false; break;
		case 'i': t.incremental = true; break;
		case 'j': t.json = true; break;
		case 'n': t.nul = PH_TABLE_NO_NUL; break;
		case 'N': t.nul = PH_TABLE_WITH_NUL; break;
		case 'o': t.as_owner = false; break;
		case 'p': t.keep_perm = false; break;
		case 'q': again |= t.query != NULL; t.query = optarg; break;
		case 'r': t.replace = true; t.quiet_dup = false; break;
		case 's': t.list = true; break;
		case 'u': t.utf8 = 0; break;
		case 'v': t.verbose++; break;
		case 'w': t.quiet_dup = true; t.replace = false; break;
		default: usage();
		}
	}
	t.args = argv + optind;
	t.n_args = argc - optind;
	if (t.n_args == 0)
		usage();
	if (again || (t.query != NULL) + (t.remove != NULL) + t.list > 1)
		ph_maptool_fatal("specify only one of -s -q or -d");
	ph_maptool_setup(&t, dir);
	ph_maptool_run(&t, create);
	return t.status;
}
