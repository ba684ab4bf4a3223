/* rootonly.c: see rootonly.h.  No state. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/private.h"
#include "config/rootonly.h"

struct walk {
	const struct ph_conf *conf;
	uid_t uid;
	gid_t gid;
	ph_rootonly_fn *fn;
	void *arg;
};

/* ---- what may be read ---- */

static bool allowed(const struct stat *st, uid_t uid, gid_t gid, mode_t bit)
{
	return st->st_mode & (st->st_uid == uid ? bit << 6 : st->st_gid == gid ? bit << 3 : bit);
}

/* A file that is there and out of the user's reach. */
static bool out_of_reach(const char *file, uid_t uid, gid_t gid)
{
	char path[PATH_MAX], *slash;
	struct stat st;
	bool reach;

	if (realpath(file, path) == NULL || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	reach = allowed(&st, uid, gid, 4);
	for (slash = strchr(path + 1, '/'); reach && slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		reach = stat(path, &st) == 0 && allowed(&st, uid, gid, 1);
		*slash = '/';
	}
	return !reach;
}

/* ---- what is named ---- */

/* The file that a table of this type reads. */
static const char *table_suffix(const char *type, size_t n)
{
	static const struct { const char *type, *suffix; } own[] = { { "hash", ".db" }, { "btree", ".db" }, { "lmdb", ".lmdb" }, { "cdb", ".cdb" } };

	for (size_t i = 0; i < PH_ARRAY_LEN(own); i++)
		if (strlen(own[i].type) == n && memcmp(own[i].type, type, n) == 0)
			return own[i].suffix;
	return "";
}

static void word_look(const struct walk *w, const char *name, const char *word)
{
	const char *type = strncmp(word, "proxy:", 6) == 0 ? word + 6 : word, *file = strstr(type, ":/");
	char path[PATH_MAX];
	bool is_table = file != NULL && word[0] != '/';

	if (is_table)
		snprintf(path, sizeof(path), "%s%s", file + 1, table_suffix(type, (size_t)(file - type)));
	else if (word[0] == '/' && strstr(name, "tls") && strstr(name, "_file"))
		snprintf(path, sizeof(path), "%s", word);
	else
		return;
	if (out_of_reach(path, w->uid, w->gid))
		w->fn(w->arg, w->conf, word, path, is_table);
}

static void settings_look(const struct walk *w, const struct ph_setting *set)
{
	const char *value;
	char *copy, *cursor, *word;

	for (; set; set = set->next) {
		value = strchr(set->value, '/') || strchr(set->value, '$') ? ph_conf_get(w->conf, set->name) : NULL;
		if (value == NULL)
			continue;
		copy = cursor = ph_strdup(value);
		while ((word = ph_str_token(&cursor, ", \t\r\n{}=;")))
			word_look(w, set->name, word);
		free(copy);
	}
}

void ph_rootonly_each(const struct ph_config *config, uid_t uid, gid_t gid, ph_rootonly_fn *fn, void *arg)
{
	struct walk w = { config->main_view, uid, gid, fn, arg };

	settings_look(&w, config->main.first);
	for (size_t i = 0; i < config->n_services; i++) {
		w.conf = config->services[i].conf;
		settings_look(&w, w.conf->overrides.first);
	}
}
