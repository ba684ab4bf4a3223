/* maptool.c: see maptool.h.  Owns nothing beyond the struct.  Look-ups may yield: ph_maptool_run makes a coroutine for them.
 * Source: postmap(1), postalias(1). */
#include "cmd.h"
#include "maptool.h"

#include "base/log.h"
#include "base/loop.h"
#include "config/config.h"
#include "config/general.h"
#include "master/master.h"
#include "module/loader.h"
#include "queue/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILE_VALUE ((size_t)4 << 20)        /* -F: of all files of one value */

void ph_maptool_fatal(const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(4096);
	va_list ap;

	va_start(ap, fmt);
	ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	fflush(stdout);
	ph_log(PH_LOG_FATAL, "%s", ph_buf_str(&b));
	ph_log_flush();
	exit(1);
}

void ph_maptool_begin(const struct ph_maptool *t)
{
	struct ph_log_config log = { .prog = t->prog, .only_stderr = true };

	ph_log_open(&log);
	ph_log_set_immediate(true);
}

void ph_maptool_setup(struct ph_maptool *t, const char *dir)
{
	struct ph_log_config log = { .prog = t->prog, .also_stderr = true };
	const struct ph_general_settings *g;
	struct ph_err err = { 0 };

	ph_log_set_verbose(t->verbose);
	if (ph_config_load(ph_cmd_config_dir(dir), PH_CONFIG_NO_MASTER | PH_CONFIG_QUIET, &t->config, &err) < 0)
		ph_maptool_fatal("%s", err.text);
	t->conf = ph_config_main(t->config);
	g = ph_conf_general(t->conf);
	log.syslog_name = g->syslog_name;
	/* As Postfix: a log file is written while the mail system runs. */
	if (*g->maillog_file) {
		log.maillog_file = g->maillog_file;
		log.only_stderr = ph_master_pid(g->queue_directory, &err) <= 0;
	}
	ph_log_open(&log);
	ph_log_set_immediate(true);
	ph_modules_configure(t->conf);
	if (t->utf8 < 0)
		t->utf8 = ph_conf_utf8(t->conf);
	else
		t->conf = ph_conf_derive(t->conf, (const char *[]){ "smtputf8_enable" }, (const char *[]){ t->utf8 ? "yes" : "no" }, 1);
}

void ph_maptool_split(struct ph_maptool *t, struct ph_arena *a, const char *arg, const char **ret_type, const char **ret_name)
{
	const char *colon = strchr(arg, ':'), *def = ph_conf_get(t->conf, "default_database_type");

	if (colon == NULL) {
		*ret_type = def && *def ? def : "hash";
		*ret_name = arg;
		return;
	}
	if (colon == arg || colon[1] == '\0')
		ph_maptool_fatal("open dictionary: expecting \"type:name\" form instead of \"%s\"", arg);
	if (strncmp(arg, "proxy:", 6) == 0 && strchr(arg + 6, ':')) {
		if (!t->query && !t->remove && !t->list)
			ph_maptool_fatal("can't create maps via the proxy service");
		arg += 6;
		if (!ph_table_proxy_approved(t->conf, arg, false))
			ph_maptool_fatal("proxymap service is not configured for table \"%s\"", arg);
		colon = strchr(arg, ':');
	}
	*ret_type = ph_arena_strndup(a, arg, (size_t)(colon - arg));
	*ret_name = ph_arena_strdup(a, colon + 1);
}

static struct ph_table *open_table(struct ph_maptool *t, struct ph_arena *a, const char *arg, int mode)
{
	const char *type, *name;
	struct ph_err err = { 0 };
	struct ph_table *table;

	ph_maptool_split(t, a, arg, &type, &name);
	table = ph_table_open(t->conf, type, name, mode, t->nul, 0644, &err);
	if (table == NULL)
		ph_maptool_fatal("%s", err.text);
	return table;
}

static const char *fold(struct ph_maptool *t, const struct ph_table *table, const char *key, struct ph_arena *a)
{
	return t->fold ? ph_table_fold(table, key, a) : key;
}

