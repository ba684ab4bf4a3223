/* explain.c: "posthouse explain": what would happen to a mail, step by step, and which line of which file says so.  Sends nothing. */
#include "cmd.h"

#include "base/log.h"
#include "base/loop.h"
#include "../modules/lookup/common/text.h"
#include "module/loader.h"
#include "route/route.h"
#include "smtpd/explain.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RCPTS 100
#define MAX_HEADERS 1000

struct run {
	struct ph_explain_query q;
	const char *rcpts[MAX_RCPTS];
	char *headers[MAX_HEADERS];
	const char *stage;              /* printed last */
	json_t *steps;                  /* NULL: text */
	struct ph_err err;
	int r;
};

/* ---- where an entry stands ---- */

/* The line of the text file behind a table that holds key; 0: unknown. */
static int entry_line(const char *table, const char *key)
{
	static const char *const types[] = { "hash:/", "btree:/", "lmdb:/", "cdb:/", "texthash:/", "dbm:/" };
	struct ltext *text = NULL;
	char *line, *k, *v;
	int lineno, found = 0;

	for (size_t i = 0; i < PH_ARRAY_LEN(types); i++)
		if (strncmp(table, types[i], strlen(types[i])) == 0 && ltext_open("table", strchr(table, ':') + 1, false, &text, NULL) == 0)
			break;
	while (text && (line = ltext_next(text, &lineno)) != NULL)
		if (ltext_split(line, &k, &v) == 0 && ph_str_ieq(k, key))
			found = lineno;
	ltext_free(&text);
	return found;
}

static void put_where(struct ph_buf *b, const struct ph_explain_step *s)
{
	int line = strcmp(s->what, "table") == 0 && !s->failed && s->key && s->name ? entry_line(s->name, s->key) : 0;

	if (s->where)
		ph_buf_puts(b, s->where);
	if (line > 0)
		ph_buf_printf(b, "%s%s:%d", b->len ? ", " : "", strchr(s->name, ':') + 1, line);
}

/* ---- output ---- */

static void put(json_t *o, const char *name, const char *value)
{
	if (value)
		json_object_set_new(o, name, json_stringn_nocheck(value, strlen(value)));
}

static void step_json(struct run *x, const struct ph_explain_step *s, const char *where)
{
	json_t *o = json_object();

	put(o, "stage", s->stage);
	put(o, "step", s->what);
	put(o, "name", s->name);
	put(o, "parameter", s->parameter);
	put(o, "where", *where ? where : NULL);
	put(o, "key", s->key);
	put(o, "answer", s->answer);
	if (s->failed)
		json_object_set_new(o, "failed", json_true());
	json_array_append_new(x->steps, o);
}

static void step_text(struct run *x, const struct ph_explain_step *s, const char *where)
{
	if (!x->stage || strcmp(x->stage, s->stage) != 0)
		printf("%s\n", s->stage);
	x->stage = s->stage;
	printf("  %-11s", s->what);
	if (s->name)
		printf(" %s", s->name);
	if (s->key)
		printf(" <%s>", s->key);
	if (s->answer && *s->answer)
		printf(" -> %s%s", s->failed ? "FAILED: " : "", s->answer);
	if (*where)
		printf("   (%s%s%s)", strcmp(s->what, "table") == 0 ? s->parameter : "", strcmp(s->what, "table") == 0 ? ", " : "", where);
	putchar('\n');
}

static void on_step(void *arg, const struct ph_explain_step *s)
{
	struct ph_buf where = PH_BUF_INIT(8192);
	struct run *x = arg;

	put_where(&where, s);
	if (x->steps)
		step_json(x, s, ph_buf_str(&where));
	else
		step_text(x, s, ph_buf_str(&where));
	ph_buf_done(&where);
}

