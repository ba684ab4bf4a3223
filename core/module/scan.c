/* scan.c: every module on the search path, for "posthouse modules" and postconf.  Owns nothing; does not yield. */
#include "module/loader.h"
#include "module/loader_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MODULES 4096

struct scan {
	struct ph_arena *arena;
	struct ph_module_info *list;
	size_t n, cap;
};

static struct ph_module_info *add(struct scan *s)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct ph_module_info *list = ph_arena_alloc(s->arena, cap * sizeof *list);

		if (s->n > 0)
			memcpy(list, s->list, s->n * sizeof *list);
		s->list = list;
		s->cap = cap;
	}
	return &s->list[s->n++];
}

/* "lookup_hash.so" -> kind and name; false for files that are no modules by name. */
static bool split_name(struct ph_arena *arena, const char *file, unsigned *ret_kind, const char **ret_name)
{
	size_t n = strlen(file);

	if (n < 5 || strcmp(file + n - 3, ".so") != 0)
		return false;
	for (unsigned k = PH_KIND_LOOKUP; k <= PH_KIND_COUNTER; k++) {
		const char *kind = ph_module_kind_name(k);
		size_t len = strlen(kind);

		if (strncmp(file, kind, len) == 0 && file[len] == '_' && n > len + 4) {
			*ret_kind = k;
			*ret_name = ph_arena_strndup(arena, file + len + 1, n - len - 4);
			return true;
		}
	}
	return false;
}

static const struct ph_module_info *earlier(const struct scan *s, const char *kind, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->list[i].kind, kind) == 0 && strcmp(s->list[i].name, name) == 0)
			return &s->list[i];
	return NULL;
}

static void scan_file(struct scan *s, const char *dir, const char *file)
{
	struct ph_err err = { 0 };
	const struct ph_module_info *first;
	struct ph_module_info *info;
	const char *name, *path;
	unsigned kind;

	if (s->n >= MAX_MODULES || !split_name(s->arena, file, &kind, &name))
		return;
	path = ph_arena_printf(s->arena, "%s/%s", dir, file);
	first = earlier(s, ph_module_kind_name(kind), name);
	if (first)
		ph_err_set(&err, -EEXIST, "%s comes first on the search path", first->path);
	info = add(s);
	info->path = path;
	info->kind = ph_module_kind_name(kind);
	info->name = name;
	if (err.code == 0)
		info->module = ph_loader_open_file(kind, name, path, &err);
	if (info->module == NULL)
		info->why = ph_arena_strdup(s->arena, err.text);
}

static void scan_dir(struct scan *s, const char *dir)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		scan_file(s, dir, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static void scan_static(struct scan *s)
{
	struct ph_err err = { 0 };
	struct ph_module_info *info;

	if (ph_static_modules == NULL)
		return;
	for (const struct ph_module *const *p = ph_static_modules; *p; p++) {
		info = add(s);
		info->path = "(built in)";
		info->kind = ph_module_kind_name((*p)->kind);
		info->name = (*p)->name;
		info->module = ph_loader_open_static(*p, &err);
		if (info->module == NULL)
			info->why = ph_arena_strdup(s->arena, err.text);
	}
}

size_t ph_modules_scan(struct ph_arena *arena, struct ph_module_info **ret)
{
	struct scan s = { .arena = arena };
	char *path = ph_loader_path(), *cursor = path, *dir;

	scan_static(&s);
	while ((dir = strsep(&cursor, ":")) != NULL)
		if (*dir)
			scan_dir(&s, dir);
	free(path);
	*ret = s.list;
	return s.n;
}