const char *ph_maptool_files(char *names, struct ph_arena *a, size_t *ret_n, struct ph_err *err)
{
	struct ph_buf all = PH_BUF_INIT(MAX_FILE_VALUE);
	char *word, buf[4096];
	char *out = NULL;
	ssize_t n;
	int fd;

	while ((word = ph_str_token(&names, PH_SEP_LIST)) != NULL) {
		fd = open(word, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			ph_err_errno(err, -errno, "open %s", word);
			goto out;
		}
		while ((n = read(fd, buf, sizeof buf)) > 0 && ph_buf_append(&all, buf, (size_t)n) == 0)
			;
		close(fd);
		if (n != 0 || ph_buf_putc(&all, '\n') < 0) {
			ph_err_set(err, -EIO, "read %s: %s", word, n < 0 ? strerrordesc_np(errno) : "too much data");
			goto out;
		}
	}
	*ret_n = all.len ? all.len - 1 : 0;     /* newlines between files */
	out = ph_arena_alloc(a, *ret_n + 1);    /* a file may hold NULs */
	memcpy(out, ph_buf_str(&all), *ret_n);
out:
	ph_buf_done(&all);
	return out;
}

/* Base64 to bytes for printing (-F with -q, -s). */
static const char *decode(const char *value, struct ph_arena *a, size_t *ret_n)
{
	size_t n = strlen(value), pad = 0;
	unsigned char *out = ph_arena_alloc(a, n + 4);
	int got = n % 4 == 0 ? EVP_DecodeBlock(out, (const unsigned char *)value, (int)n) : -1;

	if (got < 0)
		return NULL;
	while (pad < 2 && n > pad && value[n - 1 - pad] == '=')
		pad++;
	*ret_n = (size_t)got - pad;
	return (const char *)out;
}

/* -F: a table that postmap made holds what the files held; a source table names them. */
static const char *content(struct ph_maptool *t, const struct ph_table *table, const char *key, const char *value, struct ph_arena *a, size_t *ret_n)
{
	struct ph_err err = { 0 };
	const char *plain;

	if (ph_table_ops(table)->put) {
		plain = decode(value, a, ret_n);
		if (plain == NULL)
			ph_log(PH_LOG_WARNING, "table %s: key %s: malformed BASE64 value: %s", ph_table_title(table), key, value);
	} else {
		plain = ph_maptool_files(ph_arena_strdup(a, value), a, ret_n, &err);
		if (plain == NULL)
			ph_log(PH_LOG_WARNING, "table %s: key %s: %s", ph_table_title(table), key, err.text);
	}
	if (plain == NULL)
		ph_maptool_fatal("table %s: query error", ph_table_title(table));
	return plain;
}

static void print_entry(struct ph_maptool *t, const struct ph_table *table, const char *key, const char *value, bool with_key, struct ph_arena *a)
{
	size_t n = strlen(value);

	if (t->from_files)
		value = content(t, table, key, value, a, &n);
	if (t->json) {
		struct ph_buf b = PH_BUF_INIT(SIZE_MAX / 2);

		if (strlen(value) != n)
			ph_maptool_fatal("key \"%s\": the value has a NUL byte and cannot be written as JSON", key);
		ph_buf_putc(&b, '{');
		ph_json_put(&b, key);
		ph_buf_puts(&b, ": ");
		ph_json_put(&b, value);
		printf("%s}\n", ph_buf_str(&b));
		ph_buf_done(&b);
		return;
	}
	if (with_key)
		printf("%s%s\t", key, t->aliases ? ":" : "");
	fwrite(value, 1, n, stdout);
	putchar('\n');
}

bool ph_maptool_query(struct ph_maptool *t, struct ph_table **tables, const char *key, bool with_key)
{
	struct ph_arena *a = ph_arena_new();
	struct ph_err err = { 0 };
	bool found = false;

	for (int i = 0; !found && i < t->n_args; i++) {
		enum ph_lookup status = PH_LOOKUP_NOTFOUND;
		const char *value;

		if (tables[i] == NULL)
			tables[i] = open_table(t, a, t->args[i], PH_TABLE_READ);
		if (t->utf8 && !t->body && !ph_utf8_valid(key, strlen(key))) {
			ph_log(PH_LOG_WARNING, "%s: non-UTF-8 key \"%s\": malformed UTF-8 or invalid codepoint",
			       ph_table_title(tables[i]), key);
			continue;
		}
		status = ph_table_get(tables[i], fold(t, tables[i], key, a), a, &value, &err);
		if (status < 0)
			ph_maptool_fatal("table %s: query error", ph_table_title(tables[i]));
		if (status == PH_LOOKUP_FOUND && t->utf8 && !t->body && !ph_utf8_valid(value, strlen(value))) {
			ph_log(PH_LOG_WARNING, "%s: key \"%s\": non-UTF-8 value \"%s\": malformed UTF-8 or invalid codepoint",
			       ph_table_title(tables[i]), key, value);
			ph_maptool_fatal("table %s: query error", ph_table_title(tables[i]));
		}
		if (status == PH_LOOKUP_FOUND) {
			if (value[0] == '\0') {
				ph_log(PH_LOG_WARNING, "table %s: key %s: empty string result is not allowed",
				       ph_table_title(tables[i]), key);
				ph_log(PH_LOG_WARNING, "table %s should return NO RESULT in case of NOT FOUND",
				       ph_table_title(tables[i]));
			}
			print_entry(t, tables[i], key, value, with_key, a);
			found = true;
		}
	}
	ph_arena_free(&a);
	return found;
}