static void print_json(const struct run *x)
{
	json_t *o = json_pack("{s:b, s:O}", "accepted", x->r == 0, "steps", x->steps);

	json_dumpf(o, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(o);
}

/* ---- input ---- */

/* The header lines of a message, folded lines joined as header_checks see them. */
static int read_headers(struct run *x, const char *path)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f)
		return ph_err_errno(&x->err, -errno, "open %s", path);
	while ((n = getline(&line, &cap, f)) > 0) {
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = '\0';
		if (n == 0)
			break;
		if ((*line == ' ' || *line == '\t') && x->q.n_headers > 0) {
			char **last = &x->headers[x->q.n_headers - 1];
			size_t old = strlen(*last);

			*last = ph_realloc(*last, old + (size_t)n + 2);
			snprintf(*last + old, (size_t)n + 2, "\n%s", line);
		} else if (x->q.n_headers < MAX_HEADERS) {
			x->headers[x->q.n_headers++] = ph_strdup(line);
		}
	}
	free(line);
	if (f != stdin)
		fclose(f);
	x->q.headers = (const char *const *)x->headers;
	return 0;
}

static int usage(void)
{
	ph_log(PH_LOG_FATAL, "usage: posthouse explain [-c dir] [-j|--json] [--service name] [--client address] [--name name] [--helo name]"
			     " [--sasl user] [--ask-policy] [--headers file] sender recipient...");
	return 64;
}

static void run(void *arg)
{
	struct run *x = arg;

	x->r = ph_explain(&x->q, on_step, x, &x->err);
}

static int parse(struct run *x, int argc, char **argv, struct ph_arena *a, const char **ret_dir, bool *json)
{
	const struct { const char *name; const char **value; } options[] = {
		{ "-c", ret_dir }, { "--service", &x->q.service }, { "--client", &x->q.client_addr }, { "--name", &x->q.client_name },
		{ "--helo", &x->q.helo }, { "--sasl", &x->q.sasl_user },
	};
	int i;

	for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		size_t k = 0;

		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "-j") == 0 || strcmp(argv[i], "--json") == 0) {
			*json = true;
			continue;
		}
		if (strcmp(argv[i], "--ask-policy") == 0) {
			x->q.ask_servers = true;
			continue;
		}
		if (i + 1 >= argc)
			return -EINVAL;
		if (strcmp(argv[i], "--headers") == 0) {
			if (read_headers(x, argv[++i]) < 0)
				return -EIO;
			continue;
		}
		while (k < PH_ARRAY_LEN(options) && strcmp(argv[i], options[k].name) != 0)
			k++;
		if (k == PH_ARRAY_LEN(options))
			return -EINVAL;
		*options[k].value = argv[++i];
	}
	if (argc - i < 2 || argc - i - 1 > MAX_RCPTS)
		return -EINVAL;
	x->q.sender = argv[i++];
	for (; i < argc; i++)
		x->rcpts[x->q.n_rcpts++] = argv[i];
	x->q.rcpts = x->rcpts;
	return 0;
}

int ph_main_explain(int argc, char **argv)
{
	struct ph_log_config log = { .prog = "posthouse", .only_stderr = true };
	struct run *x = ph_alloc(sizeof *x);
	struct ph_arena *a = ph_arena_new();
	struct ph_config *config = NULL;
	const char *dir = NULL;
	bool json = false;
	int r;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	x->q.client_addr = "127.0.0.1";
	x->q.helo = "localhost";
	r = parse(x, argc, argv, a, &dir, &json);
	if (r == -EINVAL)
		return usage();
	if (r == 0)
		r = ph_config_load(ph_cmd_config_dir(dir), PH_CONFIG_QUIET, &config, &x->err);
	if (r == 0) {
		ph_modules_configure(ph_config_main(config));
		x->q.config = config;
		x->steps = json ? json_array() : NULL;
		r = ph_run_blocking(run, x);
	}
	if (r < 0 || x->r < 0) {
		ph_log(PH_LOG_FATAL, "%s", x->err.text);
		return 69;
	}
	if (json)
		print_json(x);
	json_decref(x->steps);
	for (size_t i = 0; i < x->q.n_headers; i++)
		free(x->headers[i]);
	r = x->r;
	free(x);
	ph_arena_free(&a);
	ph_config_free(&config);
	return r;
}
