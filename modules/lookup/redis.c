/* redis.c: lookup "redis:/etc/posthouse/x.cf": keys of a Redis server.
 *
 * Each table owns a few connections, each used by one look-up at a time; a look-up that finds none free waits.  All servers of the
 * list are tried in turn; one that fails is left alone for a while that doubles up to a minute.  Whatever goes wrong (stopped,
 * slow, garbled, not authorised) is a temporary failure that names the server.  get yields.
 *
 * Settings: host (a list of host, host:port, unix:/path; 127.0.0.1), port (6379), socket, database (0), user, password, timeout (2s, of
 * the whole look-up), connections (8), command (get; "hget NAME", "smembers" ...; the key goes behind it), key_format (%s),
 * result_format (%s), domain (only keys in these domains; a match list). */
#include "common/rclient.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 8             /* of the command */
#define MAX_RESULT ((size_t)1 << 20)

struct table {
	char *name;
	struct lcfg *cfg;
	struct rclient *client;
	char *command;                  /* its words live in it */
	const char *words[MAX_WORDS];
	size_t n_words;
	const char *key_format, *result_format;
	struct ph_match *domains;       /* NULL: all keys */
};

/* ---- settings ---- */

static int read_command(struct table *t, struct ph_err *err)
{
	char *cursor, *word;

	t->command = cursor = ph_strdup(lcfg_str(t->cfg, "command", "get"));
	while ((word = ph_str_token(&cursor, " \t")) != NULL) {
		if (t->n_words == MAX_WORDS)
			return ph_err_set(err, -EINVAL, "%s: command holds more than %d words", t->name, MAX_WORDS);
		t->words[t->n_words++] = word;
	}
	return t->n_words > 0 ? 0 : ph_err_set(err, -EINVAL, "%s: command is empty", t->name);
}

static int read_settings(struct table *t, const struct ph_table_spec *spec, struct ph_err *err)
{
	const char *domains;
	int r;

	if ((r = rclient_open(t->cfg, t->name, 2000, &t->client, err)) < 0 || (r = read_command(t, err)) < 0)
		return r;
	t->key_format = lcfg_str(t->cfg, "key_format", "%s");
	t->result_format = lcfg_str(t->cfg, "result_format", "%s");
	domains = lcfg_str(t->cfg, "domain", NULL);
	if ((r = lcfg_check_format(t->name, t->key_format, err)) < 0 ||
	    (r = lcfg_check_format(t->name, t->result_format, err)) < 0)
		return r;
	if (domains && *domains)
		t->domains = ph_match_open(spec->conf, t->name, domains, PH_MATCH_DOMAIN);
	lcfg_warn_unused(t->cfg);
	return 0;
}

static void table_close(void *table)
{
	struct table *t = table;

	rclient_close(&t->client);
	lcfg_free(&t->cfg);
	free(t->command);
	free(t->name);
	free(t);
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t;
	int r;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "redis:%s map requires O_RDONLY access mode", spec->name);
	t = ph_alloc(sizeof *t);
	t->name = ph_strdup(spec->name);
	r = lcfg_open(spec, &t->cfg, err);
	if (r == 0)
		r = read_settings(t, spec, err);
	if (r < 0)
		table_close(t);
	else
		*ret = t;
	return r;
}

/* ---- look-ups ---- */

static int put_result(struct table *t, const struct rreply *r, const char *key, struct ph_buf *out, struct ph_err *err)
{
	size_t before = out->len;

	if (r == NULL || r->type != RREPLY_TEXT)
		return 0;
	if (memchr(r->text, '\0', r->len))
		return ph_err_set(err, -EPROTO, "the value holds a null byte");
	if (before > 0 && ph_buf_putc(out, ',') < 0)
		return ph_err_set(err, -EMSGSIZE, "the result is longer than %zu bytes", MAX_RESULT);
	if (!lcfg_expand(t->result_format, r->text, key, out)) {        /* this value gives no result */
		out->len = before;
		if (out->data)
			out->data[before] = '\0';
	}
	return 0;
}

static enum ph_lookup take_reply(struct table *t, const struct rreply *r, const char *key, struct ph_arena *arena,
				 const char **ret_value, struct ph_err *err)
{
	struct ph_buf out = PH_BUF_INIT(MAX_RESULT);
	enum ph_lookup status = PH_LOOKUP_NOTFOUND;
	int code = 0;

	switch (r->type) {
	case RREPLY_NIL:
		break;
	case RREPLY_ERROR:
		code = ph_err_set(err, -EIO, "server %s: %.200s", rclient_server_name(t->client), r->text);
		break;
	case RREPLY_TEXT:
		code = put_result(t, r, key, &out, err);
		if (code == 0 && (out.len > 0 || r->len == 0))
			status = PH_LOOKUP_FOUND;
		break;
	case RREPLY_LIST:
		for (size_t i = 0; code == 0 && i < r->n; i++)
			code = put_result(t, r->list[i], key, &out, err);
		if (out.len > 0)
			status = PH_LOOKUP_FOUND;
		break;
	}
	if (code < 0)
		status = PH_LOOKUP_TEMPFAIL;
	else if (status == PH_LOOKUP_FOUND)
		*ret_value = ph_arena_strdup(arena, ph_buf_str(&out));
	ph_buf_done(&out);
	return status;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	struct ph_buf k = PH_BUF_INIT(65536);
	const char *at = strrchr(key, '@');
	const char *words[MAX_WORDS + 1];
	struct rreply *reply = NULL;
	enum ph_lookup status = PH_LOOKUP_NOTFOUND;

	if (t->domains) {
		if (at == NULL || at[1] == '\0')
			goto out;
		status = ph_match_find(t->domains, at + 1, NULL, err);
		if (status != PH_LOOKUP_FOUND)
			goto out;
		status = PH_LOOKUP_NOTFOUND;
	}
	if (!lcfg_expand(t->key_format, key, key, &k) || k.len == 0)
		goto out;
	memcpy(words, t->words, t->n_words * sizeof words[0]);
	words[t->n_words] = ph_buf_str(&k);
	if (rclient_ask(t->client, arena, words, t->n_words + 1, &reply, err) < 0)
		status = PH_LOOKUP_TEMPFAIL;
	else
		status = take_reply(t, reply, key, arena, ret_value, err);
out:
	rreply_free(reply);
	ph_buf_done(&k);
	return status;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_FILE | PH_LOOKUP_TEXT | PH_LOOKUP_NETWORK | PH_LOOKUP_REPEATABLE,
	.open = table_open, .get = table_get, .close = table_close, .path = lcfg_path,
};

PH_MODULE(PH_KIND_LOOKUP, "redis", "1.0", "keys of a Redis server", .ops.lookup = &ops);