/* The next line of standard input without its end, in *line; false at the end. */
static bool read_key(char **line, size_t *cap)
{
	ssize_t n = getline(line, cap, stdin);

	if (n < 0)
		return false;
	while (n > 0 && ((*line)[n - 1] == '\n' || (*line)[n - 1] == '\r'))
		(*line)[--n] = '\0';
	return true;
}

static void run_query(struct ph_maptool *t)
{
	struct ph_table **tables = ph_alloc((size_t)t->n_args * sizeof tables[0]);
	bool found = false;
	char *line = NULL;
	size_t cap = 0;

	if (t->headers || t->body) {
		found = ph_postmap_message(t, tables);
	} else if (strcmp(t->query, "-") == 0) {
		while (read_key(&line, &cap))
			found |= ph_maptool_query(t, tables, line, true);
	} else {
		found = ph_maptool_query(t, tables, t->query, false);
	}
	free(line);
	for (int i = 0; i < t->n_args; i++)
		ph_table_close(&tables[i]);
	free(tables);
	t->status = !found;
}

static bool remove_one(struct ph_maptool *t, struct ph_table *table, const char *key)
{
	struct ph_arena *a = ph_arena_new();
	struct ph_err err = { 0 };
	int r = ph_table_ops(table)->del(ph_table_handle(table), fold(t, table, key, a), &err);

	ph_arena_free(&a);
	if (r < 0 && r != -ENOENT)
		ph_maptool_fatal("table %s: delete error: %s", ph_table_title(table), err.text);
	return r == 0;
}

static void run_remove(struct ph_maptool *t)
{
	struct ph_arena *a = ph_arena_new();
	struct ph_table **tables = ph_alloc((size_t)t->n_args * sizeof tables[0]);
	struct ph_err err = { 0 };
	bool found = false;
	char *line = NULL;
	size_t cap = 0;

	for (int i = 0; i < t->n_args; i++) {
		tables[i] = open_table(t, a, t->args[i], PH_TABLE_UPDATE);
		if (ph_table_ops(tables[i])->del == NULL)
			ph_maptool_fatal("table %s: delete operation is not supported", ph_table_title(tables[i]));
	}
	if (strcmp(t->remove, "-") == 0) {
		while (read_key(&line, &cap))
			for (int i = 0; *line && i < t->n_args; i++)
				found |= remove_one(t, tables[i], line);
	} else {
		for (int i = 0; i < t->n_args; i++)
			found |= remove_one(t, tables[i], t->remove);
	}
	for (int i = 0; i < t->n_args; i++) {
		const struct ph_lookup_ops *ops = ph_table_ops(tables[i]);

		if (found && ops->commit && ops->commit(ph_table_handle(tables[i]), &err) < 0)
			ph_maptool_fatal("table %s: %s", ph_table_title(tables[i]), err.text);
		ph_table_close(&tables[i]);
	}
	free(line);
	free(tables);
	ph_arena_free(&a);
	t->status = !found;
}

static void run_list(struct ph_maptool *t)
{
	struct ph_arena *names = ph_arena_new(), *a = ph_arena_new();
	struct ph_table *table = open_table(t, names, t->args[0], PH_TABLE_READ);
	const struct ph_lookup_ops *ops = ph_table_ops(table);
	const char *key, *value;
	struct ph_err err = { 0 };
	bool first = true;
	int r;

	if (ops->next == NULL)
		ph_maptool_fatal("table %s: sequence operation is not supported", ph_table_title(table));
	while ((r = ops->next(ph_table_handle(table), first, a, &key, &value, &err)) > 0) {
		first = false;
		print_entry(t, table, key, value, true, a);
		ph_arena_reset(a);
	}
	if (r < 0)
		ph_maptool_fatal("table %s: sequence error: %s", ph_table_title(table), err.text);
	ph_table_close(&table);
	ph_arena_free(&a);
	ph_arena_free(&names);
}

