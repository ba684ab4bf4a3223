/* postmap.c: make and ask lookup tables.  Source: postmap(1). */
#include "cmd.h"
#include "maptool.h"
#include "../modules/lookup/common/text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void usage(void)
{
	ph_maptool_fatal("usage: postmap [-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...");
}

/* -F: the content of the files that value names, as base64 in arena; NULL: logged. */
static char *file_value(char *value, const char *source, int line, struct ph_arena *a)
{
	struct ph_err err = { 0 };
	size_t n;
	const char *all = ph_maptool_files(value, a, &n, &err);
	char *out;

	if (!all) {
		ph_log(PH_LOG_WARNING, "%s, line %d: %s: skipping this entry", source, line, err.text);
		return NULL;
	}
	out = ph_arena_alloc(a, n / 3 * 4 + 5);
	EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)all, (int)n);
	return out;
}

static void put_line(struct ph_maptool *t, struct ph_mapout *out, char *line, const char *source, int lineno, struct ph_arena *a)
{
	char *shown = ph_arena_strdup(a, line), *key, *value;
	int r;

	if (t->utf8 && !ph_utf8_valid(line, strlen(line))) {
		ph_log(PH_LOG_WARNING, "%s, line %d: non-UTF-8 input \"%s\" -- ignoring this line", source, lineno, shown);
		return;
	}
	r = ltext_split(line, &key, &value);
	if (r == -EINVAL) {
		ph_log(PH_LOG_WARNING, "%s, line %d: unbalanced '\"' in '%s' -- ignoring this line", source, lineno, shown);
		return;
	}
	if (r < 0) {
		ph_log(PH_LOG_WARNING, "%s, line %d: expected format: key whitespace value", source, lineno);
		return;
	}
	if (key[strlen(key) - 1] == ':')
		ph_log(PH_LOG_WARNING, "%s, line %d: record is in \"key: value\" format; is this an alias file?", source, lineno);
	if (t->from_files && (value = file_value(value, source, lineno, a)) == NULL)
		return;
	ph_mapout_put(t, out, t->fold ? ph_table_fold(out->table, key, a) : key, value);
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
		r = ltext_open_fd("postmap", name, STDIN_FILENO, &text, &err);
	else
		r = ltext_open("postmap", name, false, &text, &err);
	if (r < 0)
		ph_maptool_fatal("%s", err.text);
	ph_mapout_open(t, type, name, !t->incremental && stat(name, &st) == 0 ? &st : NULL, &out);
	while ((line = ltext_next(text, &lineno)) != NULL) {
		put_line(t, &out, line, name, lineno, a);
		ph_arena_reset(a);
	}
	ph_mapout_close(t, &out);
	ltext_free(&text);
	ph_arena_free(&a);
}

static void parse(struct ph_maptool *t, int argc, char **argv, const char **ret_dir)
{
	bool again = false;
	int c;

	optind = 1;
	while ((c = getopt(argc, argv, "+bc:d:fFhijmnNopq:rsuUvw")) != -1) {
		switch (c) {
		case 'b': t->body = true; break;
		case 'c': *ret_dir = optarg; break;
		case 'd': again |= t->remove != NULL; t->remove = optarg; break;
		case 'f': t->fold = false; break;
		case 'F': t->from_files = true; break;
		case 'h': t->headers = true; break;
		case 'i': t->incremental = true; break;
		case 'j': t->json = true; break;
		case 'm': t->mime = true; break;
		case 'n': t->nul = PH_TABLE_NO_NUL; break;
		case 'N': t->nul = PH_TABLE_WITH_NUL; break;
		case 'o': t->as_owner = false; break;
		case 'p': t->keep_perm = false; break;
		case 'q': again |= t->query != NULL; t->query = optarg; break;
		case 'r': t->replace = true; t->quiet_dup = false; break;
		case 's': t->list = true; break;
		case 'u': t->utf8 = 0; break;
		case 'U': t->utf8 = 1; break;
		case 'v': t->verbose++; break;
		case 'w': t->quiet_dup = true; t->replace = false; break;
		default: usage();
		}
	}
	t->args = argv + optind;
	t->n_args = argc - optind;
	if (t->n_args == 0)
		usage();
	if (again || (t->query != NULL) + (t->remove != NULL) + t->list > 1)
		ph_maptool_fatal("specify only one of -s -q or -d");
	if ((t->headers || t->body || t->mime) && (t->query == NULL || strcmp(t->query, "-") != 0))
		ph_maptool_fatal("specify -b -h or -m only with \"-q -\"");
	if (t->mime && !t->headers && !t->body)
		ph_log(PH_LOG_WARNING, "ignoring -m option without -b or -h");
	if (t->json && !t->query && !t->list)
		ph_maptool_fatal("specify -j only with -q or -s");
}

int ph_main_postmap(int argc, char **argv)
{
	struct ph_maptool t = { .prog = "postmap", .fold = true, .keep_perm = true, .as_owner = true, .utf8 = -1 };
	const char *dir = NULL;

	ph_maptool_begin(&t);
	parse(&t, argc, argv, &dir);
	ph_maptool_setup(&t, dir);
	ph_maptool_run(&t, create);
	return t.status;
}