struct job {
	struct ph_maptool *t;
	void (*create)(struct ph_maptool *t, const char *type, const char *name);
};

static void run(void *arg)
{
	struct job *j = arg;
	struct ph_maptool *t = j->t;
	struct ph_arena *a;

	if (t->query) {
		run_query(t);
	} else if (t->remove) {
		run_remove(t);
	} else if (t->list) {
		run_list(t);
	} else {
		a = ph_arena_new();
		for (int i = 0; i < t->n_args; i++) {
			const char *type, *name;

			ph_maptool_split(t, a, t->args[i], &type, &name);
			j->create(t, type, name);
		}
		ph_arena_free(&a);
	}
	ph_log_set_immediate(true);
}

void ph_maptool_run(struct ph_maptool *t, void (*create)(struct ph_maptool *t, const char *type, const char *name))
{
	struct job j = { t, create };

	if (ph_run_blocking(run, &j) < 0)
		ph_maptool_fatal("cannot set up an event loop");
	fflush(stdout);
	if (ferror(stdout))
		ph_maptool_fatal("write error on standard output");
	ph_config_free(&t->config);
}

/* How Postfix names a table in its messages about entries. */
static const char *shown_name(const char *type, const char *name, const char *path, struct ph_arena *a)
{
	if (strcmp(type, "lmdb") == 0)
		return ph_arena_printf(a, "%s:%s", type, name);
	return strcmp(type, "cdb") == 0 ? name : path;
}

void ph_mapout_open(struct ph_maptool *t, const char *type, const char *name, const struct stat *source, struct ph_mapout *out)
{
	struct ph_table_spec spec = { .type = type, .name = name, .conf = t->conf };
	int mode = PH_TABLE_CREATE;
	const char *path;
	unsigned perm = source && t->keep_perm ? source->st_mode & 0777 : 0644;
	const struct ph_module *m;
	struct ph_err err = { 0 };

	m = ph_module_load(PH_KIND_LOOKUP, type, &err);
	if (m == NULL && (err.code == -ENOENT || err.code == -EINVAL))
		ph_maptool_fatal("unsupported dictionary type: %s", type);
	else if (m == NULL)
		ph_maptool_fatal("%s", err.text);
	out->ops = m->ops.lookup;
	/* A server has no file that could be made anew; its entries are changed one by one. */
	if (out->ops->put == NULL || (out->ops->commit == NULL && !t->incremental) || !(out->ops->flags & PH_LOOKUP_FILE))
		ph_maptool_fatal("unsupported dictionary type: %s does not support bulk-mode creation.", type);
	out->arena = ph_arena_new();
	path = out->ops->path ? out->ops->path(&spec, out->arena) : name;
	out->shown = shown_name(type, name, path, out->arena);
	if (t->incremental && access(path, F_OK) == 0)
		mode = PH_TABLE_UPDATE;
	/* With the rights of the source's owner: root does not write where a user could have laid a trap. */
	if (t->as_owner && source && geteuid() == 0 && source->st_uid != 0 &&
	    (setegid(source->st_gid) < 0 || seteuid(source->st_uid) < 0))
		ph_maptool_fatal("cannot take the rights of the owner of %s: %s", name, strerror(errno));
	out->table = ph_table_open(t->conf, type, name, mode, t->nul, perm, &err);
	if (out->table == NULL)
		ph_maptool_fatal("%s", err.text);
}

void ph_mapout_put(struct ph_maptool *t, struct ph_mapout *out, const char *key, const char *value)
{
	struct ph_err err = { 0 };
	int r = out->ops->put(ph_table_handle(out->table), key, value, t->replace, &err);

	if (r == -EEXIST) {
		if (!t->quiet_dup)
			ph_log(PH_LOG_WARNING, "%s: duplicate entry: \"%s\"", out->shown, key);
	} else if (r < 0) {
		ph_maptool_fatal("table %s: write error: %s", ph_table_title(out->table), err.text);
	}
}

void ph_mapout_close(struct ph_maptool *t, struct ph_mapout *out)
{
	struct ph_err err = { 0 };

	if (out->ops->commit && out->ops->commit(ph_table_handle(out->table), &err) < 0)
		ph_maptool_fatal("table %s: write error: %s", ph_table_title(out->table), err.text);
	ph_table_close(&out->table);
	ph_arena_free(&out->arena);
	if (geteuid() != getuid() && (seteuid(getuid()) < 0 || setegid(getgid()) < 0))
		ph_maptool_fatal("cannot take back the rights of root");
}
